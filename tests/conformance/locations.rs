//! Locations.

use super::{Check, Subject, at, create, refused};
use torso::control::types::NewLocation;
use torso::error::Code;

pub const CHECKS: &[Check] = &[
    ("well-known locations", well_known),
    ("a location of the user's own", own),
    ("a location in use stays", in_use),
    ("impossible coordinates", coordinates),
];

fn office() -> NewLocation {
    NewLocation {
        code: at("office"),
        description: "The office".to_owned(),
        dir: None,
        lat: Some(52.0),
        lon: Some(5.0),
    }
}

fn well_known(world: &dyn Subject) {
    let plane = world.plane();
    let all = plane.list_locations().unwrap();
    assert!(all.is_sorted_by(|a, b| a.code < b.code));
    for code in [
        "ams", "arn", "bog", "bos", "cdg", "fra", "gru", "iad", "jnb", "lax", "lhr", "mad", "nrt", "ord", "sin", "syd",
        "local",
    ] {
        let location = plane.get_location(&at(code)).unwrap();
        assert!(location.builtin && !location.in_use && !location.description.is_empty());
        assert!(all.contains(&location));
    }
    refused(plane.get_location(&at("amz")), Code::LocationNotFound, "amz");
    assert!(
        plane
            .get_location(&at("amz"))
            .unwrap_err()
            .hint_text()
            .unwrap()
            .contains("did you mean ams?")
    );
}

fn own(world: &dyn Subject) {
    let plane = world.plane();
    let added = plane.add_location(&office()).unwrap();
    assert!(!added.builtin);
    assert_eq!((added.lat, added.lon), (Some(52.0), Some(5.0)));
    assert_eq!(world.plane().get_location(&at("office")).unwrap(), added);
    refused(plane.add_location(&office()), Code::LocationExists, "office");
    refused(
        plane.add_location(&NewLocation {
            code: at("ams"),
            ..office()
        }),
        Code::LocationExists,
        "ams",
    );
    assert_eq!(create(&*plane, "app", "office").primary, at("office"));
    refused(plane.remove_location(&at("office")), Code::LocationInUse, "office");
    plane.delete_database(&super::db("app")).unwrap();
    plane.delete_group(&super::group("default")).unwrap();
    plane.remove_location(&at("office")).unwrap();
    refused(plane.get_location(&at("office")), Code::LocationNotFound, "office");
    refused(plane.remove_location(&at("office")), Code::LocationNotFound, "office");
    refused(plane.remove_location(&at("ams")), Code::Conflict, "ams");
}

fn in_use(world: &dyn Subject) {
    let plane = world.plane();
    create(&*plane, "app", "lhr");
    assert!(plane.get_location(&at("lhr")).unwrap().in_use);
    assert!(!plane.get_location(&at("fra")).unwrap().in_use);
    plane.add_instance(&super::db("app"), &at("fra")).unwrap();
    assert!(plane.get_location(&at("fra")).unwrap().in_use);
}

fn coordinates(world: &dyn Subject) {
    let plane = world.plane();
    for (lat, lon) in [
        (Some(91.0), Some(0.0)),
        (Some(0.0), Some(-181.0)),
        (Some(f64::NAN), Some(0.0)),
        (Some(1.0), None),
    ] {
        refused(
            plane.add_location(&NewLocation { lat, lon, ..office() }),
            Code::InvalidValue,
            "office",
        );
    }
}
