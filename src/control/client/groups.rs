//! Groups: databases that share locations and tokens.

use super::{Client, about, about_group, wire};
use crate::control::endpoints::Operation;
use crate::control::names::{GroupName, LocationCode};
use crate::control::types::{Group, GroupConfiguration, GroupConfigurationPatch, NewGroup};
use crate::control::{GroupOperations, ListPage};
use crate::error::{Code, Error, Result};
use serde_json::json;

impl GroupOperations for Client {
    fn list_groups_after(&self, after: Option<&GroupName>, limit: usize) -> Result<ListPage<Group>> {
        let call = self.call(Operation::ListGroups, &[], about("the groups"));
        let (groups, has_more) = self.ask_for_page(call, after, limit, "groups")?;
        let mut groups = self.all(groups, "group", "name", wire::group)?;
        // Other servers know no pages.
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        groups.retain(|group| after.is_none_or(|after| group.name > *after));
        Ok(ListPage::of_first(groups, limit).with_more(has_more))
    }

    fn create_group(&self, new: &NewGroup) -> Result<Group> {
        let call = self
            .call(Operation::CreateGroup, &[], about_group(&new.name))
            .body(wire::to_json(new));
        wire::group(wire::within(self.http.ask(&call)?, "group"))
    }

    fn get_group(&self, name: &GroupName) -> Result<Group> {
        let call = self.call(Operation::GetGroup, &[name], about_group(name));
        wire::group(wire::within(self.http.ask(&call)?, "group"))
    }

    fn rename_group(&self, name: &GroupName, to: &GroupName) -> Result<Group> {
        let call = self
            .call(
                Operation::RenameGroup,
                &[name],
                about_group(name).only_here("rename groups"),
            )
            .body(json!({ "name": to }));
        let renamed = wire::group(wire::within(self.http.ask(&call)?, "group"));
        renamed.or_else(|_| self.get_group(to))
    }

    fn delete_group(&self, name: &GroupName) -> Result<()> {
        self.http
            .ask(&self.call(Operation::DeleteGroup, &[name], about_group(name)))
            .map(drop)
    }

    fn add_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        let call = self
            .call(Operation::AddGroupLocation, &[name, location], about_group(name))
            .repeatable();
        wire::group(wire::within(self.http.ask(&call)?, "group"))
    }

    fn remove_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        let call = self.call(Operation::RemoveGroupLocation, &[name, location], about_group(name));
        wire::group(wire::within(self.http.ask(&call)?, "group"))
    }

    fn promote_group(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        let call = self
            .call(
                Operation::PromoteGroup,
                &[name, location],
                about_group(name).only_here("change the primary location of a group"),
            )
            .repeatable();
        wire::group(wire::within(self.http.ask(&call)?, "group"))
    }

    fn get_group_configuration(&self, name: &GroupName) -> Result<GroupConfiguration> {
        let call = self.call(Operation::GetGroupConfiguration, &[name], about_group(name));
        wire::group_configuration(self.http.ask(&call)?)
    }

    fn update_group_configuration(
        &self,
        name: &GroupName,
        patch: &GroupConfigurationPatch,
    ) -> Result<GroupConfiguration> {
        let call = self
            .call(Operation::UpdateGroupConfiguration, &[name], about_group(name))
            .body(wire::to_json(patch));
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
}
