//! Addresses of databases that were renamed, or moved to another organization.

use crate::support::World;
use crate::support::hrana;
use crate::support::server::Server;
use serde_json::{Value, json};

fn token(server: &Server, path: &str) -> String {
    let minted = server.ok("POST", path, None);
    minted["jwt"].as_str().unwrap().to_owned()
}

fn run(server: &Server, label: &str, token: &str, sql: &str) -> Result<Vec<Value>, String> {
    let request = Server::client().post(format!("{}db/{label}/v2/pipeline", server.url()));
    hrana::execute(request.bearer_auth(token), [sql])
}

#[test]
fn renamed_database_is_reached_by_its_former_address() {
    let world = World::new();
    let server = Server::start(&world, &["--owner", "alice", "--locations", "ams,lhr"]);
    server.ok("POST", "/v1/databases", Some(json!({ "name": "app" })));
    server.ok(
        "POST",
        "/v1/databases/app/instances",
        Some(json!({ "location": "lhr" })),
    );
    let jwt = token(&server, "/v1/databases/app/auth/tokens");
    run(&server, "app-alice", &jwt, "create table t (x)").unwrap();
    server.ok("POST", "/v1/databases/app/rename", Some(json!({ "name": "shop" })));
    server.ok("POST", "/v1/databases/shop/rename", Some(json!({ "name": "store" })));
    for label in ["app-alice", "shop-alice", "store-alice"] {
        run(&server, label, &jwt, "insert into t values (1)").unwrap();
        run(&server, &format!("{label}--lhr"), &jwt, "select count(*) from t").unwrap();
    }
    let refused = run(&server, "app-alice--iad", &jwt, "select 1").unwrap_err();
    insta::assert_snapshot!(refused, @r#"401 Unauthorized: {"message":"the token opens no database at this address (torso db tokens create DATABASE makes one)","code":"UNAUTHORIZED","error":"the token opens no database at this address (torso db tokens create DATABASE makes one)"}"#);

    // Also after a start.
    let owner = server.token.clone();
    server.end(nix::sys::signal::Signal::SIGTERM);
    let mut server = Server::start(&world, &[]);
    server.token = owner;
    server.wait_ready();
    run(&server, "app-alice", &jwt, "insert into t values (1)").unwrap();

    // A database that is made there has the address at once.
    server.ok("POST", "/v1/databases", Some(json!({ "name": "app" })));
    let refused = run(&server, "app-alice", &jwt, "select 1").unwrap_err();
    insta::assert_snapshot!(refused, @r#"401 Unauthorized: {"message":"the token opens no database at this address (torso db tokens create DATABASE makes one)","code":"UNAUTHORIZED","error":"the token opens no database at this address (torso db tokens create DATABASE makes one)"}"#);
    let own = token(&server, "/v1/databases/app/auth/tokens");
    run(&server, "app-alice", &own, "create table other (x)").unwrap();
    server.ok("DELETE", "/v1/databases/store", None);
    let refused = run(&server, "shop-alice", &jwt, "select 1").unwrap_err();
    insta::assert_snapshot!(refused, @r#"404 Not Found: {"message":"the database of this token no longer exists (torso db list)","code":"DATABASE_NOT_FOUND","error":"the database of this token no longer exists (torso db list)"}"#);
}

#[test]
fn moved_database_says_at_its_former_address_where_it_is() {
    let world = World::new();
    let server = Server::start(&world, &["--owner", "alice", "--locations", "ams"]);
    server.ok("POST", "/v1/organizations", Some(json!({ "name": "team" })));
    server.ok("POST", "/v1/organizations", Some(json!({ "name": "other" })));
    for organization in ["alice", "other"] {
        server.ok(
            "POST",
            &format!("/v1/organizations/{organization}/databases"),
            Some(json!({ "name": "app" })),
        );
    }
    let jwt = token(&server, "/v1/databases/app/auth/tokens");
    let foreign = token(&server, "/v1/organizations/other/databases/app/auth/tokens");
    server.ok("POST", "/v1/databases/app/transfer", Some(json!({ "org": "team" })));
    let refused = run(&server, "app-alice", &jwt, "select 1").unwrap_err();
    insta::assert_snapshot!(refused.replace(server.url(), "[server]/"), @r#"404 Not Found: {"message":"the database at \"app-alice\" moved to another organization: it is at [server]/db/app-team/, with tokens made there","code":"DATABASE_MOVED","error":"the database at \"app-alice\" moved to another organization: it is at [server]/db/app-team/, with tokens made there"}"#);
    // That is nobody else's to know.
    let refused = [foreign.as_str(), "nonsense"].map(|token| run(&server, "app-alice", token, "select 1").unwrap_err());
    insta::assert_snapshot!(refused.join("\n"), @r#"
    401 Unauthorized: {"message":"the token opens no database at this address (torso db tokens create DATABASE makes one)","code":"UNAUTHORIZED","error":"the token opens no database at this address (torso db tokens create DATABASE makes one)"}
    401 Unauthorized: {"message":"the database token is not valid (torso db tokens create DATABASE makes one)","code":"UNAUTHORIZED","error":"the database token is not valid (torso db tokens create DATABASE makes one)"}
    "#);
    let jwt = token(&server, "/v1/organizations/team/databases/app/auth/tokens");
    run(&server, "app-team", &jwt, "select 1").unwrap();
}
