//! The organization as a [`ControlPlane`]: delegates each call to the file of its noun.

use super::{OrganizationPlane, databases, groups, instances, locations};
use crate::control::hosted::Entry;
use crate::control::hosted::permission::{Action, Target};
use crate::control::names::{DatabaseName, GroupName, LocationCode, OrganizationSlug};
use crate::control::tokens::{DatabaseToken, DatabaseUsage, Minted, NewToken, QueryUsage, Span};
use crate::control::types::{
    Configuration, ConfigurationPatch, Connection, CreateDatabase, Database, DatabaseFilter, Finding, Group,
    GroupConfiguration, GroupConfigurationPatch, Instance, Location, NewGroup, NewLocation, Synced,
};
use crate::control::{ControlPlane, Staging};
use crate::error::Result;
use serde_json::json;
use std::time::Duration;

impl ControlPlane for OrganizationPlane<'_> {
    fn list_locations(&self) -> Result<Vec<Location>> {
        locations::list(self)
    }

    fn get_location(&self, code: &LocationCode) -> Result<Location> {
        locations::get(self, code)
    }

    fn add_location(&self, new: &NewLocation) -> Result<Location> {
        locations::add(self, new)
    }

    fn remove_location(&self, code: &LocationCode) -> Result<Location> {
        locations::remove(self, code)
    }

    fn list_groups(&self) -> Result<Vec<Group>> {
        groups::list(self)
    }

    fn create_group(&self, new: &NewGroup) -> Result<Group> {
        groups::create(self, new)
    }

    fn get_group(&self, name: &GroupName) -> Result<Group> {
        groups::get(self, name)
    }

    fn rename_group(&self, name: &GroupName, to: &GroupName) -> Result<Group> {
        groups::rename(self, name, to)
    }

    fn delete_group(&self, name: &GroupName) -> Result<Group> {
        groups::delete(self, name)
    }

    fn add_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        groups::add_location(self, name, location)
    }

    fn remove_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        groups::remove_location(self, name, location)
    }

    fn promote_group(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        groups::promote(self, name, location)
    }

    fn get_group_configuration(&self, name: &GroupName) -> Result<GroupConfiguration> {
        groups::get_configuration(self, name)
    }

    fn update_group_configuration(
        &self,
        name: &GroupName,
        patch: &GroupConfigurationPatch,
    ) -> Result<GroupConfiguration> {
        groups::update_configuration(self, name, patch)
    }

    fn list_databases(&self, filter: &DatabaseFilter) -> Result<Vec<Database>> {
        databases::list(self, filter)
    }

    fn create_database(&self, request: &CreateDatabase) -> Result<Database> {
        databases::create(self, request)
    }

    fn get_database(&self, name: &DatabaseName) -> Result<Database> {
        databases::get(self, name)
    }

    fn rename_database(&self, name: &DatabaseName, to: &DatabaseName) -> Result<Database> {
        databases::rename(self, name, to)
    }

    fn delete_database(&self, name: &DatabaseName) -> Result<Database> {
        databases::delete(self, name)
    }

    fn get_configuration(&self, name: &DatabaseName) -> Result<Configuration> {
        databases::get_configuration(self, name)
    }

    fn update_configuration(&self, name: &DatabaseName, patch: &ConfigurationPatch) -> Result<Configuration> {
        databases::update_configuration(self, name, patch)
    }

    fn list_instances(&self, name: &DatabaseName) -> Result<Vec<Instance>> {
        instances::list(self, name)
    }

    fn add_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Instance> {
        instances::add(self, name, location)
    }

    fn remove_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<()> {
        instances::remove(self, name, location)
    }

    fn sync_database(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Vec<Synced>> {
        instances::sync(self, name, location)
    }

    fn promote_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Database> {
        instances::promote(self, name, location)
    }

    fn connection(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Connection> {
        instances::connection(self, name, location)
    }

    fn create_database_token(&self, name: &DatabaseName, new: &NewToken) -> Result<Minted> {
        self.mint_for_database(name, new)
    }

    fn create_group_token(&self, name: &GroupName, new: &NewToken) -> Result<Minted> {
        self.mint_for_group(name, new)
    }

    fn list_database_tokens(&self, name: &DatabaseName) -> Result<Vec<DatabaseToken>> {
        self.tokens_of_database(name)
    }

    fn list_group_tokens(&self, name: &GroupName) -> Result<Vec<DatabaseToken>> {
        self.tokens_of_group(name)
    }

    fn revoke_database_token(&self, name: &DatabaseName, id: &str) -> Result<DatabaseToken> {
        self.revoke_of_database(name, id)
    }

    fn revoke_group_token(&self, name: &GroupName, id: &str) -> Result<DatabaseToken> {
        self.revoke_of_group(name, id)
    }

    fn rotate_database_tokens(&self, name: &DatabaseName, grace: Duration) -> Result<()> {
        self.rotate_of_database(name, grace)
    }

    fn rotate_group_tokens(&self, name: &GroupName, grace: Duration) -> Result<()> {
        self.rotate_of_group(name, grace)
    }

    fn database_usage(&self, name: &DatabaseName, span: Span) -> Result<DatabaseUsage> {
        self.usage_of(name, span)
    }

    fn top_queries(&self, name: &DatabaseName) -> Result<Vec<QueryUsage>> {
        self.queries_of(name)
    }

    fn transfer_database(&self, name: &DatabaseName, to: &OrganizationSlug) -> Result<()> {
        self.move_database(name, to)
    }

    fn transfer_group(&self, name: &GroupName, to: &OrganizationSlug) -> Result<Group> {
        self.move_group(name, to)
    }

    fn staging(&self) -> Result<Staging> {
        self.allow(Action::CreateDatabase, Target::Visible, None)?;
        self.plane()?.staging().map_err(|error| self.discreet(error))
    }

    fn check(&self, fix: bool) -> Result<Vec<Finding>> {
        let entry = Entry::new("check", "checked the organization", json!({ "fix": fix }));
        self.change(Action::Maintain, Target::Organization, entry, |plane| {
            let dir = self.shared.dir.to_string_lossy();
            let mut found = plane.check(fix)?;
            found.extend(self.shared.check_processes(&self.organization.id));
            for finding in &mut found {
                finding.message = finding.message.replace(&*dir, "…");
                finding.fix = finding.fix.take().map(|fix| fix.replace(&*dir, "…"));
            }
            Ok(found)
        })
    }
}
