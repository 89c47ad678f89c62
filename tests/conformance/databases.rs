//! Databases.

use super::{Check, Subject, at, create, db, refused, request, rows, write};
use torso::control::types::{ConfigurationPatch, CreateDatabase, DatabaseFilter, Role, Seed};
use torso::error::Code;

pub const CHECKS: &[Check] = &[
    ("an empty plane", empty),
    ("database life", life),
    ("renaming", renaming),
    ("configuration", configuration),
    ("blocks", blocks),
    ("branches", branches),
    ("uploads", uploads),
    ("uploads are moved", uploads_are_moved),
    ("filters", filters),
];

fn empty(world: &dyn Subject) {
    let plane = world.plane();
    assert_eq!(plane.list_databases(&DatabaseFilter::default()).unwrap(), []);
    for missing in ["app", "default"] {
        refused(plane.get_database(&db(missing)), Code::DatabaseNotFound, missing);
        refused(plane.get_configuration(&db(missing)), Code::DatabaseNotFound, missing);
        refused(plane.list_instances(&db(missing)), Code::DatabaseNotFound, missing);
        refused(plane.connection(&db(missing), None), Code::DatabaseNotFound, missing);
        refused(plane.delete_database(&db(missing)), Code::DatabaseNotFound, missing);
        refused(plane.sync_database(&db(missing), None), Code::DatabaseNotFound, missing);
        refused(
            plane.add_instance(&db(missing), &at("ams")),
            Code::DatabaseNotFound,
            missing,
        );
        refused(
            plane.remove_instance(&db(missing), &at("ams")),
            Code::DatabaseNotFound,
            missing,
        );
        refused(
            plane.promote_instance(&db(missing), &at("ams")),
            Code::DatabaseNotFound,
            missing,
        );
        refused(
            plane.rename_database(&db(missing), &db("b")),
            Code::DatabaseNotFound,
            missing,
        );
        refused(
            plane.update_configuration(&db(missing), &ConfigurationPatch::default()),
            Code::DatabaseNotFound,
            missing,
        );
    }
}

fn life(world: &dyn Subject) {
    let plane = world.plane();
    let made = create(&*plane, "app", "ams");
    assert_eq!(made.locations, [at("ams")]);
    assert!(made.created_at.is_some() && made.parent.is_none());
    assert_eq!(world.plane().get_database(&db("app")).unwrap(), made);
    assert_eq!(
        world.plane().list_databases(&DatabaseFilter::default()).unwrap(),
        std::slice::from_ref(&made)
    );
    let connection = plane.connection(&db("app"), None).unwrap();
    assert_eq!(
        (connection.role, connection.read_only, connection.size_limit),
        (Role::Primary, false, None)
    );
    write(world, "app", "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    assert_eq!(rows(world, "app", "ams"), 1);
    refused(plane.create_database(&request("app")), Code::DatabaseExists, "app");
    let lost = CreateDatabase {
        location: Some(at("nowhere")),
        ..request("lost")
    };
    refused(plane.create_database(&lost), Code::LocationNotFound, "nowhere");
    refused(plane.get_database(&db("lost")), Code::DatabaseNotFound, "lost");
    refused(plane.get_database(&db("ap")), Code::DatabaseNotFound, "ap");
    assert!(
        plane
            .get_database(&db("ap"))
            .unwrap_err()
            .hint_text()
            .unwrap()
            .contains("did you mean app?")
    );
    plane.delete_database(&db("app")).unwrap();
    refused(plane.connection(&db("app"), None), Code::DatabaseNotFound, "app");
    let again = create(&*plane, "app", "ams");
    assert_ne!(again.id, made.id);
    let connection = plane.connection(&db("app"), None).unwrap();
    assert_eq!(world.number(&connection, "SELECT count(*) FROM sqlite_schema"), 0);
}

fn renaming(world: &dyn Subject) {
    let plane = world.plane();
    let made = create(&*plane, "app", "ams");
    create(&*plane, "other", "ams");
    write(world, "app", "CREATE TABLE t (x)");
    let renamed = plane.rename_database(&db("app"), &db("web")).unwrap();
    assert_eq!((renamed.id, renamed.name.clone()), (made.id, db("web")));
    refused(plane.get_database(&db("app")), Code::DatabaseNotFound, "app");
    assert_eq!(rows(world, "web", "ams"), 0);
    refused(
        plane.rename_database(&db("web"), &db("other")),
        Code::DatabaseExists,
        "other",
    );
    assert_eq!(plane.rename_database(&db("web"), &db("web")).unwrap().name, db("web"));
}

fn configuration(world: &dyn Subject) {
    let plane = world.plane();
    plane
        .create_database(&CreateDatabase {
            size_limit: Some("65536".to_owned()),
            ..request("app")
        })
        .unwrap();
    let before = plane.get_configuration(&db("app")).unwrap();
    assert_eq!(before.size_limit, "65536");
    assert!(!before.allow_attach && !before.block_reads && !before.block_writes && !before.delete_protection);
    assert_eq!(plane.connection(&db("app"), None).unwrap().size_limit, Some(65536));
    let patch = ConfigurationPatch {
        delete_protection: Some(true),
        ..ConfigurationPatch::default()
    };
    let after = plane.update_configuration(&db("app"), &patch).unwrap();
    assert!(after.delete_protection);
    assert_eq!(after.size_limit, "65536");
    assert_eq!(world.plane().get_configuration(&db("app")).unwrap(), after);
    assert!(plane.connection(&db("app"), None).unwrap().delete_protection);
    refused(plane.delete_database(&db("app")), Code::DeleteProtected, "app");
    let attach = ConfigurationPatch {
        allow_attach: Some(true),
        ..ConfigurationPatch::default()
    };
    refused(
        plane.update_configuration(&db("app"), &attach),
        Code::Unsupported,
        "attached",
    );
    assert_eq!(plane.get_configuration(&db("app")).unwrap(), after);
    for size in ["64 bananas", "-1", "", "99999999999999999999"] {
        let patch = ConfigurationPatch {
            size_limit: Some(size.to_owned()),
            ..ConfigurationPatch::default()
        };
        refused(plane.update_configuration(&db("app"), &patch), Code::InvalidValue, size);
    }
    let units = ConfigurationPatch {
        size_limit: Some("64mb".to_owned()),
        ..ConfigurationPatch::default()
    };
    let after = plane.update_configuration(&db("app"), &units).unwrap();
    assert_eq!(after.size_limit, "67108864");
    let none = ConfigurationPatch {
        size_limit: Some("0".to_owned()),
        ..ConfigurationPatch::default()
    };
    plane.update_configuration(&db("app"), &none).unwrap();
    assert_eq!(plane.connection(&db("app"), None).unwrap().size_limit, None);
}

fn blocks(world: &dyn Subject) {
    let plane = world.plane();
    create(&*plane, "app", "ams");
    let set = |reads: bool, writes: bool| {
        let patch = ConfigurationPatch {
            block_reads: Some(reads),
            block_writes: Some(writes),
            ..ConfigurationPatch::default()
        };
        plane.update_configuration(&db("app"), &patch).unwrap();
    };
    set(false, true);
    let connection = plane.connection(&db("app"), None).unwrap();
    assert!(connection.read_only && connection.read_only_reason.unwrap().contains("block-writes"));
    set(true, false);
    refused(plane.connection(&db("app"), None), Code::Blocked, "app");
    set(false, false);
    assert!(!plane.connection(&db("app"), None).unwrap().read_only);
}

fn branches(world: &dyn Subject) {
    let plane = world.plane();
    let parent = create(&*plane, "app", "ams");
    write(world, "app", "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    let seed = Some(Seed::Database { name: db("app") });
    let branch = plane
        .create_database(&CreateDatabase {
            seed: seed.clone(),
            ..request("branch")
        })
        .unwrap();
    assert_eq!(branch.parent.clone().unwrap().id, parent.id);
    write(world, "branch", "INSERT INTO t VALUES (2)");
    assert_eq!((rows(world, "app", "ams"), rows(world, "branch", "ams")), (1, 2));
    refused(
        plane.create_database(&CreateDatabase {
            seed,
            ..request("branch")
        }),
        Code::DatabaseExists,
        "branch",
    );
    let unknown = Some(Seed::Database { name: db("none") });
    refused(
        plane.create_database(&CreateDatabase {
            seed: unknown,
            ..request("b")
        }),
        Code::DatabaseNotFound,
        "none",
    );
    let of_app = DatabaseFilter {
        parent: Some(parent.id),
        ..DatabaseFilter::default()
    };
    assert_eq!(plane.list_databases(&of_app).unwrap().len(), 1);
    plane.rename_database(&db("app"), &db("web")).unwrap();
    assert_eq!(
        plane.get_database(&db("branch")).unwrap().parent.unwrap().name,
        db("web")
    );
    plane.delete_database(&db("web")).unwrap();
    assert_eq!(rows(world, "branch", "ams"), 2);
}

/// A file is moved, and so it must be one that the plane gave out a place for.
fn uploads_are_moved(world: &dyn Subject) {
    let plane = world.plane();
    let staging = plane.staging().unwrap();
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    let request = |path: &std::path::Path| CreateDatabase {
        seed: Some(Seed::DatabaseUpload { path: path.to_owned() }),
        location: Some(at("ams")),
        ..request("app")
    };
    for path in [elsewhere.path(), &staging.path] {
        rusqlite::Connection::open(path)
            .unwrap()
            .execute_batch("CREATE TABLE t (x)")
            .unwrap();
    }
    refused(
        plane.create_database(&request(elsewhere.path())),
        Code::InvalidFile,
        "staging",
    );
    assert!(elsewhere.path().exists());
    plane.create_database(&request(&staging.path)).unwrap();
    assert!(!staging.path.exists());
}

fn uploads(world: &dyn Subject) {
    let plane = world.plane();
    let staging = plane.staging().unwrap();
    let upload = |path: &std::path::Path| CreateDatabase {
        seed: Some(Seed::DatabaseUpload { path: path.to_owned() }),
        location: Some(at("ams")),
        ..request("app")
    };
    std::fs::write(&staging.path, "not a database").unwrap();
    refused(
        plane.create_database(&upload(&staging.path)),
        Code::InvalidFile,
        "not a SQLite database",
    );
    std::fs::remove_file(&staging.path).unwrap();
    rusqlite::Connection::open(&staging.path)
        .unwrap()
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)")
        .unwrap();
    let small = CreateDatabase {
        size_limit: Some("4096".to_owned()),
        ..upload(&staging.path)
    };
    refused(plane.create_database(&small), Code::SizeLimit, "app");
    let made = plane.create_database(&upload(&staging.path)).unwrap();
    assert!(made.parent.is_none());
    assert_eq!(rows(world, "app", "ams"), 2);
    write(world, "app", "INSERT INTO t VALUES (3)");
    let unused = plane.staging().unwrap();
    std::fs::write(&unused.path, "left over").unwrap();
    let path = unused.path.clone();
    drop(unused);
    assert!(!path.exists());
}

fn filters(world: &dyn Subject) {
    let plane = world.plane();
    for (name, location) in [("c", "ams"), ("a", "lhr"), ("b", "ams")] {
        create(&*plane, name, location);
    }
    plane.add_instance(&db("a"), &at("ams")).unwrap();
    let names = |filter: DatabaseFilter| -> Vec<String> {
        plane
            .list_databases(&filter)
            .unwrap()
            .iter()
            .map(|database| database.name.to_string())
            .collect()
    };
    assert_eq!(names(DatabaseFilter::default()), ["a", "b", "c"]);
    assert_eq!(
        names(DatabaseFilter {
            location: Some(at("ams")),
            ..DatabaseFilter::default()
        }),
        ["a", "b", "c"]
    );
    assert_eq!(
        names(DatabaseFilter {
            location: Some(at("lhr")),
            ..DatabaseFilter::default()
        }),
        ["a"]
    );
}
