use super::*;
use crate::control::types::{CreateDatabase, Seed};
use crate::error::Code;

fn name(text: &str) -> DatabaseName {
    text.parse().unwrap()
}

fn code(text: &str) -> LocationCode {
    text.parse().unwrap()
}

fn request(text: &str) -> CreateDatabase {
    CreateDatabase {
        name: name(text),
        group: None,
        location: None,
        seed: None,
        size_limit: None,
    }
}

#[test]
fn reading_an_empty_home_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("torso");
    let plane = Embedded::open(&data).unwrap();
    assert!(plane.list_databases(&DatabaseFilter::default()).unwrap().is_empty());
    assert!(plane.list_groups().unwrap().is_empty());
    assert_eq!(
        plane.get_database(&name("app")).unwrap_err().code(),
        Code::DatabaseNotFound
    );
    assert!(plane.list_locations().unwrap().len() > 30);
    assert!(!data.exists());
}

#[test]
fn create_list_destroy() {
    let dir = tempfile::tempdir().unwrap();
    let plane = Embedded::open(dir.path()).unwrap();
    let made = plane
        .create_database(&CreateDatabase {
            location: Some(code("ams")),
            ..request("app")
        })
        .unwrap();
    assert_eq!(made.primary, code("ams"));
    assert_eq!(made.group.as_str(), "default");
    assert_eq!(made.size_bytes, Some(4096));
    let path = dir.path().join("locations/ams").join(format!("{}.db", made.id));
    let conn = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(
        conn.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))
            .unwrap(),
        "wal"
    );
    conn.execute_batch("create table t(x); insert into t values (1)")
        .unwrap();
    drop(conn);
    let again = Embedded::open(dir.path()).unwrap();
    assert_eq!(again.list_databases(&DatabaseFilter::default()).unwrap().len(), 1);
    assert_eq!(
        again.create_database(&request("app")).unwrap_err().code(),
        Code::DatabaseExists
    );
    again.delete_database(&name("app")).unwrap();
    assert!(!path.exists());
    assert!(!again.read().unwrap().unwrap().catalog.has_work().unwrap());
    let second = again.create_database(&request("app")).unwrap();
    assert_ne!(second.id, made.id);
}

#[test]
fn replicate_write_sync_promote() {
    let dir = tempfile::tempdir().unwrap();
    let plane = Embedded::open(dir.path()).unwrap();
    let app = name("app");
    plane
        .create_database(&CreateDatabase {
            location: Some(code("ams")),
            ..request("app")
        })
        .unwrap();
    let path = |location: &str| {
        let id = plane.get_database(&app).unwrap().id;
        dir.path().join("locations").join(location).join(format!("{id}.db"))
    };
    let write = |location: &str, sql: &str| {
        rusqlite::Connection::open(path(location))
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    };
    write("ams", "create table t(x); insert into t values (1)");
    let replica = plane.add_instance(&app, &code("lhr")).unwrap();
    assert_eq!(replica.lag_ms, Some(0));
    write("ams", "insert into t values (2)");
    assert_eq!(
        plane.list_instances(&app).unwrap()[1].state,
        crate::control::types::InstanceState::Behind
    );
    let synced = plane.sync_database(&app, None).unwrap();
    assert!(synced[0].changed);
    assert!(!plane.sync_database(&app, None).unwrap()[0].changed);
    write("ams", "insert into t values (3)");
    let open = rusqlite::Connection::open(path("ams")).unwrap();
    open.query_row("select count(*) from t", [], |row| row.get::<_, i64>(0))
        .unwrap();
    assert_eq!(
        plane.promote_instance(&app, &code("lhr")).unwrap_err().code(),
        Code::DatabaseBusy
    );
    drop(open);
    let promoted = plane.promote_instance(&app, &code("lhr")).unwrap();
    assert_eq!(promoted.locations, [code("lhr"), code("ams")]);
    let count = |location: &str| {
        let conn = rusqlite::Connection::open(path(location)).unwrap();
        conn.query_row("select count(*) from t", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!((count("lhr"), count("ams")), (3, 3));
    write("lhr", "insert into t values (4)");
    plane.sync_database(&app, None).unwrap();
    assert_eq!(count("ams"), 4);
    plane.remove_instance(&app, &code("ams")).unwrap();
    assert!(!path("ams").exists());
}

#[test]
fn a_branch_and_an_upload() {
    let dir = tempfile::tempdir().unwrap();
    let plane = Embedded::open(dir.path()).unwrap();
    plane.create_database(&request("app")).unwrap();
    let branch = CreateDatabase {
        seed: Some(Seed::Database { name: name("app") }),
        ..request("branch")
    };
    let branch = plane.create_database(&branch).unwrap();
    assert_eq!(branch.parent.unwrap().name, name("app"));
    let staging = plane.staging().unwrap();
    rusqlite::Connection::open(&staging.path)
        .unwrap()
        .execute_batch("create table t(x)")
        .unwrap();
    let upload = CreateDatabase {
        seed: Some(Seed::DatabaseUpload {
            path: staging.path.clone(),
        }),
        ..request("up")
    };
    assert_eq!(plane.create_database(&upload).unwrap().size_bytes, Some(8192));
}
