//! [`ControlPlane`] over HTTP: a request for each method. What takes more than that is in `databases`, `connection` and
//! `tokens`.

use super::api_error::CallSubject;
use super::call::Call;
use super::{Client, about, about_database, about_group, wire};
use crate::control::names::{DatabaseName, GroupName, LocationCode, OrganizationSlug};
use crate::control::routes::{self, Method};
use crate::control::tokens::{DatabaseToken, DatabaseUsage, Minted, NewToken, QueryUsage, Span, Usage};
use crate::control::types::{
    Configuration, ConfigurationPatch, Connection, CreateDatabase, Database, DatabaseFilter, Finding, Group,
    GroupConfiguration, GroupConfigurationPatch, Instance, Location, NewGroup, NewLocation, Role, Seed, Severity,
    Synced,
};
use crate::control::{ControlPlane, Progress, Staging};
use crate::error::{Code, Error, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

fn about_location(code: &LocationCode) -> CallSubject<'static> {
    CallSubject::new(format!("location {code}"), Code::LocationNotFound, Code::LocationExists)
        .hint("torso location list shows the locations")
}

fn about_instance(name: &DatabaseName, location: &LocationCode) -> CallSubject<'static> {
    CallSubject::new(
        format!("instance of database {name} at {location}"),
        Code::InstanceNotFound,
        Code::InstanceExists,
    )
    .hint("torso db replicas NAME shows where a database is")
}

fn fixed_locations() -> Error {
    Error::new(
        Code::Unsupported,
        "the locations of a server are chosen where it is started",
    )
    .hint("torso location list shows them; torso server --locations names them")
}

impl ControlPlane for Client {
    fn list_locations(&self) -> Result<Vec<Location>> {
        let mut reply = self.http.ask(&Call::get(routes::LOCATIONS, about("the locations")))?;
        let used = self.locations_in_use()?;
        if let Some(details) = reply.get_mut("details") {
            let mut known: Vec<Location> = wire::read(details.take(), "a location")?;
            // A server answers for the personal organization.
            for location in &mut known {
                location.in_use = used.contains(&location.code);
            }
            return Ok(known);
        }
        let told: BTreeMap<LocationCode, String> = wire::read(wire::within(reply, "locations"), "the locations")?;
        Ok(told
            .into_iter()
            .map(|(code, description)| {
                let in_use = used.contains(&code);
                wire::plain_location(code, description, in_use)
            })
            .collect())
    }

    fn get_location(&self, code: &LocationCode) -> Result<Location> {
        // The list decides, because Turso Cloud also answers for codes that it does not offer; a torso server's own error
        // suggests the nearest code.
        let all = self.list_locations()?;
        match all.into_iter().find(|location| location.code == *code) {
            Some(location) => Ok(location),
            None => Err(self
                .http
                .ask(&Call::get(routes::location(code), about_location(code)))
                .err()
                .filter(|error| error.code() == Code::LocationNotFound)
                .unwrap_or_else(|| {
                    Error::new(Code::LocationNotFound, format!("there is no location {code}"))
                        .hint("torso location list shows the locations")
                })),
        }
    }

    fn add_location(&self, _: &NewLocation) -> Result<Location> {
        Err(fixed_locations())
    }

    fn remove_location(&self, _: &LocationCode) -> Result<Location> {
        Err(fixed_locations())
    }

    fn list_groups(&self) -> Result<Vec<Group>> {
        let reply = self
            .http
            .ask(&Call::get(self.scoped(routes::GROUPS), about("the groups")))?;
        let mut groups = self.all(wire::list(reply, "groups")?, "group", "name", wire::group)?;
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    fn create_group(&self, new: &NewGroup) -> Result<Group> {
        let call = Call::post(self.scoped(routes::GROUPS), about_group(&new.name)).body(wire::to_json(new));
        wire::group(wire::within(self.http.ask(&call)?, "group"))
    }

    fn get_group(&self, name: &GroupName) -> Result<Group> {
        let call = Call::get(self.scoped(&routes::group(name)), about_group(name));
        wire::group(wire::within(self.http.ask(&call)?, "group"))
    }

    fn rename_group(&self, name: &GroupName, to: &GroupName) -> Result<Group> {
        let call = Call::post(
            self.scoped(&routes::group_rename(name)),
            about_group(name).only_here("rename groups"),
        )
        .body(json!({ "name": to }));
        self.http.ask(&call)?;
        self.get_group(to)
    }

    fn delete_group(&self, name: &GroupName) -> Result<Group> {
        let group = self.get_group(name)?;
        let call = Call::delete(self.scoped(&routes::group(name)), about_group(name));
        gone(self.http.ask(&call), Code::GroupNotFound)?;
        Ok(group)
    }

    fn add_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        let call = Call::post(self.scoped(&routes::group_location(name, location)), about_group(name)).repeatable();
        wire::group(wire::within(self.http.ask(&call)?, "group"))
    }

    fn remove_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        let call = Call::delete(self.scoped(&routes::group_location(name, location)), about_group(name));
        wire::group(wire::within(self.http.ask(&call)?, "group"))
    }

    fn promote_group(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        let call = Call::post(
            self.scoped(&routes::group_promote(name, location)),
            about_group(name).only_here("change the primary location of a group"),
        )
        .repeatable();
        wire::group(wire::within(self.http.ask(&call)?, "group"))
    }

    fn get_group_configuration(&self, name: &GroupName) -> Result<GroupConfiguration> {
        let call = Call::get(self.scoped(&routes::group_configuration(name)), about_group(name));
        wire::group_configuration(self.http.ask(&call)?)
    }

    fn update_group_configuration(
        &self,
        name: &GroupName,
        patch: &GroupConfigurationPatch,
    ) -> Result<GroupConfiguration> {
        let path = self.scoped(&routes::group_configuration(name));
        let call = Call::new(Method::Patch, path, about_group(name)).body(wire::to_json(patch));
        let configuration = wire::group_configuration(self.http.ask(&call)?)?;
        // A server that does not know the setting passes over it.
        if patch.isolation.is_some() && configuration.isolation != patch.isolation {
            return Err(
                Error::new(Code::Unsupported, "the server cannot isolate the databases of a group")
                    .hint("ask its operator for a newer torso"),
            );
        }
        Ok(configuration)
    }

    fn list_databases(&self, filter: &DatabaseFilter) -> Result<Vec<Database>> {
        self.databases(filter)
    }

    fn create_database(&self, request: &CreateDatabase) -> Result<Database> {
        self.create_database_telling(request, &mut |_, _| Ok(()))
    }

    fn create_database_telling(&self, request: &CreateDatabase, progress: &mut Progress<'_>) -> Result<Database> {
        match &request.seed {
            Some(Seed::DatabaseUpload { path }) => self.create_from_file(request, path, progress),
            _ => self.post_database(request, None),
        }
    }

    fn get_database(&self, name: &DatabaseName) -> Result<Database> {
        let call = Call::get(self.scoped(&routes::database(name)), about_database(name));
        wire::database(wire::within(self.http.ask(&call)?, "database"))
    }

    fn rename_database(&self, name: &DatabaseName, to: &DatabaseName) -> Result<Database> {
        let call = Call::post(
            self.scoped(&routes::database_rename(name)),
            about_database(name).only_here("rename databases"),
        )
        .body(json!({ "name": to }));
        self.http.ask(&call)?;
        self.forget_tokens();
        self.get_database(to)
    }

    fn delete_database(&self, name: &DatabaseName) -> Result<Database> {
        let database = self.get_database(name)?;
        let call = Call::delete(self.scoped(&routes::database(name)), about_database(name));
        gone(self.http.ask(&call), Code::DatabaseNotFound)?;
        self.forget_tokens();
        Ok(database)
    }

    fn get_configuration(&self, name: &DatabaseName) -> Result<Configuration> {
        let call = Call::get(self.scoped(&routes::database_configuration(name)), about_database(name));
        wire::configuration(self.http.ask(&call)?)
    }

    fn update_configuration(&self, name: &DatabaseName, patch: &ConfigurationPatch) -> Result<Configuration> {
        let path = self.scoped(&routes::database_configuration(name));
        let call = Call::new(Method::Patch, path, about_database(name)).body(wire::to_json(patch));
        wire::configuration(self.http.ask(&call)?)
    }

    fn list_instances(&self, name: &DatabaseName) -> Result<Vec<Instance>> {
        let call = Call::get(self.scoped(&routes::instances(name)), about_database(name));
        let mut instances: Vec<Instance> = wire::list(self.http.ask(&call)?, "instances")?
            .into_iter()
            .map(wire::instance)
            .collect::<Result<_>>()?;
        instances.sort_by(|a, b| {
            let replica = |instance: &Instance| instance.role == Role::Replica;
            (replica(a), &a.location).cmp(&(replica(b), &b.location))
        });
        Ok(instances)
    }

    fn add_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Instance> {
        let call = Call::post(
            self.scoped(&routes::instances(name)),
            about_database(name).only_here("replicate a single database; torso group locations add replicates a group"),
        )
        .body(json!({ "location": location }))
        .repeatable();
        wire::instance(wire::within(self.http.ask(&call)?, "instance"))
    }

    fn remove_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<()> {
        let call = Call::delete(
            self.scoped(&routes::instance(name, location)),
            about_instance(name, location),
        );
        self.http.ask(&call).map(drop)
    }

    fn sync_database(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Vec<Synced>> {
        let mut call = Call::post(
            self.scoped(&routes::database_sync(name)),
            about_database(name).only_here("sync replicas on request: it does so by itself"),
        )
        .repeatable();
        if let Some(location) = location {
            call = call.query("location", location);
        }
        wire::read(wire::within(self.http.ask(&call)?, "synced"), "what was refreshed")
    }

    fn promote_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Database> {
        let call = Call::post(
            self.scoped(&routes::instance_promote(name, location)),
            about_instance(name, location).only_here("change the primary of a database"),
        )
        .repeatable();
        wire::database(wire::within(self.http.ask(&call)?, "database"))
    }

    fn connection(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Connection> {
        self.connect(name, location)
    }

    fn create_database_token(&self, name: &DatabaseName, new: &NewToken) -> Result<Minted> {
        self.mint(&routes::database(name), new, about_database(name))
    }

    fn create_group_token(&self, name: &GroupName, new: &NewToken) -> Result<Minted> {
        self.mint(&routes::group(name), new, about_group(name))
    }

    fn list_database_tokens(&self, name: &DatabaseName) -> Result<Vec<DatabaseToken>> {
        self.tokens_of(&routes::database(name), about_database(name))
    }

    fn list_group_tokens(&self, name: &GroupName) -> Result<Vec<DatabaseToken>> {
        self.tokens_of(&routes::group(name), about_group(name))
    }

    fn revoke_database_token(&self, name: &DatabaseName, id: &str) -> Result<DatabaseToken> {
        self.revoke(&routes::database(name), id, about_database(name))
    }

    fn revoke_group_token(&self, name: &GroupName, id: &str) -> Result<DatabaseToken> {
        self.revoke(&routes::group(name), id, about_group(name))
    }

    fn rotate_database_tokens(&self, name: &DatabaseName, grace: Duration) -> Result<()> {
        self.forget_tokens();
        self.rotate(&routes::database(name), grace, about_database(name))
    }

    fn rotate_group_tokens(&self, name: &GroupName, grace: Duration) -> Result<()> {
        self.forget_tokens();
        self.rotate(&routes::group(name), grace, about_group(name))
    }

    fn database_usage(&self, name: &DatabaseName, span: Span) -> Result<DatabaseUsage> {
        let mut call = Call::get(self.scoped(&routes::database_usage(name)), about_database(name));
        if let Some(from) = span.from {
            call = call.query("from", from);
        }
        if let Some(to) = span.to {
            call = call.query("to", to);
        }
        let mut usage: DatabaseUsage = wire::read(wire::within(self.http.ask(&call)?, "database"), "usage")?;
        // Some servers fill in one of the two, some the other.
        if usage.usage == Usage::default() {
            usage.usage = usage.total;
        }
        usage.total = usage.usage;
        Ok(usage)
    }

    fn top_queries(&self, name: &DatabaseName) -> Result<Vec<QueryUsage>> {
        let call = Call::get(self.scoped(&routes::database_stats(name)), about_database(name));
        wire::list(self.http.ask(&call)?, "top_queries")?
            .into_iter()
            .map(|query| wire::read(query, "a statement"))
            .collect()
    }

    fn transfer_database(&self, name: &DatabaseName, to: &OrganizationSlug) -> Result<()> {
        let call = Call::post(self.scoped(&routes::database_transfer(name)), about_database(name))
            .body(json!({ "org": to, "organization": to }));
        self.http.ask(&call).map(drop)
    }

    fn transfer_group(&self, name: &GroupName, to: &OrganizationSlug) -> Result<Group> {
        let call = Call::post(self.scoped(&routes::group_transfer(name)), about_group(name))
            .body(json!({ "organization": to }));
        wire::group(wire::within(self.http.ask(&call)?, "group"))
    }

    fn staging(&self) -> Result<Staging> {
        super::staging::begin()
    }

    fn check(&self, fix: bool) -> Result<Vec<Finding>> {
        let method = if fix { Method::Post } else { Method::Get };
        let call = Call::new(
            method,
            self.scoped(routes::CHECK),
            about("the server's health").only_here("examine itself"),
        )
        .repeatable();
        match self.http.ask(&call) {
            Ok(reply) => wire::read(wire::within(reply, "findings"), "a finding"),
            // All that can be found out about such a server is that it answers and knows the token.
            Err(error) if super::is_unsupported(&error) => {
                self.http.ask(&Call::get(routes::VALIDATE, about("the token")))?;
                Ok(vec![Finding {
                    code: "server".to_owned(),
                    severity: Severity::Ok,
                    message: format!("the server {} answers, and accepts the token", self.address()),
                    fix: None,
                }])
            }
            Err(error) => Err(error),
        }
    }
}

/// The result of a deletion. What is `missing` is deleted: the answer to an earlier try was lost, or somebody else was faster.
fn gone(result: Result<Value>, missing: Code) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.code() == missing => Ok(()),
        Err(error) => Err(error),
    }
}
