//! Tests of the catalog: its schema, its migrations, its transactions.

use super::*;
use crate::control::store::{migrated_schema, numbered};
use crate::error::{Code, Error};

#[test]
fn catalog_migrations_lead_to_the_schema() {
    let schema = migrated_schema(KIND, include_str!("schema.sql"));
    assert!(
        schema
            .iter()
            .any(|(_, name, sql)| name == "databases" && sql.contains("origin TEXT CHECK"))
    );
}

#[test]
fn catalog_migrations_are_numbered_without_gaps() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/control/embedded/catalog/migrations");
    assert_eq!(numbered(&folder), KIND.migrations.len());
}

#[test]
fn catalog_of_a_newer_torso_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    Catalog::prepare(&path).unwrap().pragma("user_version", 1_000).unwrap();
    let error = Catalog::open(&path).err().unwrap();
    assert_eq!(error.code(), Code::CatalogTooNew);
}

#[test]
fn catalog_that_is_another_kind_of_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    std::fs::write(
        &path,
        "something else entirely, and long enough to be read as a header of a database file, or not so",
    )
    .unwrap();
    let error = Catalog::open(&path).err().unwrap();
    assert_eq!(error.code(), Code::CatalogDamaged);
    assert!(error.message().contains("catalog.db"));
}

#[test]
fn catalog_that_is_unfinished_counts_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    assert!(Catalog::open(&path).unwrap().is_none());
    std::fs::write(&path, "").unwrap();
    assert!(Catalog::open(&path).unwrap().is_none());
    Catalog::prepare(&path).unwrap();
    assert!(Catalog::open(&path).unwrap().is_some());
}

#[test]
fn catalog_change_that_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::prepare(&dir.path().join("catalog.db")).unwrap();
    catalog.durable().unwrap();
    let result: Result<()> = catalog.write(|| {
        catalog.execute("INSERT INTO doomed VALUES ('x', 'ams')", [])?;
        Err(Error::new(Code::Internal, "no"))
    });
    assert!(result.is_err());
    assert!(!catalog.has_work().unwrap());
}

#[test]
fn sqlite_that_is_linked_has_the_wal_reset_fix() {
    let (version, sound) = linked_sqlite();
    assert!(sound, "{version}");
}
