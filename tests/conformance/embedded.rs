//! The embedded plane through the suite, and what only files can show: applications that hold them, damage, and disks
//! that are away.

use super::{Subject, at, conformance, create, db, refused, request, write};
use rusqlite::OpenFlags;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use torso::control::embedded::Embedded;
use torso::control::findings::Severity;
use torso::control::types::{Connection, CreateDatabase, DatabaseFilter, InstanceState, NewLocation};
use torso::control::{ControlPlane, LocationOperations as _};
use torso::error::Code;

struct Files {
    dir: TempDir,
}

impl Files {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn data(&self) -> PathBuf {
        // A path that needs escaping in a URL.
        self.dir.path().join("my data #1%?")
    }
}

fn open(to: &Connection) -> rusqlite::Connection {
    let mode = if to.read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    rusqlite::Connection::open_with_flags(to.url.as_str(), mode | OpenFlags::SQLITE_OPEN_URI).unwrap()
}

impl Subject for Files {
    fn plane(&self) -> Box<dyn ControlPlane> {
        Box::new(Embedded::open(&self.data()).unwrap())
    }

    fn execute(&self, to: &Connection, sql: &str) {
        open(to).execute_batch(sql).unwrap();
    }

    fn number(&self, to: &Connection, sql: &str) -> i64 {
        open(to).query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

/// The file of a database's instance below the data directory.
fn file(world: &Files, name: &str, location: &str) -> PathBuf {
    let id = world.plane().get_database(&db(name)).unwrap().id;
    world.data().join("locations").join(location).join(format!("{id}.db"))
}

fn findings(world: &Files, fix: bool) -> Vec<(String, Severity)> {
    let found = world.plane().check(fix).unwrap();
    found
        .into_iter()
        .filter(|one| one.severity > Severity::Ok)
        .map(|one| (one.code, one.severity))
        .collect()
}

fn codes(world: &Files) -> Vec<String> {
    findings(world, false).into_iter().map(|(code, _)| code).collect()
}

#[test]
fn control_plane_of_files_conforms() {
    conformance(Files::new, &[]);
}

#[test]
fn read_commands_create_nothing() {
    let world = Files::new();
    world.plane().list_databases(&DatabaseFilter::default()).unwrap();
    world.plane().check(true).unwrap();
    assert!(!world.data().exists());
}

#[test]
fn primary_that_an_application_has_open_stays() {
    let world = Files::new();
    let plane = world.plane();
    create(&*plane, "app", "ams");
    write(&world, "app", "CREATE TABLE t (x)");
    plane.add_instance(&db("app"), &at("lhr")).unwrap();
    let application = open(&plane.connection(&db("app"), None).unwrap());
    application.execute_batch("INSERT INTO t VALUES (1)").unwrap();
    refused(
        plane.promote_instance(&db("app"), &at("lhr")),
        Code::DatabaseBusy,
        ".db",
    );
    assert_eq!(plane.get_database(&db("app")).unwrap().primary, at("ams"));
    application.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    drop(application);
    plane.promote_instance(&db("app"), &at("lhr")).unwrap();
    assert_eq!(super::rows(&world, "app", "lhr"), 2);
}

#[test]
fn write_of_an_application_that_missed_a_promotion_fails() {
    let world = Files::new();
    let plane = world.plane();
    create(&*plane, "app", "ams");
    write(&world, "app", "CREATE TABLE t (x)");
    plane.add_instance(&db("app"), &at("lhr")).unwrap();
    // Opened, and nothing read yet: nobody can tell that it is there.
    let sleeper = open(&plane.connection(&db("app"), None).unwrap());
    plane.promote_instance(&db("app"), &at("lhr")).unwrap();
    assert!(sleeper.execute_batch("INSERT INTO t VALUES (1)").is_err());
}

#[test]
fn replica_changed_by_others_is_kept() {
    let world = Files::new();
    let plane = world.plane();
    create(&*plane, "app", "ams");
    write(&world, "app", "CREATE TABLE t (x)");
    plane.add_instance(&db("app"), &at("lhr")).unwrap();
    let replica = file(&world, "app", "lhr");
    let mut permissions = std::fs::metadata(&replica).unwrap().permissions();
    #[allow(clippy::permissions_set_readonly_false)]
    permissions.set_readonly(false);
    std::fs::set_permissions(&replica, permissions).unwrap();
    // SQLite itself refuses to write to it until that is undone, too.
    torso::sqlite_header::unprotect(&replica).unwrap();
    rusqlite::Connection::open(&replica)
        .unwrap()
        .execute_batch("INSERT INTO t VALUES (7)")
        .unwrap();
    assert!(codes(&world).contains(&"altered_replica".to_owned()));
    refused(plane.sync_database(&db("app"), None), Code::Diverged, "lhr");
    plane.sync_database(&db("app"), None).unwrap();
    assert_eq!(super::rows(&world, "app", "lhr"), 0);
    let kept: Vec<PathBuf> = std::fs::read_dir(replica.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("diverged"))
        .collect();
    assert_eq!(kept.len(), 1);
    let kept = rusqlite::Connection::open(&kept[0]).unwrap();
    assert_eq!(
        kept.query_row("SELECT x FROM t", [], |row| row.get::<_, i64>(0))
            .unwrap(),
        7
    );
    assert_eq!(codes(&world), ["diverged_file"]);
}

#[test]
fn primary_that_is_missing_is_reported_and_not_replaced() {
    let world = Files::new();
    let plane = world.plane();
    create(&*plane, "app", "ams");
    write(&world, "app", "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    plane.add_instance(&db("app"), &at("lhr")).unwrap();
    let primary = file(&world, "app", "ams");
    let away = primary.with_extension("away");
    std::fs::rename(&primary, &away).unwrap();
    refused(plane.connection(&db("app"), None), Code::Unavailable, "app");
    refused(plane.sync_database(&db("app"), None), Code::Unavailable, "app");
    refused(plane.promote_instance(&db("app"), &at("lhr")), Code::Unavailable, "app");
    assert!(codes(&world).contains(&"missing_primary".to_owned()));
    assert_eq!(
        plane.list_instances(&db("app")).unwrap()[0].state,
        InstanceState::Missing
    );
    assert!(!primary.exists());
    assert_eq!(super::rows(&world, "app", "lhr"), 1);
    std::fs::rename(&away, &primary).unwrap();
    assert_eq!(super::rows(&world, "app", "ams"), 1);
}

fn other_disk(world: &Files, dir: &Path) {
    let new = NewLocation {
        code: at("disk"),
        description: "Another disk".to_owned(),
        dir: Some(dir.to_owned()),
        lat: None,
        lon: None,
    };
    world.plane().add_location(&new).unwrap();
}

#[test]
fn location_whose_disk_is_away_stops_only_its_own_databases() {
    let world = Files::new();
    let plane = world.plane();
    let (mounted, unmounted) = (world.dir.path().join("disk"), world.dir.path().join("gone"));
    other_disk(&world, &mounted);
    create(&*plane, "app", "ams");
    create(&*plane, "far", "disk");
    write(&world, "app", "CREATE TABLE t (x)");
    plane.add_instance(&db("app"), &at("disk")).unwrap();
    std::fs::rename(&mounted, &unmounted).unwrap();
    // A mount point whose disk is away is an empty directory.
    std::fs::create_dir(&mounted).unwrap();
    refused(plane.connection(&db("far"), None), Code::Unavailable, "disk");
    refused(plane.delete_database(&db("far")), Code::Partial, "far");
    write(&world, "app", "INSERT INTO t VALUES (1)");
    refused(plane.sync_database(&db("app"), None), Code::Unavailable, "disk");
    create(&*plane, "more", "ams");
    refused(
        plane.create_database(&CreateDatabase {
            location: Some(at("disk")),
            ..request("none")
        }),
        Code::Unavailable,
        "disk",
    );
    refused(plane.get_database(&db("none")), Code::DatabaseNotFound, "none");
    assert!(codes(&world).contains(&"pending_work".to_owned()));
    assert_eq!(std::fs::read_dir(&mounted).unwrap().count(), 0);
    std::fs::remove_dir(&mounted).unwrap();
    std::fs::rename(&unmounted, &mounted).unwrap();
    assert_eq!(super::rows(&world, "app", "disk"), 1);
    assert_eq!(codes(&world), Vec::<String>::new());
    let left: Vec<_> = std::fs::read_dir(&mounted)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(
        left.iter()
            .filter(|name| name.to_string_lossy().ends_with(".db"))
            .count(),
        1,
        "{left:?}"
    );
}

#[test]
fn location_directories_are_not_shared() {
    let world = Files::new();
    let dir = world.dir.path().join("disk");
    other_disk(&world, &dir);
    let new = |dir: &Path| NewLocation {
        code: at("again"),
        description: String::new(),
        dir: Some(dir.to_owned()),
        lat: None,
        lon: None,
    };
    refused(world.plane().add_location(&new(&dir)), Code::Conflict, "disk");
    refused(
        world.plane().add_location(&new(&world.data().join("locations/ams"))),
        Code::Conflict,
        "locations",
    );
    let foreign = Embedded::open(&world.dir.path().join("second")).unwrap();
    refused(foreign.add_location(&new(&dir)), Code::Conflict, "disk");
}

#[test]
fn catalog_that_is_damaged_is_reported() {
    let world = Files::new();
    create(&*world.plane(), "app", "ams");
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(world.data().join(format!("catalog.db{suffix}")));
    }
    std::fs::write(world.data().join("catalog.db"), "rubbish ".repeat(1000)).unwrap();
    refused(
        world.plane().list_databases(&DatabaseFilter::default()),
        Code::CatalogDamaged,
        "catalog.db",
    );
    refused(
        world.plane().create_database(&request("b")),
        Code::CatalogDamaged,
        "catalog.db",
    );
    assert!(codes(&world).contains(&"catalog_damaged".to_owned()));
}

#[test]
fn orphaned_files_are_reported_and_never_removed() {
    let world = Files::new();
    create(&*world.plane(), "app", "ams");
    let orphan = world
        .data()
        .join("locations/ams")
        .join("11111111-2222-4333-8444-555555555555.db");
    std::fs::write(&orphan, "whose is this?").unwrap();
    assert_eq!(codes(&world), ["orphan_file"]);
    assert_eq!(findings(&world, true), [("orphan_file".to_owned(), Severity::Warning)]);
    assert!(orphan.exists());
}

#[cfg(unix)]
#[test]
fn file_modes_are_private_whatever_the_umask_and_repaired() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = Files::new();
    let plane = world.plane();
    create(&*plane, "app", "ams");
    plane.add_instance(&db("app"), &at("lhr")).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.data()), 0o700);
    assert_eq!(mode(&world.data().join("locations/ams")), 0o700);
    assert_eq!(mode(&world.data().join("catalog.db")), 0o600);
    assert_eq!(mode(&file(&world, "app", "ams")), 0o600);
    assert_eq!(mode(&file(&world, "app", "lhr")), 0o400);
    let chmod = |mode: u32| std::fs::set_permissions(world.data(), std::fs::Permissions::from_mode(mode)).unwrap();
    // What `mkdir` makes with the usual umask: others see that there are databases, and get at none.
    chmod(0o755);
    assert!(codes(&world).is_empty());
    // Who may write there could put other files in their place.
    chmod(0o775);
    std::fs::set_permissions(file(&world, "app", "ams"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(codes(&world), ["file_mode", "file_mode"]);
    assert_eq!(findings(&world, true), []);
    assert_eq!((mode(&world.data()), mode(&file(&world, "app", "ams"))), (0o700, 0o600));
}

#[test]
fn doctor_refreshes_what_is_stale() {
    let world = Files::new();
    let plane = world.plane();
    create(&*plane, "app", "ams");
    write(&world, "app", "CREATE TABLE t (x)");
    plane.add_instance(&db("app"), &at("lhr")).unwrap();
    write(&world, "app", "INSERT INTO t VALUES (1)");
    assert_eq!(codes(&world), ["stale_replica"]);
    assert_eq!(findings(&world, true), []);
    assert_eq!(plane.list_instances(&db("app")).unwrap()[1].lag_ms, Some(0));
}
