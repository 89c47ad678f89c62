//! Every command with every scope and every role, against a real server: it is done and says so, or it is refused and has
//! changed nothing. What each needs is the table of `docs/permissions.md`.

mod cases;
mod scene;

use cases::{CASES, Case, NOT_RUN};
use scene::{Bearer, Scene, State};
use std::collections::BTreeSet;
use torso::commands::permissions::{PERMISSIONS, Permission};
use torso::control::hosted::permission::{PermissionTarget, permission};

/// Whether a token may run the command.
fn is_allowed(bearer: &Bearer, needed: Permission) -> bool {
    match needed {
        Permission::Nothing | Permission::AnyToken | Permission::Membership => true,
        Permission::Unlimited => !bearer.is_limited(),
        Permission::Operator => bearer.user == "alice" && !bearer.is_limited(),
        Permission::Actions(actions) => actions
            .iter()
            .all(|action| permission(&bearer.rights, *action, PermissionTarget::Visible).is_ok()),
        Permission::Request | Permission::Unsupported => false,
    }
}

fn permission_of(row: &str) -> Permission {
    let found = PERMISSIONS.iter().find(|(command, _)| *command == row);
    found.unwrap_or_else(|| panic!("there is no row {row:?}")).1
}

#[test]
fn verbs_of_the_table_all_have_a_case() {
    let cased: BTreeSet<&str> = CASES
        .iter()
        .map(|case| case.row)
        .chain(NOT_RUN.iter().copied())
        .collect();
    let rows: BTreeSet<&str> = PERMISSIONS
        .iter()
        .filter(|(_, permission)| *permission != Permission::Nothing)
        .map(|(command, _)| *command)
        .collect();
    assert_eq!(cased, rows);
    let nouns = [OF_DATABASES, OF_OTHERS].concat();
    assert!(CASES.iter().all(|case| nouns.contains(&case.args[0])));
}

/// Runs one case as one bearer. Returns what is wrong with its outcome.
fn check(scene: &Scene, case: &Case, bearer: &Bearer, before: &mut Option<State>) -> Option<String> {
    let allowed = is_allowed(bearer, permission_of(case.row));
    if allowed && case.only_refused {
        return None;
    }
    let was = before.take().unwrap_or_else(|| scene.state(case.content));
    let run = scene.run(bearer, case.args);
    let is = scene.state(case.content);
    // A shell that only reads was opened, and has its token.
    let opened = run.code() == 8;
    let changes: Vec<String> = was
        .iter()
        .zip(&is)
        .filter(|(was, is)| was != is && !(opened && was.0.ends_with("/auth/tokens")))
        .map(|(was, is)| format!("{}\nbecame\n{}", was.1, is.1))
        .collect();
    let problem = if allowed {
        match run.code() == case.done && (changes.is_empty() != case.changes || case.done != 0) {
            true => None,
            false => Some("is to be done".to_owned()),
        }
    } else if run.code() != 4 && Some(run.code()) != case.refused {
        Some("is to be refused with 4".to_owned())
    } else if !changes.is_empty() {
        Some(format!("was refused and changed something: {}", changes.join("\n")))
    } else {
        None
    };
    if changes.is_empty() {
        *before = Some(is);
    } else {
        scene.reset();
    }
    problem.map(|problem| {
        let changes = if changes.is_empty() { " (nothing changed)" } else { "" };
        format!("{} as {}: {problem}{changes}\n{}", case.row, bearer.name, run.report())
    })
}

/// Runs the cases of some nouns as everybody.
fn check_cases(nouns: &[&str]) {
    let scene = Scene::new();
    let mut wrong = Vec::new();
    let mut refused = 0;
    for case in CASES.iter().filter(|case| nouns.contains(&case.args[0])) {
        let exact = scene.bearer_with_exactly(permission_of(case.row));
        let mut before = None;
        for bearer in scene.bearers.iter().chain(&exact) {
            refused += usize::from(!is_allowed(bearer, permission_of(case.row)));
            wrong.extend(check(&scene, case, bearer, &mut before));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(refused > 200, "{refused}");
}

/// The owner's command lines that change something, as dry runs: each says what it would do, and nothing is changed.
#[test]
fn verbs_as_dry_runs_say_what_they_would_do_and_change_nothing() {
    let scene = Scene::new();
    let owner = &scene.bearers[0];
    let mut tree = torso::commands::command();
    tree.build();
    let takes_dry_run = |case: &Case| {
        let mut command = &tree;
        for word in case.args {
            match command.find_subcommand(word) {
                Some(below) => command = below,
                None => break,
            }
        }
        let mut options = command.get_arguments();
        options.any(|option| option.get_long() == Some("dry-run"))
    };
    let before = scene.lasting_state();
    let mut count = 0;
    let mut wrong = Vec::new();
    for case in CASES.iter().filter(|case| case.changes && takes_dry_run(case)) {
        count += 1;
        let end = case
            .args
            .iter()
            .position(|word| *word == "--")
            .unwrap_or(case.args.len());
        let (words, rest) = case.args.split_at(end);
        let run = scene.run(owner, &[words, &["--dry-run", "--json"], rest].concat());
        // What the change is refused for, a dry run is refused for as well.
        let is_refused = case.done != 0 && run.code() == case.done;
        let is_plan = run.code() == 0 && {
            let plan = run.json();
            plan["dry_run"] == true && plan["steps"].as_array().is_some_and(|steps| !steps.is_empty())
        };
        if !is_plan && !is_refused {
            wrong.push(run.report());
        }
        let after = scene.lasting_state();
        let changes: Vec<_> = before.iter().zip(&after).filter(|(was, is)| was != is).collect();
        if !changes.is_empty() {
            wrong.push(format!("{} changed something: {changes:?}", run.line));
            break;
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 40, "{count}");
}

const OF_DATABASES: &[&str] = &["db", "env", "gc", "link", "run", "wait"];
const OF_OTHERS: &[&str] = &["apply", "group", "location", "auth", "org", "doctor", "server"];

#[test]
fn verbs_of_databases_are_done_or_refused_as_reported() {
    check_cases(OF_DATABASES);
}

#[test]
fn verbs_of_other_nouns_are_done_or_refused_as_reported() {
    check_cases(OF_OTHERS);
}
