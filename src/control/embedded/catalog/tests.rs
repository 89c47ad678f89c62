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

#[cfg(feature = "server")]
#[test]
fn catalog_identity_is_that_of_its_copies_and_of_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let identity = Catalog::prepare(&path("catalog.db")).unwrap().identity().unwrap();
    crate::control::store::copy_file(&path("catalog.db"), &path("copy.db")).unwrap();
    assert_eq!(
        Catalog::prepare(&path("copy.db")).unwrap().identity().unwrap(),
        identity
    );
    assert_ne!(
        Catalog::prepare(&path("other.db")).unwrap().identity().unwrap(),
        identity
    );
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

#[test]
fn catalog_names_near_another_are_few_however_many_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::prepare(&dir.path().join("catalog.db")).unwrap();
    let insert = "INSERT INTO groups (uuid, name, primary_location, created_at) VALUES ('g', 'default', 'ams', '');
        WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5000)
        INSERT INTO databases (id, name, group_uuid, primary_location, created_at)
        SELECT x, printf('app%04d', x), 'g', 'ams', '' FROM n";
    for statement in insert.split(';') {
        catalog.execute(statement, []).unwrap();
    }
    let near = catalog.database_names_near(&"app2500x".parse().unwrap()).unwrap();
    assert_eq!(near.len(), 1000);
    assert!(near.contains(&"app2500".to_owned()) && near.contains(&"app2501".to_owned()));
    assert!(!near.contains(&"app0001".to_owned()));
}

#[test]
fn catalog_locations_in_use_are_those_of_groups_and_databases() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::prepare(&dir.path().join("catalog.db")).unwrap();
    assert!(catalog.locations_in_use().unwrap().is_empty());
    let insert = "INSERT INTO groups (uuid, name, primary_location, created_at) VALUES ('g', 'default', 'ams', '');
        INSERT INTO group_locations VALUES ('g', 'fra');
        INSERT INTO databases (id, name, group_uuid, primary_location, created_at)
        VALUES (1, 'a', 'g', 'lhr', ''), (2, 'b', 'g', 'lhr', ''), (3, 'c', 'g', 'iad', '');
        INSERT INTO database_locations VALUES (1, 'syd'), (2, 'nrt'), (3, 'syd');
        INSERT INTO doomed VALUES ('4', 'gru');
        INSERT INTO former_instances (database_id, location, epoch, pool, role, is_kept)
        VALUES ('0191f2c4-0000-7000-8000-000000000001', 'sin', 1, 'p', 'replica', 0),
            ('0191f2c4-0000-7000-8000-000000000001', 'waw', 1, 'p', 'primary', 1)";
    for statement in insert.split(';') {
        catalog.execute(statement, []).unwrap();
    }
    let codes: Vec<String> = catalog
        .locations_in_use()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(codes, ["ams", "fra", "gru", "iad", "lhr", "nrt", "sin", "syd"]);
    // A former primary that is away is waited for until its location goes.
    assert_eq!(catalog.all_former_instances().unwrap().len(), 2);
    catalog.delete_retained_instances(&"waw".parse().unwrap()).unwrap();
    assert_eq!(catalog.all_former_instances().unwrap().len(), 1);
}
