//! The client against the real server: the suite of every control plane over HTTP, on databases that are files.

use crate::conformance::{Subject, conformance, db, request};
use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use torso::control::ControlPlane;
use torso::control::accounts::{Accounts, MemberRole, NewApiToken};
use torso::control::client::{Client, Patience};
use torso::control::hosted::{Engines, Hosted, Options, Public};
use torso::control::names::OrganizationSlug;
use torso::control::tokens::{Authorization, NewToken};
use torso::control::types::Connection;
use torso::error::Code;
use torso::secret::Secret;
use torso::server::{self, Config};
use url::Url;

/// A server in a thread of this program. It lives as long as the program does.
struct Running {
    base: Url,
    token: Secret,
}

fn running() -> &'static Running {
    static SERVER: OnceLock<Running> = OnceLock::new();
    SERVER.get_or_init(|| {
        let dir = tempfile::Builder::new().prefix("torso-server-").tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let options = Options {
            data_dir: dir.path().join("data"),
            engine: Engines::Files,
            locations: None,
            owner: Some("alice".parse().unwrap()),
            public: Public {
                base: base.clone(),
                domain: None,
            },
        };
        let config = Config {
            listener,
            tls: None,
            domain: None,
            requests_per_second: 0,
        };
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
        Running { base, token }
    })
}

fn client(organization: Option<&OrganizationSlug>) -> Client {
    let running = running();
    Client::new(
        running.base.clone(),
        Some(running.token.clone()),
        organization.cloned(),
        Patience {
            call: Duration::from_secs(30),
            ..Patience::USUAL
        },
    )
}

/// An organization of its own on the server, without a group.
struct Organization(OrganizationSlug);

impl Organization {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("team-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let slug = client(None).create_organization(&name).unwrap().slug;
        let world = Self(slug);
        world.plane().delete_group(&"default".parse().unwrap()).unwrap();
        world
    }
}

impl Subject for Organization {
    fn plane(&self) -> Box<dyn ControlPlane> {
        Box::new(client(Some(&self.0)))
    }

    fn execute(&self, to: &Connection, sql: &str) {
        open(to).execute_batch(sql).unwrap();
    }

    fn number(&self, to: &Connection, sql: &str) -> i64 {
        open(to).query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

fn open(to: &Connection) -> rusqlite::Connection {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_URI;
    rusqlite::Connection::open_with_flags(&to.url, flags).unwrap()
}

#[test]
fn a_server_is_a_control_plane() {
    // The locations of a server are chosen where it is started; it takes files in pieces, not at paths.
    let except = ["a location of the user's own", "impossible coordinates", "uploads"];
    conformance(Organization::new, &except);
}

#[test]
fn accounts_over_http() {
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
fn tokens_over_http() {
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
