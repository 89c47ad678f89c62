//! Groups: databases that share locations and tokens.

use crate::control::names::{GroupName, LocationCode};
use crate::control::types::{Group, GroupConfiguration, GroupConfigurationPatch, NewGroup};
use crate::error::Result;

/// The groups of a control plane.
pub trait GroupOperations {
    fn list_groups(&self) -> Result<Vec<Group>>;
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
