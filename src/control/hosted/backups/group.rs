//! Makes a backup of a group: one that refers to backups of all its databases.

use super::copy::{BackupReport, BackupWork, server_id};
use super::databases::DatabaseCopies;
use crate::backup::{BackupSubject, GroupSubject, Repository};
use crate::control::hosted::Shared;
use crate::control::hosted::store::OrganizationRow;
use crate::control::types::Group;
use crate::error::Result;
use jiff::Timestamp;

/// Backs up the databases of a group. If none has changed since its last backup, that one stands for this one.
pub(super) fn back_up_group(
    shared: &Shared,
    repository: &Repository,
    (organization, group): (&OrganizationRow, &Group),
    check: &dyn Fn() -> Result<()>,
) -> Result<BackupReport> {
    let work = BackupWork::begin(&shared.dir, check)?;
    let created_at = Timestamp::now();
    let server = server_id(&shared.dir)?;
    let mut databases = DatabaseCopies::begin(&shared.engine, repository, &server, work.staging.path(), check)?;
    for placed in shared.plane_of(organization)?.placements()? {
        if placed.group == group.name {
            databases.include(&organization.id, &placed)?;
        }
    }
    let included = std::mem::take(&mut databases.included);
    let mut all = repository.backups_of_groups(&server)?.into_iter();
    let last = all.find(|manifest| manifest.group().is_some_and(|of| of.id == group.uuid));
    let (manifest, stored_bytes) = match last {
        Some(last) if last.included() == included => (last, 0),
        _ => {
            let subject = BackupSubject::Group(GroupSubject {
                server,
                id: group.uuid.clone(),
                name: group.name.to_string(),
                databases: included,
            });
            let made = repository.store(subject, created_at, &[], &mut |_, _| check())?;
            let stored_bytes = made.stored_bytes();
            (made, stored_bytes)
        }
    };
    Ok(BackupReport {
        manifest,
        checked_at: created_at,
        copied: databases.copied,
        stored_bytes: databases.stored_bytes + stored_bytes,
        failures: databases.failures,
    })
}
