//! Files to and from the server: uploads in pieces, dumps as the official CLI sends them, exports.

use crate::support::World;
use crate::support::server::Server;
use serde_json::json;

fn sqlite_file(world: &World, rows: u32) -> Vec<u8> {
    let path = world.path("made.db");
    let _ = std::fs::remove_file(&path);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(&format!(
            "create table t(x, y);
             with recursive n(x) as (select 1 union all select x + 1 from n where x < {rows})
             insert into t select x, hex(randomblob(50)) from n;"
        ))
        .unwrap();
    drop(connection);
    std::fs::read(path).unwrap()
}

fn count(world: &World, bytes: &[u8]) -> i64 {
    let path = world.write("got.db", bytes);
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .query_row("select count(*) from t", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn upload_and_export_return_the_same_file() {
    let world = World::new();
    let server = Server::start(&world, &[]);
    let file = sqlite_file(&world, 20_000);
    let upload = server.ok("POST", "/v1/uploads", Some(json!({ "size": file.len() })))["upload"].clone();
    let id = upload["id"].as_str().unwrap();
    let put = |offset: usize, bytes: &[u8]| {
        let path = format!("/v1/uploads/{id}?offset={offset}");
        let response = server.request("PUT", &path).body(bytes.to_vec()).send().unwrap();
        (
            response.status().as_u16(),
            response.json::<serde_json::Value>().unwrap(),
        )
    };
    let half = file.len() / 2;
    assert_eq!(put(0, &file[..half]).1["upload"]["offset"], half);
    // A piece that leaves a gap is refused, and nothing is lost.
    assert_eq!(put(half + 1, &file[half + 1..]).0, 409);
    let path = format!("/v1/uploads/{id}");
    assert_eq!(server.ok("GET", &path, None)["upload"]["offset"], half);
    assert_eq!(put(half, &file[half..]).1["upload"]["complete"], true);
    let new = json!({ "name": "app", "seed": { "type": "upload", "id": id } });
    server.ok("POST", "/v1/databases", Some(new.clone()));
    assert_eq!(server.ask("GET", &path, None).1["code"], "upload_not_found");

    let response = server.request("GET", "/v1/databases/app/export").send().unwrap();
    assert_eq!(response.status(), 200);
    assert!(
        response.headers()["content-disposition"]
            .to_str()
            .unwrap()
            .contains("app-admin.db")
    );
    let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let bytes = response.bytes().unwrap();
    assert_eq!(bytes.len(), length);
    assert_eq!(count(&world, &bytes), 20_000);
    let (status, refusal) = server.ask("GET", "/v1/databases/none/export", None);
    assert_eq!((status, &refusal["code"]), (404, &json!("database_not_found")));
}

#[test]
fn upload_of_a_dump_as_the_official_cli_sends_it_is_taken() {
    let world = World::new();
    let server = Server::start(&world, &[]);
    let dump =
        "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(x);\nINSERT INTO t VALUES(1),(2);\nCOMMIT;\n";
    let body = format!(
        "--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.sql\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n{dump}\r\n--b0undary--\r\n"
    );
    let send = |body: String| {
        // In chunks, without a length.
        let body = reqwest::blocking::Body::new(std::io::Cursor::new(body));
        let response = server
            .request("POST", "/v1/databases/dumps")
            .header("content-type", "multipart/form-data; boundary=b0undary")
            .body(body)
            .send()
            .unwrap();
        (
            response.status().as_u16(),
            response.json::<serde_json::Value>().unwrap(),
        )
    };
    let (status, told) = send(body.clone());
    assert_eq!(status, 200, "{told}");
    let new = json!({ "name": "app", "seed": { "type": "dump", "url": told["dump_url"] } });
    server.ok("POST", "/v1/databases", Some(new));
    let export = server.request("GET", "/v1/databases/app/export").send().unwrap();
    assert_eq!(count(&world, &export.bytes().unwrap()), 2);

    // Cut off in the middle it is no dump.
    let (status, refusal) = send(body[..body.len() - 60].to_owned());
    assert!((400..=503).contains(&status), "{refusal}");
    // A database may have the name of the path.
    server.ok("POST", "/v1/databases", Some(json!({ "name": "dumps" })));
    assert_eq!(
        server.ok("GET", "/v1/databases/dumps", None)["database"]["Name"],
        "dumps"
    );
    server.ok("DELETE", "/v1/databases/dumps", None);
}
