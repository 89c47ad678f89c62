//! `--dry-run`: every verb that changes something takes it, says what it would do, and changes nothing. Those of servers are tried
//! in `server/verbs`.

use crate::support::server::Server;
use crate::support::{World, tree};
use clap::Command;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Verbs that change nothing which stays: they read, print, write the file that they are told to, or run until they are stopped.
const READS: &[&str] = &[
    "auth api-tokens list",
    "auth status",
    "auth token",
    "auth whoami",
    "completion",
    "config get",
    "config list",
    "config path",
    "config show",
    "context list",
    "context show",
    "db backups",
    "db config show",
    "db diff",
    "db dump",
    "db export",
    "db inspect",
    "db list",
    "db locations",
    "db replicas",
    "db schema",
    // Its statements are the user's; --read-only refuses those that write.
    "db shell",
    "db show",
    "db tokens list",
    "db usage",
    // Without --repair it says what --repair would copy.
    "db verify",
    "doctor",
    "engine status",
    "group config show",
    "group list",
    "group locations list",
    "group show",
    "group tokens list",
    "help",
    "location list",
    "location show",
    "location status",
    // It serves until it is stopped.
    "node",
    "org audit-logs list",
    "org invites list",
    "org list",
    "org members list",
    "org show",
    "server backups",
    "server config show",
    "server orgs list",
    "server quotas list",
    "server schedules list",
    "server users list",
];

/// The verbs below a command, each with the options that it takes.
fn verbs(command: &Command, path: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        let path = format!("{path} {}", below.get_name());
        if below.has_subcommands() {
            verbs(below, &path, found);
        } else {
            let options = below.get_arguments().filter_map(|argument| argument.get_long());
            found.insert(path.trim().to_owned(), options.map(str::to_owned).collect());
        }
    }
}

/// Every verb with its options, those of all verbs among them.
fn all_verbs() -> BTreeMap<String, BTreeSet<String>> {
    let mut tree = torso::commands::command();
    tree.build();
    let mut all = BTreeMap::new();
    verbs(&tree, "", &mut all);
    assert!(all.len() > 90, "{}", all.len());
    all
}

#[test]
fn options_of_all_commands_are_taken_by_each() {
    for (verb, options) in all_verbs() {
        for option in ["timeout", "no-input", "output", "json", "quiet"] {
            assert!(options.contains(option), "torso {verb} takes no --{option}");
        }
    }
}

#[test]
fn dry_run_is_taken_by_every_verb_that_changes_something() {
    let all = all_verbs();
    let without = all.iter().filter(|(_, options)| !options.contains("dry-run"));
    let without: BTreeSet<&str> = without.map(|(verb, _)| verb.as_str()).collect();
    let reads: BTreeSet<&str> = READS.iter().copied().collect();
    // A verb that is new has the flag, or stands in the list with those that change nothing.
    assert_eq!(without, reads);
}

/// Every file of the world with its content, but for what comes and goes beside a SQLite file.
fn files(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let is_passing = |path: &str| ["-wal", "-shm", "lock"].iter().any(|end| path.ends_with(end));
    tree::list(world.root())
        .into_iter()
        .filter(|(path, entry)| !entry.folder && !is_passing(&path.to_string_lossy()))
        .map(|(path, _)| {
            let content = std::fs::read(world.root().join(&path)).unwrap_or_default();
            (path, content)
        })
        .collect()
}

/// Command lines that change something on this machine. The first part of each is the verb.
const LINES: &[&str] = &[
    "db create made --location ams",
    "db create made --print-env",
    "wait db app --for replica=nrt",
    "db import lines.csv made",
    "db import lines.csv app",
    "db branch app made",
    "db branch app twig --reset --yes",
    "db copy app made",
    "db copy app twig --overwrite --yes",
    "db rename app renamed",
    "db destroy app --yes",
    "db destroy app --location lhr --yes",
    "db config set app size-limit 64mb",
    "db replicate app nrt",
    "db sync app",
    "db backup app --to backups",
    "db promote app lhr",
    "db compact app",
    "db exec app drop",
    "db migrate app",
    "group create made --location ams",
    "group rename spare renamed",
    "group destroy spare --yes",
    "group locations add spare ams",
    "group config set spare delete-protection on",
    "group promote spare lhr",
    "location add nas --name Cellar --lat 52.1 --lon 4.5",
    "location drain lhr",
    "apply",
    "gc --yes",
    "link app",
    "link --remove",
    "env pull --db app",
    "config set default_location lhr",
    "config unset default_location",
    "context add made --url https://made.example.com",
    "context use there",
    "context remove there",
    "engine install",
    "run --db app -- touch ran",
    "run -- touch ran",
];

#[test]
fn dry_run_on_this_machine_says_what_it_would_do_and_changes_nothing() {
    let world = World::with_app("create table t (x); insert into t values (1)");
    world.ok(["db", "replicate", "app", "lhr"]);
    world.ok(["db", "branch", "app", "twig"]);
    world.ok(["db", "branch", "app", "gone", "--expires-in", "1ms"]);
    world.ok(["db", "shell", "app", "insert into t values (2)"]);
    world.ok(["group", "create", "spare", "--location", "nrt"]);
    world.ok(["group", "locations", "add", "spare", "lhr"]);
    world.ok(["context", "add", "there", "--url", "https://there.example.com"]);
    world.ok(["config", "set", "default_location", "ams"]);
    world.ok(["link", "app"]);
    world.write("lines.csv", "a,b\n1,2\n");
    world.write("torso.toml", "[databases.declared]\n");
    std::fs::create_dir(world.work().join("migrations")).unwrap();
    world.write("migrations/1_row.sql", "insert into t values (7);\n");
    let before = files(&world);
    for line in LINES {
        let (words, rest) = line
            .split_once(" -- ")
            .map_or((*line, None), |(words, rest)| (words, Some(rest)));
        let mut args: Vec<&str> = words.split(' ').chain(["--dry-run", "--json"]).collect();
        if let Some(rest) = rest {
            args.push("--");
            args.extend(rest.split(' '));
        }
        let run = world.torso(&args).success();
        let plan = run.json();
        assert_eq!(plan["dry_run"], true, "{}", run.report());
        assert!(
            plan["steps"].as_array().is_some_and(|steps| !steps.is_empty()),
            "{}",
            run.report()
        );
        let after = files(&world);
        let changed: Vec<_> = after
            .iter()
            .filter(|(path, content)| before.get(*path) != Some(*content))
            .collect();
        assert!(
            changed.is_empty() && after.len() == before.len(),
            "{} changed {:?}",
            run.line,
            changed.iter().map(|(path, _)| path).collect::<Vec<_>>()
        );
    }
}

/// Command lines that cannot be carried out, for reasons that only the control plane or a file knows.
const IMPOSSIBLE: &[&str] = &[
    "db create q --location zzz",
    "db create q --group nogroup",
    "db create app",
    "db create q --from-dump nope.sql",
    "db create q --from-dump dir",
    "db create q --from-dump lines.csv",
    "db create q --from-file rubbish",
    "db create q --from-csv sound.db",
    "db create q --from-csv empty",
    "db create q --from-db nope",
    "db create q --from-file sound.db --size-limit 1kb",
    "db branch app x --location zzz",
    "db branch app x --group nogroup",
    "db branch nope x",
    "db branch app twig --reset --yes",
    "db branch app blocked --reset --yes",
    "db branch app other --reset --yes",
    "db copy app q --location zzz",
    "db copy app q --group nogroup",
    "db copy app twig --overwrite --yes",
    "db import lines.csv q --location zzz",
    "db import lines.csv blocked",
    "db import nope.csv q",
    "db rename app other",
    "db rename nope q",
    "db destroy twig --yes",
    "db destroy app --location ams --yes",
    "db config set nope block-reads on",
    "db replicate app zzz",
    "db replicate app ams",
    "db destroy held --location lhr --yes",
    "db exec blocked delete/**/from/**/t",
    "db exec hidden select/**/1",
    "db sync app --location nrt",
    "db backup app --to empty",
    "db backup app --to backups --location nrt",
    "db promote app nrt",
    "db promote app zzz",
    "db restore app --from BACKUP --in backups --as q --location zzz",
    "db restore app --from BACKUP --in backups --as q --group nogroup",
    "db restore app --from BACKUP --in backups --as other",
    "db exec nope select",
    "group create spare",
    "group create q --location zzz",
    "group rename spare kept",
    "group rename nope q",
    "group destroy kept --yes",
    "group destroy spare --yes",
    "group locations add spare zzz",
    "group locations remove spare nrt --yes",
    "group promote spare ams",
    "group promote nope ams",
    "location add ams --name x",
    "location add zzz --name x --dir empty",
    "location remove nrt",
    "location drain zzz",
    "location drain lhr --to zzz",
    "location drain lhr --to lhr",
    "location drain nrt",
    "run --location zzz -- touch ran",
    "run --group nogroup -- touch ran",
    "run --replica zzz -- touch ran",
    "run --replica lhr --location lhr -- touch ran",
    "run --schema nope.sql -- touch ran",
    "run --from-db nope -- touch ran",
    "run -- no-such-program",
    "run --db app -- ./empty",
    "env pull dir --db app",
    "db env app --format github",
    "apply -f location.toml",
    "apply -f group.toml",
    "apply -f group-location.toml",
    "apply -f scope.toml",
    "apply -f seed.toml",
    "apply -f size.toml",
];

/// What those lines are about. The databases are where the control plane of the world is.
fn prepare_impossible(world: &World) -> String {
    world.ok(["db", "create", "app", "--location", "ams"]);
    world.ok(["db", "exec", "app", "create table t (x); insert into t values (1)"]);
    world.ok(["db", "replicate", "app", "lhr"]);
    world.ok(["db", "create", "other", "--location", "ams"]);
    for (branch, setting) in [("twig", "delete-protection"), ("blocked", "block-writes")] {
        world.ok(["db", "branch", "app", branch]);
        world.ok(["db", "config", "set", branch, setting, "on"]);
    }
    for group in ["spare", "kept"] {
        world.ok(["group", "create", group, "--location", "nrt"]);
    }
    world.ok(["group", "locations", "add", "kept", "lhr"]);
    world.ok(["db", "create", "held", "--group", "kept"]);
    world.ok(["db", "create", "hidden", "--location", "ams"]);
    world.ok(["db", "config", "set", "hidden", "block-reads", "on"]);
    world.ok(["group", "config", "set", "kept", "delete-protection", "on"]);
    world.ok(["db", "create", "inside", "--group", "spare"]);
    world.ok(["db", "config", "set", "inside", "delete-protection", "on"]);
    world.write("lines.csv", "a,b\n1,2\n");
    world.write("empty", "");
    world.write("rubbish", "\u{1}\u{2} no database, and no text of SQL");
    world.ok(["db", "export", "app", "--output-file", "sound.db"]);
    std::fs::create_dir(world.work().join("dir")).unwrap();
    for (name, text) in [
        ("location", "[databases.aa2]\nlocation = \"zzz\"\n"),
        ("group", "[databases.aa2]\ngroup = \"nogroup\"\n"),
        ("group-location", "[groups.gg]\nlocations = [\"ams\", \"zzz\"]\n"),
        ("scope", "[scope]\ngroups = [\"nogroup\"]\n"),
        ("seed", "[databases.aa2]\nseed = { dump = \"lines.csv\" }\n"),
        (
            "size",
            "[databases.aa2]\nseed = { file = \"sound.db\" }\nsize_limit = \"1kb\"\n",
        ),
    ] {
        // What comes before is not made either.
        world.write(&format!("{name}.toml"), format!("[databases.aa1]\n{text}"));
    }
    world.ok(["db", "backup", "app", "--to", "backups"]);
    let listed = world.ok(["db", "backups", "app", "--in", "backups", "--output", "name"]);
    listed.trim().to_owned()
}

/// Tries each line with `--dry-run`, and without: it fails both times, with the same error, and makes nothing.
fn check_impossible(world: &World) {
    let backup = prepare_impossible(world);
    let before = world.databases();
    for line in IMPOSSIBLE {
        let line = line.replace("BACKUP", &backup);
        let (words, rest) = match line.split_once(" -- ") {
            Some((words, rest)) => (words, vec!["--", rest]),
            None => (line.as_str(), Vec::new()),
        };
        let rest: Vec<&str> = rest.iter().flat_map(|part| part.split(' ')).collect();
        let run = |option: &[&str]| {
            let words = words.split(' ').chain(["--json"]).chain(option.iter().copied());
            world.torso(words.chain(rest.iter().copied()).collect::<Vec<_>>())
        };
        let (planned, real) = (run(&["--dry-run"]), run(&[]));
        assert_ne!(real.code(), 0, "{}", real.report());
        assert_eq!(planned.code(), real.code(), "{}{}", planned.report(), real.report());
        assert_eq!(planned.error(), real.error(), "{line}");
        assert_eq!(world.databases(), before, "{line}");
        assert!(!world.work().join("ran").exists(), "{line}");
    }
    // A plan estimates the size of a copy, with the log of what it is a copy of.
    for option in ["--dry-run", "--if-not-exists"] {
        world
            .torso([
                "db",
                "create",
                "q",
                "--from-db",
                "app",
                "--size-limit",
                "1kb",
                option,
                "--json",
            ])
            .fails(5, "size_limit");
    }
}

#[test]
fn dry_run_of_impossible_changes_here_fails_as_they_do() {
    check_impossible(&World::new());
}

#[test]
fn dry_run_of_impossible_changes_on_a_server_fails_as_they_do() {
    let mut world = World::new();
    let server = Server::start(&world, &["--locations", "ams,lhr,nrt", "--owner", "alice"]);
    world.set("TORSO_API_URL", server.url());
    world.set("TORSO_TOKEN", &server.token);
    check_impossible(&world);
    for line in IMPOSSIBLE_ON_A_SERVER {
        let run = |option: &[&'static str]| {
            let words = line.split(' ').chain(["--json"]).chain(option.iter().copied());
            world.torso(words.collect::<Vec<_>>())
        };
        let (planned, real) = (run(&["--dry-run"]), run(&[]));
        let said = format!("{}{}", planned.report(), real.report());
        assert_ne!(real.code(), 0, "{said}");
        assert_eq!(planned.code(), real.code(), "{said}");
        assert_eq!(planned.error()["code"], real.error()["code"], "{said}");
    }
}

/// Changes of what only a server has, by its operator.
const IMPOSSIBLE_ON_A_SERVER: &[&str] = &[
    "org db-transfer app alice --yes",
    "org db-transfer app nope --yes",
    "group transfer spare alice --yes",
    "org destroy alice --yes",
    "org members add alice",
    "org members role alice viewer",
    "org members remove alice --yes",
    "org invites create x@example.com",
    "auth api-tokens mint first",
    "auth api-tokens mint other --org nope",
    "server users disable alice --yes",
    "server users remove alice --yes",
    "location add iad --node",
    "location remove lhr --node",
];
