//! What comes into databases and out of them: uploads in pieces, dumps, exports.

use super::{World, at, db, request, slug};
use std::io::Read as _;
use std::path::Path;
use torso::control::hosted::{Caller, Upload};
use torso::control::types::{CreateDatabase, Seed};
use torso::error::{Code, Result};

fn database(path: &Path, sql: &str) -> Vec<u8> {
    let _ = std::fs::remove_file(path);
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
    std::fs::read(path).unwrap()
}

fn put(world: &World, caller: &Caller, upload: &Upload, at: u64, bytes: &[u8]) -> Result<Upload> {
    world
        .hosted
        .put_chunk(caller, None, &upload.id, at, &mut &bytes[..], bytes.len() as u64)
}

fn sent(world: &World, caller: &Caller, bytes: &[u8]) -> Upload {
    let upload = world
        .hosted
        .begin_upload(caller, None, bytes.len() as u64, None)
        .unwrap();
    let done = put(world, caller, &upload, 0, bytes).unwrap();
    assert!(done.complete);
    done
}

fn seeded(name: &str, upload: &Upload) -> CreateDatabase {
    CreateDatabase {
        seed: Some(Seed::Upload { id: upload.id.clone() }),
        location: Some(at("ams")),
        ..request(name)
    }
}

/// The number that a query answers in a database whose URL is a file's.
fn number(url: &str, sql: &str) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_URI;
    rusqlite::Connection::open_with_flags(url, flags)
        .unwrap()
        .query_row(sql, [], |row| row.get(0))
        .unwrap()
}

#[test]
fn upload_comes_in_parts_and_is_used_once() {
    let world = World::new();
    let owner = world.owner();
    let scratch = tempfile::tempdir().unwrap();
    let bytes = database(
        &scratch.path().join("a.db"),
        "create table t (x); insert into t values (1), (2)",
    );
    let hash: [u8; 32] = ring::digest::digest(&ring::digest::SHA256, &bytes)
        .as_ref()
        .try_into()
        .unwrap();
    let upload = world
        .hosted
        .begin_upload(&owner, None, bytes.len() as u64, Some(hash))
        .unwrap();
    assert_eq!((upload.offset, upload.complete), (0, false));
    put(&world, &owner, &upload, 0, &bytes[..5000]).unwrap();
    // A gap, too much, and a connection that breaks.
    assert_eq!(
        put(&world, &owner, &upload, 6000, &bytes[6000..]).unwrap_err().code(),
        Code::Conflict
    );
    let plane = world.hosted.plane(&owner, None).unwrap();
    assert_eq!(
        plane.create_database(&seeded("app", &upload)).unwrap_err().code(),
        Code::Conflict
    );
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(
        put(&world, &owner, &upload, 0, &longer).unwrap_err().code(),
        Code::InvalidValue
    );
    let broken = world
        .hosted
        .put_chunk(&owner, None, &upload.id, 5000, &mut &bytes[5000..5100], 2000)
        .unwrap_err();
    assert_eq!(broken.code(), Code::Unavailable);
    let now = world.hosted.upload(&owner, None, &upload.id).unwrap();
    assert_eq!(now.offset, 5100);
    // What was sent before may come again.
    assert!(put(&world, &owner, &upload, 4096, &bytes[4096..]).unwrap().complete);
    let made = plane.create_database(&seeded("app", &upload)).unwrap();
    assert_eq!(
        number(
            &plane.connection(&made.name, None).unwrap().url,
            "select count(*) from t"
        ),
        2
    );
    assert_eq!(
        plane.create_database(&seeded("again", &upload)).unwrap_err().code(),
        Code::UploadNotFound
    );
    let mut export = world.hosted.export(&owner, None, &db("app"), None).unwrap();
    let mut copy = Vec::new();
    export.file.read_to_end(&mut copy).unwrap();
    assert_eq!((export.size, export.name.as_str()), (copy.len() as u64, "app-alice.db"));
    let path = scratch.path().join("copy.db");
    std::fs::write(&path, copy).unwrap();
    assert_eq!(number(path.to_str().unwrap(), "select count(*) from t"), 2);
}

#[test]
fn upload_that_is_no_sound_database_is_refused_with_its_reason() {
    let world = World::new();
    let owner = world.owner();
    let plane = world.hosted.plane(&owner, None).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("a.db");
    let mut errors = Vec::new();
    for sql in [
        "create view v as select readfile('/etc/passwd')",
        "create table t (x); create trigger g after insert on t begin select writefile('a', 'b'); end",
        "create table t (x default (load_extension('a')))",
        "create view v as select edit('a')",
        "create view v as select * from 'fsdir'",
    ] {
        let upload = sent(&world, &owner, &database(&path, sql));
        let error = plane.create_database(&seeded("app", &upload)).unwrap_err();
        assert_eq!(error.code(), Code::InvalidFile, "{sql}: {error}");
        errors.push(error.full_message());
    }
    insta::assert_snapshot!(errors.join("\n"), @r#"
    the uploaded file cannot become a database: "v" of its schema: the function readfile cannot be used in a hosted database
    the uploaded file cannot become a database: "g" of its schema: the function writefile cannot be used in a hosted database
    the uploaded file cannot become a database: "t" of its schema: the function load_extension cannot be used in a hosted database
    the uploaded file cannot become a database: "v" of its schema: the function edit cannot be used in a hosted database
    the uploaded file cannot become a database: "v" of its schema: the table fsdir cannot be used in a hosted database
    "#);
    let upload = sent(&world, &owner, b"SQLite format 3\0 and then nothing of the kind");
    let error = plane.create_database(&seeded("app", &upload)).unwrap_err();
    assert_eq!(error.code(), Code::InvalidFile, "{error}");
    let bytes = database(&path, "create table t (x)");
    let upload = world
        .hosted
        .begin_upload(&owner, None, bytes.len() as u64, Some([7; 32]))
        .unwrap();
    put(&world, &owner, &upload, 0, &bytes).unwrap();
    let error = plane.create_database(&seeded("app", &upload)).unwrap_err();
    assert_eq!(error.code(), Code::InvalidFile, "{error}");
    insta::assert_snapshot!(error.full_message(), @"the upload is not the file that was announced: the checksums differ");
    assert_eq!(
        plane.get_database(&db("app")).unwrap_err().code(),
        Code::DatabaseNotFound
    );
}

#[test]
fn dump_becomes_a_database() {
    let world = World::new();
    let owner = world.owner();
    let plane = world.hosted.plane(&owner, None).unwrap();
    let dump = "BEGIN; CREATE TABLE t (x);\nINSERT INTO t VALUES ('a;\nb');\nCOMMIT;\n";
    let (upload, url) = world.hosted.adopt_dump(&owner, None, &mut dump.as_bytes()).unwrap();
    assert!(upload.complete && url.ends_with(&upload.id), "{url}");
    let request = |name: &str, url: &str| CreateDatabase {
        seed: Some(Seed::Dump { url: url.to_owned() }),
        ..request(name)
    };
    let made = plane.create_database(&request("app", &url)).unwrap();
    assert_eq!(
        number(
            &plane.connection(&made.name, None).unwrap().url,
            "select count(*) from t"
        ),
        1
    );
    for (elsewhere, code) in [
        ("http://example.com/dump.sql", Code::Unsupported),
        ("file:///etc/passwd", Code::Unsupported),
        ("", Code::Unsupported),
        ("../../accounts.db", Code::Unsupported),
        ("http://example.com/uploads/nothing", Code::UploadNotFound),
        ("/uploads/../../accounts.db", Code::UploadNotFound),
    ] {
        let error = plane.create_database(&request("other", elsewhere)).unwrap_err();
        assert_eq!(error.code(), code, "{elsewhere}");
    }
    let (_, url) = world
        .hosted
        .adopt_dump(&owner, None, &mut "BEGIN; CREATE TABLE".as_bytes())
        .unwrap();
    let error = plane.create_database(&request("other", &url)).unwrap_err();
    assert_eq!(error.code(), Code::InvalidFile, "{error}");
}

#[test]
fn upload_belongs_to_its_organization() {
    let world = World::new();
    let owner = world.owner();
    world.hosted.accounts(&owner).create_organization("team").unwrap();
    let upload = sent(&world, &owner, b"select 1;");
    let error = world
        .hosted
        .upload(&owner, Some(&slug("team")), &upload.id)
        .unwrap_err();
    assert_eq!(error.code(), Code::UploadNotFound);
    let bob = world.caller(&world.user("team", "bob", "viewer"));
    for error in [
        world
            .hosted
            .begin_upload(&bob, Some(&slug("team")), 5, None)
            .unwrap_err(),
        world.hosted.upload(&bob, Some(&slug("team")), &upload.id).unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::Forbidden);
    }
}
