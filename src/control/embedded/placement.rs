//! Where a database is: its sites at the engine, the primary's first.

use super::catalog::databases::DatabaseRow;
use super::view::CatalogView;
use crate::control::names::{DatabaseId, DatabaseName, GroupName, LocationCode};
use crate::engine::Site;
use crate::error::Result;

/// A database and its sites.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    pub id: DatabaseId,
    pub name: DatabaseName,
    pub group: GroupName,
    pub group_uuid: String,
    pub block_reads: bool,
    pub block_writes: bool,
    pub created_at: jiff::Timestamp,
    /// The primary first.
    pub sites: Vec<(LocationCode, Site)>,
}

/// The sites of a database.
pub fn placed(view: &CatalogView<'_>, row: DatabaseRow) -> Result<Placed> {
    let primary = (row.primary.clone(), view.site(&row.primary, &row));
    let mut sites = vec![primary];
    for location in view.want(&row)?.replicas {
        let site = view.site(&location, &row);
        sites.push((location, site));
    }
    Ok(Placed {
        id: row.id,
        name: row.name,
        group: row.group,
        group_uuid: row.group_uuid,
        block_reads: row.block_reads,
        block_writes: row.block_writes,
        created_at: row.created_at,
        sites,
    })
}

/// An instance's id is computed from its database's id and its location, so that it need not be stored.
pub fn instance_id(id: &DatabaseId, location: &LocationCode) -> String {
    // FNV-1a, 128 bits, to mix the code into the id.
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in id.as_str().bytes().chain([b'@']).chain(location.as_str().bytes()) {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    uuid::Builder::from_custom_bytes(hash.to_be_bytes())
        .into_uuid()
        .hyphenated()
        .to_string()
}
