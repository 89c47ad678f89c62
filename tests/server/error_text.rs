//! What errors say to clients when the server's files are damaged: nothing of where those files are.

use crate::support::World;
use crate::support::server::Server;
use serde_json::json;
use std::path::Path;
use torso::control::endpoints::ENDPOINTS;

/// Names of directories below a path that look like ids.
fn id_names(path: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.len() >= 20 && name.bytes().filter(u8::is_ascii_digit).count() > 2 {
            names.push(name);
        }
        if entry.file_type().unwrap().is_dir() {
            id_names(&entry.path(), names);
        }
    }
}

#[test]
fn errors_over_http_with_damaged_files_name_no_path_and_no_id() {
    let world = World::new();
    let server = Server::start(&world, &["--rate-limit", "0"]);
    server.wait_ready();
    let created = server.ok(
        "POST",
        "/v1/databases",
        Some(json!({ "name": "app", "group": "default" })),
    );
    // This one is public.
    let public = created["database"]["DbId"].as_str().unwrap().to_owned();
    let token = server.ok("POST", "/v1/databases/app/auth/tokens", None)["jwt"]
        .as_str()
        .unwrap()
        .to_owned();
    let data = world.data_dir().join("server");
    let mut ids = Vec::new();
    id_names(&data, &mut ids);
    ids.retain(|id| *id != public);
    ids.sort();
    ids.dedup();
    assert!(!ids.is_empty(), "no directory of the server is named after an id");
    let mut failures = 0;
    let mut scan = |what: &str, status: u16, text: &str| {
        assert!(!text.contains(data.to_str().unwrap()), "{what}: {text}");
        if status >= 400 {
            failures += usize::from(status >= 500);
            for hidden in ids
                .iter()
                .map(String::as_str)
                .chain(["/organizations/", "/tmp/", ".db-", "catalog.db"])
            {
                assert!(!text.contains(hidden), "{what} names {hidden}: {text}");
            }
        }
    };
    let organizations = data.join("organizations");
    for damage in ["files that are none", "a file in the place of directories", "nothing"] {
        match damage {
            "files that are none" => damage_catalogs(&organizations),
            "nothing" => std::fs::remove_file(&organizations).unwrap(),
            _ => {
                std::fs::rename(&organizations, data.join("away")).unwrap();
                std::fs::write(&organizations, "no directory").unwrap();
            }
        }
        for endpoint in ENDPOINTS.iter().filter(|endpoint| !endpoint.public) {
            for template in endpoint.paths() {
                let path = template
                    .split('/')
                    .map(|part| if part.starts_with('{') { "app" } else { part });
                let path = path.collect::<Vec<_>>().join("/");
                let method = endpoint.method.name();
                // What would end the session or the organization is not for the middle of a test.
                if method == "DELETE" {
                    continue;
                }
                let body = json!({ "name": "app", "group": "default", "location": "local" });
                let mut request = server.request(method, &path);
                if method != "GET" {
                    request = request.body(body.to_string());
                }
                let response = request.send().unwrap();
                let status = response.status().as_u16();
                scan(&format!("{damage}: {method} {path}"), status, &response.text().unwrap());
            }
        }
        let response = Server::client()
            .post(format!("{}db/app-admin/v2/pipeline", server.url()))
            .bearer_auth(&token)
            .json(&json!({ "requests": [{ "type": "execute", "stmt": { "sql": "create table t (x)" } }] }))
            .send()
            .unwrap();
        let status = response.status().as_u16();
        scan(&format!("{damage}: gateway"), status, &response.text().unwrap());
    }
    assert!(failures > 0, "nothing failed");
}

/// Writes nonsense over every file that is no process's.
fn damage_catalogs(path: &Path) {
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        let name = entry.file_name().into_string().unwrap();
        if kind.is_dir() {
            damage_catalogs(&entry.path());
        } else if kind.is_file() && name.starts_with("catalog") {
            std::fs::write(entry.path(), vec![7; 4096]).unwrap();
        }
    }
}
