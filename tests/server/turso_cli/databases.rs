//! `group` and `db`, in the first version of the API and in the third.

use super::{has, logged_in};
use crate::support::server::Server;
use crate::support::{World, hrana};
use serde_json::{Value, json};

#[test]
fn groups() {
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
            json!({ "delete_protection": false })
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
        assert!(
            status == 501 && sentence.contains("permissions on tables"),
            "{sentence}"
        );
        cli.own("POST", "/groups/web/auth/rotate", None);

        for protect in [true, false] {
            let patch = json!({ "delete_protection": protect });
            cli.own("PATCH", "/groups/web/configuration", Some(patch.clone()));
            assert_eq!(cli.own("GET", "/groups/web/configuration", None), patch);
        }
        cli.own("POST", "/groups/web/unarchive", None);
        let info = cli.own("GET", "/groups/web/aws/migration/info", None);
        assert_eq!(info["status"], "none");
        for step in ["start", "abort"] {
            let (status, sentence) = cli.refused("POST", &format!("/groups/web/aws/migration/{step}"), None);
            assert!(status == 501 && sentence.contains("another cloud"), "{sentence}");
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
fn databases() {
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
            json!({ "allow_attach": true, "delete_protection": null }),
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
            (&json!(true), &json!(true), &json!("268435456"))
        );
        let rules = json!({ "allow_attach": null, "delete_protection": null, "allowed_ips": ["192.0.2.1/32"] });
        let (status, sentence) = cli.refused("PATCH", "/databases/app/configuration", Some(rules));
        assert!(status == 501 && sentence.contains("addresses"), "{sentence}");
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
fn databases_of_dumps_and_of_what_is_not_held_here() {
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
fn the_third_version_goes_by_ids() {
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
