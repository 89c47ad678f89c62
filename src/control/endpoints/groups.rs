//! Groups: databases that share locations and tokens.

use super::pages::{LIST_PAGE, ListPage, read_all_pages};
use crate::control::names::{GroupName, LocationCode};
use crate::control::types::{Group, GroupConfiguration, GroupConfigurationPatch, NewGroup};
use crate::error::Result;

/// The groups of a control plane.
pub trait GroupOperations {
    /// The groups behind a name, ordered by name.
    fn list_groups_after(&self, after: Option<&GroupName>, limit: usize) -> Result<ListPage<Group>>;
    /// All groups, ordered by name.
    fn list_groups(&self) -> Result<Vec<Group>> {
        read_all_pages(
            |after| self.list_groups_after(after, LIST_PAGE),
            |group| Ok(group.name.clone()),
        )
    }
    fn create_group(&self, new: &NewGroup) -> Result<Group>;
    fn get_group(&self, name: &GroupName) -> Result<Group>;
    fn rename_group(&self, name: &GroupName, to: &GroupName) -> Result<Group>;
    /// Destroys the group and every database in it. Refused under delete protection of the group or of any of them.
    fn delete_group(&self, name: &GroupName) -> Result<()>;
    /// Adds a replica of every database of the group, now and in future. Adding a location twice changes nothing.
    fn add_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group>;
    /// Removing a location the group does not have changes nothing; the primary is refused.
    fn remove_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group>;
    /// Makes a location of the group its primary, and that of all its databases.
    fn promote_group(&self, name: &GroupName, location: &LocationCode) -> Result<Group>;
    fn get_group_configuration(&self, name: &GroupName) -> Result<GroupConfiguration>;
    fn update_group_configuration(
        &self,
        name: &GroupName,
        patch: &GroupConfigurationPatch,
    ) -> Result<GroupConfiguration>;
}

/// The endpoints of groups, as rows of the table in [`endpoints`](crate::control::endpoints).
macro_rules! group_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            ListGroups, Call(groups::list):
                scoped Get "/groups",
                global Get "/v3/organizations/{organizationId}/groups";
            CreateGroup, Change(groups::create, groups::created): scoped Post "/groups";
            GetGroup, Call(groups::get): scoped Get "/groups/{groupName}";
            DeleteGroup, Change(groups::delete, groups::deleted): scoped Delete "/groups/{groupName}";
            RenameGroup, Change(groups::rename, groups::renamed): scoped Post "/groups/{groupName}/rename";
            /// Does nothing: groups are never archived.
            UnarchiveGroup, Repeatable(groups::get): scoped Post "/groups/{groupName}/unarchive";
            /// Does nothing: the server decides about versions.
            UpdateGroup, Repeatable(groups::update): scoped Post "/groups/{groupName}/update";
            GetGroupConfiguration, Call(groups::get_configuration): scoped Get "/groups/{groupName}/configuration";
            UpdateGroupConfiguration, Change(groups::update_configuration, groups::get_configuration):
                scoped Patch "/groups/{groupName}/configuration";
            AddGroupLocation, Change(groups::add_location, groups::get):
                scoped Post "/groups/{groupName}/locations/{location}";
            RemoveGroupLocation, Change(groups::remove_location, groups::get):
                scoped Delete "/groups/{groupName}/locations/{location}";
            WaitForGroupLocation, Call(groups::wait_for_location):
                scoped Get "/groups/{groupName}/locations/{location}/wait";
            PromoteGroup, Change(groups::promote, groups::get):
                scoped Post "/groups/{groupName}/locations/{location}/promote";
            GetGroupById, Call(groups::get_by_id): global Get "/v3/organizations/{organizationId}/groups/{groupId}";
        }
    };
}
pub(crate) use group_endpoints;
