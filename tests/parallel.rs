//! Sixty-four programs at once: nothing lost, and nobody told of a lock.

use crate::support::{Run, World};
use std::collections::BTreeSet;

const CROWD: usize = 64;

/// Starts a program for each number at once and waits for all. Each must succeed and say nothing of locks.
fn crowd(world: &World, args: impl Fn(usize) -> Vec<String> + Sync) -> Vec<Run> {
    std::thread::scope(|scope| {
        let args = &args;
        let threads: Vec<_> = (0..CROWD)
            .map(|number| scope.spawn(move || world.torso(args(number))))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                let run = thread.join().unwrap().success();
                assert!(!run.stderr.contains("locked"), "{}", run.report());
                run
            })
            .collect()
    })
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn databases_created_listed_and_destroyed_by_many_at_once_are_whole() {
    let world = World::new();
    crowd(&world, |n| match n % 4 {
        3 => words("db list --json"),
        _ => words(&format!("db create app-{n} --location ams")),
    });
    let made: BTreeSet<String> = (0..CROWD).filter(|n| n % 4 != 3).map(|n| format!("app-{n}")).collect();
    assert_eq!(world.databases().into_iter().collect::<BTreeSet<_>>(), made);

    crowd(&world, |n| match n % 4 {
        0 => words(&format!("db destroy app-{n} --yes")),
        1 => words(&format!("db rename app-{n} moved-{n}")),
        2 => words(&format!("db replicate app-{n} lhr")),
        _ => words("db list"),
    });
    let expected: BTreeSet<String> = (0..CROWD)
        .filter_map(|n| match n % 4 {
            1 => Some(format!("moved-{n}")),
            2 => Some(format!("app-{n}")),
            _ => None,
        })
        .collect();
    assert_eq!(world.databases().into_iter().collect::<BTreeSet<_>>(), expected);
    let replicated = world.json(["db", "list", "--location", "lhr"]);
    assert_eq!(replicated.as_array().unwrap().len(), CROWD / 4);
    world.ok(["doctor"]);
}

/// One of them wins; the others are told that it exists.
#[test]
fn database_created_by_many_at_once_is_created_once() {
    let world = World::new();
    let answers = crowd(&world, |_| words("db create app --location ams --if-not-exists --json"));
    let created = answers.iter().filter(|run| run.json()["created"] == true).count();
    assert_eq!(created, 1);
    assert_eq!(world.databases(), ["app"]);
}

#[test]
fn database_written_by_many_at_once_has_all_rows() {
    let world = World::with_app("create table t (n)");
    world.ok(["db", "replicate", "app", "lhr"]);
    crowd(&world, |n| {
        ["db", "shell", "app", &format!("insert into t values ({n})")]
            .map(str::to_owned)
            .into()
    });
    for location in ["ams", "lhr"] {
        let sum = world.ok([
            "db",
            "shell",
            "app",
            "--location",
            location,
            "select count(*), sum(n) from t",
        ]);
        assert_eq!(
            sum.trim_end(),
            format!("{CROWD}|{}", CROWD * (CROWD - 1) / 2),
            "at {location}"
        );
    }
}

#[test]
fn settings_changed_by_many_at_once_are_whole() {
    let world = World::new();
    crowd(&world, |n| match n % 2 {
        0 => words(&format!("context add server-{n} --url https://{n}.example.com")),
        _ => words("config set output table"),
    });
    let contexts = world.ok(["context", "list", "--output", "name"]);
    let servers = contexts.lines().filter(|name| name.starts_with("server-")).count();
    assert_eq!(servers, CROWD / 2, "{contexts}");
    assert_eq!(world.ok(["config", "get", "output"]).trim_end(), "table");
}
