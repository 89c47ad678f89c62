//! Groups of an organization. After a change, the labels of the group's databases are updated.

use super::OrganizationPlane;
use crate::control::gateway_plane::label;
use crate::control::hosted::NewAuditEntry;
use crate::control::hosted::permission::{Action, PermissionTarget, permission};
use crate::control::names::{GroupName, LocationCode};
use crate::control::types::{DatabaseFilter, Group, GroupConfiguration, GroupConfigurationPatch, NewGroup};
use crate::control::{DatabaseOperations as _, GroupOperations, ListPage};
use crate::error::{Code, Result};
use serde_json::json;

impl GroupOperations for OrganizationPlane<'_> {
    fn list_groups_after(&self, after: Option<&GroupName>, limit: usize) -> Result<ListPage<Group>> {
        self.read(PermissionTarget::Visible, |plane| {
            let Some(own) = &self.rights.group else {
                return plane.list_groups_after(after, limit);
            };
            // Of others nothing is seen.
            let own = match plane.get_group(own) {
                Err(error) if error.code() == Code::GroupNotFound => None,
                group => Some(group?),
            };
            let own = own.filter(|own| after.is_none_or(|after| own.name > *after));
            Ok(ListPage::of_first(own.into_iter().collect(), limit))
        })
    }

    fn create_group(&self, new: &NewGroup) -> Result<Group> {
        create_with_uuid(self, uuid::Uuid::new_v4().to_string(), new)
    }

    fn get_group(&self, name: &GroupName) -> Result<Group> {
        self.read(PermissionTarget::Group(name), |plane| plane.get_group(name))
    }

    fn rename_group(&self, name: &GroupName, to: &GroupName) -> Result<Group> {
        let entry = NewAuditEntry::new(
            "group-rename",
            format!("renamed group {name} to {to}"),
            json!({ "group": name, "to": to }),
        );
        self.change(Action::ConfigureGroup, PermissionTarget::Group(name), entry, |plane| {
            let group = plane.rename_group(name, to)?;
            self.publish_all()?;
            Ok(group)
        })
    }

    fn delete_group(&self, name: &GroupName) -> Result<()> {
        let entry = NewAuditEntry::new(
            "group-delete",
            format!("deleted group {name}"),
            json!({ "group": name }),
        );
        self.change(Action::DeleteGroup, PermissionTarget::Group(name), entry, |plane| {
            let group = plane.get_group(name)?;
            let mut doomed = Vec::new();
            // A copy of what is on its way would live on.
            let mut alone = vec![self.shared.transfers.begin(&group.uuid, &format!("group {name}"))?];
            for placed in plane.placements()?.into_iter().filter(|placed| placed.group == *name) {
                let what = format!("database {}", placed.name);
                alone.push(self.shared.transfers.begin(placed.id.as_str(), &what)?);
                doomed.push(placed.id);
            }
            self.shared.removed(plane.delete_group(name).map(drop))?;
            self.publish_all()?;
            self.forget(&doomed, Some(&group.uuid));
            Ok(())
        })
    }

    fn add_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        let entry = NewAuditEntry::new(
            "group-location-add",
            format!("added location {location} to group {name}"),
            json!({ "group": name, "location": location }),
        );
        self.change(Action::ConfigureGroup, PermissionTarget::Group(name), entry, |plane| {
            self.offered(location)?;
            let _making = self.making()?;
            self.room_for_location(plane, location)?;
            let members = plane.list_databases(&DatabaseFilter {
                group: Some(name.clone()),
                ..DatabaseFilter::default()
            })?;
            let mut reservations = Vec::new();
            for database in &members {
                let wanted = vec![label(&database.name, &self.organization.slug, Some(location))];
                reservations.push(self.shared.hostnames.reserve(wanted, Some(&database.id))?);
            }
            let group = plane.add_group_location(name, location)?;
            self.publish_all()?;
            Ok(group)
        })
    }

    fn remove_group_location(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        let entry = NewAuditEntry::new(
            "group-location-remove",
            format!("removed location {location} from group {name}"),
            json!({ "group": name, "location": location }),
        );
        self.change(Action::ConfigureGroup, PermissionTarget::Group(name), entry, |plane| {
            self.shared
                .removed(plane.remove_group_location(name, location).map(drop))?;
            self.publish_all()?;
            plane.get_group(name)
        })
    }

    fn promote_group(&self, name: &GroupName, location: &LocationCode) -> Result<Group> {
        let entry = NewAuditEntry::new(
            "group-promote",
            format!("promoted {location} in group {name}"),
            json!({ "group": name, "location": location }),
        );
        self.change_noting(
            Action::ConfigureGroup,
            PermissionTarget::Group(name),
            entry,
            |plane, entry| {
                let group = self.retry_partial(plane.promote_group_behind(name, location, &self.barrier()))?;
                self.publish_all()?;
                self.note_promotion(group.promotion.as_ref(), entry);
                Ok(group)
            },
        )
    }

    fn get_group_configuration(&self, name: &GroupName) -> Result<GroupConfiguration> {
        self.read(PermissionTarget::Group(name), |plane| {
            plane.get_group_configuration(name)
        })
    }

    fn update_group_configuration(
        &self,
        name: &GroupName,
        patch: &GroupConfigurationPatch,
    ) -> Result<GroupConfiguration> {
        let (action, code, doing) = match patch.delete_protection {
            None => (
                Action::ConfigureGroup,
                "group-configure",
                "changed the configuration of",
            ),
            Some(true) => (Action::Protect, "group-protect", "protected"),
            Some(false) => (Action::Protect, "group-unprotect", "unprotected"),
        };
        let entry = NewAuditEntry::new(
            code,
            format!("{doing} group {name}"),
            json!({ "group": name, "changes": patch }),
        );
        self.change(action, PermissionTarget::Group(name), entry, |plane| {
            if patch.isolation.is_some() && action == Action::Protect {
                permission(&self.rights, Action::ConfigureGroup, PermissionTarget::Group(name))?;
            }
            plane.update_group_configuration(name, patch)
        })
    }
}

/// The same with a uuid that was chosen before.
pub(super) fn create_with_uuid(tenant: &OrganizationPlane<'_>, uuid: String, new: &NewGroup) -> Result<Group> {
    let entry = NewAuditEntry::new(
        "group-create",
        format!("created group {}", new.name),
        json!({ "group": new.name, "location": new.location }),
    );
    tenant.change(Action::CreateGroup, PermissionTarget::Organization, entry, |plane| {
        tenant.offered(&new.location)?;
        let _making = tenant.making()?;
        tenant.room_for_group(plane, &new.location)?;
        plane.create_group_with_uuid(uuid, new)
    })
}
