//! TransferLock databases and groups to another organization. Tenants share nothing, so a move is a copy: writes are blocked, the
//! copy is made, and only when it stands is the former one destroyed; then the copy takes writes. The moved database has a
//! new id, so tokens for the former one end. What becomes of a move that is cut short is in [`super::super::moves`].

use super::{OrganizationPlane, PlaneGuard, groups};
use crate::control::hosted::NewAuditEntry;
use crate::control::hosted::permission::{Action, PermissionTarget};
use crate::control::hosted::store::{GroupTransferRow, TransferRow};
use crate::control::hosted::transfers::TransferLock;
use crate::control::names::{DatabaseId, DatabaseName, GroupName, LocationCode, OrganizationSlug};
use crate::control::types::{
    Configuration, ConfigurationPatch, CreateDatabase, Database, DatabaseFilter, Group, GroupConfigurationPatch,
    Isolation, NewGroup, Seed,
};
use crate::control::{
    DatabaseOperations as _, GroupOperations as _, InstanceOperations as _, MaintenanceOperations as _,
    TransferOperations,
};
use crate::engine::Position;
use crate::error::{Code, Error, Result};
use serde_json::json;

/// How often a copy is made again because somebody let writes in again.
const TRIES: u32 = 5;

/// Another organization of the caller's, where something goes.
struct Destination<'a> {
    tenant: OrganizationPlane<'a>,
    plane: PlaneGuard,
}

impl TransferOperations for OrganizationPlane<'_> {
    fn transfer_database(&self, name: &DatabaseName, to: &OrganizationSlug) -> Result<()> {
        let entry = NewAuditEntry::new(
            "db-transfer",
            format!("moved database {name} to organization {to}"),
            json!({ "database": name, "to": to }),
        );
        self.change_database(Action::Transfer, name, entry, |plane| {
            let database = plane.get_database(name)?;
            let there = self.other(to)?;
            let moving = self.shared.moving(&database.id, &format!("database {name}"))?;
            may_go(&plane.get_group(&database.group)?)?;
            there.has_room_for(name)?;
            self.carry(plane, &database.id, moving, &there, None)
        })
    }

    fn transfer_group(&self, name: &GroupName, to: &OrganizationSlug) -> Result<Group> {
        let entry = NewAuditEntry::new(
            "group-transfer",
            format!("moved group {name} to organization {to}"),
            json!({ "group": name, "to": to }),
        );
        self.change(Action::Transfer, PermissionTarget::Group(name), entry, |plane| {
            let group = plane.get_group(name)?;
            let there = self.other(to)?;
            let _moving = self.shared.transfers.begin(&group.uuid, &format!("group {name}"))?;
            may_go(&group)?;
            let first = self.ready_to_go(plane, name, &there)?;
            let isolation = plane.get_group_configuration(name)?.isolation;
            let (copy, is_new) = self.counterpart(&group, isolation, &there)?;
            let mut moved = 0;
            let mut waiting = first;
            // What is made in the group meanwhile goes along.
            loop {
                for (id, moving) in waiting {
                    if let Err(error) = self.carry(plane, &id, moving, &there, Some(&copy.name)) {
                        if moved == 0 && is_new && there.plane.delete_empty_group(&copy.uuid).unwrap_or(false) {
                            self.shared.end_group_transfer(&group.uuid)?;
                            return Err(error);
                        }
                        return Err(cut_short(name, to, moved, error));
                    }
                    moved += 1;
                }
                if plane.delete_empty_group(&group.uuid)? {
                    break;
                }
                waiting = self
                    .ready_to_go(plane, name, &there)
                    .map_err(|error| cut_short(name, to, moved, error))?;
            }
            self.shared.end_group_transfer(&group.uuid)?;
            self.publish_all()?;
            self.forget(&[], Some(&group.uuid));
            there.plane.get_group(&copy.name)
        })
    }
}

impl OrganizationPlane<'_> {
    /// The databases of a group, taken for a move; what can be found out before is.
    fn ready_to_go(
        &self,
        plane: &PlaneGuard,
        name: &GroupName,
        there: &Destination<'_>,
    ) -> Result<Vec<(DatabaseId, TransferLock<'_>)>> {
        let list = || {
            plane.list_databases(&DatabaseFilter {
                group: Some(name.clone()),
                ..DatabaseFilter::default()
            })
        };
        let mut taken = Vec::new();
        for database in list()? {
            let moving = self
                .shared
                .moving(&database.id, &format!("database {}", database.name))?;
            taken.push((database.id, moving));
        }
        // Those that were on their way before may be gone now.
        let all = list()?;
        taken.retain(|(id, _)| all.iter().any(|database| database.id == *id));
        for database in &all {
            there.has_room_for(&database.name)?;
            if database.delete_protection {
                return Err(protected(&format!("database {}", database.name)));
            }
        }
        Ok(taken)
    }

    /// The group that a group becomes in another organization, and whether it is new. One that an earlier try made, or that
    /// the group came from, serves.
    fn counterpart(
        &self,
        group: &Group,
        isolation: Option<Isolation>,
        there: &Destination<'_>,
    ) -> Result<(Group, bool)> {
        let (here, target) = (&self.organization.id, &there.tenant.organization.id);
        let begun = self.shared.records().group_transfers()?.into_iter().find_map(|row| {
            let from = (&row.group_uuid, &row.organization_id);
            let to = (&row.copy_uuid, &row.to_organization_id);
            match (from, to) {
                (from, (copy, to)) if from == (&group.uuid, here) && to == target => Some(copy.clone()),
                ((former, from), to) if to == (&group.uuid, here) && from == target => Some(former.clone()),
                _ => None,
            }
        });
        let all = there.plane.list_groups()?;
        let found = all.into_iter().find(|group| begun.as_ref() == Some(&group.uuid));
        let is_new = found.is_none();
        let copy = match found {
            Some(found) => found,
            None => {
                let row = GroupTransferRow {
                    group_uuid: group.uuid.clone(),
                    organization_id: here.clone(),
                    to_organization_id: target.clone(),
                    copy_uuid: uuid::Uuid::new_v4().to_string(),
                };
                self.shared.begin_group_transfer(&row)?;
                let new = NewGroup {
                    name: group.name.clone(),
                    location: group.primary.clone(),
                };
                let made = groups::create_with_uuid(&there.tenant, row.copy_uuid, &new);
                if made.is_err() {
                    self.shared.end_group_transfer(&group.uuid)?;
                }
                made?
            }
        };
        let equipped = there.equip_group(&copy, &group.locations, isolation);
        if equipped.is_err() && is_new && there.plane.delete_empty_group(&copy.uuid).unwrap_or(false) {
            self.shared.end_group_transfer(&group.uuid)?;
        }
        equipped.map(|()| (copy, is_new))
    }

    /// Another organization of the caller's, where databases may be made.
    fn other(&self, to: &OrganizationSlug) -> Result<Destination<'_>> {
        if *to == self.organization.slug {
            return Err(
                Error::new(Code::Conflict, format!("it is in organization {to} already"))
                    .hint("torso org list shows your organizations"),
            );
        }
        let tenant = self.shared.organization_plane(self.caller, Some(to))?;
        tenant.allow(Action::CreateDatabase, PermissionTarget::Organization, None)?;
        let plane = tenant.plane()?;
        Ok(Destination { tenant, plane })
    }

    /// TransferLocks one database: what fails leaves it as it was.
    fn carry(
        &self,
        plane: &PlaneGuard,
        id: &DatabaseId,
        mut moving: TransferLock<'_>,
        there: &Destination<'_>,
        group: Option<&GroupName>,
    ) -> Result<()> {
        let Some(placed) = plane.placement_of(id)? else {
            return Err(
                Error::new(Code::DatabaseNotFound, "the database does not exist any more")
                    .hint("torso db list shows the databases"),
            );
        };
        let before = plane.get_configuration(&placed.name)?;
        let what = format!("database {}", placed.name);
        if before.delete_protection {
            return Err(protected(&what));
        }
        let database = plane.get_database(&placed.name)?;
        let mut row = TransferRow {
            database_id: id.clone(),
            organization_id: self.organization.id.clone(),
            to_organization_id: there.tenant.organization.id.clone(),
            copy_id: DatabaseId::generate(),
            block_writes: before.block_writes,
        };
        let moved = self.replace((plane, &database, &before), there, group, (&mut row, &mut moving));
        // Whether it came to its end or is to be undone is seen by what there is.
        let is_finished = self.shared.finish_transfer(&row);
        if moved.is_ok() {
            let (slug, from) = (&self.organization.slug, self.organization.id.as_str());
            self.shared.keep_labels(&placed, slug, &row.copy_id, Some(from))?;
        }
        match (moved, is_finished) {
            (moved, Ok(())) => moved,
            (moved, Err(error)) => {
                self.shared.keep_trying();
                let message = match &moved {
                    Ok(()) => format!("{what} is moved, but does not take writes yet"),
                    Err(_) => format!("{what} could not be moved, and does not take writes until that is undone"),
                };
                Err(Error::new(Code::Partial, message)
                    .caused_by(moved.err().unwrap_or(error))
                    .hint("the server keeps trying"))
            }
        }
    }

    /// Makes the copy and destroys the original; anew where somebody let writes in meanwhile.
    fn replace(
        &self,
        (plane, database, settings): (&PlaneGuard, &Database, &Configuration),
        there: &Destination<'_>,
        group: Option<&GroupName>,
        (row, moving): (&mut TransferRow, &mut TransferLock<'_>),
    ) -> Result<()> {
        let name = &database.name;
        for attempt in 0..TRIES {
            if attempt > 0 {
                self.shared
                    .discard_copy(&there.tenant.organization.id, &there.plane, &row.copy_id)?;
                row.copy_id = DatabaseId::generate();
            }
            moving.with_copy(&row.copy_id);
            self.shared.begin_transfer(row)?;
            self.shared.set_block_writes(&self.organization, plane, name, true)?;
            // A transaction that began before may still be acknowledged.
            plane.await_writers(name)?;
            let position = plane.position(name)?;
            there.receive(plane, database, group, row.copy_id.clone())?;
            there.equip(database, settings)?;
            if there.plane.id_of(name)?.as_ref() != Some(&row.copy_id) {
                return Err(Error::new(
                    Code::Conflict,
                    format!("the copy of database {name} was removed or renamed meanwhile"),
                )
                .hint("try again"));
            }
            if self.retired(plane, &database.id, &position)? {
                return Ok(());
            }
        }
        Err(
            Error::new(Code::DatabaseBusy, format!("database {name} is still being written to"))
                .hint("end what writes to it, then try again"),
        )
    }

    /// Destroys what was copied, if it is still as it was copied.
    fn retired(&self, plane: &PlaneGuard, id: &DatabaseId, position: &Position) -> Result<bool> {
        let mut gone = true;
        self.shared
            .removed(plane.retire(id, position).map(|retired| gone = retired))?;
        Ok(gone)
    }
}

impl Destination<'_> {
    fn has_room_for(&self, name: &DatabaseName) -> Result<()> {
        if self.plane.id_of(name)?.is_none() {
            return Ok(());
        }
        Err(Error::new(
            Code::DatabaseExists,
            format!(
                "organization {} has a database {name} already",
                self.tenant.organization.slug
            ),
        )
        .hint("rename one of the two first: torso db rename"))
    }

    /// Gives a group what the one that it stands for has: its locations, and its isolation.
    fn equip_group(&self, copy: &Group, locations: &[LocationCode], isolation: Option<Isolation>) -> Result<()> {
        if isolation.is_some() && self.plane.get_group_configuration(&copy.name)?.isolation != isolation {
            let patch = GroupConfigurationPatch {
                isolation,
                ..GroupConfigurationPatch::default()
            };
            self.plane.update_group_configuration(&copy.name, &patch)?;
        }
        for location in locations.iter().filter(|location| !copy.locations.contains(location)) {
            self.tenant.add_group_location(&copy.name, location)?;
        }
        Ok(())
    }

    /// Makes a copy of another organization's database, which nobody may write to yet.
    fn receive(&self, from: &PlaneGuard, database: &Database, group: Option<&GroupName>, id: DatabaseId) -> Result<()> {
        let staging = self.plane.staging()?;
        from.snapshot(&database.name, None, &staging.path)?;
        let request = CreateDatabase {
            name: database.name.clone(),
            group: group.cloned(),
            location: Some(database.primary.clone()),
            seed: Some(Seed::DatabaseUpload {
                path: staging.path.clone(),
            }),
            size_limit: None,
            expires_at: database.expires_at,
        };
        self.tenant
            .make_database_with_id(&self.plane, id, request, true)
            .map(drop)
    }

    /// Gives a copy what its original had: replicas and settings. Writes stay blocked.
    fn equip(&self, original: &Database, settings: &Configuration) -> Result<()> {
        let name = &original.name;
        let have = self.plane.get_database(name)?.locations;
        for location in original.locations.iter().filter(|location| !have.contains(location)) {
            self.tenant.add_instance(name, location)?;
        }
        let patch = ConfigurationPatch {
            size_limit: Some(settings.size_limit.clone()),
            // Earlier versions took it, and it did nothing.
            allow_attach: None,
            block_reads: Some(settings.block_reads),
            block_writes: None,
            delete_protection: None,
            expires_at: None,
            branched_at: None,
        };
        self.plane.update_configuration(name, &patch)?;
        self.tenant.publish(&self.plane, name).map(drop)
    }
}

/// Refuses to take anything out of a protected group.
fn may_go(group: &Group) -> Result<()> {
    if group.delete_protection {
        return Err(protected(&format!("group {}", group.name)));
    }
    Ok(())
}

fn cut_short(name: &GroupName, to: &OrganizationSlug, moved: usize, error: Error) -> Error {
    Error::new(
        Code::Partial,
        format!("group {name} is only partly in organization {to}: {moved} of its databases were moved just now"),
    )
    .caused_by(error)
    .hint(format!(
        "run it again to move the others: torso group transfer {name} {to}"
    ))
}

fn protected(what: &str) -> Error {
    Error::new(Code::DeleteProtected, format!("{what} is protected from deletion")).hint("lift the protection first")
}
