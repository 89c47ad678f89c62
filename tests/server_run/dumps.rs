//! Dumps that do not end: whoever sends one takes little, and not for long.

use super::{Deployment, until};
use crate::support::server::Server;
use serde_json::{Value, json};
use std::time::Duration;

const ENDLESS: &str = "CREATE TABLE t(a);
WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) INSERT INTO t SELECT count(*) FROM c;
";

impl Deployment {
    /// The helpers of this server that read dumps.
    fn readers(&self) -> usize {
        let data = self.data().canonicalize().unwrap();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let commands = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        commands
            .filter(|command| {
                let text = String::from_utf8_lossy(command);
                text.contains("\0restore\0") && text.contains(data.to_str().unwrap())
            })
            .count()
    }

    fn await_readers(&self, count: usize) {
        until("so many dumps are read", || self.readers(), |now| *now == count);
    }
}

#[test]
fn dump_that_does_not_end_is_ended_with_its_upload_or_its_client() {
    let server = Deployment::new();
    let (id, request) = server.send_dump("endless", ENDLESS);
    std::thread::scope(|scope| {
        let making = scope.spawn(|| server.server().ask("POST", "/v1/databases", Some(request.clone())));
        server.await_readers(1);
        let (status, answer) = server.server().ask("DELETE", &format!("/v1/uploads/{id}"), None);
        assert_eq!(status, 200, "{answer}");
        let (status, answer) = making.join().unwrap();
        assert_eq!(status, 409, "{answer}");
        assert_eq!(
            answer["error"],
            "the upload was deleted while a database was being made of it"
        );
    });
    server.await_readers(0);
    let (_, request) = server.send_dump("endless", ENDLESS);
    std::thread::scope(|scope| {
        let gone = scope.spawn(|| {
            let client = reqwest::blocking::Client::builder()
                .timeout(Duration::from_secs(20))
                .build()
                .unwrap();
            let url = format!("{}v1/databases", server.server().url());
            client.post(url).bearer_auth(&server.token).json(&request).send()
        });
        server.await_readers(1);
        assert!(gone.join().unwrap().is_err());
    });
    server.await_readers(0);
    let (status, _) = server.server().ask("GET", "/v1/databases/endless", None);
    assert_eq!(status, 404);
}

#[test]
fn dumps_of_an_organization_are_read_two_at_a_time() {
    let server = Deployment::new();
    server.ok("POST", "/v1/organizations", Some(json!({ "name": "other" })));
    let [first, second, third] = ["a", "b", "c"].map(|name| server.send_dump(name, ENDLESS));
    let sound = server.send_dump("d", "CREATE TABLE t(a);");
    std::thread::scope(|scope| {
        for (_, request) in [&first, &second] {
            scope.spawn(|| server.server().ask("POST", "/v1/databases", Some(request.clone())));
        }
        server.await_readers(2);
        for (_, request) in [&third, &sound] {
            let (status, answer) = server.server().ask("POST", "/v1/databases", Some(request.clone()));
            assert_eq!(status, 429, "{answer}");
        }
        // Files of the same organization, and dumps of others, are taken meanwhile.
        server.ok("POST", "/v1/databases", Some(json!({ "name": "e" })));
        let sent = Server::client()
            .post(format!(
                "{}v1/organizations/other/databases/dumps",
                server.server().url()
            ))
            .bearer_auth(&server.token)
            .body("CREATE TABLE t(a);")
            .send()
            .unwrap();
        let sent: Value = sent.json().unwrap();
        let seed = json!({ "type": "dump", "url": sent["dump_url"] });
        let request = json!({ "name": "f", "seed": seed });
        server.ok("POST", "/v1/organizations/other/databases", Some(request));
        for (id, _) in [&first, &second] {
            server.server().ask("DELETE", &format!("/v1/uploads/{id}"), None);
        }
    });
    // Then it is its turn.
    server.ok("POST", "/v1/databases", Some(sound.1));
}

/// Of a file, a dump and a damaged file, by the API and by the program.
#[test]
fn dump_or_file_that_is_refused_is_named_as_the_user_knows_it() {
    let server = Deployment::new();
    let make = |name: &str, sql: &str| {
        let path = server.world.work().join(name);
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path
    };
    make("p.db", "create table t(a); create view v as select readfile('x')");
    let cut = make("cut.db", "create table t(a); insert into t values (zeroblob(90000))");
    let mut bytes = std::fs::read(&cut).unwrap();
    bytes[4096..].fill(0xff);
    std::fs::write(&cut, bytes).unwrap();
    server.log_in();
    for file in ["p.db", "cut.db"] {
        let refused = server.world.torso(["db", "create", "app", "--from-file", file]);
        assert_eq!(refused.code(), 1, "{}", refused.report());
        assert!(refused.stderr.contains(file), "{}", refused.report());
        for private in ["staging", "organizations", ".seed", "uploads", "server's"] {
            assert!(!refused.stderr.contains(private), "{}", refused.report());
        }
    }
    for dump in ["CREATE VIEW v AS SELECT readfile('x');", "SELECT 1; nonsense;"] {
        let (_, request) = server.send_dump("app", dump);
        let (status, answer) = server.server().ask("POST", "/v1/databases", Some(request));
        assert_eq!(status, 400, "{answer}");
        let text = answer.to_string();
        for private in ["staging", "organizations", ".seed", "uploads/", "server's"] {
            assert!(!text.contains(private), "{text}");
        }
    }
}
