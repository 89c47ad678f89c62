//! What a process cannot reach, whatever SQL it is sent.

use super::{Fleet, pid};
use serde_json::Value;
use torso::engine::{Engine as _, confine};

/// The file's bytes as SQL sees them, none where the process may not read it.
fn read(fleet: &Fleet, at: &torso::engine::Site, path: &str) -> Option<i64> {
    let rows = fleet.sql(at, &format!("select length(readfile('{path}'))")).ok()?;
    match &rows[0][0]["value"] {
        Value::String(text) => Some(text.parse().unwrap()),
        _ => None,
    }
}

#[test]
fn sql_reaches_no_file_outside_the_directory() {
    assert!(
        confine::is_enforced(),
        "this kernel has no Landlock; the test proves nothing here"
    );
    let fleet = Fleet::new();
    let (ams, lhr) = (fleet.site("ams", "app"), fleet.site("lhr", "app"));
    fleet.engine.create(&ams).unwrap();
    fleet.sql(&ams, "create table t (x)").unwrap();
    fleet.engine.copy(&ams, &lhr).unwrap();
    let secret = fleet.dir.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    for at in [&ams, &lhr] {
        // What may be read shows that the rest is refused for where it is.
        let own = fleet.engine.path(at);
        assert!(read(&fleet, at, own.to_str().unwrap()).unwrap() >= 4096);
        let outside = [
            secret.clone(),
            fleet.home(at).join("role.json"),
            fleet.home(at).join("log"),
            fleet.home(at).join("databases/app"),
            "/etc/passwd".into(),
            "/proc/self/environ".into(),
        ];
        for path in outside {
            assert!(path.exists());
            assert_eq!(
                read(&fleet, at, path.to_str().unwrap()),
                None,
                "{} is readable",
                path.display()
            );
        }
    }
    let other = fleet.engine.path(&lhr);
    assert_eq!(read(&fleet, &ams, other.to_str().unwrap()), None);
    let planted = fleet.dir.path().join("planted");
    let _ = fleet.sql(&ams, &format!("select writefile('{}', 'x')", planted.display()));
    assert!(!planted.exists());
    let _ = fleet.sql(&ams, &format!("attach '{}' as other", secret.display()));
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret");
}

#[test]
fn a_process_gets_nothing_it_does_not_need() {
    let fleet = Fleet::new();
    let ams = fleet.site("ams", "app");
    fleet.engine.create(&ams).unwrap();
    let proc = |name: &str| {
        let bytes = std::fs::read(format!("/proc/{}/{name}", pid(&fleet.home(&ams)))).unwrap();
        String::from_utf8_lossy(&bytes).replace('\0', "\n")
    };
    let environment = proc("environ");
    let key = environment
        .lines()
        .find_map(|line| line.strip_prefix("LIBSQL_ADMIN_AUTH_KEY="))
        .unwrap();
    assert!(key.len() >= 43, "too short a key");
    for name in ["HOME=", "PATH=", "USER=", "CARGO"] {
        assert!(
            !environment.lines().any(|line| line.starts_with(name)),
            "{name} is inherited"
        );
    }
    assert!(!proc("cmdline").contains(key), "the key is on the command line");
    let log = std::fs::read_to_string(fleet.home(&ams).join("log")).unwrap();
    assert!(!log.contains(key), "the key is in the log");
    let status = proc("status");
    assert!(
        status
            .lines()
            .any(|line| line.split_ascii_whitespace().eq(["NoNewPrivs:", "1"]))
    );
    let limits = proc("limits");
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let mut words = line[name.len()..].split_ascii_whitespace();
        (words.next().unwrap().to_owned(), words.next().unwrap().to_owned())
    };
    let files = limit("Max open files");
    assert_eq!(files.0, files.1);
    assert_eq!(limit("Max core file size").0, "0");
}

#[test]
fn without_its_keys_a_process_answers_nobody() {
    let fleet = Fleet::new();
    let ams = fleet.site("ams", "app");
    fleet.engine.create(&ams).unwrap();
    let role: Value = serde_json::from_slice(&std::fs::read(fleet.home(&ams).join("role.json")).unwrap()).unwrap();
    let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    let admin = format!("http://127.0.0.1:{}/v1/namespaces/app", role["admin_port"]);
    assert_eq!(http.get(format!("{admin}/stats")).send().unwrap().status(), 401);
    assert_eq!(http.delete(&admin).send().unwrap().status(), 401);
    let user = fleet.engine.endpoint(&ams).unwrap();
    let asked = http
        .post(format!("http://{}/v2/pipeline", user.address))
        .header("host", user.host)
        .body(r#"{"requests":[]}"#);
    assert_eq!(asked.send().unwrap().status(), 401);
}
