//! A hosted plane over server processes: the suite, restarts, usage, and what is sent through labels.

use super::{engine, number, pipeline, query};
use crate::conformance::{Subject, at, conformance, create, db, request};
use crate::hosted::{options, origin, slug};
use crate::support::until;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use torso::control::ControlPlane;
use torso::control::gateway_plane::{GatewayPlane as _, PrimaryAccess};
use torso::control::hosted::{Caller, Engines, Hosted, SqldEngine};
use torso::control::tokens::{Authorization, Span};
use torso::control::types::{Connection, CreateDatabase, DatabaseFilter, Seed};
use torso::error::Code;

/// What the planes it lends need outlives the test's own frame, so it is leaked; the processes are not.
pub(super) struct Tenant {
    pub(super) hosted: &'static Hosted,
    caller: &'static Caller,
    _dir: tempfile::TempDir,
}

pub(super) fn open(dir: &std::path::Path, engine: SqldEngine) -> (Hosted, Option<String>) {
    let mut options = options(dir);
    options.engine = Engines::Sqld(engine);
    let (hosted, token) = Hosted::open(options).unwrap();
    (hosted, token.map(|token| token.expose().to_owned()))
}

impl Tenant {
    pub(super) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("torso-hosted-").tempdir().unwrap();
        let (hosted, token) = open(dir.path(), engine());
        let token = token.unwrap();
        let hosted: &Hosted = Box::leak(Box::new(hosted));
        let caller: &Caller = Box::leak(Box::new(hosted.authenticate(&token, &origin()).unwrap()));
        hosted.accounts(caller).create_organization("team").unwrap();
        let world = Self {
            hosted,
            caller,
            _dir: dir,
        };
        world.plane().delete_group(&"default".parse().unwrap()).unwrap();
        world
    }

    fn run(&self, to: &Connection, sql: &str) -> Vec<serde_json::Value> {
        run(self.hosted, &to.url, sql)
    }
}

/// Runs SQL at a public URL, as a gateway would have it run.
pub(super) fn run(hosted: &Hosted, url: &str, sql: &str) -> Vec<serde_json::Value> {
    let label = url.trim_end_matches('/').rsplit('/').next().unwrap();
    let route = hosted.route(label).unwrap_or_else(|| panic!("nothing is at {label}"));
    let token = hosted.internal_token(&route, Authorization::FullAccess).unwrap();
    query(&hosted.endpoint(&route).unwrap(), token.expose(), sql).unwrap()
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.hosted.shutdown();
    }
}

impl Subject for Tenant {
    fn plane(&self) -> Box<dyn ControlPlane> {
        self.hosted.plane(self.caller, Some(&slug("team"))).unwrap()
    }

    fn execute(&self, to: &Connection, sql: &str) {
        self.run(to, sql);
    }

    fn number(&self, to: &Connection, sql: &str) -> i64 {
        number(&self.run(to, sql))
    }
}

#[test]
fn organizations_over_servers_conform_as_control_planes() {
    conformance(
        Tenant::new,
        &[
            // As for one plane over servers.
            "a replica that is behind",
            "syncing one of two",
        ],
    );
}

#[test]
fn usage_is_counted_and_never_less() {
    let world = Tenant::new();
    let plane = world.plane();
    create(&*plane, "app", "ams");
    let to = plane.connection(&db("app"), None).unwrap();
    world.run(
        &to,
        "create table t (x); insert into t values (1), (2), (3); select * from t",
    );
    let usage = plane.database_usage(&db("app"), Span::default()).unwrap();
    assert!(usage.total.rows_written >= 3, "{usage:?}");
    assert!(usage.total.rows_read >= 3 && usage.total.storage_bytes > 0, "{usage:?}");
    assert_eq!(usage.instances.len(), 1);
    let again = plane.database_usage(&db("app"), Span::default()).unwrap();
    assert_eq!(again.total.rows_written, usage.total.rows_written);
    let all = world
        .hosted
        .accounts(world.caller)
        .organization_usage(&slug("team"))
        .unwrap();
    assert_eq!((all.usage.databases, all.databases.len()), (1, 1));
    assert_eq!(all.usage.used.rows_written, usage.total.rows_written);
    let queries = plane.top_queries(&db("app")).unwrap();
    assert!(
        queries.iter().any(|query| query.query.contains("insert into t")),
        "{queries:?}"
    );
}

#[test]
fn uploads_and_dumps_become_databases_in_processes_of_their_own() {
    let world = Tenant::new();
    let plane = world.plane();
    let team = slug("team");
    let dump = "BEGIN; CREATE TABLE t (x); INSERT INTO t VALUES (1), (2); COMMIT;\n";
    let (_, url) = world
        .hosted
        .adopt_dump(world.caller, Some(&team), &mut dump.as_bytes())
        .unwrap();
    let made = plane
        .create_database(&CreateDatabase {
            seed: Some(Seed::Dump { url }),
            location: Some(at("ams")),
            ..request("app")
        })
        .unwrap();
    assert_eq!(number(&run(world.hosted, &made.url, "select count(*) from t")), 2);
    let bad = "CREATE TABLE t (x); CREATE VIEW v AS SELECT readfile('/etc/passwd');\n";
    let (_, url) = world
        .hosted
        .adopt_dump(world.caller, Some(&team), &mut bad.as_bytes())
        .unwrap();
    let error = plane
        .create_database(&CreateDatabase {
            seed: Some(Seed::Dump { url }),
            ..request("bad")
        })
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidFile, "{error}");
    insta::assert_snapshot!(error.full_message(), @r#"the uploaded file cannot become a database: "v" of its schema: the function readfile cannot be used in a hosted database"#);
    let export = world
        .hosted
        .export(world.caller, Some(&team), &db("app"), None)
        .unwrap();
    assert!(export.size >= 4096);
}

#[test]
fn databases_after_a_restart_are_all_served_again() {
    let dir = tempfile::Builder::new().prefix("torso-hosted-").tempdir().unwrap();
    let (hosted, token) = open(dir.path(), engine());
    let token = token.unwrap();
    let caller = hosted.authenticate(&token, &origin()).unwrap();
    let plane = hosted.plane(&caller, None).unwrap();
    let made = create(&*plane, "app", "ams");
    run(&hosted, &made.url, "create table t (x); insert into t values (1)");
    plane.add_instance(&db("app"), &at("lhr")).unwrap();
    let jwt = plane
        .create_database_token(&db("app"), &Default::default())
        .unwrap()
        .jwt;
    drop(plane);
    drop(hosted);
    let began = Instant::now();
    let (hosted, _) = open(dir.path(), engine());
    until("it is ready", || hosted.check_ready().is_ok());
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(number(&run(&hosted, &made.url, "select count(*) from t")), 1);
    let route = hosted.route("app-alice--lhr").unwrap();
    assert_eq!((route.is_primary, route.is_default), (false, false));
    assert!(hosted.authorize(jwt.expose(), &route).is_ok());
    let PrimaryAccess::Here(primary) = hosted.primary_access(&route).unwrap() else {
        panic!("the primary is here");
    };
    assert_ne!(hosted.endpoint(&route).unwrap(), primary);
    let caller = hosted.authenticate(&token, &origin()).unwrap();
    let plane = hosted.plane(&caller, None).unwrap();
    assert_eq!(plane.list_databases(&DatabaseFilter::default()).unwrap().len(), 1);
}

#[test]
fn databases_in_hundreds_are_listed_and_served_again_in_time() {
    const COUNT: usize = 300;
    let dir = tempfile::Builder::new().prefix("torso-hosted-").tempdir().unwrap();
    let (hosted, token) = open(dir.path(), engine());
    let token = token.unwrap();
    let caller = hosted.authenticate(&token, &origin()).unwrap();
    let plane = hosted.plane(&caller, None).unwrap();
    for number in 0..COUNT {
        create(&*plane, &format!("db{number}"), "ams");
    }
    let fastest = (0..10)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(plane.list_databases(&DatabaseFilter::default()).unwrap().len(), COUNT);
            began.elapsed()
        })
        .min()
        .unwrap();
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
    drop(plane);
    drop(hosted);
    let began = Instant::now();
    let (hosted, _) = open(dir.path(), engine());
    until("it is ready", || hosted.check_ready().is_ok());
    let ready = began.elapsed();
    assert!(ready < Duration::from_secs(10), "{ready:?}");
    let route = hosted.route("db299-alice").unwrap();
    assert!(hosted.endpoint(&route).is_ok());
}

#[test]
fn database_moves_to_another_organization_with_its_rows() {
    let world = Tenant::new();
    let personal = world.hosted.plane(world.caller, None).unwrap();
    let made = create(&*personal, "app", "ams");
    run(
        world.hosted,
        &made.url,
        "create table t (x); insert into t values (1), (2)",
    );
    personal.add_instance(&db("app"), &at("lhr")).unwrap();
    personal.transfer_database(&db("app"), &slug("team")).unwrap();
    assert!(world.hosted.route("app-alice").is_none());
    let moved = world.plane().get_database(&db("app")).unwrap();
    run(world.hosted, &moved.url, "insert into t values (3)");
    let replica = world.plane().connection(&db("app"), Some(&at("lhr"))).unwrap();
    until("the replica has it", || {
        world.number(&replica, "select count(*) from t") == 3
    });
}

/// Makes alice's database `app` with a table `t`: what runs statements on a stream of its process, behind the gateway's back.
fn app_at_its_process(world: &Tenant) -> impl Fn(&Value, &[&str]) -> Value + use<> {
    let personal = world.hosted.plane(world.caller, None).unwrap();
    let made = create(&*personal, "app", "ams");
    run(world.hosted, &made.url, "create table t (x)");
    let route = world.hosted.route("app-alice").unwrap();
    let endpoint = world.hosted.endpoint(&route).unwrap();
    let token = world.hosted.internal_token(&route, Authorization::FullAccess).unwrap();
    move |baton, statements| {
        let requests: Vec<_> = statements
            .iter()
            .map(|sql| json!({ "type": "execute", "stmt": { "sql": sql } }))
            .collect();
        let body = json!({ "baton": baton, "requests": requests });
        let request = pipeline(endpoint.address, &endpoint.host, token.expose()).timeout(Duration::from_secs(30));
        request.json(&body).send().unwrap().json().unwrap()
    }
}

#[test]
fn writes_while_a_database_moves_go_along() {
    let world = Tenant::new();
    let ask = app_at_its_process(&world);
    let opened = ask(&Value::Null, &["begin", "insert into t values (1)"]);
    assert_eq!(opened["results"][1]["type"], "ok", "{opened}");
    let committed = std::thread::scope(|scope| {
        let moved = scope.spawn(|| {
            let personal = world.hosted.plane(world.caller, None).unwrap();
            personal.transfer_database(&db("app"), &slug("team"))
        });
        until("writes are blocked", || {
            world.hosted.route("app-alice").is_some_and(|route| route.block_writes)
        });
        // Long enough for a move that does not wait.
        std::thread::sleep(Duration::from_millis(1500));
        let committed = ask(&opened["baton"], &["commit"]);
        moved.join().unwrap().unwrap();
        committed
    });
    assert_eq!(committed["results"][0]["type"], "ok", "{committed}");
    let moved = world.plane().get_database(&db("app")).unwrap();
    assert_eq!(number(&run(world.hosted, &moved.url, "select count(*) from t")), 1);
    run(world.hosted, &moved.url, "insert into t values (2)");
}

#[test]
fn transaction_that_is_left_open_does_not_stop_a_transfer() {
    let world = Tenant::new();
    let ask = app_at_its_process(&world);
    ask(&Value::Null, &["begin", "insert into t values (1)"]);
    let personal = world.hosted.plane(world.caller, None).unwrap();
    let begun = Instant::now();
    personal.transfer_database(&db("app"), &slug("team")).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let moved = world.plane().get_database(&db("app")).unwrap();
    assert_eq!(number(&run(world.hosted, &moved.url, "select count(*) from t")), 0);
}
