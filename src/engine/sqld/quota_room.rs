//! What a database may still grow by while its owner stores more than the quota. Nothing is added then, but what removes has to
//! write as well: a trigger that keeps a log of what was deleted, the index of a full-text search, the pages of a large
//! transaction. Without any room such a DELETE would fail, and nobody could get below the quota.
//!
//! The size is chosen once, when the quota is exceeded, and is kept until it no longer is. So it bounds what is added by statements
//! that are not recognised as such.

use super::{files, records, role};
use crate::engine::DatabaseLimits;
use crate::engine::file::content_bytes;
use crate::error::Result;
use std::path::Path;

/// Bytes of room for every database, and the part of its size that is added.
const LEAST: u64 = 1 << 20;
const PART: u64 = 16;

/// The bytes that a database may have under its new limits; none where those do not say that its owner is over quota.
pub(super) fn choose_size(dir: &Path, id: &str, limits: &DatabaseLimits) -> Result<Option<u64>> {
    if !limits.over_quota {
        return Ok(None);
    }
    if let Some(chosen) = records::size_over_quota(dir, id)? {
        return Ok(Some(chosen));
    }
    let size = content_bytes(&files::database(&role::db_path(dir), id)).unwrap_or(0);
    Ok(Some(size + LEAST + size / PART))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_over_quota_is_chosen_once_and_is_forgotten_within_it() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let data = files::database(&role::db_path(dir), "x");
        std::fs::create_dir_all(data.parent().unwrap()).unwrap();
        // As much of a database as is read: its header, with the size of a page and the number of pages.
        let write_pages = |count: u32| {
            let mut header = [0; 100];
            header[16..18].copy_from_slice(&4096_u16.to_be_bytes());
            header[28..32].copy_from_slice(&count.to_be_bytes());
            std::fs::write(&data, header).unwrap();
        };
        write_pages(400);
        let over = DatabaseLimits {
            over_quota: true,
            ..DatabaseLimits::default()
        };
        let chosen = choose_size(dir, "x", &over).unwrap().unwrap();
        assert_eq!(chosen, 400 * 4096 + (1 << 20) + 400 * 256);
        records::acknowledge_with(dir, "x", &over, Some(chosen)).unwrap();
        assert_eq!(records::record(dir, "x").unwrap(), Some(over.clone()));
        write_pages(600);
        assert_eq!(choose_size(dir, "x", &over).unwrap(), Some(chosen));
        let within = DatabaseLimits::default();
        assert_eq!(choose_size(dir, "x", &within).unwrap(), None);
        records::acknowledge(dir, "x", &within).unwrap();
        assert_eq!(
            choose_size(dir, "x", &over).unwrap(),
            Some(600 * 4096 + (1 << 20) + 600 * 256)
        );
    }
}
