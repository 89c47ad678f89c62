//! What every control plane must do, as one suite that any implementation can be put through. It speaks only through
//! [`ControlPlane`] and, to write and read rows, through what [`ControlPlane::connection`] hands out.

mod databases;
mod embedded;
mod groups;
mod instances;
mod locations;

use std::panic::{AssertUnwindSafe, catch_unwind};
use torso::control::ControlPlane;
use torso::control::names::{DatabaseName, GroupName, LocationCode};
use torso::control::types::{Connection, CreateDatabase, Database};
use torso::error::{Code, Error};

/// A world with one control plane in it, empty at first.
pub trait Subject {
    /// A plane as a new process would open it, over the same state each time.
    fn plane(&self) -> Box<dyn ControlPlane>;
    /// Runs SQL as an application would.
    fn execute(&self, to: &Connection, sql: &str);
    /// The number that a query answers.
    fn number(&self, to: &Connection, sql: &str) -> i64;
}

/// A named check over a fresh world.
type Check = (&'static str, fn(&dyn Subject));

/// Puts a control plane through all checks but those that cannot hold for it, each in a world of its own, and names
/// those that failed.
pub fn conformance<S: Subject>(make: impl Fn() -> S, except: &[&str]) {
    let mut all = [locations::CHECKS, groups::CHECKS, databases::CHECKS, instances::CHECKS].concat();
    let before = all.len();
    all.retain(|(name, _)| !except.contains(name));
    assert_eq!(all.len() + except.len(), before, "no check has such a name: {except:?}");
    let failed: Vec<&str> = all
        .iter()
        .filter(|(_, check)| catch_unwind(AssertUnwindSafe(|| check(&make()))).is_err())
        .map(|(name, _)| *name)
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {} checks failed: {failed:?}",
        failed.len(),
        all.len()
    );
}

pub fn db(name: &str) -> DatabaseName {
    name.parse().unwrap()
}

pub fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

pub fn at(code: &str) -> LocationCode {
    code.parse().unwrap()
}

pub fn request(name: &str) -> CreateDatabase {
    CreateDatabase {
        name: db(name),
        group: None,
        location: None,
        seed: None,
        size_limit: None,
        expires_at: None,
    }
}

/// A new database at a location.
pub fn create(plane: &dyn ControlPlane, name: &str, location: &str) -> Database {
    plane
        .create_database(&CreateDatabase {
            location: Some(at(location)),
            ..request(name)
        })
        .unwrap()
}

/// Writes to the primary.
pub fn write(world: &dyn Subject, name: &str, sql: &str) {
    world.execute(&world.plane().connection(&db(name), None).unwrap(), sql);
}

/// Rows of `t` in the instance at a location.
pub fn rows(world: &dyn Subject, name: &str, location: &str) -> i64 {
    world.number(
        &world.plane().connection(&db(name), Some(&at(location))).unwrap(),
        "SELECT count(*) FROM t",
    )
}

/// The error must have this code, name the thing, and say what to do next.
#[track_caller]
pub fn refused<T>(result: Result<T, Error>, code: Code, names: &str) {
    let Err(error) = result else {
        panic!("expected {} and it succeeded", code.name())
    };
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(names), "{error} does not name {names}");
    assert!(error.hint_text().is_some(), "{error} has no hint");
}
