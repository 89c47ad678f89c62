//! Locations as clients see them: those that the server offers, without their directories.

use super::OrganizationPlane;
use crate::control::hosted::NewAuditEntry;
use crate::control::hosted::permission::{Action, PermissionTarget};
use crate::control::location_status::{LocationStatus, LocationStatuses};
use crate::control::names::{GroupName, LocationCode};
use crate::control::types::{Location, LocationMachine, NewLocation};
use crate::control::{GroupOperations as _, LocationOperations};
use crate::error::{Code, Error, Result};
use serde_json::json;

impl LocationOperations for OrganizationPlane<'_> {
    fn list_locations(&self) -> Result<Vec<Location>> {
        self.read(PermissionTarget::Visible, |plane| {
            let all = plane.list_locations()?;
            Ok(all
                .into_iter()
                .filter(|location| self.offers(&location.code))
                .map(|location| self.outside_location(location))
                .collect())
        })
    }

    fn get_location(&self, code: &LocationCode) -> Result<Location> {
        self.offered(code)?;
        self.read(PermissionTarget::Visible, |plane| {
            plane.get_location(code).map(|location| self.outside_location(location))
        })
    }

    fn location_status(&self, group: Option<&GroupName>) -> Result<Vec<LocationStatus>> {
        self.read(PermissionTarget::Visible, |plane| {
            let group = match (&self.rights.group, group) {
                // Of another group nothing is seen but that it exists.
                (Some(own), Some(other)) if own != other => return plane.get_group(other).map(|_| Vec::new()),
                (Some(own), _) => Some(own),
                (None, group) => group,
            };
            let mut all = LocationStatuses::default();
            plane.visit_instances(group, &mut |id, mut instance, shares_process| {
                instance.connections = self.shared.connections(id, &instance.location);
                instance.last_error = instance.last_error.map(|text| self.discreet_text(text));
                all.add(&instance, shares_process);
            })?;
            Ok(all.into_vec())
        })
    }

    fn add_location(&self, new: &NewLocation) -> Result<Location> {
        let entry = NewAuditEntry::new(
            "location-add",
            format!("added location {}", new.code),
            json!({ "location": new.code }),
        );
        self.change(Action::Maintain, PermissionTarget::Organization, entry, |plane| {
            if new.dir.is_some() {
                return Err(Error::new(
                    Code::Forbidden,
                    format!("the directory of location {} is the server's to choose", new.code),
                )
                .hint("leave out --dir"));
            }
            if self.shared.offered_locations().is_some() {
                return Err(Error::new(
                    Code::Unsupported,
                    format!(
                        "this server offers only the locations that its operator chose, so {} cannot be added",
                        new.code
                    ),
                )
                .hint(
                    "torso location list shows them; the operator chooses them: torso server config set locations ...",
                ));
            }
            plane.add_location(new).map(|location| self.outside_location(location))
        })
    }

    fn remove_location(&self, code: &LocationCode) -> Result<Location> {
        let entry = NewAuditEntry::new(
            "location-remove",
            format!("removed location {code}"),
            json!({ "location": code }),
        );
        self.change(Action::Maintain, PermissionTarget::Organization, entry, |plane| {
            plane
                .remove_location(code)
                .map(|location| self.outside_location(location))
        })
    }
}

impl OrganizationPlane<'_> {
    /// A location as clients see it: without its directory, and with how its machine is.
    fn outside_location(&self, location: Location) -> Location {
        let node = self
            .shared
            .node_statuses()
            .into_iter()
            .find(|node| node.location == location.code);
        Location {
            dir: None,
            node: node.map(|node| LocationMachine {
                state: node.state,
                last_contact_at: node.last_contact_at,
                url: node.url,
                keys_confirmed_at: node.keys_confirmed_at,
            }),
            ..location
        }
    }
}
