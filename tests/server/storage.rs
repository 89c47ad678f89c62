//! The storage quota, as applications meet it: writes stop while an organization stores too much, and go on when it does no
//! more.

use crate::support::World;
use crate::support::hrana;
use crate::support::server::Server;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long it may take until a change of what is stored is seen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Database {
    path: String,
    token: String,
}

impl Database {
    fn new(server: &Server, organization: &str, name: &str) -> Self {
        let databases = format!("/v1/organizations/{organization}/databases");
        server.ok("POST", &databases, Some(json!({ "name": name, "group": "default" })));
        let minted = server.ok("POST", &format!("{databases}/{name}/auth/tokens"), None);
        let database = Self {
            path: format!("db/{name}-{organization}/v2/pipeline"),
            token: minted["jwt"].as_str().unwrap().to_owned(),
        };
        database.run(server, "create table t (x)").unwrap();
        database
    }

    /// The same database at its replica in a location.
    fn at(&self, location: &str) -> Self {
        let (label, rest) = self.path.split_once("/v2").unwrap();
        Self {
            path: format!("{label}--{location}/v2{rest}"),
            token: self.token.clone(),
        }
    }

    fn run(&self, server: &Server, sql: &str) -> Result<Vec<Value>, String> {
        let request = Server::client().post(format!("{}{}", server.url(), self.path));
        hrana::execute(request.bearer_auth(&self.token), [sql])
    }

    fn write(&self, server: &Server) -> Result<Vec<Value>, String> {
        self.run(server, "insert into t values (randomblob(400000))")
    }
}

#[track_caller]
fn is_blocked(answer: Result<Vec<Value>, String>) {
    let error = answer.unwrap_err();
    assert!(error.contains("BLOCKED") && error.contains("storage quota"), "{error}");
}

/// Writes until a write is refused.
#[track_caller]
fn fill(server: &Server, database: &Database) {
    let begun = Instant::now();
    while database.write(server).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "nothing stops it");
        std::thread::sleep(Duration::from_millis(100));
    }
    is_blocked(database.write(server));
}

#[track_caller]
fn goes_on(server: &Server, database: &Database) {
    goes_on_with(server, database, "insert into t values (1)");
}

#[track_caller]
fn goes_on_with(server: &Server, database: &Database, sql: &str) {
    let begun = Instant::now();
    while let Err(error) = database.run(server, sql) {
        assert!(begun.elapsed() < PATIENCE, "{error}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn storage_quota_that_is_exceeded_stops_writes() {
    let world = World::new();
    let server = Server::start(
        &world,
        &["--owner", "alice", "--locations", "ams,lhr", "--quota", "storage=2mb"],
    );
    server.ok("POST", "/v1/organizations", Some(json!({ "name": "calm" })));
    let (app, other) = (
        Database::new(&server, "alice", "app"),
        Database::new(&server, "alice", "other"),
    );
    server.ok(
        "POST",
        "/v1/databases/other/instances",
        Some(json!({ "location": "lhr" })),
    );
    let calm = Database::new(&server, "calm", "app");
    fill(&server, &app);
    // All of the organization's, and nobody else's; reads go on.
    is_blocked(other.write(&server));
    is_blocked(other.at("lhr").write(&server));
    other.at("lhr").run(&server, "select count(*) from t").unwrap();
    assert_eq!(
        other.run(&server, "select count(*) from t").unwrap()[0][0]["value"],
        "0"
    );
    app.run(&server, "select count(*) from t").unwrap();
    calm.run(&server, "insert into t values (1)").unwrap();
    let blocked = |server: &Server, slug: &str| {
        let told = server.ok("GET", &format!("/v1/organizations/{slug}"), None);
        told["organization"]["blocked_writes"].clone()
    };
    assert_eq!(
        (blocked(&server, "alice"), blocked(&server, "calm")),
        (json!(true), json!(false))
    );
    // What a user has set is told as before.
    let configuration = server.ok("GET", "/v1/databases/app/configuration", None);
    assert_eq!(configuration["block_writes"], false);
    let (status, refused) = server.ask(
        "POST",
        "/v1/databases",
        Some(json!({ "name": "more", "group": "default" })),
    );
    assert_eq!((status, &refused["code"]), (409, &json!("quota_exceeded")));

    // Also after a start, from the first request on.
    let token = server.token.clone();
    server.end(nix::sys::signal::Signal::SIGTERM);
    let mut server = Server::start(&world, &[]);
    server.token = token;
    is_blocked(app.write(&server));

    server.ok("DELETE", "/v1/databases/app", None);
    goes_on(&server, &other);
    assert_eq!(blocked(&server, "alice"), json!(false));

    // And with another quota.
    fill(&server, &other);
    let token = server.token.clone();
    server.end(nix::sys::signal::Signal::SIGTERM);
    let mut server = Server::start(&world, &["--quota", "alice/storage=1gb"]);
    server.token = token;
    goes_on(&server, &other);
}

#[test]
fn storage_quota_lets_deletes_and_drops_pass() {
    let world = World::new();
    let server = Server::start(
        &world,
        &["--owner", "alice", "--locations", "ams,lhr", "--quota", "storage=2mb"],
    );
    let app = Database::new(&server, "alice", "app");
    server.ok(
        "POST",
        "/v1/databases/app/instances",
        Some(json!({ "location": "lhr" })),
    );
    app.run(&server, "create table log (x)").unwrap();
    app.run(&server, "create table wide (x, y)").unwrap();
    app.run(
        &server,
        "create trigger grows after delete on t begin insert into log values (zeroblob(4000000)); end",
    )
    .unwrap();
    fill(&server, &app);
    for sql in [
        "insert into t values (1)",
        "update t set x = zeroblob(500000)",
        "replace into t values (1)",
        "create table more (x)",
        "create index i on t (x)",
        "alter table t add column y",
        "explain insert into t values (1)",
    ] {
        is_blocked(app.run(&server, sql));
        is_blocked(app.at("lhr").run(&server, sql));
    }
    // A script learns that it is no matter of its token.
    let mut client = World::new();
    client.set("TORSO_DATABASE_TOKEN", &app.token);
    let url = format!("{}{}", server.url(), app.path.trim_end_matches("v2/pipeline"));
    let refused = client.torso(["db", "shell", &url, "insert into t values (1)", "--json"]);
    assert!(refused.fails(5, "blocked").stderr.contains("storage quota"));
    // What a trigger would add is not added either.
    let grown = app.run(&server, "delete from t where rowid = 1").unwrap_err();
    assert!(grown.contains("SQLITE_FULL"), "{grown}");
    app.run(&server, "drop trigger grows").unwrap();
    app.at("lhr").run(&server, "delete from t where rowid = 1").unwrap();
    app.run(&server, "select count(*) from t").unwrap();
    app.run(&server, "alter table wide drop column y").unwrap();
    app.run(&server, "drop table t").unwrap();
    // Within the quota again, without anything of the operator's.
    goes_on_with(&server, &app, "create table t (x)");
    app.run(&server, "insert into t values (1)").unwrap();
}

/// Rows that fill pages, each of which is written to an audit log as it is deleted, and searched for by its words.
#[test]
fn storage_quota_lets_a_delete_pass_whose_triggers_write() {
    let world = World::new();
    let server = Server::start(
        &world,
        &["--owner", "alice", "--locations", "ams,lhr", "--quota", "storage=2mb"],
    );
    let app = Database::new(&server, "alice", "app");
    server.ok(
        "POST",
        "/v1/databases/app/instances",
        Some(json!({ "location": "lhr" })),
    );
    for sql in [
        "create table orders (id integer primary key, what text)",
        "create table audit (id, what, at)",
        "create virtual table words using fts5 (what)",
        "create trigger before_delete before delete on orders begin
             insert into audit values (old.id, 'will be deleted: ' || old.what, datetime());
             update orders set what = what where id = old.id;
         end",
        "create trigger after_delete after delete on orders begin insert into audit values (old.id, old.what, datetime()); end",
        "with recursive n(x) as (select 1 union all select x + 1 from n where x < 3000)
         insert into orders select x, hex(randomblob(60)) from n",
        "insert into words select what from orders",
    ] {
        app.run(&server, sql).unwrap();
    }
    fill(&server, &app);
    for (database, sql) in [
        (&app, "delete from orders where id <= 40"),
        (&app.at("lhr"), "delete from orders where id <= 80"),
        (&app, "delete from words where rowid <= 500"),
        (&app, "delete from orders"),
    ] {
        database
            .run(&server, sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    assert_eq!(
        app.run(&server, "select count(*) from audit").unwrap()[0][0]["value"],
        "6000"
    );
    is_blocked(app.write(&server));
    app.run(&server, "drop table t").unwrap();
    goes_on_with(&server, &app, "create table t (x)");
}
