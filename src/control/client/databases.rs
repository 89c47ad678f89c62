//! Databases on a server: listing them, and making one of what the server has already.

use super::call::ApiCall;
use super::{Client, about, about_database, wire};
use crate::control::endpoints::Operation;
use crate::control::names::{DEFAULT_GROUP, DatabaseName, GroupName, LocationCode};
use crate::control::types::{
    Configuration, ConfigurationPatch, CreateDatabase, Database, DatabaseExpiry, DatabaseFilter, NewGroup, Seed,
};
use crate::control::{DatabaseOperations, DatabaseVisitor, GroupOperations as _, Progress, if_allowed};
use crate::error::{Code, Error, Result};
use serde_json::{Value, json};
use std::collections::HashSet;

/// What only torso's own server can do.
const ENDS: &str = "keep when a database expires";

/// Databases on a page.
const PAGE: usize = 1_000;

impl DatabaseOperations for Client {
    fn visit_databases(&self, filter: &DatabaseFilter, visit: &mut DatabaseVisitor<'_>) -> Result<()> {
        // torso's own server orders by name, and its cursor is a name.
        let begin = match &filter.after {
            Some(after) if self.http.is_torso() => Some(after.to_string()),
            _ => None,
        };
        let mut pages = ListedDatabases::new(filter, begin);
        while let Some(call) = pages.next_call(self) {
            let reply = self.http.ask(&call)?;
            let next = reply["pagination"]["next"].as_str().map(str::to_owned);
            let page = wire::list(reply, "databases")?;
            let is_last = page.is_empty();
            let page = self.all(page, "database", "Name", wire::database)?;
            pages.add(
                page,
                next.filter(|_| !is_last),
                self.http.knows_keys.get() == Some(true),
                visit,
            )?;
        }
        pages.finish(visit)
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
        let call = self.call(Operation::GetDatabase, &[name], about_database(name));
        wire::database(wire::within(self.http.ask(&call)?, "database"))
    }

    fn rename_database(&self, name: &DatabaseName, to: &DatabaseName) -> Result<Database> {
        let call = self
            .call(
                Operation::RenameDatabase,
                &[name],
                about_database(name).only_here("rename databases"),
            )
            .body(json!({ "name": to }));
        let renamed = wire::database(wire::within(self.http.ask(&call)?, "database"));
        self.forget_tokens();
        renamed.or_else(|_| self.get_database(to))
    }

    fn delete_database(&self, name: &DatabaseName) -> Result<()> {
        let call = self.call(Operation::DeleteDatabase, &[name], about_database(name));
        self.http.ask(&call)?;
        self.forget_tokens();
        Ok(())
    }

    fn delete_expired_database(&self, name: &DatabaseName) -> Result<bool> {
        let about = about_database(name).only_here(ENDS);
        let call = self
            .call(Operation::DeleteDatabase, &[name], about)
            .query("expired", true);
        let deleted = self.http.ask(&call)?["deleted"].as_bool().unwrap_or(false);
        self.forget_tokens();
        Ok(deleted)
    }

    fn get_configuration(&self, name: &DatabaseName) -> Result<Configuration> {
        let call = self.call(Operation::GetConfiguration, &[name], about_database(name));
        wire::configuration(self.http.ask(&call)?)
    }

    fn update_configuration(&self, name: &DatabaseName, patch: &ConfigurationPatch) -> Result<Configuration> {
        let call = self
            .call(Operation::UpdateConfiguration, &[name], about_database(name))
            .body(wire::to_json(patch));
        let configuration = wire::configuration(self.http.ask(&call)?)?;
        match patch.expires_at {
            // A server that does not know the member ignores it.
            Some(DatabaseExpiry::At(_)) if configuration.expires_at.is_none() => Err(Error::new(
                Code::Unsupported,
                format!("the server {} cannot {ENDS}", self.address()),
            )
            .hint("torso's own server can; here, destroy the database in the script that made it")),
            _ => Ok(configuration),
        }
    }
}

/// A list of databases under way, from a server whose pages are in any order or in that of names.
struct ListedDatabases<'f> {
    filter: &'f DatabaseFilter,
    /// Where the next page begins.
    cursor: Option<String>,
    is_over: bool,
    /// How many are still wanted.
    left: usize,
    /// What is not visited yet, because what comes later may stand before it.
    unordered: Vec<Database>,
}

impl<'f> ListedDatabases<'f> {
    fn new(filter: &'f DatabaseFilter, cursor: Option<String>) -> Self {
        let left = filter.limit.unwrap_or(usize::MAX);
        Self {
            filter,
            cursor,
            is_over: left == 0,
            left,
            unordered: Vec::new(),
        }
    }

    /// The call for the next page; none at the end.
    fn next_call(&self, client: &Client) -> Option<ApiCall<'static>> {
        if self.is_over {
            return None;
        }
        let mut call = client
            .call(Operation::ListDatabases, &[], about("the databases"))
            .query("limit", self.left.min(PAGE));
        if let Some(group) = &self.filter.group {
            call = call.query("group", group);
        }
        if let Some(location) = &self.filter.location {
            call = call.query("location", location);
        }
        if let Some(parent) = &self.filter.parent {
            call = call.query("parent", parent);
        }
        if let Some(cursor) = &self.cursor {
            call = call.query("cursor", cursor);
        }
        Some(call)
    }

    /// Takes a page. `next` is where the one after it begins.
    fn add(
        &mut self,
        mut page: Vec<Database>,
        next: Option<String>,
        is_ordered: bool,
        visit: &mut DatabaseVisitor<'_>,
    ) -> Result<()> {
        // The last condition ends the list of a server that repeats its cursor.
        self.is_over = next.is_none() || next == self.cursor;
        self.cursor = next;
        page.retain(|database| self.passes(database));
        if is_ordered {
            page.truncate(self.left);
            self.left -= page.len();
            let goes_on = visit(page)?;
            self.is_over |= self.left == 0 || goes_on.is_break();
            return Ok(());
        }
        self.unordered.extend(page);
        if self.unordered.len() / 2 > self.left {
            self.order();
        }
        Ok(())
    }

    /// Whether a database is wanted: not every server knows every filter.
    fn passes(&self, database: &Database) -> bool {
        let filter = self.filter;
        filter.group.as_ref().is_none_or(|group| database.group == *group)
            && filter
                .location
                .as_ref()
                .is_none_or(|location| database.locations.contains(location))
            && filter
                .parent
                .as_ref()
                .is_none_or(|id| database.parent.as_ref().is_some_and(|parent| parent.id == *id))
            && filter.after.as_ref().is_none_or(|after| database.name > *after)
    }

    /// Keeps as many as are wanted of what is there, the first by name.
    fn order(&mut self) {
        self.unordered.sort_by(|a, b| a.name.cmp(&b.name));
        self.unordered.truncate(self.left);
    }

    fn finish(mut self, visit: &mut DatabaseVisitor<'_>) -> Result<()> {
        self.order();
        if !self.unordered.is_empty() {
            // There is no more to stop.
            let _ = visit(self.unordered)?;
        }
        Ok(())
    }
}

impl Client {
    /// The locations of the organization's groups and databases.
    pub(super) fn locations_in_use(&self) -> Result<HashSet<LocationCode>> {
        let groups = self.list_groups()?.into_iter().flat_map(|group| group.locations);
        let databases = self.list_databases(&DatabaseFilter::default())?;
        Ok(groups
            .chain(databases.into_iter().flat_map(|database| database.locations))
            .collect())
    }

    /// The group that a new database goes to where none is named: the only one, else the default one, which is made in
    /// `location` where it is missing. None leaves it to the server.
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

    /// Creates a database; `seed` refers to something that the server has already.
    pub(super) fn post_database(&self, request: &CreateDatabase, seed: Option<Value>) -> Result<Database> {
        self.send_new_database(&self.new_database(request, seed)?, request)
    }

    /// The call that creates a database. Sent again it asks for the same.
    pub(super) fn new_database(&self, request: &CreateDatabase, seed: Option<Value>) -> Result<ApiCall<'static>> {
        let mut body = wire::to_json(request);
        if let Some(seed) = seed {
            body["seed"] = seed;
        }
        if request.group.is_none()
            && let Some(Some(group)) = if_allowed(self.usual_group(request.location.as_ref()))?
        {
            body["group"] = json!(group);
        }
        let about = about_database(&request.name);
        let (operation, about) = match request.expires_at {
            Some(_) => (Operation::CreateExpiringDatabase, about.only_here(ENDS)),
            None => (Operation::CreateDatabase, about),
        };
        Ok(self.call(operation, &[], about).body(body))
    }

    pub(super) fn send_new_database(&self, call: &ApiCall<'_>, request: &CreateDatabase) -> Result<Database> {
        let made = wire::within(self.http.ask(call)?, "database");
        // The Platform API answers with three fields of it only. It is made, whatever becomes of the next request.
        wire::database(made.clone())
            .or_else(|_| self.get_database(&request.name))
            .or_else(|_| wire::created_database(made, request))
            .map_err(|error| {
                Error::new(
                    Code::Partial,
                    format!(
                        "database {} was created, but the server does not describe it",
                        request.name
                    ),
                )
                .caused_by(error.full_message())
                .hint(format!("torso db show {}", request.name))
            })
    }
}
