//! Planted secrets: tokens of every kind, invitations and keys are used rightly and wrongly, and then looked for where others
//! could read them.

use crate::support::server::Server;
use crate::support::{World, tree};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What the environment of a libSQL server process tells it, by design: it takes its key in no other way, and only its own
/// user can read it there.
const ADMIN_KEY: &str = "LIBSQL_ADMIN_AUTH_KEY";

/// A file of every process, by id.
fn of_processes(file: &str) -> BTreeMap<u32, String> {
    let mut found = BTreeMap::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let id = process.file_name().to_str().and_then(|name| name.parse().ok());
        if let (Some(id), Ok(bytes)) = (id, std::fs::read(process.path().join(file))) {
            found.insert(id, String::from_utf8_lossy(&bytes).replace('\0', "\n"));
        }
    }
    found
}

/// The value of a variable in the environments of the processes that have a folder in theirs.
fn admin_key(world: &World) -> String {
    let folder = world.root().to_str().unwrap();
    let environments = of_processes("environ");
    let own = environments.values().filter(|text| text.contains(folder));
    own.flat_map(|text| text.lines())
        .find_map(|line| Some(line.strip_prefix(ADMIN_KEY)?.strip_prefix('=')?.to_owned()))
        .expect("no libSQL server process runs")
}

/// Asks for all kinds of things, rightly and wrongly, with each secret in every place: what was answered.
fn use_all(server: &Server, secrets: &[String], jwt: &str) -> String {
    let client = Server::client();
    let base = server.url().trim_end_matches('/');
    let pipeline = json!({ "requests": [{ "type": "execute", "stmt": { "sql": "select 1" } }, { "type": "close" }] });
    let mut told = String::new();
    let mut hear = |request: reqwest::blocking::RequestBuilder| {
        let answer = request.send().unwrap();
        let headers = format!("{:?}", answer.headers());
        told += &format!("{} {headers} {}\n", answer.status(), answer.text().unwrap());
    };
    for secret in secrets {
        for bearer in [secret.clone(), format!("{secret}x"), secret.chars().rev().collect()] {
            hear(client.get(format!("{base}/v1/databases")).bearer_auth(&bearer));
            hear(
                client
                    .post(format!("{base}/db/app-alice/v2/pipeline"))
                    .bearer_auth(&bearer)
                    .json(&pipeline),
            );
        }
        // Where they do not belong. What is in a request line is told to nobody but whoever sent it.
        for path in [
            format!("/v1/databases/app/auth/tokens/{secret}"),
            format!("/v1/auth/api-tokens/{secret}"),
            format!("/v1/api-tokens/{secret}"),
            format!("/v1/uploads/{secret}"),
            format!("/db/{secret}/v2/pipeline"),
            format!("/v1/organizations/{secret}/databases"),
        ] {
            let url = format!("{base}{path}");
            for method in ["GET", "POST", "DELETE"] {
                let request = client.request(method.parse().unwrap(), &url).bearer_auth(&server.token);
                request.body("{}").send().unwrap();
            }
        }
        for header in ["user-agent", "x-request-id", "referer", "cookie"] {
            let request = client
                .get(format!("{base}/v1/validate?authToken={secret}"))
                .header(header, secret);
            request.bearer_auth(&server.token).send().unwrap();
        }
        let mut statement = pipeline.clone();
        statement["requests"][0]["stmt"]["sql"] = json!(format!("select '{secret}' from nothing"));
        let request = client.post(format!("{base}/db/app-alice/v2/pipeline")).bearer_auth(jwt);
        request.json(&statement).send().unwrap();
        let accept = json!({ "invitation": format!("{secret}x"), "username": "bob" });
        hear(client.post(format!("{base}/v1/invitations/accept")).json(&accept));
    }
    told
}

fn everything_below(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for (path, entry) in tree::list(folder) {
        if !entry.folder {
            all.extend(std::fs::read(folder.join(path)).unwrap_or_default());
        }
    }
    all
}

fn finds(text: &[u8], secret: &str) -> bool {
    memchr::memmem::find(text, secret.as_bytes()).is_some()
}

#[test]
fn secrets_are_only_where_they_belong() {
    for form in ["json", "text"] {
        let world = World::new();
        let options = [
            "--owner",
            "alice",
            "--locations",
            "ams,lhr",
            "--rate-limit",
            "0",
            "--log",
            form,
            "--log-level",
            "debug",
        ];
        let server = Server::start(&world, &options);
        server.ok("POST", "/v1/organizations", Some(json!({ "name": "team" })));
        server.ok(
            "POST",
            "/v1/databases",
            Some(json!({ "name": "app", "group": "default" })),
        );
        server.ok(
            "POST",
            "/v1/databases/app/instances",
            Some(json!({ "location": "lhr" })),
        );
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let jwt = text(&server.ok("POST", "/v1/databases/app/auth/tokens", None)["jwt"]);
        let api = text(&server.ok("POST", "/v1/auth/api-tokens/ci", None)["token"]);
        let new = json!({ "email": "bob@example.com", "role": "member" });
        let link = text(&server.ok("POST", "/v1/organizations/team/invites", Some(new))["invited"]["link"]);
        let invitation = link.split_once("invite=").unwrap().1.to_owned();
        let admin = admin_key(&world);
        let pem = std::fs::read_to_string(world.data_dir().join("server/keys/database-tokens.pem")).unwrap();
        let key = pem.lines().find(|line| !line.starts_with("---")).unwrap().to_owned();
        let mut planted = vec![server.token.clone(), jwt.clone(), api, invitation];
        let told = use_all(&server, &planted, &jwt);
        // Nobody can send what nobody is told.
        planted.push(admin.clone());
        // A person's commands, with what they leave: settings, and what they say when they fail.
        let run = |args: &[&str], input: &str| {
            let done = world.torso_with_input(args, input);
            format!("{}{}", done.stdout, done.stderr)
        };
        let url = server.url().to_owned();
        let mut said = run(
            &["context", "add", "prod", "--url", &url, "--token-stdin"],
            &server.token,
        );
        said += &run(
            &["context", "add", "bad", "--url", &url, "--token-stdin"],
            &format!("{}x", server.token),
        );
        said += &run(&["--context", "bad", "db", "list"], "");
        said += &run(&["--context", "prod", "auth", "status"], "");
        said += &run(&["--context", "prod", "db", "shell", "app", "select 1"], "");
        said += &run(
            &[
                "db",
                "shell",
                &format!("{url}db/app-alice/?authToken={jwt}x"),
                "select 1",
            ],
            "",
        );

        // Every log: the server's own, and those of its processes.
        let mut seen = BTreeMap::from([
            (
                "the server's log",
                std::fs::read(world.work().join("server.log")).unwrap(),
            ),
            ("answers", told.into_bytes()),
            ("commands", said.into_bytes()),
        ]);
        let mut audits = String::new();
        for slug in ["alice", "team"] {
            let path = format!("/v1/organizations/{slug}/audit-logs?page_size=1000");
            audits += &server.ok("GET", &path, None).to_string();
        }
        seen.insert("the audit log", audits.into_bytes());
        for file in ["cmdline", "environ"] {
            for (id, text) in of_processes(file) {
                for secret in planted.iter().chain([&key]) {
                    let is_own =
                        file == "environ" && *secret == admin && text.contains(&format!("{ADMIN_KEY}={admin}"));
                    let program = std::fs::read_link(format!("/proc/{id}/exe")).unwrap_or_default();
                    assert!(
                        !text.contains(secret.as_str()) || (is_own && program.ends_with("sqld")),
                        "{file} of process {id}, {}: {text}",
                        program.display()
                    );
                }
            }
        }
        assert!(seen["the server's log"].len() > 10_000, "debug tells of every request");
        for (place, bytes) in &seen {
            for secret in planted.iter().chain([&key]) {
                assert!(!finds(bytes, secret), "{form}: {secret} is in {place}");
            }
        }
        for beginning in ["torso_", "eyJ", &admin] {
            assert!(!finds(&seen["the server's log"], beginning), "{form}: {beginning}…");
        }
        // On disk: only the key that signs, in its own file. What a person signed in with is that person's.
        let data = everything_below(&world.data_dir());
        for secret in &planted {
            assert!(!finds(&data, secret), "{form}: {secret} is in the data directory");
        }
        assert_eq!(memchr::memmem::find_iter(&data, key.as_bytes()).count(), 1);
        for (folder, what) in [(world.data_dir(), "data"), (world.path("config"), "settings")] {
            for (path, entry) in tree::list(&folder) {
                let widest = if entry.folder { 0o700 } else { 0o600 };
                assert_eq!(
                    entry.mode & !widest,
                    0,
                    "{what}: {} has mode {:o}",
                    path.display(),
                    entry.mode
                );
            }
        }
    }
}
