//! Instances of earlier epochs: the one that the primary is made from, and those that have a successor.

use crate::control::embedded::CatalogView;
use crate::control::embedded::catalog::databases::DatabaseRow;
use crate::control::embedded::catalog::former_instances::FormerInstance;
use crate::control::names::DatabaseId;
use crate::error::Result;
use std::path::PathBuf;

/// Whether a former instance is the replica that the database's primary is made from.
pub fn is_successor(row: &DatabaseRow, former: &FormerInstance) -> bool {
    former.location == row.primary && former.epoch + 1 == row.epoch && !former.was_primary
}

/// The instances of earlier epochs of a database that something can be done about: not those of former primaries whose files are
/// kept and have not come back.
pub fn due(view: &CatalogView<'_>, id: &DatabaseId, row: Option<&DatabaseRow>) -> Result<Vec<FormerInstance>> {
    let mut former = view.catalog.former_instances(id)?;
    former.retain(|former| row.is_none() || !former.is_kept || is_there(view, id, row, former));
    Ok(former)
}

/// Whether the files of a former instance are there.
pub fn is_there(view: &CatalogView<'_>, id: &DatabaseId, row: Option<&DatabaseRow>, former: &FormerInstance) -> bool {
    let site = view.former_site(id, row, former);
    matches!(view.plane.engine.running(&site), Ok(Some(_)))
}

/// Makes the primary of the replica that was chosen. After a planned promotion the replica has everything, unless its process
/// and its primary's were killed since: then it fetches that again, from a primary that takes no writes.
pub fn take_over(view: &CatalogView<'_>, row: &DatabaseRow) -> Result<()> {
    let former = view.catalog.former_instances(&row.id)?;
    let Some(replica) = former.iter().find(|former| is_successor(row, former)) else {
        return Ok(());
    };
    let engine = &view.plane.engine;
    let from = view.former_site(&row.id, Some(row), replica);
    let primary = former
        .iter()
        .find(|other| other.was_primary && other.epoch == replica.epoch);
    if let Some(primary) = primary.filter(|primary| !primary.is_kept)
        && engine.running(&from)?.is_some()
    {
        engine.copy(&view.former_site(&row.id, Some(row), primary), &from)?;
    }
    engine.take_over(&[(from, view.site(&row.primary, row))])
}

/// Lets an instance of an earlier epoch go. Returns where its files are, if they are kept and there. They are compared with the new
/// primary later (`compare_set_aside`), because that may take long and the lock is held here.
pub fn discard(
    view: &CatalogView<'_>,
    id: &DatabaseId,
    row: Option<&DatabaseRow>,
    former: &FormerInstance,
) -> Result<Option<PathBuf>> {
    let (engine, site) = (&view.plane.engine, view.former_site(id, row, former));
    if let Some(row) = row.filter(|_| former.is_kept) {
        let (database, location) = (&row.name, &former.location);
        let Ok(files) = engine.local_files(&site) else {
            engine.set_aside_elsewhere(&site)?;
            tracing::warn!(%database, %location, "the files of a former primary were set aside on their machine");
            return Ok(None);
        };
        let path = files.set_aside(&site)?;
        if !path.exists() {
            return Ok(None);
        }
        tracing::warn!(%database, %location, path = %path.display(), "the files of a former primary were set aside");
        return Ok(Some(path));
    }
    engine.remove(&site)?;
    Ok(None)
}
