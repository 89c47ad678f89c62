//! Locations: the built-in ones, and what the user added.

use super::Embedded;
use super::catalog::locations::LocationRow;
use super::instances::instances;
use super::view::{CatalogView, group_not_found, location_not_found, pool};
use crate::control::LocationOperations;
use crate::control::builtin_locations::{self, BUILTIN_LOCATIONS, LOCAL, LOCAL_DESCRIPTION};
use crate::control::location_status::{LocationStatus, LocationStatuses};
use crate::control::names::{DatabaseId, GroupName, LocationCode};
use crate::control::types::{Instance, Location, NewLocation};
use crate::error::{Code, Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

impl Embedded {
    /// Visits every instance of every database, of all groups or one: with its database's id, and whether another one before it
    /// has the same process.
    pub fn visit_instances(
        &self,
        group: Option<&GroupName>,
        visit: &mut dyn FnMut(&DatabaseId, Instance, bool),
    ) -> Result<()> {
        let Some(view) = self.read()? else {
            return group.map_or(Ok(()), |name| Err(group_not_found(name, std::iter::empty())));
        };
        if let Some(name) = group {
            view.group(name)?;
        }
        let mut processes = BTreeSet::new();
        for row in view.catalog.databases()? {
            if group.is_some_and(|group| row.group != *group) {
                continue;
            }
            for instance in instances(&view, &row)? {
                let shares_process = !processes.insert((instance.location.clone(), pool(&row)));
                visit(&row.id, instance, shares_process);
            }
        }
        Ok(())
    }
}

impl LocationOperations for Embedded {
    fn list_locations(&self) -> Result<Vec<Location>> {
        let view = self.read()?;
        let in_use = match &view {
            Some(view) => view.catalog.locations_in_use()?.into_iter().collect(),
            None => BTreeSet::new(),
        };
        let none = BTreeMap::new();
        let rows = view.as_ref().map_or(&none, |view| &view.locations);
        let mut codes: BTreeSet<LocationCode> = rows.keys().cloned().collect();
        for code in BUILTIN_LOCATIONS.iter().map(|place| place.code).chain([LOCAL]) {
            codes.insert(code.parse()?);
        }
        Ok(codes
            .into_iter()
            .map(|code| describe(self, rows.get(&code), &in_use, code))
            .collect())
    }

    fn get_location(&self, code: &LocationCode) -> Result<Location> {
        let all = self.list_locations()?;
        match all.iter().find(|location| location.code == *code) {
            Some(location) => Ok(location.clone()),
            None => Err(location_not_found(
                code,
                all.iter().map(|location| location.code.as_str()),
            )),
        }
    }

    fn location_status(&self, group: Option<&GroupName>) -> Result<Vec<LocationStatus>> {
        let mut all = LocationStatuses::default();
        self.visit_instances(group, &mut |_, instance, shares_process| {
            all.add(&instance, shares_process)
        })?;
        Ok(all.into_vec())
    }

    fn check_new_location(&self, new: &NewLocation) -> Result<()> {
        check_builtin(new)?;
        match self.read()? {
            Some(view) => check_new(self, &view, new).map(drop),
            None => new.dir.as_deref().map_or(Ok(()), check_directory),
        }
    }

    fn check_removable_location(&self, code: &LocationCode) -> Result<()> {
        self.get_location(code)?;
        match self.read()? {
            Some(view) => check_removable(&view, code).map(drop),
            None => Err(not_removable(code)),
        }
    }

    fn add_location(&self, new: &NewLocation) -> Result<Location> {
        let code = &new.code;
        let builtin = check_builtin(new)?;
        let change = self.change()?;
        let dir = check_new(self, &change, new)?;
        if let Some(dir) = &dir {
            self.engine.open_location(code.as_str(), dir)?;
        }
        let text = match &dir {
            Some(dir) => Some(dir.to_str().ok_or_else(|| {
                Error::new(
                    Code::InvalidValue,
                    format!("the path {} is not UTF-8 text", dir.display()),
                )
            })?),
            None => None,
        };
        let description = if new.description.is_empty() {
            code.as_str()
        } else {
            &new.description
        };
        let row = LocationRow {
            code: code.clone(),
            description: (!builtin || !new.description.is_empty()).then(|| description.to_owned()),
            dir: dir.clone(),
            lat: new.lat,
            lon: new.lon,
        };
        change.commit(|catalog| {
            // They would be looked for in the new directory.
            catalog.delete_retained_instances(code)?;
            catalog.insert_location(&row, text)
        })?;
        Ok(describe(self, Some(&row), &BTreeSet::new(), code.clone()))
    }

    fn remove_location(&self, code: &LocationCode) -> Result<Location> {
        let location = self.get_location(code)?;
        let change = self.change()?;
        let row = check_removable(&change, code)?;
        change.commit(|catalog| {
            catalog.delete_retained_instances(code)?;
            catalog.delete_location(code)
        })?;
        if let Some(dir) = &row.dir
            && dir.is_dir()
        {
            // This only removes the mark that the directory is in use; the location is removed either way.
            let _ = self.engine.close_location(dir);
        }
        Ok(location)
    }
}

fn describe(
    plane: &Embedded,
    row: Option<&LocationRow>,
    in_use: &BTreeSet<LocationCode>,
    code: LocationCode,
) -> Location {
    let place = builtin_locations::find(code.as_str());
    let builtin = place.is_some() || code.as_str() == LOCAL;
    let known = place.map_or(LOCAL_DESCRIPTION, |place| place.description);
    let dir = row.and_then(|row| row.dir.clone());
    Location {
        description: row
            .and_then(|row| row.description.clone())
            .unwrap_or_else(|| known.to_owned()),
        lat: row.and_then(|row| row.lat).or(place.map(|place| place.lat)),
        lon: row.and_then(|row| row.lon).or(place.map(|place| place.lon)),
        dir: Some(dir.unwrap_or_else(|| plane.dir.join("locations").join(code.as_str()))),
        builtin,
        in_use: in_use.contains(&code),
        node: None,
        code,
    }
}

/// Whether a location that is to be added is built in, which it may be if it gets a directory.
fn check_builtin(new: &NewLocation) -> Result<bool> {
    let code = &new.code;
    check_coordinates(new)?;
    let builtin = builtin_locations::find(code.as_str()).is_some() || code.as_str() == LOCAL;
    if builtin && new.dir.is_none() {
        return Err(
            Error::new(Code::LocationExists, format!("location {code} is built in")).hint(format!(
                "it can be used at once; --dir gives it a directory, torso location show {code} shows it"
            )),
        );
    }
    Ok(builtin)
}

/// Fails where a location is there or in use, or its directory cannot be one. Returns the directory as an absolute path.
fn check_new(plane: &Embedded, view: &CatalogView<'_>, new: &NewLocation) -> Result<Option<PathBuf>> {
    let code = &new.code;
    if view.locations.contains_key(code) {
        return Err(
            Error::new(Code::LocationExists, format!("location {code} exists already"))
                .hint(format!("torso location show {code} shows it")),
        );
    }
    if view.catalog.locations_in_use()?.contains(code) {
        return Err(in_use(code, "its directory cannot be changed now"));
    }
    let dir = new.dir.as_deref().map(|dir| usable_dir(plane, view, dir)).transpose()?;
    dir.as_deref().map_or(Ok(()), check_directory)?;
    Ok(dir)
}

/// Fails where something else than a directory is at a path.
fn check_directory(dir: &Path) -> Result<()> {
    if dir.exists() && !dir.is_dir() {
        let error = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(Error::io(error, format!("cannot make the directory {}", dir.display())));
    }
    Ok(())
}

/// What the user added of a location. Fails where that is nothing, or in use.
fn check_removable<'v>(view: &'v CatalogView<'_>, code: &LocationCode) -> Result<&'v LocationRow> {
    let row = view.locations.get(code).ok_or_else(|| not_removable(code))?;
    if view.catalog.locations_in_use()?.contains(code) {
        return Err(in_use(code, "it cannot be removed"));
    }
    Ok(row)
}

fn not_removable(code: &LocationCode) -> Error {
    Error::new(
        Code::Conflict,
        format!("location {code} is built in and has nothing to remove"),
    )
    .hint("locations that you added can be removed: torso location list")
}

fn check_coordinates(new: &NewLocation) -> Result<()> {
    let within = |value: Option<f64>, most: f64| value.is_none_or(|value| value.is_finite() && value.abs() <= most);
    if new.lat.is_some() != new.lon.is_some() || !within(new.lat, 90.0) || !within(new.lon, 180.0) {
        return Err(Error::new(
            Code::InvalidValue,
            format!("location {} has incomplete or impossible coordinates", new.code),
        )
        .hint("give both: degrees north from -90 to 90, degrees east from -180 to 180"));
    }
    Ok(())
}

/// The directory as an absolute path. Refused if another location, or torso itself, keeps files in it.
fn usable_dir(plane: &Embedded, view: &CatalogView<'_>, dir: &Path) -> Result<PathBuf> {
    let absolute = |path: &Path| {
        std::fs::canonicalize(path)
            .or_else(|_| std::path::absolute(path))
            .map_err(|error| Error::io(error, format!("cannot use the directory {}", path.display())))
    };
    let dir = absolute(dir)?;
    let own = absolute(&plane.dir)?;
    let refuse = |whose: String| {
        Err(Error::new(Code::Conflict, format!("{} {whose}", dir.display())).hint("choose a directory of its own"))
    };
    if dir.starts_with(&own) || own.starts_with(&dir) {
        return refuse("overlaps torso's own data directory".to_owned());
    }
    for other in view.locations.values() {
        if other
            .dir
            .as_deref()
            .is_some_and(|other| absolute(other).is_ok_and(|other| other == dir))
        {
            return refuse(format!("is already the directory of location {}", other.code));
        }
    }
    Ok(dir)
}

fn in_use(code: &LocationCode, so: &str) -> Error {
    Error::new(
        Code::LocationInUse,
        format!("databases or groups use location {code}, so {so}"),
    )
    .hint(format!(
        "torso db list --location {code} and torso group list show which"
    ))
}
