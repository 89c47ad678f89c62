//! Who may do what, through every door: organizations, tokens and verbs; and that nothing crosses from one to the other.

use super::{World, at, db, request, slug};
use torso::control::ControlPlane;
use torso::control::accounts::{MemberRole, NewApiToken};
use torso::control::gateway_plane::GatewayPlane as _;
use torso::control::hosted::Caller;
use torso::control::tokens::{Authorization, NewToken};
use torso::control::types::{ConfigurationPatch, CreateDatabase, DatabaseFilter, NewGroup, Seed};
use torso::error::{Code, Error};

type Verb = (&'static str, fn(&dyn ControlPlane) -> Result<(), Error>);

fn token(authorization: Authorization) -> NewToken {
    NewToken {
        authorization,
        ..NewToken::default()
    }
}

/// Everything is asked of databases that are there, so that only the permission decides; what changes is made anew.
const VERBS: [Verb; 14] = [
    ("look", |plane| plane.get_database(&db("app")).map(drop)),
    ("configure", |plane| {
        let patch = ConfigurationPatch {
            allow_attach: Some(false),
            ..ConfigurationPatch::default()
        };
        plane.update_configuration(&db("app"), &patch).map(drop)
    }),
    ("protect", |plane| {
        let patch = ConfigurationPatch {
            delete_protection: Some(false),
            ..ConfigurationPatch::default()
        };
        plane.update_configuration(&db("app"), &patch).map(drop)
    }),
    ("replicate", |plane| {
        plane.add_instance(&db("app"), &at("lhr")).map(drop)
    }),
    ("mint ro", |plane| {
        plane
            .create_database_token(&db("app"), &token(Authorization::ReadOnly))
            .map(drop)
    }),
    ("mint rw", |plane| {
        plane
            .create_database_token(&db("app"), &token(Authorization::FullAccess))
            .map(drop)
    }),
    ("mint group", |plane| {
        plane
            .create_group_token(&"default".parse().unwrap(), &token(Authorization::FullAccess))
            .map(drop)
    }),
    ("rotate", |plane| {
        plane.rotate_database_tokens(&db("app"), std::time::Duration::ZERO)
    }),
    ("add a group location", |plane| {
        plane
            .add_group_location(&"default".parse().unwrap(), &at("ams"))
            .map(drop)
    }),
    ("create a group", |plane| {
        let group = NewGroup {
            name: "more".parse().unwrap(),
            location: at("ams"),
        };
        plane.create_group(&group)?;
        plane.delete_group(&"more".parse().unwrap()).map(drop)
    }),
    ("check", |plane| plane.check(false).map(drop)),
    ("create", |plane| plane.create_database(&request("new")).map(drop)),
    ("branch", |plane| {
        plane
            .create_database(&CreateDatabase {
                seed: Some(Seed::Database { name: db("app") }),
                ..request("branch")
            })
            .map(drop)
    }),
    ("delete", |plane| {
        for name in ["new", "branch"] {
            match plane.delete_database(&db(name)) {
                Err(error) if error.code() != Code::DatabaseNotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }),
];

/// What is allowed, a mark a verb.
fn marks(world: &World, caller: &Caller, organization: &str) -> String {
    let plane = world.hosted.plane(caller, Some(&slug(organization))).unwrap();
    VERBS
        .iter()
        .map(|(name, verb)| match verb(&*plane) {
            Ok(()) => '+',
            Err(error) if error.code() == Code::Forbidden => {
                assert!(error.hint_text().is_some(), "{error}");
                '-'
            }
            // An action that would be allowed, to something that others were not allowed to make.
            Err(error) if *name == "delete" && error.code() == Code::DatabaseNotFound => '+',
            Err(error) => panic!("{name}: {error}"),
        })
        .collect()
}

fn minted(world: &World, caller: &Caller, name: &str, scopes: &[&str], group: Option<&str>) -> Caller {
    let new = NewApiToken {
        organization: Some(slug("team")),
        group: group.map(|name| name.parse().unwrap()),
        scopes: Some(scopes.iter().map(|scope| (*scope).to_owned()).collect()),
        expiration: None,
    };
    let made = world
        .hosted
        .accounts(caller)
        .create_api_token(&name.parse().unwrap(), &new)
        .unwrap();
    world.caller(made.value.expose())
}

fn teams() -> World {
    let world = World::new();
    let owner = world.owner();
    for team in ["team", "rival"] {
        world.hosted.accounts(&owner).create_organization(team).unwrap();
        let plane = world.hosted.plane(&owner, Some(&slug(team))).unwrap();
        plane.create_database(&request("app")).unwrap();
    }
    world
}

#[test]
fn roles_and_tokens_allow_what_they_are_for() {
    let world = teams();
    let owner = world.owner();
    let bearer = |role: &str| world.caller(&world.user("team", role, role));
    let (admin, member, viewer) = (bearer("admin"), bearer("member"), bearer("viewer"));
    let scoped = |name: &str, scopes: &[&str]| minted(&world, &owner, name, scopes, None);
    let full = scoped("full", &["full-access"]);
    let read = scoped("read", &["read-only"]);
    let create = scoped("create", &["read", "db:create"]);
    let mint = scoped("mint", &["db:mint-token"]);
    let configure = scoped("configure", &["db:configure", "group:configure"]);
    let group = minted(&world, &owner, "group", &["full-access"], Some("default"));
    for (who, caller, expected) in [
        ("owner", &owner, "++++++++++++++"),
        ("admin", &admin, "++++++++++++++"),
        ("member", &member, "++-+++++++-+++"),
        ("viewer", &viewer, "+---+---------"),
        ("full", &full, "++++++++++++++"),
        ("read", &read, "+-------------"),
        ("create", &create, "+----------++-"),
        ("mint", &mint, "----++--------"),
        ("configure", &configure, "-+++----+-----"),
        ("group", &group, "+++++++++--+++"),
    ] {
        // What an earlier one made and could not delete.
        let plane = world.hosted.plane(&owner, Some(&slug("team"))).unwrap();
        for name in ["new", "branch"] {
            let _ = plane.delete_database(&db(name));
        }
        assert_eq!(marks(&world, caller, "team"), expected, "{who}");
    }
}

#[test]
fn organization_is_closed_to_users_of_another() {
    let world = teams();
    let owner = world.owner();
    let strangers = [
        world.caller(&world.user("team", "bob", "owner")),
        minted(&world, &owner, "team-only", &["full-access"], None),
        minted(&world, &owner, "team-group", &["full-access"], Some("default")),
    ];
    for caller in &strangers {
        for organization in ["rival", "alice", "nothing"] {
            let error = world.hosted.plane(caller, Some(&slug(organization))).err().unwrap();
            assert_eq!(error.code(), Code::OrganizationNotFound, "{organization}");
            let accounts = world.hosted.accounts(caller);
            let of = slug(organization);
            for error in [
                accounts.get_organization(&of).err(),
                accounts.list_members(&of).err(),
                accounts
                    .add_member(&of, &"bob".parse().unwrap(), MemberRole::Viewer)
                    .err(),
                accounts.remove_member(&of, &"alice".parse().unwrap(), false).err(),
                accounts.create_invite(&of, "a@example.com", MemberRole::Viewer).err(),
                accounts.audit_log(&of, 1, 10).err(),
                accounts.organization_usage(&of).err(),
                accounts.delete_organization(&of).err(),
            ] {
                assert_eq!(error.unwrap().code(), Code::OrganizationNotFound, "{organization}");
            }
        }
        let listed = world.hosted.accounts(caller).list_organizations().unwrap();
        assert!(
            listed
                .iter()
                .all(|one| !["rival", "alice"].contains(&one.slug.as_str()))
        );
    }
    // Tokens for databases do not cross either.
    let team = world.hosted.plane(&owner, Some(&slug("team"))).unwrap();
    let jwt = team
        .create_group_token(&"default".parse().unwrap(), &NewToken::default())
        .unwrap()
        .jwt;
    let rival = world.hosted.route("app-rival").unwrap();
    assert_eq!(
        world.hosted.authorize(jwt.expose(), &rival).unwrap_err().code(),
        Code::Unauthenticated
    );
    let id = team.list_group_tokens(&"default".parse().unwrap()).unwrap()[0]
        .id
        .clone();
    let plane = world.hosted.plane(&owner, Some(&slug("rival"))).unwrap();
    let error = plane.revoke_group_token(&"default".parse().unwrap(), &id).unwrap_err();
    assert_eq!(error.code(), Code::TokenNotFound);
}

#[test]
fn token_that_is_limited_makes_none_for_more() {
    let world = teams();
    let owner = world.owner();
    let read = minted(&world, &owner, "read", &["read-only"], None);
    let accounts = world.hosted.accounts(&read);
    for (organization, scopes) in [
        (None, vec![]),
        (Some("team"), vec![]),
        (Some("team"), vec!["db:delete".to_owned()]),
        (None, vec!["read".to_owned()]),
    ] {
        let new = NewApiToken {
            organization: organization.map(slug),
            scopes: Some(scopes),
            ..NewApiToken::default()
        };
        let error = accounts.create_api_token(&"more".parse().unwrap(), &new).unwrap_err();
        assert_eq!(error.code(), Code::Forbidden);
    }
    for error in [
        accounts.invalidate_sessions().err(),
        accounts.create_organization("mine").err(),
        accounts.revoke_api_token(&"first".parse().unwrap()).err(),
    ] {
        assert_eq!(error.unwrap().code(), Code::Forbidden);
    }
    let group = minted(&world, &owner, "group", &["full-access"], Some("default"));
    let plane = world.hosted.plane(&owner, Some(&slug("team"))).unwrap();
    plane
        .create_group(&NewGroup {
            name: "apart".parse().unwrap(),
            location: at("ams"),
        })
        .unwrap();
    plane
        .create_database(&CreateDatabase {
            group: Some("apart".parse().unwrap()),
            ..request("secret")
        })
        .unwrap();
    let limited = world.hosted.plane(&group, Some(&slug("team"))).unwrap();
    let listed = limited.list_databases(&DatabaseFilter::default()).unwrap();
    assert!(listed.iter().all(|database| database.name != db("secret")));
    for error in [
        limited.get_database(&db("secret")).err(),
        limited.create_database_token(&db("secret"), &NewToken::default()).err(),
        limited.delete_database(&db("secret")).err(),
        limited
            .create_database(&CreateDatabase {
                seed: Some(Seed::Database { name: db("secret") }),
                ..request("copy")
            })
            .err(),
        limited.get_group(&"apart".parse().unwrap()).err(),
        limited.delete_group(&"apart".parse().unwrap()).err(),
    ] {
        assert_eq!(error.unwrap().code(), Code::Forbidden);
    }
}
