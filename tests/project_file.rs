//! The project file of a folder that may be somebody else's.

use crate::client::{stand_in, world};
use crate::support::{World, redact};

#[test]
fn project_file_that_chooses_a_context_is_named() {
    let stub = stand_in::start();
    let world = world(&stub);
    world.ok(["context", "use", "local"]);
    assert_eq!(world.databases(), Vec::<String>::new());
    let path = world.write(".torso.toml", "context = \"there\"\n");
    let run = world.torso(["db", "list", "--output", "name"]).success();
    assert_eq!(run.stdout, "app\n");
    assert_eq!(
        run.stderr,
        format!("Working in context there, which {} names.\n", path.display())
    );
    for line in [
        vec!["db", "list", "--quiet"],
        vec!["db", "list", "--context", "there"],
        vec!["config", "show", "--origin"],
    ] {
        assert_eq!(world.torso(&line).success().stderr, "", "{line:?}");
    }
}

#[test]
fn project_file_that_chooses_a_context_is_no_consent_to_destroy_there() {
    let stub = stand_in::start();
    let mut world = world(&stub);
    world.ok(["context", "use", "local"]);
    world.write(".torso.toml", "context = \"there\"\n");
    let mut reports = String::new();
    for line in [
        vec!["db", "destroy", "app", "--yes", "--json"],
        vec!["group", "destroy", "default", "--yes", "--json"],
        vec!["db", "tokens", "invalidate", "app", "--yes", "--json"],
        vec!["org", "members", "remove", "bob", "--yes", "--json"],
        vec!["auth", "api-tokens", "revoke", "ci", "--yes", "--json"],
    ] {
        let run = world.torso(&line);
        reports += &redact::report(&world, &run.fails(6, "unconfirmed"));
    }
    insta::assert_snapshot!(reports, @r#"
    $ torso db destroy app --yes --json
    -- stderr --
    Working in context there, which [world]/work/.torso.toml names.
    {"error":{"code":"unconfirmed","message":"cannot destroy database app in context there (named by [world]/work/.torso.toml) without confirmation: this is not a terminal","hint":"add --context there to go ahead there","retryable":false}}
    -- exit 6 --
    $ torso group destroy default --yes --json
    -- stderr --
    Working in context there, which [world]/work/.torso.toml names.
    {"error":{"code":"unconfirmed","message":"cannot destroy group default with 1 database in context there (named by [world]/work/.torso.toml) without confirmation: this is not a terminal","hint":"add --context there to go ahead there","retryable":false}}
    -- exit 6 --
    $ torso db tokens invalidate app --yes --json
    -- stderr --
    Working in context there, which [world]/work/.torso.toml names.
    {"error":{"code":"unconfirmed","message":"cannot revoke all existing tokens of database app in context there (named by [world]/work/.torso.toml) without confirmation: this is not a terminal","hint":"add --context there to go ahead there","retryable":false}}
    -- exit 6 --
    $ torso org members remove bob --yes --json
    -- stderr --
    Working in context there, which [world]/work/.torso.toml names.
    {"error":{"code":"unconfirmed","message":"cannot remove bob from organization me in context there (named by [world]/work/.torso.toml) without confirmation: this is not a terminal","hint":"add --context there to go ahead there","retryable":false}}
    -- exit 6 --
    $ torso auth api-tokens revoke ci --yes --json
    -- stderr --
    Working in context there, which [world]/work/.torso.toml names.
    {"error":{"code":"unconfirmed","message":"cannot revoke API token ci in context there (named by [world]/work/.torso.toml) without confirmation: this is not a terminal","hint":"add --context there to go ahead there","retryable":false}}
    -- exit 6 --
    "#);
    let changed = |lines: Vec<String>| lines.iter().any(|line| !line.starts_with("GET "));
    assert!(!changed(stub.lines()), "{:?}", stub.lines());
    world.ok(["auth", "api-tokens", "revoke", "ci", "--yes", "--context", "there"]);
    world.set("TORSO_CONTEXT", "there");
    world.ok(["auth", "api-tokens", "revoke", "ci", "--yes"]);
    let revoked = stub
        .lines()
        .into_iter()
        .filter(|line| line.starts_with("DELETE "))
        .count();
    assert_eq!(revoked, 2);
}

#[test]
fn project_file_that_is_no_ordinary_file_is_ignored_with_a_sentence() {
    let world = World::with_app("create table t(a)");
    let path = world.path("work/.torso.toml");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let run = world.torso(["db", "list", "--output", "name"]);
    insta::assert_snapshot!(redact::report(&world, &run), @"
    $ torso db list --output name
    app
    -- stderr --
    warning: ignoring [world]/work/.torso.toml: it is not a regular file
    -- exit 0 --
    ");
    std::fs::remove_file(&path).unwrap();
    let secret = world.write("secret", "hush = [\nhush");
    std::os::unix::fs::symlink(&secret, &path).unwrap();
    let run = world.torso(["db", "list", "--output", "name"]);
    insta::assert_snapshot!(redact::report(&world, &run), @"
    $ torso db list --output name
    app
    -- stderr --
    warning: ignoring [world]/work/.torso.toml: it is a symbolic link
    -- exit 0 --
    ");
    std::fs::remove_file(&path).unwrap();
    std::fs::copy(&secret, &path).unwrap();
    let run = world.torso(["db", "list", "--json"]);
    // What the file says is not quoted.
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso db list --json
    -- stderr --
    {"error":{"code":"invalid_settings","message":"[world]/work/.torso.toml cannot be parsed: line 2, column 5 is not TOML","hint":"mend the file by hand; nothing in it was changed","retryable":false}}
    -- exit 1 --
    "#);
}

#[test]
fn credentials_file_that_is_damaged_is_not_quoted() {
    let stub = stand_in::start();
    let world = world(&stub);
    let path = world.path("config/credentials.toml");
    for text in [
        "[tokens]\nthere = \"torso_hush\nmore = 1",
        "[tokens]\nthere = torso_hush",
        "torso_hush",
        "[tokens]\nthere = 7\n",
        "[tokens]\nthere = [\"torso_hush\"]\n",
        "tokens = \"torso_hush\"",
    ] {
        std::fs::write(&path, text).unwrap();
        for line in [
            vec!["db", "list"],
            vec!["auth", "status", "--json"],
            vec!["context", "list"],
            vec!["auth", "logout"],
            vec![
                "context",
                "add",
                "other",
                "--url",
                "https://other.example",
                "--no-verify",
            ],
        ] {
            let run = world.torso(&line);
            assert!(!run.report().contains("hush"), "{text}\n{}", run.report());
        }
        // What a command may have added goes again.
        world.torso(["context", "remove", "other"]);
    }
}
