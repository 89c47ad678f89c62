//! What a file refers to and must be there, or be declared in it: locations, groups and the files that databases start with. Errors
//! name line and key. Asked before the first step is taken or planned, so that none is taken of a file that cannot be carried out.

use super::{CurrentState, DeclaredState};
use crate::control::names::{GroupName, LocationCode};
use crate::error::{Code, Error, Result};

/// Fails where the file names a location or a group that is neither there nor declared.
pub fn check_references(declared: &DeclaredState, current: &CurrentState) -> Result<()> {
    let check_location = |code: &LocationCode, key: &str| {
        let is_declared = declared.locations.iter().any(|new| new.code == *code);
        let may_be_there = current
            .known_locations
            .as_ref()
            .is_none_or(|known| known.contains(code));
        if is_declared || may_be_there {
            return Ok(());
        }
        let error = Error::new(Code::LocationNotFound, format!("there is no location {code}"))
            .hint("torso location list shows the locations");
        Err(declared.locate(key, &error))
    };
    let check_group = |name: &GroupName, key: &str| {
        if declared.groups.contains_key(name) || current.groups.contains_key(name) {
            return Ok(());
        }
        let error = Error::new(Code::GroupNotFound, format!("there is no group {name}")).hint(format!(
            "declare it: [groups.{name}]; torso group list shows the groups"
        ));
        Err(declared.locate(key, &error))
    };
    for name in &declared.scope.groups {
        check_group(name, "scope.groups")?;
    }
    for (name, group) in &declared.groups {
        for code in group.locations.iter().flatten() {
            check_location(code, &format!("groups.{name}.locations"))?;
        }
    }
    for (name, database) in &declared.databases {
        if let Some(group) = &database.group {
            check_group(group, &format!("databases.{name}.group"))?;
        }
        if let Some(code) = &database.location {
            check_location(code, &format!("databases.{name}.location"))?;
        }
        for code in database.replicas.iter().flatten() {
            check_location(code, &format!("databases.{name}.replicas"))?;
        }
    }
    Ok(())
}

impl DeclaredState {
    /// The line of a key, or of the table around it.
    #[must_use]
    pub fn line_of(&self, key: &str) -> u64 {
        let mut key = key;
        loop {
            match (self.lines.get(key), key.rsplit_once('.')) {
                (Some(line), _) => return *line,
                (None, Some((table, _))) => key = table,
                (None, None) => return 1,
            }
        }
    }

    /// An error about the value of a key, with the file, the line and the key.
    #[must_use]
    pub fn locate(&self, key: &str, error: &Error) -> Error {
        let message = format!("{}:{}: {key}: {}", self.file, self.line_of(key), error.full_message());
        let located = Error::new(error.code(), message);
        match error.hint_text() {
            Some(hint) => located.hint(hint),
            None => located,
        }
    }
}
