//! [`ControlPlane`] over HTTP.

use super::http::Call;
use super::refusal::About;
use super::{Client, about, about_database, about_group, wire};
use crate::control::names::{DEFAULT_GROUP, DatabaseName, GroupName, LocationCode, OrganizationSlug, TokenId};
use crate::control::routes::{self, Method};
use crate::control::tokens::{
    Authorization, DatabaseToken, DatabaseUsage, Expiration, Minted, NewToken, OWN_LABEL, OWN_LIFE, QueryUsage, Span,
    Usage,
};
use crate::control::types::{
    Configuration, ConfigurationPatch, Connection, CreateDatabase, Database, DatabaseFilter, Finding, Group,
    GroupConfiguration, Instance, InstanceState, Location, NewGroup, NewLocation, Role, Seed, Severity, Synced,
};
use crate::control::{ControlPlane, Progress, Staging};
use crate::error::{Code, Error, Result};
use crate::secret::{Renewal, Secret};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// How many databases are asked for at once.
const PAGE: u32 = 1_000;

impl Client {
    /// The locations of the organization's groups and databases.
    fn locations_in_use(&self) -> Result<HashSet<LocationCode>> {
        let groups = self.list_groups()?.into_iter().flat_map(|group| group.locations);
        let databases = self.list_databases(&DatabaseFilter::default())?;
        Ok(groups
            .chain(databases.into_iter().flat_map(|database| database.locations))
            .collect())
    }

    /// The instance at a location, with what it lacks.
    fn instance_at(&self, name: &DatabaseName, location: &LocationCode) -> Result<Instance> {
        let instances = self.list_instances(name)?;
        let Some(instance) = instances.into_iter().find(|instance| instance.location == *location) else {
            self.get_location(location)?;
            return Err(Error::new(
                Code::InstanceNotFound,
                format!("database {name} has no instance at {location}"),
            )
            .hint(format!("torso db replicas {name} shows where it is")));
        };
        if instance.state == InstanceState::Behind {
            match self.sync_database(name, Some(location)) {
                // A server that cannot be told to does it by itself.
                Err(error) if super::is_unsupported(&error) => {}
                synced => drop(synced?),
            }
        }
        Ok(instance)
    }

    /// The group that a new database goes to where none is named: the only one, else `default`.
    fn usual_group(&self, location: Option<&LocationCode>) -> Result<Option<GroupName>> {
        let mut groups = self.list_groups()?;
        if groups.len() == 1 {
            return Ok(groups.pop().map(|group| group.name));
        }
        let default: GroupName = DEFAULT_GROUP.parse()?;
        if groups.iter().any(|group| group.name == default) {
            return Ok(Some(default));
        }
        match location {
            Some(location) => self
                .create_group(&NewGroup {
                    name: default,
                    location: location.clone(),
                })
                .map(|group| Some(group.name)),
            None => Ok(None),
        }
    }

    /// Has a database made, of what is on the server already.
    pub(super) fn post_database(&self, request: &CreateDatabase, seed: Option<Value>) -> Result<Database> {
        let mut body = wire::to_json(request);
        if let Some(seed) = seed {
            body["seed"] = seed;
        }
        if request.group.is_none()
            && let Some(group) = self.usual_group(request.location.as_ref())?
        {
            body["group"] = json!(group);
        }
        let call = Call::post(self.scoped(routes::DATABASES), about_database(&request.name)).body(body);
        self.http.ask(&call)?;
        // The Platform API answers with three fields of it only.
        self.get_database(&request.name)
    }

    /// A token for a command's own use, remembered while the command runs.
    pub(super) fn own_token(&self, name: &DatabaseName, authorization: Authorization) -> Result<Secret> {
        let key = (name.clone(), authorization);
        if let Some(token) = self.minted.borrow().get(&key) {
            return Ok(token.clone());
        }
        let new = NewToken {
            name: Some(OWN_LABEL.to_owned()),
            expiration: Expiration::After(OWN_LIFE),
            authorization,
            ..NewToken::default()
        };
        let token = self.create_database_token(name, &new)?.jwt;
        self.minted.borrow_mut().insert(key, token.clone());
        Ok(token)
    }

    /// Has further ones made, for whoever works with a database for longer.
    fn renewal(&self, name: &DatabaseName, authorization: Authorization) -> Renewal {
        let (again, name) = (self.again(), name.clone());
        Renewal::new(OWN_LIFE / 2, move || again().own_token(&name, authorization))
    }

    /// After what changes which database a name stands for, or which tokens open it.
    fn forget_tokens(&self) {
        self.minted.borrow_mut().clear();
    }

    fn mint(&self, of: &str, new: &NewToken, about: About<'_>) -> Result<Minted> {
        let mut call = Call::post(self.scoped(&routes::tokens(of)), about)
            .query("expiration", wire::expiration(new.expiration))
            .query(
                "authorization",
                match new.authorization {
                    Authorization::FullAccess => "full-access",
                    Authorization::ReadOnly => "read-only",
                },
            )
            .body(wire::to_json(&new.permissions));
        if let Some(name) = &new.name {
            call = call.query("name", name);
        }
        wire::read(self.http.ask(&call)?, "a token")
    }

    fn tokens_of(&self, of: &str, about: About<'_>) -> Result<Vec<DatabaseToken>> {
        let call = Call::get(
            self.scoped(&routes::tokens(of)),
            about.only_here("list tokens of databases"),
        );
        wire::list(self.http.ask(&call)?, "tokens")?
            .into_iter()
            .map(|token| wire::read(token, "a token"))
            .collect()
    }

    fn revoke(&self, of: &str, id: &str, about: About<'_>) -> Result<DatabaseToken> {
        let id: TokenId = id.parse()?;
        let call = Call::delete(
            self.scoped(&routes::token(of, &id)),
            about.only_here("end single tokens of databases"),
        );
        wire::read(wire::within(self.http.ask(&call)?, "token"), "a token")
    }

    fn rotate(&self, of: &str, grace: Duration, about: About<'_>) -> Result<()> {
        let mut call = Call::post(self.scoped(&routes::rotate(of)), about);
        if !grace.is_zero() {
            call = call.query("grace", format!("{}s", grace.as_secs()));
        }
        self.http.ask(&call).map(drop)
    }
}

fn about_location(code: &LocationCode) -> About<'static> {
    About::new(format!("location {code}"), Code::LocationNotFound, Code::LocationExists)
        .look("torso location list shows the locations")
}

fn about_instance(name: &DatabaseName, location: &LocationCode) -> About<'static> {
    About::new(
        format!("instance of database {name} at {location}"),
        Code::InstanceNotFound,
        Code::InstanceExists,
    )
    .look("torso db replicas NAME shows where a database is")
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
            // A server tells what the personal organization uses.
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
        // Turso Cloud answers for codes it does not offer, so the list decides; a torso server knows the nearest name.
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
        wire::read(self.http.ask(&call)?, "a configuration")
    }

    fn update_group_configuration(&self, name: &GroupName, to: &GroupConfiguration) -> Result<GroupConfiguration> {
        let path = self.scoped(&routes::group_configuration(name));
        let call = Call::new(Method::Patch, path, about_group(name)).body(wire::to_json(to));
        wire::read(self.http.ask(&call)?, "a configuration")
    }

    fn list_databases(&self, filter: &DatabaseFilter) -> Result<Vec<Database>> {
        let mut databases = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut call =
                Call::get(self.scoped(routes::DATABASES), about("the databases")).query("limit", PAGE.to_string());
            if let Some(group) = &filter.group {
                call = call.query("group", group);
            }
            if let Some(location) = &filter.location {
                call = call.query("location", location);
            }
            if let Some(parent) = &filter.parent {
                call = call.query("parent", parent);
            }
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor);
            }
            let reply = self.http.ask(&call)?;
            let next = reply["pagination"]["next"].as_str().map(str::to_owned);
            let page = wire::list(reply, "databases")?;
            // A server that sends on for ever is not followed.
            let over = page.is_empty() || next.is_none() || next == cursor;
            databases.extend(self.all(page, "database", "Name", wire::database)?);
            if over {
                break;
            }
            cursor = next;
        }
        databases.retain(|database| {
            filter.group.as_ref().is_none_or(|group| database.group == *group)
                && filter
                    .location
                    .as_ref()
                    .is_none_or(|location| database.locations.contains(location))
                && filter
                    .parent
                    .as_ref()
                    .is_none_or(|id| database.parent.as_ref().is_some_and(|parent| parent.id == *id))
        });
        databases.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(databases)
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
            about_database(name).only_here("be told to refresh replicas: it does so by itself"),
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
        let database = self.get_database(name)?;
        let (location, role, url) = match location {
            None => (database.primary.clone(), Role::Primary, database.url.clone()),
            Some(location) => {
                let instance = self.instance_at(name, location)?;
                (instance.location, instance.role, instance.url)
            }
        };
        if database.block_reads {
            return Err(
                Error::new(Code::Blocked, format!("reads of database {name} are blocked"))
                    .hint(format!("torso db config set {name} block-reads off")),
            );
        }
        // Replicas of a server send writes on to the primary; those that are files cannot.
        let read_only_reason = if database.block_writes {
            Some(format!(
                "writes to {name} are blocked; torso db config set {name} block-writes off lifts it"
            ))
        } else if role == Role::Replica && url.starts_with("file:") {
            Some(format!(
                "this is the replica in {location}; the primary is in {}: torso db shell {name}",
                database.primary
            ))
        } else {
            None
        };
        let mut read_only_reason = read_only_reason;
        // For a message only: the server holds it.
        let limit = self.get_configuration(name).ok();
        let size_limit = limit
            .and_then(|found| found.size_limit.parse().ok())
            .filter(|bytes| *bytes > 0);
        let mut authorization = if read_only_reason.is_some() {
            Authorization::ReadOnly
        } else {
            Authorization::FullAccess
        };
        let token = match self.own_token(name, authorization) {
            // Who may only look may have a token for that.
            Err(error) if error.code() == Code::Forbidden && authorization == Authorization::FullAccess => {
                authorization = Authorization::ReadOnly;
                let token = self.own_token(name, authorization).map_err(|_| error)?;
                read_only_reason = Some(format!("you may only read {name}: torso auth status shows who you are"));
                token
            }
            minted => minted?,
        };
        Ok(Connection {
            database: name.clone(),
            location,
            role,
            url,
            token: Some(token),
            renewal: Some(self.renewal(name, authorization)),
            read_only: read_only_reason.is_some(),
            read_only_reason,
            delete_protection: database.delete_protection,
            size_limit,
        })
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
        // Servers tell the one or the other.
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
        super::upload::staging()
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
            // It answers and knows the token, which is all that can be told of it.
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

/// What is deleted again, because the first answer was lost or somebody else was faster, is deleted.
fn gone(result: Result<Value>, missing: Code) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.code() == missing => Ok(()),
        Err(error) => Err(error),
    }
}
