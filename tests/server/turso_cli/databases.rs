//! `group` and `db`, in the first version of the API and in the third.

use super::{has, logged_in};
use crate::support::server::Server;
use crate::support::{World, hrana, redact};
use serde_json::{Value, json};

#[test]
fn turso_cli_groups_work() {
    let world = World::new();
    let mut cli = logged_in(&world);
    let slug = cli.ok("POST", "/v1/organizations", Some(json!({ "name": "other" })))["org"]["slug"].clone();
    for scope in ["/v1", "/v1/organizations/alice"] {
        cli.scope = scope.to_owned();
        // The keys are as Go names its fields.
        let new = json!({ "Name": "web", "Location": "local", "Version": "latest" });
        cli.own("POST", "/groups", Some(new));
        cli.own("GET", "/groups/web/locations/local/wait", None);
        let groups = cli.own("GET", "/groups", None)["groups"].clone();
        let group = groups
            .as_array()
            .unwrap()
            .iter()
            .find(|group| group["name"] == "web")
            .unwrap();
        has(
            group,
            &["uuid", "name", "locations", "primary", "archived", "version", "status"],
        );
        assert_eq!(
            group["status"]["locations"],
            json!([{ "name": "local", "status": "up" }])
        );
        assert_eq!(
            cli.own("GET", "/groups/web/configuration", None),
            json!({ "delete_protection": false, "isolation": "group" })
        );

        // group locations
        assert_eq!(
            cli.own("GET", "/groups/web", None)["group"]["locations"],
            json!(["local"])
        );
        let known = cli.ok("GET", "/v2/locations", None)["locations"]["local"].clone();
        has(&known, &["local", "lhr"]);
        cli.own("POST", "/groups/web/locations/lhr", None);
        cli.own("GET", "/groups/web/locations/lhr/wait", None);
        assert_eq!(
            cli.own("GET", "/groups/web", None)["group"]["locations"],
            json!(["local", "lhr"])
        );
        cli.own("DELETE", "/groups/web/locations/lhr", None);

        // group tokens: at least an empty object is sent.
        for (query, body) in [
            ("?expiration=never", json!({})),
            ("?expiration=7d&authorization=read-only", json!({})),
            (
                "?expiration=none",
                json!({ "permissions": { "read_attach": { "databases": [] } } }),
            ),
        ] {
            let minted = cli.own("POST", &format!("/groups/web/auth/tokens{query}"), Some(body));
            assert!(minted["jwt"].is_string());
        }
        let fine = json!({ "fine_grained_permissions": [{ "t": ["users"], "a": ["data_read"] }] });
        let (status, sentence) = cli.refused("POST", "/groups/web/auth/tokens?expiration=never", Some(fine));
        assert_eq!(status, 501);
        insta::allow_duplicates! {
            insta::assert_snapshot!(sentence, @"this server cannot enforce permissions on tables, so it does not create the token");
        }
        cli.own("POST", "/groups/web/auth/rotate", None);

        for protect in [true, false] {
            let patch = json!({ "delete_protection": protect });
            cli.own("PATCH", "/groups/web/configuration", Some(patch.clone()));
            assert_eq!(
                cli.own("GET", "/groups/web/configuration", None),
                json!({ "delete_protection": protect, "isolation": "group" })
            );
        }
        cli.own("POST", "/groups/web/unarchive", None);
        let info = cli.own("GET", "/groups/web/aws/migration/info", None);
        assert_eq!(info["status"], "none");
        for step in ["start", "abort"] {
            let (status, sentence) = cli.refused("POST", &format!("/groups/web/aws/migration/{step}"), None);
            assert_eq!(status, 501);
            insta::allow_duplicates! {
                insta::assert_snapshot!(sentence, @"groups of this server do not move to another cloud");
            }
        }
        cli.own("POST", "/groups/web/rename", Some(json!({ "Name": "site" })));
        cli.own("DELETE", "/groups/site", None);
    }
    let new = json!({ "Name": "gone", "Location": "local", "Version": "vector" });
    cli.own("POST", "/groups", Some(new));
    cli.own("POST", "/groups/gone/transfer", Some(json!({ "organization": slug })));
    assert_eq!(cli.refused("GET", "/groups/gone", None).0, 404);
}

#[test]
fn turso_cli_databases_work() {
    let world = World::new();
    let mut cli = logged_in(&world);
    for scope in ["/v1", "/v1/organizations/alice"] {
        cli.scope = scope.to_owned();
        // db create: into the only group, at its primary.
        let groups = cli.own("GET", "/groups", None)["groups"].clone();
        assert_eq!(
            (&groups[0]["name"], &groups[0]["primary"]),
            (&json!("default"), &json!("local"))
        );
        let new = json!({ "name": "app", "location": "local", "group": "default", "size_limit": "256mb" });
        let made = cli.own("POST", "/databases", Some(new.clone()));
        has(&made, &["username"]);
        has(&made["database"], &["Name", "Hostname", "DbId"]);
        assert_eq!(cli.refused("POST", "/databases", Some(new)).0, 409);

        // db list, without a terminal and with one of three lines.
        assert_eq!(
            cli.own("GET", "/databases?limit=1000", None)["pagination"],
            json!({ "next": null })
        );
        let branch = json!({ "name": "twig", "location": "local", "group": "default",
            "seed": { "type": "database", "value": "app" } });
        cli.own("POST", "/databases", Some(branch));
        let page = cli.own("GET", "/databases?limit=1&group=default", None);
        let next = page["pagination"]["next"].as_str().unwrap().to_owned();
        let page = cli.own("GET", &format!("/databases?limit=1&cursor={next}&group=default"), None);
        assert_eq!(
            (&page["databases"][0]["Name"], &page["pagination"]["next"]),
            (&json!("twig"), &json!(null))
        );
        assert_eq!(
            cli.own("GET", "/databases?limit=1000&schema=app", None)["databases"],
            json!([])
        );

        // db show
        let app = cli.find("app");
        has(
            &cli.own("GET", "/databases/app/configuration", None),
            &[
                "size_limit",
                "allow_attach",
                "block_reads",
                "block_writes",
                "delete_protection",
                "allowed_ips",
            ],
        );
        let instances = cli.own("GET", "/databases/app/instances", None)["instances"].clone();
        has(&instances[0], &["uuid", "name", "type", "region", "hostname"]);
        assert_eq!(instances[0]["type"], "primary");
        let usage = cli.own("GET", "/databases/app/usage", None)["database"].clone();
        has(&usage, &["uuid", "usage", "total", "instances"]);
        has(
            &usage["usage"],
            &["rows_read", "rows_written", "storage_bytes", "bytes_synced"],
        );
        has(&usage["instances"][0], &["uuid", "usage"]);
        let id = app["DbId"].as_str().unwrap();
        let branches = cli.own("GET", &format!("/databases?limit=1000&parent={id}"), None)["databases"].clone();
        assert_eq!(
            (branches.as_array().unwrap().len(), &branches[0]["Name"]),
            (1, &json!("twig"))
        );
        assert_eq!(
            cli.own("GET", "/databases/twig", None)["database"]["parent"]["name"],
            "app"
        );

        // db replicate, of the sole database of a group; and its instance.
        cli.own("DELETE", "/databases/twig", None);
        has(
            &cli.ok("GET", "/v2/locations", None)["locations"]["local"],
            &["local", "lhr"],
        );
        cli.own("POST", "/groups/default/locations/lhr", None);
        cli.own("GET", "/databases/app/instances/lhr/wait", None);
        let at = cli.ok("GET", "/v1/locations/lhr", None)["location"].clone();
        has(&at, &["code", "description", "closest"]);

        // db shell: a token, then SQL at the primary, which is in the location of plain HTTP, and at a replica.
        let jwt = cli.own("POST", "/databases/app/auth/tokens?expiration=2d", Some(json!({})))["jwt"].clone();
        let jwt = jwt.as_str().unwrap();
        assert_eq!(app["primaryRegion"], "local");
        let host = app["Hostname"].as_str().unwrap();
        cli.shell(host, jwt, "create table notes (body text)");
        cli.shell(host, jwt, "insert into notes values ('hello')");
        let result = cli.shell(host, jwt, "select body, 1 as n from notes");
        assert_eq!(result["cols"][0]["name"], "body");
        assert_eq!(result["rows"][0][1], json!({ "type": "integer", "value": "1" }));
        let instances = cli.own("GET", "/databases/app/instances", None)["instances"].clone();
        let replica = instances
            .as_array()
            .unwrap()
            .iter()
            .find(|found| found["region"] == "lhr")
            .unwrap();
        let there = replica["hostname"].as_str().unwrap();
        crate::support::until("the replica has it", || {
            cli.shell(there, jwt, "select count(*) from notes")["rows"][0][0]["value"] == "1"
        });
        let dump = Server::client()
            .get(format!("http://{host}/dump"))
            .bearer_auth(jwt)
            .send()
            .unwrap();
        assert!(dump.text().unwrap().contains("INSERT INTO notes VALUES('hello')"));
        cli.own("DELETE", "/groups/default/locations/lhr", None);

        // db inspect --queries
        let queries = cli.own("GET", "/databases/app/usage/queries?from=2026-01-01T00:00:00Z", None);
        assert!(queries.is_array(), "{queries}");

        // db tokens, db config
        for query in [
            "?expiration=never",
            "?expiration=7d&authorization=read-only",
            "?expiration=default",
        ] {
            let minted = cli.own("POST", &format!("/databases/app/auth/tokens{query}"), Some(json!({})));
            assert!(minted["jwt"].is_string());
        }
        cli.own("POST", "/databases/app/auth/rotate", None);
        for patch in [
            json!({ "allow_attach": false, "delete_protection": null }),
            json!({ "allow_attach": null, "delete_protection": true }),
            json!({ "allow_attach": null, "delete_protection": null, "allowed_ips": [], "allowed_aws_vpc_ids": [] }),
        ] {
            cli.own("PATCH", "/databases/app/configuration", Some(patch));
        }
        let configuration = cli.own("GET", "/databases/app/configuration", None);
        assert_eq!(
            (
                &configuration["allow_attach"],
                &configuration["delete_protection"],
                &configuration["size_limit"]
            ),
            (&json!(false), &json!(true), &json!("268435456"))
        );
        let attach = json!({ "allow_attach": true, "delete_protection": null });
        let (status, sentence) = cli.refused("PATCH", "/databases/app/configuration", Some(attach));
        assert!(status == 501 && sentence.contains("attached"), "{sentence}");
        let rules = json!({ "allow_attach": null, "delete_protection": null, "allowed_ips": ["192.0.2.1/32"] });
        let (status, sentence) = cli.refused("PATCH", "/databases/app/configuration", Some(rules));
        assert_eq!(status, 501);
        insta::allow_duplicates! {
            insta::assert_snapshot!(sentence, @"this server has no rules about clients' addresses");
        }
        assert_eq!(cli.refused("DELETE", "/databases/app", None).0, 409);
        let free = json!({ "allow_attach": null, "delete_protection": false });
        cli.own("PATCH", "/databases/app/configuration", Some(free));
        cli.own("POST", "/databases/app/wakeup", None);

        // db destroy
        assert_eq!(cli.own("DELETE", "/databases/app", None)["database"], "app");
        assert_eq!(cli.refused("DELETE", "/databases/app", None).0, 404);
    }
}

#[test]
fn turso_cli_databases_of_dumps_and_unknown_ones_are_answered() {
    let world = World::new();
    let cli = logged_in(&world);
    // As Go's program sends a file: in chunks, without a length, and without the boundary in the header.
    let dump =
        "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t (x);\nINSERT INTO t VALUES (7);\nCOMMIT;\n";
    let multipart = format!(
        "--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"app.sql\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n{dump}\r\n--b0undary--\r\n"
    );
    let sent = Server::client()
        .post(format!("{}v1/databases/dumps", cli.server.url()))
        .bearer_auth(&cli.token)
        .header("content-type", "multipart/form-data")
        .body(reqwest::blocking::Body::new(std::io::Cursor::new(multipart)))
        .send()
        .unwrap();
    assert_eq!(sent.status(), 200);
    let url = sent.json::<Value>().unwrap()["dump_url"].clone();
    let new = json!({ "name": "app", "location": "local", "group": "default", "seed": { "type": "dump", "url": url } });
    let made = cli.own("POST", "/databases", Some(new.clone()));
    let jwt = cli.own("POST", "/databases/app/auth/tokens?expiration=2d", Some(json!({})))["jwt"].clone();
    let host = made["database"]["Hostname"].as_str().unwrap();
    let request = Server::client()
        .post(format!("http://{host}/v2/pipeline"))
        .bearer_auth(jwt.as_str().unwrap());
    assert_eq!(
        hrana::execute(request, ["select x from t"]).unwrap(),
        [json!([{ "type": "integer", "value": "7" }])]
    );

    for (more, about) in [
        (
            json!({ "seed": { "type": "dump", "url": "https://elsewhere.example.com/app.sql" } }),
            "from a URL",
        ),
        (
            json!({ "seed": { "type": "database", "value": "app", "timestamp": "2026-01-01T00:00:00Z" } }),
            "as it is now",
        ),
        (json!({ "seed": { "type": "database_upload" } }), "own address"),
        (json!({ "is_schema": true }), "schema"),
        (json!({ "schema": "app" }), "schema"),
        (json!({ "use_tursodb": true }), "libSQL"),
        (
            json!({ "remote_encryption": { "encryption_key": "a2V5", "encryption_cipher": "aes256gcm" } }),
            "encrypted",
        ),
    ] {
        let mut new = json!({ "name": "other", "location": "local", "group": "default" });
        new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, sentence) = cli.refused("POST", "/databases", Some(new));
        assert!(
            matches!(status, 400 | 501) && sentence.to_lowercase().contains(&about.to_lowercase()),
            "{sentence}"
        );
    }
}

#[test]
fn api_version_3_takes_ids() {
    let world = World::new();
    let cli = logged_in(&world);
    let organization = cli.ok("GET", "/v2/organizations", None)["organizations"][0]["id"].clone();
    let base = format!("/v3/organizations/{}", organization.as_str().unwrap());
    let groups = cli.ok("GET", &format!("{base}/groups"), None)["groups"].clone();
    let group = groups[0]["uuid"].as_str().unwrap();
    has(
        &cli.ok("GET", &format!("{base}/groups/{group}"), None)["group"],
        &["uuid", "name", "locations"],
    );
    let made = cli.ok(
        "POST",
        &format!("{base}/databases"),
        Some(json!({ "name": "app", "group_id": group })),
    );
    let id = made["database"]["DbId"].as_str().unwrap().to_owned();
    let fork = json!({ "name": "fork", "seed": { "type": "database", "value": "app" } });
    cli.ok("POST", &format!("{base}/databases"), Some(fork));
    let listed = cli.ok("GET", &format!("{base}/databases?group_id={group}&limit=1000"), None);
    assert_eq!(listed["databases"].as_array().unwrap().len(), 2);
    let forks = cli.ok("GET", &format!("{base}/databases?parent_db_id={id}"), None);
    assert_eq!(forks["databases"][0]["Name"], "fork");
    let found = cli.ok("GET", &format!("{base}/databases/{id}"), None)["database"].clone();
    has(&found, &["Name", "delete_protection", "allow_rules_config"]);
    for of in [format!("databases/{id}"), format!("groups/{group}")] {
        let minted = cli.ok(
            "POST",
            &format!("{base}/{of}/auth/tokens?expiration=2d"),
            Some(json!({})),
        );
        assert!(minted["jwt"].is_string());
    }
    cli.ok("DELETE", &format!("{base}/databases/{id}"), None);
}

/// `db export`: the main file, and no frames behind it.
#[track_caller]
fn export(cli: &super::Cli, base: &str, jwt: &str) -> Vec<u8> {
    let ask = |path: &str| {
        Server::client()
            .get(format!("{base}{path}"))
            .bearer_auth(jwt)
            .header("content-type", "application/json")
            .header("user-agent", "turso-cli/1.0.29 (linux/amd64)")
            .header("tursocliversion", "v1.0.29")
            .send()
            .unwrap()
    };
    let info = ask("/info");
    assert_eq!(info.status(), 200, "{}", cli.server.url());
    assert_eq!(info.json::<Value>().unwrap(), json!({ "current_generation": 1 }));
    let file = ask("/export/1");
    assert_eq!(file.status(), 200);
    let file = file.bytes().unwrap().to_vec();
    // Which ends its questions about frames.
    assert_eq!(ask("/sync/1/1/129").status(), 400);
    assert_eq!(ask("/export/2").status(), 404);
    file
}

/// What the program writes beside the file: the header of a write-ahead log, with its checksum.
fn log_without_frames() -> Vec<u8> {
    let mut header = Vec::new();
    for number in [0x377f_0682_u32, 3_007_000, 4096, 0, 0x0102_0304, 0x0506_0708] {
        header.extend(number.to_be_bytes());
    }
    let (mut first, mut second) = (0_u32, 0_u32);
    for pair in header.chunks(8) {
        let number = |at: usize| u32::from_le_bytes(pair[at..at + 4].try_into().unwrap());
        first = first.wrapping_add(number(0)).wrapping_add(second);
        second = second.wrapping_add(number(4)).wrapping_add(first);
    }
    for sum in [first, second] {
        header.extend(sum.to_be_bytes());
    }
    header
}

#[test]
fn export_answers_the_file_by_host_by_path_and_by_token() {
    let world = World::new();
    let cli = logged_in(&world);
    let made = cli.own("POST", "/databases", Some(json!({ "name": "app" })));
    let host = made["database"]["Hostname"].as_str().unwrap().to_owned();
    let mint = |query: &str| {
        let minted = cli.own("POST", &format!("/databases/app/auth/tokens{query}"), Some(json!({})));
        minted["jwt"].as_str().unwrap().to_owned()
    };
    let jwt = mint("?expiration=1h");
    cli.shell(&host, &jwt, "create table notes (body text)");
    cli.shell(&host, &jwt, "insert into notes values ('hello')");
    let root = cli.server.url().trim_end_matches('/').to_owned();
    for (base, token) in [
        // What the program asks, which loses the path.
        (root.clone(), jwt.clone()),
        (root.clone(), mint("?expiration=1h&authorization=read-only")),
        (format!("http://{host}"), jwt.clone()),
    ] {
        let path = world.work().join("out.db");
        std::fs::write(&path, export(&cli, &base, &token)).unwrap();
        std::fs::write(world.work().join("out.db-wal"), log_without_frames()).unwrap();
        let file = rusqlite::Connection::open(&path).unwrap();
        let body: String = file.query_row("select body from notes", [], |row| row.get(0)).unwrap();
        assert_eq!(body, "hello");
        drop(file);
        for name in ["out.db", "out.db-wal", "out.db-shm"] {
            let _ = std::fs::remove_file(world.work().join(name));
        }
    }
}

#[test]
fn export_without_a_token_of_the_database_is_refused() {
    let world = World::new();
    let cli = logged_in(&world);
    for name in ["app", "other"] {
        cli.own("POST", "/databases", Some(json!({ "name": name })));
    }
    let mint = |path: &str| {
        cli.own("POST", path, Some(json!({})))["jwt"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let other = mint("/databases/other/auth/tokens");
    let group = mint("/groups/default/auth/tokens");
    let root = cli.server.url().trim_end_matches('/').to_owned();
    let ask = |path: &str, token: &str| {
        let answer = Server::client()
            .get(format!("{root}{path}"))
            .bearer_auth(token)
            .header("tursocliversion", "v1.0.29")
            .send()
            .unwrap();
        (answer.status().as_u16(), answer.json::<Value>().unwrap_or_default())
    };
    for path in ["/info", "/export/1", "/sync/1/1/129"] {
        // The token does not fit the address, tells of no database, is of the API, is none.
        for (path, token) in [
            (format!("/db/app-alice{path}"), other.as_str()),
            (path.to_owned(), group.as_str()),
            (path.to_owned(), cli.token.as_str()),
            (path.to_owned(), "nonsense"),
        ] {
            let (status, body) = ask(&path, token);
            assert_eq!((status, &body["code"]), (401, &json!("UNAUTHORIZED")), "{path}: {body}");
        }
        // A group's token opens a database that the address names.
        assert_ne!(ask(&format!("/db/app-alice{path}"), &group).0, 401, "{path}");
    }
    let blocked = json!({ "block_reads": true });
    cli.own("PATCH", "/databases/other/configuration", Some(blocked));
    let (status, body) = ask("/export/1", &other);
    assert_eq!((status, &body["code"]), (403, &json!("BLOCKED")), "{body}");
    cli.own("POST", "/databases/other/auth/rotate", None);
    assert_eq!(ask("/export/1", &other).0, 401);
}

#[test]
fn sync_of_newer_clients_is_refused_with_what_works() {
    let world = World::new();
    let cli = logged_in(&world);
    cli.own("POST", "/databases", Some(json!({ "name": "app" })));
    let jwt = cli.own("POST", "/databases/app/auth/tokens", Some(json!({})))["jwt"].clone();
    let mut answers = std::collections::BTreeSet::new();
    for (method, path) in [
        ("GET", "/info"),
        ("GET", "/export/1"),
        ("GET", "/sync/1/1/129"),
        ("POST", "/pull-updates"),
    ] {
        for base in ["", "/db/app-alice"] {
            let url = format!("{}{base}{path}", cli.server.url().trim_end_matches('/'));
            let request = Server::client().request(method.parse().unwrap(), url);
            let answer = request.bearer_auth(jwt.as_str().unwrap()).send().unwrap();
            assert_eq!(answer.status(), 404, "{base}{path}");
            let text = redact::plain(&answer.text().unwrap());
            answers.insert(text.replace(&format!("{base}{path}"), "[path]").replace(path, "[path]"));
        }
    }
    // One of the API, and one of databases.
    insta::assert_snapshot!(Vec::from_iter(answers).join("\n"), @r#"
    {"error":"there is nothing at \"[path]\"","code":"path_not_found","hint":"this server synchronises by the protocol of embedded replicas only: open the database with syncUrl of @libsql/client, with sync_url of Python's libsql 0.1.8, or remotely (docs/clients.md of torso lists what works)","retryable":false,"request_id":"[id]"}
    {"message":"this server synchronises by the protocol of embedded replicas only: open the database with syncUrl of @libsql/client, with sync_url of Python's libsql 0.1.8, or remotely (docs/clients.md of torso lists what works)","code":"NOT_FOUND","error":"this server synchronises by the protocol of embedded replicas only: open the database with syncUrl of @libsql/client, with sync_url of Python's libsql 0.1.8, or remotely (docs/clients.md of torso lists what works)"}
    "#);
}

/// A dump as the program sends it: the URL to begin a database with.
fn send_dump(cli: &super::Cli, dump: &str) -> Value {
    let sent = Server::client()
        .post(format!("{}v1/databases/dumps", cli.server.url()))
        .bearer_auth(&cli.token)
        .body(dump.to_owned())
        .send()
        .unwrap();
    let status = sent.status();
    let answer: Value = sent.json().unwrap();
    assert_eq!(status, 200, "{answer}");
    answer["dump_url"].clone()
}

#[test]
fn seed_without_tables_makes_an_empty_database() {
    let world = World::new();
    let cli = logged_in(&world);
    for (at, dump) in [
        "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCOMMIT;\n",
        "-- nothing\n",
        "BEGIN; CREATE TABLE t (x); DROP TABLE t; COMMIT;",
        "PRAGMA user_version = 7;",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("empty{at}");
        let seed = json!({ "type": "dump", "url": send_dump(&cli, dump) });
        cli.own("POST", "/databases", Some(json!({ "name": name, "seed": seed })));
        let jwt = cli.own("POST", &format!("/databases/{name}/auth/tokens"), Some(json!({})))["jwt"].clone();
        let host = cli.find(&name)["Hostname"].as_str().unwrap().to_owned();
        let rows = cli.shell(&host, jwt.as_str().unwrap(), "select count(*) from sqlite_schema")["rows"].clone();
        assert_eq!(rows[0][0]["value"], "0", "{dump}");
    }
    // A file of one page without tables, and nothing at all, which is no dump.
    let file = world.work().join("empty.db");
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch("VACUUM; PRAGMA user_version = 1")
        .unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let upload = json!({ "size": bytes.len() });
    let id = cli.own("POST", "/uploads", Some(upload))["upload"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let put = cli.server.request("PUT", &format!("/v1/uploads/{id}?offset=0"));
    assert_eq!(put.body(bytes).send().unwrap().status(), 200);
    let seed = json!({ "type": "upload", "id": id });
    cli.own("POST", "/databases", Some(json!({ "name": "file", "seed": seed })));
    let seed = json!({ "type": "dump", "url": send_dump(&cli, "") });
    let (status, sentence) = cli.refused("POST", "/databases", Some(json!({ "name": "none", "seed": seed })));
    assert_eq!(status, 400);
    insta::assert_snapshot!(sentence, @"the uploaded file is empty");
}

#[test]
fn database_elsewhere_in_a_group_has_replicas_at_all_its_locations() {
    let world = World::new();
    let cli = logged_in(&world);
    cli.own("POST", "/groups/default/locations/lhr", None);
    cli.own(
        "POST",
        "/databases",
        Some(json!({ "name": "app", "location": "lhr", "group": "default" })),
    );
    let instances = cli.own("GET", "/databases/app/instances", None)["instances"].clone();
    let at = |kind: &str| -> Vec<&str> {
        let all = instances
            .as_array()
            .unwrap()
            .iter()
            .filter(|instance| instance["type"] == kind);
        all.map(|instance| instance["region"].as_str().unwrap()).collect()
    };
    assert_eq!((at("primary"), at("replica")), (vec!["lhr"], vec!["local"]));
}

#[test]
fn dump_at_a_replica_is_that_of_the_primary() {
    let world = World::new();
    let cli = logged_in(&world);
    cli.own("POST", "/groups/default/locations/lhr", None);
    cli.own("POST", "/databases", Some(json!({ "name": "app", "group": "default" })));
    let jwt = cli.own(
        "POST",
        "/databases/app/auth/tokens?authorization=read-only",
        Some(json!({})),
    )["jwt"]
        .clone();
    let full = cli.own("POST", "/databases/app/auth/tokens", Some(json!({})))["jwt"].clone();
    let host = cli.find("app")["Hostname"].as_str().unwrap().to_owned();
    cli.shell(&host, full.as_str().unwrap(), "create table notes (body)");
    cli.shell(&host, full.as_str().unwrap(), "insert into notes values ('hello')");
    let dump = Server::client()
        .get(format!("http://{host}--lhr/dump"))
        .bearer_auth(jwt.as_str().unwrap())
        .send()
        .unwrap();
    assert_eq!(dump.status(), 200);
    assert!(dump.text().unwrap().contains("INSERT INTO notes VALUES('hello')"));
}
