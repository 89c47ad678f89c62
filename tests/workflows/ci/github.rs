//! `docs/ci/action.yml` and `docs/ci/workflow.yml`, run as a runner of GitHub Actions runs them: what steps write to the files in
//! `GITHUB_ENV`, `GITHUB_OUTPUT` and `GITHUB_PATH` is there for later steps, masked values are not in the log, and steps with
//! `if: always()` run after a failure. As in GitHub's documents of workflow syntax, workflow commands and variables.

use super::{Checkout, FATES, Fate, Step, content, recipe};
use crate::support::crate_root;
use regex::Regex;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How the workflow names the action of this repository.
const ACTION: &str = "your-organization/torso/docs/ci@";

/// A job that runs: what its steps have done for later ones.
struct Job<'a> {
    checkout: &'a Checkout,
    fate: Fate,
    /// The contexts `github`, `vars`, `secrets` and `env`.
    contexts: Map<String, Value>,
    environment: BTreeMap<String, String>,
    /// What steps put in front of the search path, last first.
    path: Vec<String>,
    masks: Vec<String>,
    log: Vec<String>,
    passes: bool,
}

/// What expressions of the steps of a job, or of an action, see beside the job's contexts.
#[derive(Default)]
struct Scope {
    inputs: Map<String, Value>,
    steps: Map<String, Value>,
    action: Option<PathBuf>,
}

impl<'a> Job<'a> {
    fn new(checkout: &'a Checkout, fate: Fate, run_id: u64) -> Self {
        let settings: BTreeMap<_, _> = checkout.settings().into_iter().collect();
        let contexts = json!({
            "github": { "run_id": run_id.to_string(), "run_attempt": "1" },
            "vars": { "TORSO_API_URL": settings.get("TORSO_API_URL") },
            "secrets": { "TORSO_TOKEN": settings.get("TORSO_TOKEN") },
            "env": {},
        });
        let secrets = settings.get("TORSO_TOKEN").cloned();
        Self {
            checkout,
            fate,
            contexts: contexts.as_object().unwrap().clone(),
            environment: BTreeMap::new(),
            path: Vec::new(),
            masks: secrets.into_iter().collect(),
            log: Vec::new(),
            passes: true,
        }
    }

    /// Runs the job of the recipe's workflow.
    fn run(mut self, workflow: &Value) -> Self {
        self.checkout.prepare(self.fate);
        let job = &workflow["jobs"]["test"];
        let mut scope = Scope::default();
        for environment in [&workflow["env"], &job["env"]] {
            let set = self.expand_all(environment, &scope);
            self.contexts["env"].as_object_mut().unwrap().extend(set.clone());
            self.environment.extend(
                set.into_iter()
                    .map(|(name, value)| (name, value.as_str().unwrap().to_owned())),
            );
        }
        self.run_steps(&job["steps"], &mut scope);
        self
    }

    fn run_steps(&mut self, steps: &Value, scope: &mut Scope) {
        for step in steps.as_array().unwrap() {
            let runs = match step["if"].as_str() {
                None => self.passes,
                Some("always()") => true,
                Some(other) => panic!("this runner does not know the condition {other}"),
            };
            // After a kill there is nobody to run anything.
            if !runs || (!self.passes && self.fate == Fate::Killed) {
                continue;
            }
            let outputs = match (step["uses"].as_str(), step["run"].as_str()) {
                (Some(uses), None) if uses.starts_with("actions/checkout@") => Map::new(),
                (Some(uses), None) if uses.starts_with(ACTION) => self.run_action(step, scope),
                (None, Some(script)) => self.run_script(step, script, scope),
                _ => panic!("this runner does not know the step {step}"),
            };
            if let Some(id) = step["id"].as_str() {
                scope.steps.insert(id.to_owned(), json!({ "outputs": outputs }));
            }
        }
    }

    /// Runs the composite action; its outputs.
    fn run_action(&mut self, step: &Value, outer: &Scope) -> Map<String, Value> {
        let action = content(&recipe("action.yml"));
        let mut inputs = self.expand_all(&step["with"], outer);
        let declared = action["inputs"].as_object().unwrap();
        for name in inputs.keys() {
            assert!(declared.contains_key(name), "the action has no input {name}");
        }
        for (name, input) in declared {
            assert!(
                input["required"] != true || inputs.contains_key(name),
                "{name} is missing"
            );
            if !inputs.contains_key(name) {
                inputs.insert(name.clone(), input["default"].clone());
            }
        }
        let mut scope = Scope {
            inputs,
            action: Some(crate_root().join("docs/ci")),
            ..Scope::default()
        };
        self.run_steps(&action["runs"]["steps"], &mut scope);
        let outputs = action["outputs"].as_object().unwrap();
        let value = |output: &Value| self.expand(output["value"].as_str().unwrap(), &scope).into();
        outputs
            .iter()
            .map(|(name, output)| (name.clone(), value(output)))
            .collect()
    }

    /// Runs a script in the shell that the step asks for; its outputs.
    fn run_script(&mut self, step: &Value, script: &str, scope: &Scope) -> Map<String, Value> {
        let world = &self.checkout.world;
        let temporary = tempfile::tempdir_in(world.path("tmp")).unwrap();
        let file = |name: &str| {
            let path = temporary.path().join(name);
            std::fs::write(&path, "").unwrap();
            path
        };
        let (environment, output, path) = (file("environment"), file("output"), file("path"));
        let written = file("script.sh");
        std::fs::write(&written, script).unwrap();
        let mut command = world.command("bash");
        match step["shell"].as_str() {
            None => command.arg("-e"),
            Some("bash") => command.args(["--noprofile", "--norc", "-eo", "pipefail"]),
            Some(other) => panic!("this runner does not know the shell {other}"),
        };
        let search = command
            .get_envs()
            .find_map(|(name, value)| (name == "PATH").then(|| value.unwrap().to_str().unwrap().to_owned()));
        let search = self.path.iter().cloned().chain(search).collect::<Vec<_>>().join(":");
        command
            .arg(&written)
            .envs([("CI", "true"), ("GITHUB_ACTIONS", "true")])
            .env("GITHUB_WORKSPACE", world.work())
            .env("RUNNER_TEMP", world.path("tmp"))
            .env("PATH", search)
            .envs(&self.environment)
            .env("GITHUB_ENV", &environment)
            .env("GITHUB_OUTPUT", &output)
            .env("GITHUB_PATH", &path);
        if let Some(action) = &scope.action {
            command.env("GITHUB_ACTION_PATH", action);
        }
        for (name, value) in self.expand_all(&step["env"], scope) {
            command.env(name, value.as_str().unwrap());
        }
        let fate = if step["name"] == "Test" {
            self.fate
        } else {
            Fate::Passes
        };
        let (lines, passed) = Step::start(command).end(fate, self.checkout);
        self.passes &= passed;
        lines.into_iter().for_each(|line| self.log_line(line));
        self.environment.extend(assignments(&environment));
        let added = std::fs::read_to_string(&path).unwrap();
        self.path.splice(0..0, added.lines().rev().map(str::to_owned));
        let outputs = assignments(&output).into_iter();
        outputs.map(|(name, value)| (name, value.into())).collect()
    }

    /// Notes a line of a step as the log shows it, or does what it asks for.
    fn log_line(&mut self, line: String) {
        match line.strip_prefix("::add-mask::") {
            Some(secret) => self.masks.push(secret.to_owned()),
            None => self
                .log
                .push(self.masks.iter().fold(line, |line, mask| line.replace(mask, "***"))),
        }
    }

    /// The text with its expressions evaluated, which may only name a value of a context.
    fn expand(&self, text: &str, scope: &Scope) -> String {
        let expression = Regex::new(r"\$\{\{ ([a-z]+)((?:\.[A-Za-z0-9_-]+)+) \}\}").unwrap();
        let expanded = expression.replace_all(text, |found: &regex::Captures<'_>| {
            let scoped = json!({ "inputs": scope.inputs, "steps": scope.steps });
            let context = self.contexts.get(&found[1]).or_else(|| scoped.get(&found[1]));
            let mut value = context.unwrap_or_else(|| panic!("there is no context {}", &found[1]));
            for part in found[2].split('.').skip(1) {
                value = &value[part];
            }
            value.as_str().unwrap_or_default().to_owned()
        });
        assert!(!expanded.contains("${{"), "this runner cannot evaluate {text}");
        expanded.into_owned()
    }

    fn expand_all(&self, values: &Value, scope: &Scope) -> Map<String, Value> {
        let values = values.as_object().into_iter().flatten();
        let expanded = values.map(|(name, value)| (name.clone(), self.expand(value.as_str().unwrap(), scope).into()));
        expanded.collect()
    }
}

/// The lines `NAME=VALUE` of a file that a step wrote to.
fn assignments(file: &std::path::Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(file).unwrap();
    let pair = |line: &str| {
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("no assignment: {line}"));
        (name.to_owned(), value.to_owned())
    };
    text.lines().map(pair).collect()
}

#[test]
fn github_job_of_any_fate_leaves_no_database_and_no_token_in_its_log() {
    let workflow = content(&recipe("workflow.yml"));
    for checkout in Checkout::on_each_plane() {
        let fates = FATES.into_iter().chain([Fate::Passes]);
        for (run_id, fate) in (7_000..).zip(fates) {
            let job = Job::new(&checkout, fate, run_id).run(&workflow);
            let log = job.log.join("\n");
            assert_eq!(
                job.passes,
                fate == Fate::Passes,
                "{} {fate:?}:\n{log}",
                checkout.plane()
            );
            if checkout.server.is_some() {
                assert!(log.contains("the token is <***>"), "{log}");
                let token = &job.environment["DATABASE_TOKEN"];
                assert!(token.len() > 20 && !log.contains(token.as_str()), "{log}");
            }
            checkout.check_remains(fate, &log);
        }
    }
}

#[test]
fn github_action_without_torso_installs_it_from_its_own_repository() {
    let checkout = Checkout::on_files();
    let bin = checkout.world.path("bin");
    std::fs::rename(bin.join("torso"), bin.join("built")).unwrap();
    // Stands for the compiler: it takes the words that the action says, and the program is what the tests have.
    let cargo = format!(
        "#!/bin/sh
set -eu
test \"$1 $2 $3 $4\" = 'install --locked --no-default-features --path' && test \"$6\" = --root
grep -q '^name = \"torso\"' \"$5/Cargo.toml\"
mkdir -p \"$7/bin\"
ln -s {}/built \"$7/bin/torso\"
",
        bin.display()
    );
    std::fs::write(bin.join("cargo"), cargo).unwrap();
    std::fs::set_permissions(bin.join("cargo"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let job = Job::new(&checkout, Fate::Passes, 7_100).run(&content(&recipe("workflow.yml")));
    assert!(job.passes, "{}", job.log.join("\n"));
    assert_eq!(job.path, [checkout.world.path("tmp/torso/bin").display().to_string()]);
    let databases = checkout.world.databases();
    assert_eq!(databases, Vec::<String>::new());
}
