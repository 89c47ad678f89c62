//! Databases that applications have open, and what stays of a database when its content is replaced or its primary moves.

use crate::support::{Run, World, crate_root, installed, redact};
use rusqlite::Connection;

/// A world with `app` (one row) and `other` (two), of which `app` has a replica at lhr.
fn world() -> World {
    let world = World::with_app("create table t (x); insert into t values (1)");
    world.ok(["db", "replicate", "app", "lhr"]);
    world.ok(["db", "create", "other", "--location", "ams"]);
    world.ok([
        "db",
        "shell",
        "other",
        "create table t (x); insert into t values (1), (2)",
    ]);
    world
}

/// An application with a database open.
fn open(world: &World, name: &str) -> Connection {
    let path = world.ok(["db", "show", name, "--path"]);
    let connection = Connection::open(path.trim()).unwrap();
    let count: i64 = connection
        .query_row("select count(*) from t", [], |row| row.get(0))
        .unwrap();
    assert!(count > 0);
    connection
}

#[test]
fn destroy_of_a_database_in_use_is_refused() {
    let world = world();
    let application = open(&world, "app");
    let mut reports = String::new();
    for destroy in [["db", "destroy", "app"], ["group", "destroy", "default"]] {
        let refused = world.torso(destroy.iter().chain(&["--yes", "--json"]));
        reports += &redact::report(&world, &refused.fails(7, "database_busy"));
    }
    insta::assert_snapshot!(reports, @r#"
    $ torso db destroy app --yes --json
    -- stderr --
    {"error":{"code":"database_busy","message":"database app is open in another program: another program holds [world]/data/locations/ams/[id].db: database is locked","hint":"close the applications that have it open, then try again","retryable":true}}
    -- exit 7 --
    $ torso group destroy default --yes --json
    -- stderr --
    {"error":{"code":"database_busy","message":"database app is open in another program: another program holds [world]/data/locations/ams/[id].db: database is locked","hint":"close the applications that have it open, then try again","retryable":true}}
    -- exit 7 --
    "#);
    application.execute("insert into t values (2)", []).unwrap();
    drop(application);
    assert_eq!(world.query("app", "select count(*) from t"), "2");
    world.ok(["db", "destroy", "app", "--yes"]);
    assert_eq!(world.databases(), ["other"]);
}

#[test]
fn copy_over_a_database_in_use_is_refused() {
    let world = world();
    world.ok(["db", "config", "set", "app", "size-limit", "64mb"]);
    let before = world.json(["db", "show", "app"]);
    let application = open(&world, "app");
    let overwrite = ["db", "copy", "other", "app", "--overwrite", "--yes", "--json"];
    world.torso(overwrite).fails(7, "database_busy");
    assert_eq!(world.query("app", "select count(*) from t"), "1");
    drop(application);
    let copied = world.torso(overwrite).success().json();
    assert_eq!((&copied["copied"], &copied["replaced"]), (&true.into(), &true.into()));
    let after = world.json(["db", "show", "app"]);
    for key in ["DbId", "url", "regions", "configuration", "group"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    assert_eq!(world.query("app", "select count(*) from t"), "2");
    let at_replica = world.ok(["db", "shell", "app", "--location", "lhr", "select count(*) from t"]);
    assert_eq!(at_replica.trim(), "2");
    assert_eq!(world.databases(), ["app", "other"]);
    // What is larger than the limit leaves what was there.
    world.ok(["db", "config", "set", "app", "size-limit", "8kb"]);
    world.ok(["db", "shell", "other", "insert into t values (zeroblob(100000))"]);
    world.torso(overwrite).fails(5, "size_limit");
    assert_eq!(world.query("app", "select count(*) from t"), "2");
}

/// Runs SQL through a path that an application has stored.
fn run(path: &str, sql: &str) -> rusqlite::Result<()> {
    Connection::open(path).unwrap().execute_batch(sql)
}

#[test]
fn promotion_on_files_keeps_the_url_and_makes_the_former_read_only() {
    let world = world();
    let url = world.ok(["db", "show", "app", "--url"]);
    let path = world.ok(["db", "show", "app", "--path"]);
    let former = world.ok(["db", "show", "app", "--instance-url", "ams"]);
    assert_ne!(url, former);
    let promoted = world.json(["db", "promote", "app", "lhr"]);
    assert_eq!(promoted["url"], url.trim());
    assert_eq!(world.ok(["db", "show", "app", "--url"]), url);
    assert_eq!(world.ok(["db", "show", "app", "--path"]), path);
    run(path.trim(), "insert into t values (2)").unwrap();
    assert_eq!(world.query("app", "select count(*) from t"), "2");
    assert_eq!(
        world.ok(["db", "shell", "app", "-nofollow", "select count(*) from t"]),
        "2\n"
    );
    // Also for a superuser, whom the mode of the file does not stop.
    let refused = run(former.trim().trim_start_matches("file:"), "insert into t values (3)");
    assert!(refused.unwrap_err().to_string().contains("readonly"));
    world.ok(["db", "sync", "app"]);
    let at_former = ["db", "shell", "app", "--location", "ams", "select count(*) from t"];
    assert_eq!(world.ok(at_former).trim(), "2");
    assert!(world.ok(["doctor"]).lines().all(|line| !line.contains("warning")));
    world.ok(["db", "destroy", "app", "--yes"]);
    assert!(!std::path::Path::new(path.trim()).is_symlink());
}

/// Every client that opens files follows the link, and shares the write-ahead log with whoever opened the file itself.
#[test]
fn clients_share_a_file_through_the_url_that_stays() {
    let world = World::with_app("create table t (x); insert into t values (1)");
    let path = world.ok(["db", "show", "app", "--path"]);
    let path = path.trim();
    let file = world.ok(["db", "show", "app", "--instance-url", "ams"]);
    let direct = Connection::open(file.trim().trim_start_matches("file:")).unwrap();
    direct
        .execute_batch("pragma wal_autocheckpoint = 0; insert into t values (2)")
        .unwrap();
    let insert = "insert into t values (3)";
    let python = format!("import sqlite3; c = sqlite3.connect({path:?}); c.execute({insert:?}); c.commit()");
    let libsql = format!("import libsql; c = libsql.connect({path:?}); c.execute({insert:?}); c.commit()");
    let run = |program: &std::path::Path, args: [&str; 2], folder: &std::path::Path| {
        let mut command = world.command(program);
        command.args(args).current_dir(folder);
        Run::of(command).success();
    };
    let work = world.work();
    run("python3".as_ref(), ["-c", &python], &work);
    run(&installed::python(), ["-c", &libsql], &work);
    run("sqlite3".as_ref(), [path, insert], &work);
    let node = format!(
        "const {{ createClient }} = require('@libsql/client');
         createClient({{ url: 'file:{path}' }}).execute({insert:?}).then(() => process.exit(0));"
    );
    run("node".as_ref(), ["-e", &node], installed::npm());
    let rows: i64 = direct
        .query_row("select count(*) from t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 6);
    let beside = std::fs::read_dir(world.data_dir().join("databases")).unwrap();
    assert_eq!(beside.count(), 1, "a log beside the link");
}

/// Makes a catalog one of an earlier version: with the schema of its first migrations, and the rows that fit it.
fn make_earlier(catalog: &std::path::Path, version: u32) {
    let migrations = crate_root().join("src/control/embedded/catalog/migrations");
    let earlier = catalog.with_extension("earlier");
    let connection = Connection::open(&earlier).unwrap();
    for step in 1..=version {
        let sql = std::fs::read_to_string(migrations.join(format!("{step:04}.sql"))).unwrap();
        connection.execute_batch(&sql).unwrap();
    }
    connection
        .execute("attach ?1 as now", [catalog.to_str().unwrap()])
        .unwrap();
    let list = |sql: &str, name: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let names = statement.query_map([name], |row| row.get(0)).unwrap();
        names.map(Result::unwrap).collect()
    };
    for table in list(
        "select name from sqlite_schema where type = ?1 and name not like 'sqlite_%'",
        "table",
    ) {
        let columns = list(
            "select name from pragma_table_info(?1) intersect select name from pragma_table_info(?1, 'now')",
            &table,
        )
        .join(", ");
        let copy = format!("delete from {table}; insert into {table} ({columns}) select {columns} from now.{table}");
        connection.execute_batch(&copy).unwrap();
    }
    let id: i64 = connection
        .query_row("pragma now.application_id", [], |row| row.get(0))
        .unwrap();
    let marks = format!("pragma application_id = {id}; pragma user_version = {version}; detach now");
    connection.execute_batch(&marks).unwrap();
    drop(connection);
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", catalog.display()));
    }
    std::fs::rename(&earlier, catalog).unwrap();
}

#[test]
fn data_directory_of_an_earlier_torso_gets_urls_that_stay() {
    let world = world();
    let catalog = world.data_dir().join("catalog.db");
    let links = world.data_dir().join("databases");
    std::fs::remove_dir_all(&links).unwrap();
    make_earlier(&catalog, 2);
    let listed = world.json(["db", "list"]);
    for database in listed.as_array().unwrap() {
        let path = database["url"].as_str().unwrap().trim_start_matches("file:");
        assert!(std::path::Path::new(path).starts_with(&links), "{path}");
        run(path, "select * from t").unwrap();
    }
}

/// Writes to a replica beside torso's back, which refuses to refresh it then.
fn change_replica(world: &World) {
    let replicas = world.json(["db", "replicas", "app"]);
    let url = replicas[1]["url"].as_str().unwrap();
    let path = &url[url.find('/').unwrap()..];
    let mut mode = std::fs::metadata(path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o600);
    std::fs::set_permissions(path, mode).unwrap();
    // SQLite itself refuses to write to a replica until that is undone.
    torso::sqlite_header::unprotect(std::path::Path::new(path)).unwrap();
    let replica = Connection::open(path).unwrap();
    replica.execute_batch("insert into t values ('nobody asked')").unwrap();
}

#[test]
fn write_whose_replica_cannot_be_refreshed_exits_0_and_warns() {
    let world = world();
    change_replica(&world);
    let run = world.torso(["db", "shell", "app", "insert into t values (5); select 'kept'"]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db shell app "insert into t values (5); select 'kept'"
    kept
    -- stderr --
    warning: while refreshing the replicas of database app: a program other than torso had changed the replica of app in lhr; it is up to date again (the changed file is now [world]/data/locations/lhr/[id].diverged-[time].db: look at it with torso db shell, then delete it)
    -- exit 0 --
    "#);
    // A statement that fails decides as well.
    let run = world.torso([
        "db",
        "shell",
        "app",
        "insert into t values (6); insert into nothing values (1)",
    ]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db shell app "insert into t values (6); insert into nothing values (1)"
    -- stderr --
    Error: in prepare, near "nothing": syntax error
      insert into nothing values (1)
                  ^--- error here
    -- exit 1 --
    "#);
    assert_eq!(world.query("app", "select count(*) from t"), "3");

    change_replica(&world);
    world.write("more.csv", "x\n7\n");
    let run = world.torso(["db", "import", "more.csv", "app", "--table", "t", "--json"]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db import more.csv app --table t --json
    {
      "database": "app",
      "created": false,
      "table": "t",
      "rows": 1,
      "table_created": false,
      "columns": [
        {
          "name": "x",
          "type": "INTEGER"
        }
      ],
      "location_source": null,
      "location_reason": null,
      "Name": "app",
      "DbId": "[id]",
      "Hostname": "",
      "url": "file:[world]/data/databases/[id].db",
      "group": "default",
      "primaryRegion": "ams",
      "regions": [
        "ams",
        "lhr"
      ],
      "block_reads": false,
      "block_writes": false,
      "delete_protection": false,
      "parent": null,
      "created_at": "[time]",
      "size_bytes": 8192
    }
    -- stderr --
    warning: while refreshing the replicas of database app: a program other than torso had changed the replica of app in lhr; it is up to date again (the changed file is now [world]/data/locations/lhr/[id].diverged-[time].db: look at it with torso db shell, then delete it)
    -- exit 0 --
    "#);

    change_replica(&world);
    let run = world.torso(["db", "copy", "other", "app", "--overwrite", "--yes", "--json"]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db copy other app --overwrite --yes --json
    {
      "source": {
        "context": "local",
        "name": "other"
      },
      "copy": {
        "context": "local",
        "name": "app"
      },
      "copied": true,
      "replaced": true,
      "database": {
        "Name": "app",
        "DbId": "[id]",
        "Hostname": "",
        "url": "file:[world]/data/databases/[id].db",
        "group": "default",
        "primaryRegion": "ams",
        "regions": [
          "ams",
          "lhr"
        ],
        "block_reads": false,
        "block_writes": false,
        "delete_protection": false,
        "parent": null,
        "created_at": "[time]",
        "size_bytes": 8192
      },
      "tables": 1,
      "rows": 2,
      "content_hash": "e8d4db9737de0f661af1700267f9243f9ead775850d1a31623b2af065e08f5f0"
    }
    -- stderr --
    warning: while refreshing the replicas of database app: a program other than torso had changed the replica of app in lhr; it is up to date again (the changed file is now [world]/data/locations/lhr/[id].diverged-[time].db: look at it with torso db shell, then delete it)
    -- exit 0 --
    "#);
    assert_eq!(world.query("app", "select count(*) from t"), "2");
}
