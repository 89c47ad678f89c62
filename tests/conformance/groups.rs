//! Groups.

use super::{Check, Subject, at, create, db, group, refused, request, rows, write};
use torso::control::types::{
    ConfigurationPatch, CreateDatabase, DatabaseFilter, GroupConfigurationPatch, Isolation, NewGroup, Role,
};
use torso::error::Code;

pub const CHECKS: &[Check] = &[
    ("group life", life),
    ("the default group", default_group),
    ("group locations replicate all databases", locations),
    ("group promotion", promotion),
    ("group protection", protection),
    ("group isolation", isolation),
];

fn new(name: &str, location: &str) -> NewGroup {
    NewGroup {
        name: group(name),
        location: at(location),
    }
}

fn life(world: &dyn Subject) {
    let plane = world.plane();
    assert_eq!(plane.list_groups().unwrap(), []);
    let made = plane.create_group(&new("team", "ams")).unwrap();
    assert_eq!(
        (made.primary.clone(), made.locations.clone()),
        (at("ams"), vec![at("ams")])
    );
    assert_eq!(world.plane().list_groups().unwrap(), std::slice::from_ref(&made));
    refused(plane.create_group(&new("team", "lhr")), Code::GroupExists, "team");
    refused(
        plane.create_group(&new("other", "nowhere")),
        Code::LocationNotFound,
        "nowhere",
    );
    refused(plane.get_group(&group("taem")), Code::GroupNotFound, "taem");
    assert!(
        plane
            .get_group(&group("taem"))
            .unwrap_err()
            .hint_text()
            .unwrap()
            .contains("did you mean team?")
    );
    let renamed = plane.rename_group(&group("team"), &group("crew")).unwrap();
    assert_eq!((renamed.uuid, renamed.name), (made.uuid, group("crew")));
    plane.create_group(&new("third", "ams")).unwrap();
    refused(
        plane.rename_group(&group("crew"), &group("third")),
        Code::GroupExists,
        "third",
    );
    refused(
        plane.rename_group(&group("team"), &group("x")),
        Code::GroupNotFound,
        "team",
    );
    plane
        .create_database(&CreateDatabase {
            group: Some(group("crew")),
            ..request("app")
        })
        .unwrap();
    plane
        .create_database(&CreateDatabase {
            group: Some(group("third")),
            ..request("safe")
        })
        .unwrap();
    plane.delete_group(&group("crew")).unwrap();
    refused(plane.get_database(&db("app")), Code::DatabaseNotFound, "app");
    refused(plane.delete_group(&group("crew")), Code::GroupNotFound, "crew");
    assert_eq!(plane.list_databases(&DatabaseFilter::default()).unwrap().len(), 1);
}

fn default_group(world: &dyn Subject) {
    let plane = world.plane();
    let first = create(&*plane, "one", "fra");
    assert_eq!(first.group, group("default"));
    assert_eq!(plane.get_group(&group("default")).unwrap().primary, at("fra"));
    assert_eq!(plane.create_database(&request("two")).unwrap().primary, at("fra"));
    assert_eq!(create(&*plane, "three", "lhr").locations, [at("lhr")]);
    plane.create_group(&new("team", "ams")).unwrap();
    assert_eq!(plane.create_database(&request("four")).unwrap().group, group("default"));
    let in_team = plane
        .create_database(&CreateDatabase {
            group: Some(group("team")),
            ..request("five")
        })
        .unwrap();
    assert_eq!(in_team.primary, at("ams"));
    let nowhere = CreateDatabase {
        group: Some(group("none")),
        ..request("six")
    };
    refused(plane.create_database(&nowhere), Code::GroupNotFound, "none");
    let of_team = DatabaseFilter {
        group: Some(group("team")),
        ..DatabaseFilter::default()
    };
    assert_eq!(plane.list_databases(&of_team).unwrap(), [in_team]);
    let of_none = DatabaseFilter {
        group: Some(group("none")),
        ..DatabaseFilter::default()
    };
    refused(plane.list_databases(&of_none), Code::GroupNotFound, "none");
}

fn locations(world: &dyn Subject) {
    let plane = world.plane();
    create(&*plane, "one", "ams");
    write(world, "one", "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    let name = group("default");
    let added = plane.add_group_location(&name, &at("lhr")).unwrap();
    assert_eq!(added.locations, [at("ams"), at("lhr")]);
    assert_eq!(plane.add_group_location(&name, &at("lhr")).unwrap(), added);
    assert_eq!(plane.add_group_location(&name, &at("ams")).unwrap(), added);
    refused(
        plane.add_group_location(&name, &at("nowhere")),
        Code::LocationNotFound,
        "nowhere",
    );
    assert_eq!(rows(world, "one", "lhr"), 1);
    assert_eq!(create(&*plane, "two", "ams").locations, [at("ams"), at("lhr")]);
    refused(plane.remove_instance(&db("two"), &at("lhr")), Code::Conflict, "two");
    refused(
        plane.remove_group_location(&name, &at("ams")),
        Code::PrimaryInstance,
        "ams",
    );
    assert_eq!(
        plane.remove_group_location(&name, &at("lhr")).unwrap().locations,
        [at("ams")]
    );
    assert_eq!(
        plane.remove_group_location(&name, &at("lhr")).unwrap().locations,
        [at("ams")]
    );
    assert_eq!(plane.get_database(&db("one")).unwrap().locations, [at("ams")]);
    refused(
        plane.connection(&db("one"), Some(&at("lhr"))),
        Code::InstanceNotFound,
        "one",
    );
}

fn promotion(world: &dyn Subject) {
    let plane = world.plane();
    create(&*plane, "one", "ams");
    create(&*plane, "two", "fra");
    let name = group("default");
    refused(plane.promote_group(&name, &at("lhr")), Code::InstanceNotFound, "lhr");
    plane.add_group_location(&name, &at("lhr")).unwrap();
    write(world, "one", "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    let promoted = plane.promote_group(&name, &at("lhr")).unwrap();
    assert_eq!(promoted.locations, [at("lhr"), at("ams")]);
    let again = plane.promote_group(&name, &at("lhr")).unwrap();
    assert_eq!((again.primary, again.locations), (promoted.primary, promoted.locations));
    // One that was promoted alone comes back.
    plane.promote_instance(&db("one"), &at("ams")).unwrap();
    plane.promote_group(&name, &at("lhr")).unwrap();
    assert_eq!(
        plane.get_database(&db("one")).unwrap().locations,
        [at("lhr"), at("ams")]
    );
    assert_eq!(
        plane.get_database(&db("two")).unwrap().locations,
        [at("lhr"), at("ams"), at("fra")]
    );
    assert_eq!(plane.connection(&db("one"), None).unwrap().role, Role::Primary);
    write(world, "one", "INSERT INTO t VALUES (2)");
    assert_eq!((rows(world, "one", "lhr"), rows(world, "one", "ams")), (2, 2));
    assert_eq!(
        plane.remove_group_location(&name, &at("ams")).unwrap().locations,
        [at("lhr")]
    );
    assert_eq!(plane.get_database(&db("one")).unwrap().locations, [at("lhr")]);
}

fn protection(world: &dyn Subject) {
    let plane = world.plane();
    create(&*plane, "app", "ams");
    let name = group("default");
    assert!(!plane.get_group_configuration(&name).unwrap().delete_protection);
    let protect = |on| GroupConfigurationPatch {
        delete_protection: Some(on),
        ..GroupConfigurationPatch::default()
    };
    let on = plane.update_group_configuration(&name, &protect(true)).unwrap();
    assert!(on.delete_protection);
    assert_eq!(plane.get_group_configuration(&name).unwrap(), on);
    assert!(world.plane().get_group(&name).unwrap().delete_protection);
    refused(plane.delete_group(&name), Code::DeleteProtected, "default");
    refused(plane.delete_database(&db("app")), Code::DeleteProtected, "app");
    plane.update_group_configuration(&name, &protect(false)).unwrap();
    let patch = ConfigurationPatch {
        delete_protection: Some(true),
        ..ConfigurationPatch::default()
    };
    plane.update_configuration(&db("app"), &patch).unwrap();
    refused(plane.delete_group(&name), Code::DeleteProtected, "app");
    assert!(plane.get_database(&db("app")).is_ok());
    refused(
        plane.get_group_configuration(&group("none")),
        Code::GroupNotFound,
        "none",
    );
    refused(
        plane.update_group_configuration(&group("none"), &protect(true)),
        Code::GroupNotFound,
        "none",
    );
}

/// Where processes serve databases a group may be isolated; elsewhere the setting is absent and refused.
fn isolation(world: &dyn Subject) {
    let plane = world.plane();
    create(&*plane, "app", "ams");
    let name = group("default");
    let set = |isolation| {
        let patch = GroupConfigurationPatch {
            isolation: Some(isolation),
            ..GroupConfigurationPatch::default()
        };
        plane.update_group_configuration(&name, &patch)
    };
    match plane.get_group_configuration(&name).unwrap().isolation {
        None => refused(set(Isolation::Database), Code::Unsupported, "default"),
        Some(isolation) => {
            assert_eq!(isolation, Isolation::Group);
            assert_eq!(set(Isolation::Database).unwrap().isolation, Some(Isolation::Database));
            let kept = world.plane().get_group_configuration(&name).unwrap();
            assert_eq!(
                (kept.isolation, kept.delete_protection),
                (Some(Isolation::Database), false)
            );
            create(&*plane, "apart", "ams");
            assert_eq!(
                plane.get_database(&db("apart")).unwrap().isolation,
                Some(Isolation::Database)
            );
            assert_eq!(plane.get_database(&db("app")).unwrap().isolation, None);
        }
    }
}
