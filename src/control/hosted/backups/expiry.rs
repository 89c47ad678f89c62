//! Deletes backups that are not kept any more, with the backups of databases that only those referred to.

use crate::backup::{BackupId, Manifest, Repository, Retention};
use crate::control::hosted::store::GroupKey;
use crate::error::Result;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Deletes the backups of a server, or of one of its groups, that are not kept. What its databases' backups are also needed for
/// stays: they may be part of the backups of both.
pub(super) fn delete_expired(
    repository: &Repository,
    server: &str,
    group: Option<&GroupKey>,
    retention: &Retention,
) -> Result<()> {
    let of_server = repository.backups_of_server(server)?;
    let all: Vec<Manifest> = of_server
        .into_iter()
        .chain(repository.backups_of_groups(server)?)
        .collect();
    let is_subject = |manifest: &Manifest| match group {
        None => manifest.server().is_some(),
        Some(group) => manifest.group().is_some_and(|of| of.id == group.group_id),
    };
    let times: Vec<Timestamp> = all
        .iter()
        .filter(|manifest| is_subject(manifest))
        .map(|manifest| manifest.created_at)
        .collect();
    let expired = retention.expired(&times);
    let (expired, retained): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|manifest| is_subject(manifest) && expired.contains(&manifest.created_at));
    let needed: BTreeSet<&BackupId> = retained
        .iter()
        .flat_map(Manifest::included)
        .map(|database| &database.backup)
        .collect();
    for manifest in &expired {
        // Its databases first: while it is there, the next pass knows what is left of them.
        for database in manifest.included() {
            if !needed.contains(&database.backup) {
                repository.delete_of_database(&database.id, &database.backup)?;
            }
        }
        repository.delete(manifest)?;
    }
    remove_unfinished(repository, &retained)
}

/// Removes what killed servers left.
fn remove_unfinished(repository: &Repository, retained: &[Manifest]) -> Result<()> {
    repository.remove_unfinished_of_servers()?;
    let databases: BTreeSet<&str> = retained
        .iter()
        .flat_map(Manifest::included)
        .map(|database| database.id.as_str())
        .collect();
    databases
        .into_iter()
        .try_for_each(|id| repository.remove_unfinished(id))
}
