//! The JSON contract: for every verb that answers, its document as scripts see it, in `tests/golden`. Keys may be added
//! there; none may go or change its type.

use crate::support::{World, data, golden};
use clap::Command;
use std::collections::BTreeSet;

/// Every answer of one session in order: what it is called, and the command line. Names use the words of the command.
pub const ANSWERS: &[(&str, &str)] = &[
    ("location-list", "location list --used"),
    ("location-add", "location add nas --name Cellar --lat 52.1 --lon 4.5"),
    ("location-show", "location show ams"),
    ("location-status", "location status"),
    ("db-create", "db create app --location ams"),
    ("group-create", "group create pair --location nrt"),
    ("db-create-there", "db create app --if-not-exists"),
    ("db-create-dry-run", "db create other --group default --dry-run"),
    (
        "db-create-from-csv",
        "db create lines --group default --from-csv AIRLINES",
    ),
    ("db-import", "db import AIRLINES app --table airlines"),
    ("db-replicate", "db replicate app lhr"),
    ("db-replicas", "db replicas app"),
    ("db-branch", "db branch app twig"),
    ("db-branch-expiring", "db branch app sprout --expires-in 3d"),
    ("db-branch-reset", "db branch app sprout --reset --expires-in 2d --yes"),
    ("db-list-expiring", "db list sprout"),
    ("db-copy", "db copy app copied"),
    ("db-diff", "db diff app copied --rows airlines"),
    ("db-schema", "db schema app"),
    ("wait-db", "wait db app --for ready"),
    ("db-config-set-expiry", "db config set sprout expires-in 0s"),
    ("gc-dry-run", "gc --dry-run"),
    ("gc", "gc --yes"),
    ("db-show", "db show twig"),
    ("db-list", "db list"),
    ("db-inspect", "db inspect app"),
    ("db-sync", "db sync app"),
    ("db-verify", "db verify app"),
    ("db-compact", "db compact app"),
    ("db-promote", "db promote app lhr"),
    ("db-config-set", "db config set app size-limit 64mb"),
    ("db-config-show", "db config show app"),
    ("db-export", "db export app --output-file app.db"),
    ("db-backup", "db backup app --to backups"),
    ("db-backups", "db backups app --in backups"),
    ("db-restore", "db restore app --from BACKUP --as restored --in backups"),
    ("db-dump", "db dump app --output-file app.sql"),
    ("db-env", "db env app --env-name APP"),
    ("db-exec", "db exec app values(1)"),
    ("db-exec-dry-run", "db exec --match a* drop --dry-run"),
    ("db-migrate-dry-run", "db migrate app --dry-run"),
    ("db-migrate", "db migrate app"),
    ("db-migrate-many", "db migrate --match lin*"),
    ("env-pull", "env pull --db app"),
    ("apply-dry-run", "apply --dry-run"),
    ("apply", "apply"),
    ("link", "link app"),
    ("link-remove", "link --remove"),
    ("db-rename", "db rename twig branch"),
    ("db-destroy-replica", "db destroy app --location ams --yes"),
    ("db-destroy", "db destroy branch absent --yes --if-exists"),
    ("db-locations", "db locations --used"),
    ("group-list", "group list"),
    ("group-show", "group show default"),
    ("group-locations-add", "group locations add pair lhr"),
    ("group-locations-list", "group locations list pair"),
    ("group-promote", "group promote pair lhr"),
    ("group-locations-remove", "group locations remove pair nrt --yes"),
    ("group-config-set", "group config set pair delete-protection off"),
    ("group-config-show", "group config show pair"),
    ("group-rename", "group rename pair couple"),
    ("group-destroy", "group destroy couple --yes"),
    ("location-remove", "location remove nas"),
    ("location-drain", "location drain nrt"),
    ("context-add", "context add there --url https://there.example.com"),
    ("context-list", "context list"),
    ("context-show", "context show there"),
    ("context-use", "context use local"),
    ("context-remove", "context remove there"),
    ("config-set", "config set default_location ams"),
    ("config-get", "config get default_location"),
    ("config-path", "config path"),
    ("config-show", "config show --origin"),
    ("config-list", "config list"),
    ("config-unset", "config unset default_location"),
    ("doctor", "doctor"),
];

/// Verbs whose answer is not a document: a shell's own, a script, a page.
const NO_DOCUMENT: [&str; 11] = [
    // It works once, with what a real server made: `client/gateway.rs` looks at its document.
    "auth accept",
    "db shell",
    "completion",
    // It needs a real server: `workflows/dev/serving.rs` looks at its document.
    "dev",
    "engine install",
    "engine status",
    "help",
    "man",
    // It needs a server that listens for it: `server_run/nodes.rs` runs it.
    "node",
    // Its document would be its command's.
    "run",
    "server",
];

/// A world with the files that the command lines read.
pub fn world() -> World {
    let world = World::new();
    world.write(
        "torso.toml",
        "[databases.app]\nreplicas = [\"lhr\"]\nsize_limit = \"1gb\"\n",
    );
    std::fs::create_dir(world.work().join("migrations")).unwrap();
    world.write("migrations/0001_notes.sql", "create table notes (text);\n");
    world
}

/// The words of a command line; `backup` is the id of a backup that was made before.
pub fn words(line: &str, backup: &str) -> Vec<String> {
    let airlines = data("airlines.csv");
    let word = |word: &str| {
        let word = word.replace("AIRLINES", airlines.to_str().unwrap());
        word.replace("BACKUP", backup)
    };
    line.split(' ').map(word).collect()
}

#[test]
fn json_answers_are_as_recorded() {
    let world = world();
    let mut backup = String::new();
    for (name, line) in ANSWERS {
        let answer = world.json(words(line, &backup));
        if *name == "db-backup" {
            backup = answer["id"].as_str().unwrap().to_owned();
        }
        golden::check(&world, name, answer);
    }
}

/// The words of every verb below a command.
fn verbs(command: &Command, path: &str, found: &mut BTreeSet<String>) {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        let path = format!("{path} {}", below.get_name());
        if below.has_subcommands() {
            verbs(below, &path, found);
        } else {
            found.insert(path.trim().to_owned());
        }
    }
}

#[test]
fn json_document_of_each_verb_is_recorded() {
    let mut all = BTreeSet::new();
    verbs(&torso::commands::command(), "", &mut all);
    let held = |verb: &String| {
        ANSWERS
            .iter()
            .chain(crate::client::ANSWERS)
            .chain(crate::backup::server::ANSWERS)
            .any(|(_, line)| format!("{line} ").starts_with(&format!("{verb} ")))
    };
    all.retain(|verb| !held(verb) && !NO_DOCUMENT.contains(&verb.as_str()));
    assert!(all.is_empty(), "no golden document for {all:?}");
}
