//! What a process cannot reach, whatever SQL it is sent.

use super::{Fleet, pid};
use serde_json::Value;
use torso::engine::{Engine as _, LocalFiles as _, confine};

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
    assert_eq!(
        confine::confinement(),
        confine::Confinement::Full,
        "this kernel does not confine everything; the test proves nothing here"
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
fn process_gets_nothing_that_it_does_not_need() {
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
    let score = proc("oom_score_adj");
    assert_eq!(score.trim(), "500", "the system ends torso as soon as its processes");
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
fn process_without_its_keys_answers_nobody() {
    let fleet = Fleet::new();
    let ams = fleet.site("ams", "app");
    fleet.engine.create(&ams).unwrap();
    let role: Value = serde_json::from_slice(&std::fs::read(fleet.home(&ams).join("role.json")).unwrap()).unwrap();
    torso::net::use_ring();
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

/// Whether a program that shows these certificates reads a database by way of the replication port.
fn replicates(fleet: &Fleet, port: u16, name: &str, tls: &[(&str, &str)]) -> bool {
    let home = fleet.dir.path().join(name);
    std::fs::create_dir(&home).unwrap();
    let files: Vec<_> = tls
        .iter()
        .map(|(flag, text)| {
            let path = home.join(flag);
            std::fs::write(&path, text).unwrap();
            (format!("--primary-grpc-{flag}-file"), path)
        })
        .collect();
    let scheme = if tls.is_empty() { "http" } else { "https" };
    let url = format!("{scheme}://127.0.0.1:{port}");
    let mut flags = vec!["--enable-namespaces".to_owned(), "--primary-grpc-url".to_owned(), url];
    if !tls.is_empty() {
        flags.push("--primary-grpc-tls".to_owned());
    }
    for (flag, path) in &files {
        flags.extend([flag.clone(), path.display().to_string()]);
    }
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let replica = crate::support::sqld::Sqld::start_with(&flags);
    let read = super::query_at(replica.address(), "app.localhost", "", "select count(*) from t");
    read.is_ok()
}

#[test]
fn replication_port_opens_to_the_pool_s_own_replicas_only() {
    let fleet = Fleet::new();
    let (ams, lhr) = (fleet.site("ams", "app"), fleet.site("lhr", "app"));
    fleet.engine.create(&ams).unwrap();
    fleet.sql(&ams, "create table t (x)").unwrap();
    fleet.engine.copy(&ams, &lhr).unwrap();
    fleet.sql(&lhr, "insert into t values (1)").unwrap();
    let role: Value = serde_json::from_slice(&std::fs::read(fleet.home(&ams).join("role.json")).unwrap()).unwrap();
    let port = u16::try_from(role["log_port"].as_u64().unwrap()).unwrap();
    assert!(!replicates(&fleet, port, "bare", &[]), "it takes whoever comes");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["sqld".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap()
        .pem();
    let key = key.serialize_pem();
    let own = [("cert", certificate.as_str()), ("key", &key), ("ca-cert", &certificate)];
    assert!(!replicates(&fleet, port, "stranger", &own), "it takes any certificate");
    // A process has read its keys when it serves, and then they are nowhere.
    for at in [&ams, &lhr] {
        let keys = fleet.home(at).join("keys");
        assert_eq!(std::fs::read_dir(keys).unwrap().count(), 0);
    }
}

#[test]
fn administration_key_is_another_for_each_process_and_each_start() {
    let fleet = Fleet::new();
    let (ams, lhr) = (fleet.site("ams", "app"), fleet.site("lhr", "app"));
    fleet.engine.create(&ams).unwrap();
    fleet.engine.copy(&ams, &lhr).unwrap();
    let key = |at| {
        let bytes = std::fs::read(format!("/proc/{}/environ", pid(&fleet.home(at)))).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let key = text
            .split('\0')
            .find_map(|line| line.strip_prefix("LIBSQL_ADMIN_AUTH_KEY="));
        key.unwrap().to_owned()
    };
    let first = key(&ams);
    assert_ne!(first, key(&lhr));
    let before = fleet.pid(&ams);
    super::kill(before);
    crate::support::until("another process serves", || {
        fleet.pid(&ams) != before && fleet.engine.endpoint(&ams).is_ok()
    });
    assert_ne!(first, key(&ams));
}
