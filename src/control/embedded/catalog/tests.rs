//! Tests of the catalog: its schema, its migrations, its transactions.

use super::*;

/// The schema as SQLite holds it, without comments and differences of white space.
fn schema_of(conn: &Connection) -> Vec<(String, String, String)> {
    let mut statement = conn
        .prepare("SELECT type, name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)))
        .unwrap();
    rows.map(|row| {
        let (kind, name, sql): (String, String, String) = row.unwrap();
        let code: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap_or("")).collect();
        let words: Vec<&str> = code.iter().flat_map(|line| line.split_whitespace()).collect();
        (kind, name, words.join(" "))
    })
    .collect()
}

#[test]
fn migrations_lead_to_the_schema() {
    let stepped = Connection::open_in_memory().unwrap();
    for step in MIGRATIONS {
        stepped.execute_batch(step).unwrap();
    }
    let written = Connection::open_in_memory().unwrap();
    written.execute_batch(include_str!("../schema.sql")).unwrap();
    let schema = schema_of(&written);
    assert!(
        schema
            .iter()
            .any(|(_, name, sql)| name == "databases" && sql.contains("origin TEXT CHECK"))
    );
    assert_eq!(schema_of(&stepped), schema);
}

#[test]
fn migrations_are_numbered_without_gaps() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/control/embedded/migrations");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected: Vec<String> = (1..=MIGRATIONS.len()).map(|step| format!("{step:04}.sql")).collect();
    assert_eq!(names, expected);
}

#[test]
fn a_newer_catalog_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    Catalog::prepare(&path).unwrap().pragma("user_version", 1_000).unwrap();
    let error = Catalog::open(&path).err().unwrap();
    assert_eq!(error.code(), Code::CatalogTooNew);
}

#[test]
fn a_file_that_is_no_catalog_is_named() {
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
fn an_unfinished_catalog_counts_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    assert!(Catalog::open(&path).unwrap().is_none());
    std::fs::write(&path, "").unwrap();
    assert!(Catalog::open(&path).unwrap().is_none());
    Catalog::prepare(&path).unwrap();
    assert!(Catalog::open(&path).unwrap().is_some());
}

#[test]
fn a_failed_change_leaves_nothing() {
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
fn the_linked_sqlite_has_the_wal_reset_fix() {
    let (version, sound) = linked_sqlite();
    assert!(sound, "{version}");
}
