//! The client against the real server: the suite of every control plane over HTTP, on databases that are files and on
//! those of libSQL server processes behind the gateway.

use crate::conformance::{Subject, conformance, db, request};
use crate::support::server::Server;
use crate::support::sqld;
use crate::support::until;
use crate::support::world::TORSO;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use torso::control::accounts::{MemberRole, NewApiToken};
use torso::control::client::{Client, RetryPolicy};
use torso::control::gateway_plane::Public;
use torso::control::hosted::{Engines, Hosted, HostedOptions};
use torso::control::names::OrganizationSlug;
use torso::control::tokens::{Authorization, NewToken};
use torso::control::types::{Connection, NewGroup};
use torso::control::{
    ApiTokenOperations as _, ControlPlane, InviteOperations as _, MemberOperations as _, OrganizationOperations as _,
};
use torso::engine::sqld::SqldEngine;
use torso::error::Code;
use torso::secret::Secret;
use torso::server::{self, ServerConfig};
use url::Url;

/// A server in a thread of this program. It lives as long as the program does.
struct Running {
    base: Url,
    token: Secret,
    dir: std::path::PathBuf,
}

/// Where a server's databases are.
#[derive(Clone, Copy)]
enum On {
    Files,
    Processes,
}

fn running(on: On) -> &'static Running {
    static FILES: OnceLock<Running> = OnceLock::new();
    static PROCESSES: OnceLock<Running> = OnceLock::new();
    let (server, engine) = match on {
        On::Files => (&FILES, Engines::Files),
        On::Processes => (
            &PROCESSES,
            Engines::Sqld(SqldEngine::new(sqld::program(), std::path::Path::new(TORSO)).unwrap()),
        ),
    };
    server.get_or_init(|| {
        let dir = tempfile::Builder::new().prefix("torso-server-").tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let options = HostedOptions {
            data_dir: dir.path().join("data"),
            engine,
            locations: None,
            owner: Some("alice".parse().unwrap()),
            public: Public {
                base: base.clone(),
                domain: None,
            },
        };
        let config = ServerConfig {
            listener,
            tls: None,
            domain: None,
            prefix: String::new(),
            trusted_proxies: Vec::new(),
            requests_per_second: 0,
            connections_per_address: 0,
            statement_timeout: torso::control::hosted::LONGEST_STATEMENT,
            data_dir: options.data_dir.clone(),
            ends_with_terminal: false,
        };
        let path = dir.path().to_owned();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let _dir = dir;
            server::run(
                config,
                move || Hosted::open(options),
                move |_, token| {
                    tell.send(token.unwrap()).unwrap();
                    Ok(())
                },
            )
        });
        let token = told
            .recv_timeout(Duration::from_secs(30))
            .expect("the server does not start");
        // What a start does for all organizations would refresh replicas that a check wants behind.
        let ready = base.join("/ready").unwrap();
        until("a start is over", || {
            Server::client()
                .get(ready.clone())
                .send()
                .is_ok_and(|answer| answer.status().is_success())
        });
        Running { base, token, dir: path }
    })
}

fn client(organization: Option<&OrganizationSlug>) -> Client {
    client_of(On::Files, organization)
}

fn client_of(on: On, organization: Option<&OrganizationSlug>) -> Client {
    let running = running(on);
    Client::new(
        running.base.clone(),
        Some(running.token.clone()),
        organization.cloned(),
        RetryPolicy {
            call: Duration::from_secs(30),
            ..RetryPolicy::USUAL
        },
    )
}

/// An organization of its own on the server, without a group.
struct Organization(OrganizationSlug, On);

impl Organization {
    fn new() -> Self {
        Self::on(On::Files)
    }

    fn on(on: On) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("team-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let slug = client_of(on, None).create_organization(&name).unwrap().slug;
        let world = Self(slug, on);
        world.plane().delete_group(&"default".parse().unwrap()).unwrap();
        world
    }
}

impl Subject for Organization {
    fn plane(&self) -> Box<dyn ControlPlane> {
        Box::new(client_of(self.1, Some(&self.0)))
    }

    fn execute(&self, to: &Connection, sql: &str) {
        match self.1 {
            On::Files => self.open(to).execute_batch(sql).unwrap(),
            On::Processes => drop(ask(to, sql)),
        }
    }

    fn number(&self, to: &Connection, sql: &str) -> i64 {
        match self.1 {
            On::Files => self.open(to).query_row(sql, [], |row| row.get(0)).unwrap(),
            On::Processes => ask(to, sql)["rows"][0][0]["value"].as_str().unwrap().parse().unwrap(),
        }
    }
}

impl Organization {
    /// Opens the file of an instance where the server has it; the server itself names addresses only.
    fn open(&self, to: &Connection) -> rusqlite::Connection {
        let id = self.plane().get_database(&to.database).unwrap().id;
        let dir = &running(self.1).dir;
        let place = format!("{}/{id}.db", to.location);
        let path = crate::support::tree::list(dir)
            .into_keys()
            .find(|path| path.ends_with(&place))
            .unwrap_or_else(|| panic!("no {place}"));
        rusqlite::Connection::open_with_flags(dir.join(path), rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap()
    }
}

/// Runs statements through the gateway as an application would; the result of the last.
fn ask(to: &Connection, sql: &str) -> Value {
    let statements = sql.split(';').map(str::trim).filter(|statement| !statement.is_empty());
    let requests: Vec<Value> = statements
        .map(|sql| json!({ "type": "execute", "stmt": { "sql": sql } }))
        .chain([json!({ "type": "close" })])
        .collect();
    let answer: Value = Server::client()
        .post(format!("{}v2/pipeline", to.url))
        .bearer_auth(to.token.as_ref().unwrap().expose())
        .json(&json!({ "baton": null, "requests": requests }))
        .send()
        .unwrap()
        .json()
        .unwrap();
    let results = answer["results"]
        .as_array()
        .unwrap_or_else(|| panic!("{sql}: {answer}"));
    assert!(results.iter().all(|result| result["type"] == "ok"), "{sql}: {answer}");
    results[results.len() - 2]["response"]["result"].clone()
}

#[test]
fn server_of_files_conforms_as_a_control_plane() {
    // The locations of a server are chosen where it is started. A file is sent and not moved, so it
    // may be anywhere.
    let except = [
        "a location of the user's own",
        "impossible coordinates",
        "uploads are moved",
        // A server's replica hands writes on, and the client leaves it to say so.
        "replicas take no writes",
    ];
    conformance(Organization::new, &except);
}

#[test]
fn server_of_processes_conforms_as_a_control_plane() {
    let except = [
        // As above.
        "a location of the user's own",
        "impossible coordinates",
        "uploads are moved",
        // The gateway hands writes on to the primary.
        "replicas take no writes",
        // Replicas follow by themselves, so none is ever left behind for a look at it.
        "a replica that is behind",
        "syncing one of two",
    ];
    conformance(|| Organization::on(On::Processes), &except);
}

#[test]
fn accounts_over_http_conform() {
    let own = client(None);
    assert_eq!(own.current_user().unwrap().username.as_str(), "alice");
    assert_eq!(own.validate().unwrap(), None);
    let world = Organization::new();
    let slug = &world.0;
    assert!(
        own.list_organizations()
            .unwrap()
            .iter()
            .any(|found| found.slug == *slug)
    );
    assert_eq!(own.get_organization(slug).unwrap().slug, *slug);
    let invite = own.create_invite(slug, "eve@example.com", MemberRole::Viewer).unwrap();
    assert!(invite.link.is_some());
    assert_eq!(own.list_invites(slug).unwrap().len(), 1);
    own.delete_invite(slug, "eve@example.com").unwrap();
    let error = own.delete_invite(slug, "eve@example.com").unwrap_err();
    assert_eq!(error.code(), Code::InviteNotFound);
    let minted = own
        .create_api_token(
            &"only-looks".parse().unwrap(),
            &NewApiToken {
                organization: Some(slug.clone()),
                expiration: Some("1h".to_owned()),
                ..NewApiToken::default()
            },
        )
        .unwrap();
    assert!(minted.token.expires_at.is_some());
    let names: Vec<String> = own
        .list_api_tokens()
        .unwrap()
        .into_iter()
        .map(|token| token.name.to_string())
        .collect();
    assert!(names.contains(&"only-looks".to_owned()));
    own.revoke_api_token(&"only-looks".parse().unwrap()).unwrap();
    let page = own.audit_log(slug, 1, 10).unwrap();
    assert!(page.audit_logs.iter().any(|entry| entry.code == "org-create"));
    assert_eq!(own.list_members(slug).unwrap()[0].role, MemberRole::Owner);
    assert_eq!(own.organization_usage(slug).unwrap().usage.databases, 0);
    assert!(!own.list_plans().unwrap().is_empty());
    own.delete_organization(slug).unwrap();
    assert_eq!(
        own.get_organization(slug).unwrap_err().code(),
        Code::OrganizationNotFound
    );
}

#[test]
fn groups_and_tokens_over_http_come_in_pages() {
    let world = Organization::new();
    let plane = world.plane();
    plane.create_database(&request("app")).unwrap();
    for name in ["a", "b", "c", "d"] {
        let group = NewGroup {
            name: name.parse().unwrap(),
            location: "ams".parse().unwrap(),
        };
        plane.create_group(&group).unwrap();
        let new = NewToken {
            name: Some(name.to_owned()),
            ..NewToken::default()
        };
        plane.create_database_token(&db("app"), &new).unwrap();
        plane.create_group_token(&"a".parse().unwrap(), &new).unwrap();
    }
    let groups = |after: Option<&str>, limit| {
        let after = after.map(|name| name.parse().unwrap());
        let page = plane.list_groups_after(after.as_ref(), limit).unwrap();
        let names: Vec<String> = page.items.iter().map(|group| group.name.to_string()).collect();
        (names.join(" "), page.has_more)
    };
    assert_eq!(groups(None, 2), ("a b".to_owned(), true));
    assert_eq!(groups(Some("b"), 2), ("c d".to_owned(), true));
    assert_eq!(groups(Some("d"), 2), ("default".to_owned(), false));
    // A name that is not there.
    assert_eq!(groups(Some("bb"), 9), ("c d default".to_owned(), false));
    let all = plane.list_database_tokens(&db("app")).unwrap();
    let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = plane.list_database_tokens_after(&db("app"), after.as_ref(), 3).unwrap();
        assert!(page.items.len() <= 3);
        pages += 1;
        after = page.items.last().map(|token| token.id.parse().unwrap());
        seen.extend(page.items);
        if !page.has_more {
            break;
        }
    }
    assert_eq!((pages, seen), (2, all));
    let gone = "00000000-0000-4000-8000-000000000000".parse().unwrap();
    let error = plane
        .list_database_tokens_after(&db("app"), Some(&gone), 3)
        .unwrap_err();
    assert_eq!(error.code(), Code::TokenNotFound);
    let first = plane.list_group_tokens_after(&"a".parse().unwrap(), None, 1).unwrap();
    assert_eq!((first.items.len(), first.has_more), (1, true));
}

#[test]
fn tokens_over_http_conform() {
    let world = Organization::new();
    let plane = world.plane();
    plane.create_database(&request("app")).unwrap();
    let new = NewToken {
        name: Some("web".to_owned()),
        expiration: "1w2d".parse().unwrap(),
        authorization: Authorization::ReadOnly,
        ..NewToken::default()
    };
    let minted = plane.create_database_token(&db("app"), &new).unwrap();
    let id = minted.id.unwrap();
    let listed = plane.list_database_tokens(&db("app")).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].id, listed[0].name.as_deref()), (&id, Some("web")));
    assert_eq!(listed[0].authorization, Authorization::ReadOnly);
    let revoked = plane.revoke_database_token(&db("app"), &id).unwrap();
    assert!(revoked.revoked_at.is_some());
    let unknown = plane.revoke_database_token(&db("app"), "nosuch").unwrap_err();
    assert_eq!(unknown.code(), Code::TokenNotFound);
    plane
        .rotate_database_tokens(&db("app"), Duration::from_secs(600))
        .unwrap();
    plane.database_usage(&db("app"), Default::default()).unwrap();
}
