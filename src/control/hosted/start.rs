//! What is checked and remembered when a server starts, and what its operator is warned of.

use super::Shared;
use super::organization::locations_in_use;
use super::store::AccountStore;
use crate::control::builtin_locations;
use crate::control::embedded::lock::Lock;
use crate::control::names::LocationCode;
use crate::error::{Code, Error, Result};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The setting that remembers the locations that the server offers.
const LOCATIONS: &str = "locations";

/// Locks a data directory for this server.
pub(super) fn own(dir: &Path, path: &Path) -> Result<Lock> {
    // A command that checks whether a server runs holds the lock for a moment.
    for _ in 0..20 {
        if let Some(held) = Lock::try_acquire(path)? {
            return Ok(held);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let who = Lock::holder(path).ok().flatten().unwrap_or_default();
    Err(Error::new(
        Code::Conflict,
        format!(
            "another server (process {who}) uses the data directory {}",
            dir.display()
        ),
    )
    .hint("stop it first, or give this one another directory: TORSO_DATA_DIR"))
}

/// Whether a data directory is another one than at the last start: a copy, or moved to another disk. Remembers which it is.
pub(super) fn is_copy(records: &AccountStore, dir: &Path) -> Result<bool> {
    const SETTING: &str = "directory";
    let metadata = std::fs::metadata(dir).map_err(|error| Error::io(error, format!("cannot use {}", dir.display())))?;
    let now = format!("{}:{}", metadata.dev(), metadata.ino());
    let before = records.setting(SETTING)?;
    if before.as_ref() == Some(&now) {
        return Ok(false);
    }
    records.write(|| records.set(SETTING, &now))?;
    let is_copy = before.is_some();
    if is_copy {
        tracing::warn!(
            directory = %dir.display(),
            "this data directory is a copy of the one that was used before, or was moved: what is written here is not written \
             to the other one"
        );
    }
    Ok(is_copy)
}

/// Refuses unknown locations.
pub(super) fn known(requested: &[LocationCode]) -> Result<()> {
    let is_unknown = |code: &&LocationCode| {
        builtin_locations::find(code.as_str()).is_none() && code.as_str() != builtin_locations::LOCAL
    };
    match requested.iter().find(is_unknown) {
        None => Ok(()),
        Some(unknown) => Err(
            Error::new(Code::LocationNotFound, format!("there is no location {unknown}"))
                .hint("torso location list shows the locations"),
        ),
    }
}

/// The locations that the server offers: those given, which are remembered for later starts, else those remembered. None is
/// all.
pub(super) fn allowed_locations(
    records: &AccountStore,
    requested: Option<Vec<LocationCode>>,
) -> Result<Option<Arc<[LocationCode]>>> {
    if let Some(requested) = requested {
        return remember_locations(records, &requested);
    }
    let Some(text) = records.setting(LOCATIONS)?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.split(',').map(str::parse).collect::<Result<_>>().map(Some)
}

/// Stores the locations that the server offers from now on. An empty list is for all, as is none in the answer.
pub(super) fn remember_locations(
    records: &AccountStore,
    offered: &[LocationCode],
) -> Result<Option<Arc<[LocationCode]>>> {
    let text: Vec<_> = offered.iter().map(LocationCode::as_str).collect();
    records.write(|| records.set(LOCATIONS, &text.join(",")))?;
    Ok((!offered.is_empty()).then(|| offered.into()))
}

impl Shared {
    /// The location of databases for which none was chosen.
    pub(super) fn default_location(&self) -> Result<LocationCode> {
        match self.offered_locations().as_deref() {
            Some(offered @ [first, ..]) => {
                let is_here = |code: &&LocationCode| !self.nodes.has(code);
                Ok(offered.iter().find(is_here).unwrap_or(first).clone())
            }
            _ => builtin_locations::LOCAL.parse(),
        }
    }

    /// What the operator should know: sentences about settings that leave something out of reach.
    pub(super) fn warnings(&self) -> Result<Vec<String>> {
        let offered = self.offered_locations();
        let offered = offered.as_deref();
        let mut warnings = Vec::new();
        let offers_local = offered.is_none_or(|all| all.iter().any(|code| code.as_str() == builtin_locations::LOCAL));
        if offers_local && self.public.base.scheme() == "https" {
            warnings.push(
                "the official Turso CLI speaks plain HTTP to databases whose primary is in the location local, and cannot open \
                 them over TLS: leave local out of --locations if that CLI is used"
                    .to_owned(),
            );
        }
        let Some(offered) = offered else {
            return Ok(warnings);
        };
        for organization in self.records().organizations()? {
            let used = locations_in_use(&self.plane_of(&organization)?)?;
            let dropped: Vec<&str> = used
                .iter()
                .filter(|code| !offered.contains(code) && !self.nodes.has(code))
                .map(LocationCode::as_str)
                .collect();
            if !dropped.is_empty() {
                warnings.push(format!(
                    "organization {} uses locations that --locations leaves out ({}): databases there keep running, and nothing new \
                     can be put there",
                    organization.slug,
                    dropped.join(", ")
                ));
            }
        }
        Ok(warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_directory_that_was_copied_says_so_once() {
        let dir = tempfile::tempdir().unwrap();
        let original = dir.path().join("original");
        std::fs::create_dir(&original).unwrap();
        let records = AccountStore::open(&original.join("accounts.db")).unwrap();
        assert!(!is_copy(&records, &original).unwrap());
        assert!(!is_copy(&records, &original).unwrap());
        drop(records);
        let copy = dir.path().join("copy");
        std::fs::create_dir(&copy).unwrap();
        for file in std::fs::read_dir(&original).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
        let records = AccountStore::open(&copy.join("accounts.db")).unwrap();
        assert!(is_copy(&records, &copy).unwrap());
        assert!(!is_copy(&records, &copy).unwrap());
        let records = AccountStore::open(&original.join("accounts.db")).unwrap();
        assert!(!is_copy(&records, &original).unwrap());
    }
}
