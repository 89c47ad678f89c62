//! The suite of every control plane, over an organization of a hosted one.

use super::{options, origin, slug};
use crate::conformance::{Subject, at, conformance, create, refused, request};
use crate::support::until;
use torso::control::ControlPlane;
use torso::control::gateway_plane::GatewayPlane as _;
use torso::control::hosted::{Caller, Hosted};
use torso::control::types::{Connection, CreateDatabase, NewGroup};
use torso::error::Code;

/// An organization without a group, as the suite wants it. What it lends outlives the test's own frame, so it is leaked.
struct Organization {
    hosted: &'static Hosted,
    caller: &'static Caller,
    _dir: tempfile::TempDir,
}

impl Organization {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("torso-hosted-").tempdir().unwrap();
        let (hosted, token) = Hosted::open(options(dir.path())).unwrap();
        let hosted: &Hosted = Box::leak(Box::new(hosted));
        // What a start does for all organizations would refresh replicas that a check wants behind.
        until("a start is over", || hosted.check_ready().is_ok());
        let caller = hosted.authenticate(token.unwrap().expose(), &origin()).unwrap();
        let caller: &Caller = Box::leak(Box::new(caller));
        hosted.accounts(caller).create_organization("team").unwrap();
        let world = Self {
            hosted,
            caller,
            _dir: dir,
        };
        world.plane().delete_group(&"default".parse().unwrap()).unwrap();
        world
    }
}

impl Subject for Organization {
    fn plane(&self) -> Box<dyn ControlPlane> {
        self.hosted.plane(self.caller, Some(&slug("team"))).unwrap()
    }

    fn execute(&self, to: &Connection, sql: &str) {
        open(to).execute_batch(sql).unwrap();
    }

    fn number(&self, to: &Connection, sql: &str) -> i64 {
        open(to).query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

fn open(to: &Connection) -> rusqlite::Connection {
    let mode = if to.read_only {
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    rusqlite::Connection::open_with_flags(to.url.as_str(), mode | rusqlite::OpenFlags::SQLITE_OPEN_URI).unwrap()
}

#[test]
fn organization_conforms_as_a_control_plane() {
    conformance(Organization::new, &[]);
}

#[test]
fn locations_are_those_that_the_server_offers() {
    let dir = tempfile::tempdir().unwrap();
    let codes = ["ams", "lhr", "iad"].map(at);
    let open = |locations| {
        let mut options = options(dir.path());
        options.locations = locations;
        Hosted::open(options).unwrap()
    };
    let (hosted, token) = open(Some(codes.to_vec()));
    let token = token.unwrap();
    let caller = hosted.authenticate(token.expose(), &origin()).unwrap();
    let plane = hosted.plane(&caller, None).unwrap();
    assert_eq!(plane.list_groups().unwrap()[0].primary, at("ams"));
    let mut listed: Vec<_> = plane
        .list_locations()
        .unwrap()
        .into_iter()
        .map(|location| location.code)
        .collect();
    listed.sort();
    assert_eq!(listed, ["ams", "iad", "lhr"].map(at));
    refused(plane.get_location(&at("fra")), Code::LocationNotFound, "fra");
    let app = create(&*plane, "app", "lhr");
    assert_eq!(app.primary, at("lhr"));
    let elsewhere = CreateDatabase {
        location: Some(at("fra")),
        ..request("other")
    };
    refused(plane.create_database(&elsewhere), Code::LocationNotFound, "fra");
    refused(
        plane.add_instance(&"app".parse().unwrap(), &at("fra")),
        Code::LocationNotFound,
        "fra",
    );
    let group = NewGroup {
        name: "more".parse().unwrap(),
        location: at("fra"),
    };
    refused(plane.create_group(&group), Code::LocationNotFound, "fra");
    refused(
        plane.add_group_location(&"default".parse().unwrap(), &at("fra")),
        Code::LocationNotFound,
        "fra",
    );
    drop(plane);
    drop(hosted);
    // It is remembered.
    let (hosted, none) = open(None);
    assert!(none.is_none());
    let caller = hosted.authenticate(token.expose(), &origin()).unwrap();
    assert_eq!(hosted.plane(&caller, None).unwrap().list_locations().unwrap().len(), 3);
    assert_eq!(hosted.route("app-alice").unwrap().location, at("lhr"));
}
