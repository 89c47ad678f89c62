//! Moving databases and groups to another organization. Tenants share nothing, so a move is a copy: writes are blocked, the
//! copy is made, and only when it stands is the former one destroyed. The moved database has a new id, so tokens for the
//! former one end. What becomes of a move that is cut short is in [`super::super::moves`].

use super::{Loan, Tenant};
use crate::control::ControlPlane as _;
use crate::control::hosted::Entry;
use crate::control::hosted::permission::{Action, Target};
use crate::control::hosted::store::MoveRow;
use crate::control::names::{DatabaseId, DatabaseName, GroupName, OrganizationSlug};
use crate::control::types::{
    Configuration, ConfigurationPatch, CreateDatabase, Database, DatabaseFilter, Group, NewGroup, Seed,
};
use crate::error::{Code, Error, Result};
use serde_json::json;

/// How often a copy is made anew because a transaction that was open still wrote.
const TRIES: u32 = 5;

impl Tenant<'_> {
    pub(super) fn move_database(&self, name: &DatabaseName, to: &OrganizationSlug) -> Result<()> {
        let entry = Entry::new(
            "db-transfer",
            format!("moved database {name} to organization {to}"),
            json!({ "database": name, "to": to }),
        );
        self.change_database(Action::Transfer, name, entry, |plane| {
            plane.get_database(name)?;
            let target = self.other(to)?;
            let there = target.plane()?;
            target.is_free(&there, name)?;
            self.carry(plane, name, &target, &there, None)
        })
    }

    pub(super) fn move_group(&self, name: &GroupName, to: &OrganizationSlug) -> Result<Group> {
        let entry = Entry::new(
            "group-transfer",
            format!("moved group {name} to organization {to}"),
            json!({ "group": name, "to": to }),
        );
        self.change(Action::Transfer, Target::Group(name), entry, |plane| {
            let group = plane.get_group(name)?;
            let target = self.other(to)?;
            let there = target.plane()?;
            if group.delete_protection {
                return Err(protected(&format!("group {name}")));
            }
            let all = plane.list_databases(&DatabaseFilter {
                group: Some(name.clone()),
                ..DatabaseFilter::default()
            })?;
            // What can be found out before, is.
            for database in &all {
                target.is_free(&there, &database.name)?;
                if database.delete_protection {
                    return Err(protected(&format!("database {}", database.name)));
                }
            }
            target.create_group(&NewGroup {
                name: name.clone(),
                location: group.primary.clone(),
            })?;
            for location in group.locations.iter().filter(|location| **location != group.primary) {
                target.add_group_location(name, location)?;
            }
            for (moved, database) in all.iter().enumerate() {
                self.carry(plane, &database.name, &target, &there, Some(name))
                    .map_err(|error| match moved {
                        0 => error,
                        _ => Error::new(
                            Code::Partial,
                            format!("{moved} of {} databases of group {name} were moved", all.len()),
                        )
                        .caused_by(error)
                        .hint(format!(
                            "torso org db-transfer DATABASE {to} moves the others one by one"
                        )),
                    })?;
            }
            self.shared.removed(plane.delete_group(name).map(drop))?;
            self.publish_all()?;
            self.forget(&[], Some(&group.uuid));
            there.get_group(name)
        })
    }

    /// Another organization of the caller's, where databases may be made.
    fn other(&self, to: &OrganizationSlug) -> Result<Tenant<'_>> {
        if *to == self.organization.slug {
            return Err(
                Error::new(Code::Conflict, format!("it is in organization {to} already"))
                    .hint("torso org list shows your organizations"),
            );
        }
        let target = self.shared.tenant(self.caller, Some(to))?;
        target.allow(Action::CreateDatabase, Target::Organization, None)?;
        Ok(target)
    }

    fn is_free(&self, plane: &Loan, name: &DatabaseName) -> Result<()> {
        if plane.id_of(name)?.is_none() {
            return Ok(());
        }
        Err(Error::new(
            Code::DatabaseExists,
            format!("organization {} has a database {name} already", self.organization.slug),
        )
        .hint("rename one of the two first: torso db rename"))
    }

    /// Moves one database: what fails leaves it as it was.
    fn carry(
        &self,
        plane: &Loan,
        name: &DatabaseName,
        target: &Tenant<'_>,
        there: &Loan,
        group: Option<&GroupName>,
    ) -> Result<()> {
        let before = plane.get_configuration(name)?;
        if before.delete_protection {
            return Err(protected(&format!("database {name}")));
        }
        let database = plane.get_database(name)?;
        let mut row = MoveRow {
            database_id: database.id.clone(),
            organization_id: self.organization.id.clone(),
            to_organization_id: target.organization.id.clone(),
            copy_id: DatabaseId::generate(),
            block_writes: before.block_writes,
        };
        self.shared.begin_move(&row)?;
        let moved = self
            .block_writes(plane, name)
            .and_then(|()| self.copy_to((target, there), plane, (&database, &before), group, &mut row))
            .and_then(|()| self.shared.removed(plane.delete_by_id(&database.id).map(drop)));
        // Whether it came to its end or is to be undone is seen by what there is. What cannot be done now is at the next
        // start.
        let settled = self.shared.settle_move(&row);
        moved?;
        settled
    }

    fn block_writes(&self, plane: &Loan, name: &DatabaseName) -> Result<()> {
        let patch = ConfigurationPatch {
            block_writes: Some(true),
            ..ConfigurationPatch::default()
        };
        plane.update_configuration(name, &patch)?;
        self.publish(plane, name).map(drop)
    }

    /// Makes the copy, anew where the original changed meanwhile.
    fn copy_to(
        &self,
        (target, there): (&Tenant<'_>, &Loan),
        plane: &Loan,
        (database, settings): (&Database, &Configuration),
        group: Option<&GroupName>,
        row: &mut MoveRow,
    ) -> Result<()> {
        let name = &database.name;
        for _ in 0..TRIES {
            let position = plane.position(name)?;
            target.receive(there, plane, database, group, row.copy_id.clone())?;
            target.equip(there, database, settings)?;
            if plane.position(name)? == position {
                return Ok(());
            }
            self.shared.discard_copy(there, &row.copy_id)?;
            row.copy_id = DatabaseId::generate();
            self.shared.begin_move(row)?;
        }
        Err(
            Error::new(Code::DatabaseBusy, format!("database {name} is still being written to"))
                .hint("end what writes to it, then try again"),
        )
    }

    /// Makes a copy of another organization's database.
    fn receive(
        &self,
        plane: &Loan,
        from: &Loan,
        database: &Database,
        group: Option<&GroupName>,
        id: DatabaseId,
    ) -> Result<()> {
        let staging = plane.staging()?;
        from.snapshot(&database.name, &staging.path)?;
        let request = CreateDatabase {
            name: database.name.clone(),
            group: group.cloned(),
            location: Some(database.primary.clone()),
            seed: Some(Seed::DatabaseUpload {
                path: staging.path.clone(),
            }),
            size_limit: None,
        };
        self.make_database_with_id(plane, id, request).map(drop)
    }

    /// Gives a copy what its original had: replicas and settings.
    fn equip(&self, plane: &Loan, original: &Database, settings: &Configuration) -> Result<()> {
        let have = plane.get_database(&original.name)?.locations;
        for location in original.locations.iter().filter(|location| !have.contains(location)) {
            self.add_instance(&original.name, location)?;
        }
        let patch = ConfigurationPatch {
            size_limit: Some(settings.size_limit.clone()),
            allow_attach: Some(settings.allow_attach),
            block_reads: Some(settings.block_reads),
            block_writes: Some(settings.block_writes),
            delete_protection: None,
        };
        plane.update_configuration(&original.name, &patch)?;
        self.publish(plane, &original.name).map(drop)
    }
}

fn protected(what: &str) -> Error {
    Error::new(Code::DeleteProtected, format!("{what} is protected from deletion")).hint("lift the protection first")
}
