//! `docs/ci/database.sh`: for any CI system that runs a shell.

use super::{Checkout, FAILURE, Fate, Step, recipe};
use crate::support::{Run, crate_root, until};
use nix::sys::signal::{Signal, kill};
use std::process::Command;

fn command(checkout: &Checkout, shell: &str) -> Command {
    let mut command = checkout.world.command(shell);
    command
        .arg(recipe("database.sh"))
        .arg("./test.sh")
        .env("CI", "true")
        .envs(checkout.settings());
    command
}

#[test]
fn ci_script_runs_unchanged_on_files_and_on_a_server() {
    for checkout in Checkout::on_each_plane() {
        for shell in ["sh", "bash"] {
            for (fate, code) in [(Fate::Passes, 0), (Fate::Fails, FAILURE), (Fate::Passes, 0)] {
                checkout.prepare(fate);
                let run = Run::of(command(&checkout, shell));
                assert_eq!(run.code(), code, "{}", run.report());
                checkout.check_remains(fate, &run.report());
            }
        }
    }
}

/// It was written by reading the pages alone, and names no control plane.
#[test]
fn ci_script_written_from_the_pages_prints_the_same_everywhere() {
    let script = crate_root().join("tests/peers/ci/job.sh");
    let answers = Checkout::on_each_plane().map(|checkout| {
        std::fs::remove_dir_all(checkout.world.work().join("migrations")).unwrap();
        let mut command = checkout.world.command("sh");
        command.arg(&script).arg("job").envs(checkout.settings());
        let run = Run::of(command);
        assert_eq!(run.code(), 0, "{}", run.report());
        checkout.check_remains(Fate::Passes, &run.report());
        run.stdout
    });
    assert_eq!(answers[0], answers[1]);
    for line in [
        "diff: 5",
        "run: 9",
        "show: 3",
        "destroy: 6",
        "protected: 5",
        "\"changes\":1",
        "600",
    ] {
        assert!(answers[0].lines().any(|found| found == line), "{line}: {}", answers[0]);
    }
}

#[test]
fn ci_script_without_a_command_is_a_usage_error() {
    let checkout = Checkout::on_each_plane().into_iter().next().unwrap();
    let mut command = checkout.world.command("sh");
    command.arg(recipe("database.sh"));
    assert_eq!(Run::of(command).code(), 2);
}

#[test]
fn ci_script_that_is_ended_by_a_signal_leaves_no_database() {
    for checkout in Checkout::on_each_plane() {
        for shell in ["sh", "bash"] {
            for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
                checkout.prepare(Fate::Cancelled);
                let mut step = Step::start(command(&checkout, shell));
                until("the tests run", || checkout.world.work().join("running").exists());
                // Only the shell gets it, as from CI systems that know no more of the job.
                kill(step.group(), signal).unwrap();
                let status = step.child.wait().unwrap();
                let context = format!("{} {shell} {signal}", checkout.plane());
                assert_eq!(status.code(), Some(code), "{context}");
                checkout.check_remains(Fate::Cancelled, &context);
            }
        }
    }
}

#[test]
fn ci_script_that_is_killed_leaves_its_database_to_the_next_job() {
    for checkout in Checkout::on_each_plane() {
        checkout.prepare(Fate::Killed);
        let (lines, _) = Step::start(command(&checkout, "sh")).end(Fate::Killed, &checkout);
        checkout.check_remains(Fate::Killed, &lines.join("\n"));
        checkout.prepare(Fate::Passes);
        let run = Run::of(command(&checkout, "sh")).success();
        checkout.check_remains(Fate::Passes, &run.report());
    }
}

#[test]
fn ci_script_whose_schema_is_wrong_runs_no_tests() {
    let checkout = Checkout::on_files();
    checkout.prepare(Fate::Passes);
    checkout
        .world
        .write("migrations/0002_wrong.sql", "insert into none values (1);");
    let run = Run::of(command(&checkout, "sh"));
    // The first migration was applied.
    assert_eq!(run.code(), 8, "{}", run.report());
    assert!(!run.stdout.contains("the token is"), "{}", run.report());
    checkout.check_remains(Fate::Fails, &run.report());
}
