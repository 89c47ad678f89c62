//! `docs/ci/gitlab.yml`, run as GitLab's runner runs a job: `before_script` and `script` are one script of bash, `after_script` is
//! another, which runs whatever became of the first.

use super::{Checkout, FATES, Fate, Step, content, recipe};
use serde_json::Value;
use std::process::Command;

/// The lines of a part of a job.
fn lines(job: &Value, part: &str) -> String {
    let lines = job[part].as_array().unwrap_or_else(|| panic!("there is no {part}"));
    lines
        .iter()
        .map(|line| line.as_str().unwrap().to_owned() + "\n")
        .collect()
}

/// Bash with a script as the runner writes it: commands have no standard input, and the first failure ends it.
fn bash(checkout: &Checkout, job: &Value, id: u64, script: &str) -> Command {
    let mut command = checkout.world.command("bash");
    command
        .args([
            "-c",
            "set -eo pipefail; set +o noclobber; : | eval \"$1\"; exit 0",
            "bash",
            script,
        ])
        .envs([("CI", "true"), ("GITLAB_CI", "true")])
        .env("CI_JOB_ID", id.to_string())
        .envs(checkout.settings());
    for (name, value) in job["variables"].as_object().unwrap() {
        command.env(name, value.as_str().unwrap().replace("$CI_JOB_ID", &id.to_string()));
    }
    command
}

/// Runs the job; what it printed, and whether it passed.
fn run_job(checkout: &Checkout, job: &Value, id: u64, fate: Fate) -> (String, bool) {
    checkout.prepare(fate);
    let script = lines(job, "before_script") + &lines(job, "script");
    let (mut printed, passed) = Step::start(bash(checkout, job, id, &script)).end(fate, checkout);
    if fate != Fate::Killed {
        let script = lines(job, "after_script");
        printed.extend(
            Step::start(bash(checkout, job, id, &script))
                .end(Fate::Passes, checkout)
                .0,
        );
    }
    (printed.join("\n"), passed)
}

#[test]
fn gitlab_job_of_any_fate_leaves_no_database() {
    let job = content(&recipe("gitlab.yml"))["test"].take();
    for checkout in Checkout::on_each_plane() {
        let fates = FATES.into_iter().chain([Fate::Passes]);
        for (id, fate) in (4_000..).zip(fates) {
            let (printed, passed) = run_job(&checkout, &job, id, fate);
            assert_eq!(
                passed,
                fate == Fate::Passes,
                "{} {fate:?}:\n{printed}",
                checkout.plane()
            );
            checkout.check_remains(fate, &printed);
        }
    }
}
