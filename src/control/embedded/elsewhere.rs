//! Databases whose primaries are on other machines: what needs their files.

use super::catalog::Catalog;
use super::catalog::databases::DatabaseRow;
use super::catalog::former_instances::FormerInstance;
use super::placement::Placed;
use super::view::{Change, pool};
use crate::control::names::{DatabaseId, LocationCode};
use crate::control::types::CreateDatabase;
use crate::engine::{Engine, Site};
use crate::error::{Code, Error, Result};

/// Where the files of a database are read: at its primary; where that is on another machine, at a replica here, which then has what the
/// primary has. Fails with `unsupported` where there is none.
pub fn readable_site<'s>(engine: &dyn Engine, placed: &'s Placed) -> Result<&'s Site> {
    let mut here = placed.sites.iter().filter(|(_, site)| engine.local_files(site).is_ok());
    let (Some((_, primary)), replica) = (placed.sites.first(), here.next()) else {
        return Err(Error::new(
            Code::Internal,
            format!("database {} has no primary", placed.name),
        ));
    };
    match replica {
        Some((_, replica)) if replica != primary => engine.copy(primary, replica).map(|()| replica),
        Some(_) => Ok(primary),
        None => engine.local_files(primary).map(|_| primary),
    }
}

/// Fails where a seed cannot be brought to a primary's location.
pub fn check_seedable(change: &Change<'_>, request: &CreateDatabase, primary: &LocationCode) -> Result<()> {
    let site = change.remains(primary, &DatabaseId::generate());
    if change.plane.engine.local_files(&site).is_ok() {
        return Ok(());
    }
    let name = &request.name;
    Err(Error::new(
        Code::Unsupported,
        format!("location {primary} is on another machine, and {name} cannot be made there of content that is here"),
    )
    .hint(format!(
        "torso db create {name} without content makes it there; then torso db shell {name} reads a script"
    )))
}

/// Records that a primary is to go. One on another machine goes by its name: what of it comes back later is still known.
pub fn doom_primary(change: &Change<'_>, catalog: &Catalog, row: &DatabaseRow) -> Result<()> {
    if change.plane.engine.local_files(&change.site(&row.primary, row)).is_ok() {
        return catalog.add_doomed(&row.id, &row.primary);
    }
    let former = FormerInstance {
        location: row.primary.clone(),
        epoch: row.epoch,
        pool: pool(row),
        was_primary: true,
        is_kept: false,
    };
    catalog.add_former_instance(&row.id, &former)
}
