//! Whether the primary of a database is there.

use super::catalog::databases::DatabaseRow;
use super::view::CatalogView;
use crate::engine::Running;
use crate::error::{Code, Error, Result};

/// Fails if the primary's file is missing or damaged. One that was never made is left to reconcile.
pub fn check_primary(view: &CatalogView<'_>, row: &DatabaseRow) -> Result<()> {
    let site = view.site(&row.primary, row);
    match view.plane.engine.running(&site)? {
        Some(Running {
            damage: Some(damage), ..
        }) => Err(view.plane.engine.damage_error(&damage, &site)),
        None if row.origin.is_none() => Err(missing(view, row)),
        _ => Ok(()),
    }
}

pub fn missing(view: &CatalogView<'_>, row: &DatabaseRow) -> Error {
    let url = view.plane.engine.url(&view.site(&row.primary, row));
    Error::new(
        Code::Unavailable,
        format!("the primary of {} in {} is missing ({url})", row.name, row.primary),
    )
    .hint("put the file back, or see torso doctor")
}
