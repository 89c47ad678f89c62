//! The recipes for CI systems in `docs/ci`: what judges them accepts them, and they run as written, on files of this machine and on
//! a server. Whatever becomes of the tests or of the job, no database is left.
//!
//! `github` and `gitlab` run a job as the documents of these systems say that their runners do; `shell` needs no runner.

mod github;
mod gitlab;
mod shell;

use crate::support::server::Server;
use crate::support::world::TORSO;
use crate::support::yaml::{content, read_all};
use crate::support::{Run, World, crate_root, until};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

/// What the tests of a job do, and what becomes of the job meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passes,
    /// The tests fail.
    Fails,
    /// A person or a time limit ends the job while its tests run.
    Cancelled,
    /// The machine of the job is gone while its tests run.
    Killed,
}

const FATES: [Fate; 4] = [Fate::Passes, Fate::Fails, Fate::Cancelled, Fate::Killed];

/// The exit code of tests that fail.
const FAILURE: i32 = 9;

/// A repository with tests that need a database, and a control plane for it.
struct Checkout {
    world: World,
    server: Option<Server>,
}

impl Checkout {
    fn on_files() -> Self {
        Self::new(false)
    }

    /// One for each control plane.
    fn on_each_plane() -> [Self; 2] {
        [Self::new(false), Self::new(true)]
    }

    fn new(on_server: bool) -> Self {
        let mut world = World::new();
        let bin = world.path("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(TORSO, bin.join("torso")).unwrap();
        world.set("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()));
        world.write("schema.sql", "create table member (name text not null unique);\n");
        std::fs::create_dir(world.work().join("migrations")).unwrap();
        world.write(
            "migrations/0001_audit.sql",
            "alter table member add column changed_by text;\n",
        );
        world.write(
            "test.sh",
            "#!/bin/sh
set -eu
export TORSO_DATABASE_TOKEN=\"$DATABASE_TOKEN\"
echo \"the token is <$DATABASE_TOKEN>\"
torso db shell \"$DATABASE_URL\" \"insert into member values ('eve', 'test')\"
test \"$(torso db shell \"$DATABASE_URL\" 'select count(*) from member')\" = 1
case $(cat fate) in
  Passes) ;;
  Fails) exit 9 ;;
  *) touch running; exec sleep 300 ;;
esac
",
        );
        let script = world.work().join("test.sh");
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let server = on_server.then(|| Server::start_apart(&["--locations", "ams"]));
        Self { world, server }
    }

    fn plane(&self) -> &'static str {
        if self.server.is_some() { "server" } else { "files" }
    }

    /// The settings that a CI system has for jobs: none of them, or the server's.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let server = self.server.iter();
        server
            .flat_map(|server| {
                [
                    ("TORSO_API_URL", server.url().to_owned()),
                    ("TORSO_TOKEN", server.token.clone()),
                ]
            })
            .collect()
    }

    fn prepare(&self, fate: Fate) {
        self.world.write("fate", format!("{fate:?}"));
        let _ = std::fs::remove_file(self.world.work().join("running"));
    }

    fn torso(&self, args: &[&str]) -> Run {
        let mut command = self.world.torso_command(args);
        command.envs(self.settings());
        Run::of(command).success()
    }

    fn databases(&self) -> Vec<String> {
        let names = self.torso(&["db", "list", "--output", "name"]).stdout;
        names.lines().map(str::to_owned).collect()
    }

    /// Insists on what a job of that fate leaves: nothing, or after a kill one database, which has an end.
    fn check_remains(&self, fate: Fate, context: &str) {
        let left = self.databases();
        if fate != Fate::Killed {
            assert_eq!(left, Vec::<String>::new(), "{context}");
            return;
        }
        assert_eq!(left.len(), 1, "{context}: {left:?}");
        let shown: Value = self.torso(&["db", "show", &left[0], "--json"]).json();
        assert!(shown["expires_at"].is_string(), "{context}: {shown}");
        // The six hours, in a second.
        self.torso(&["db", "config", "set", &left[0], "expires-in", "1s"]);
        std::thread::sleep(Duration::from_millis(1100));
    }
}

/// A shell of a job's, with what it prints. Ends with its process group.
struct Step {
    child: Child,
    output: std::io::PipeReader,
}

impl Step {
    /// Starts a command in a process group of its own, with both of its streams in one.
    fn start(mut command: Command) -> Self {
        let (output, writer) = std::io::pipe().unwrap();
        command
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .process_group(0);
        let child = command.spawn().unwrap();
        Self { child, output }
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Lets it end by itself, or ends it as `fate` says once the tests run; its lines and whether it succeeded.
    fn end(mut self, fate: Fate, checkout: &Checkout) -> (Vec<String>, bool) {
        if matches!(fate, Fate::Cancelled | Fate::Killed) {
            until("the tests run", || checkout.world.work().join("running").exists());
            if fate == Fate::Cancelled {
                // In a runner these are seconds apart.
                for signal in [Signal::SIGINT, Signal::SIGTERM] {
                    let _ = nix::sys::signal::kill(self.group(), signal);
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
            let _ = killpg(self.group(), Signal::SIGKILL);
        }
        let lines = BufReader::new(&self.output).lines().map(Result::unwrap).collect();
        let status = self.child.wait().unwrap();
        (lines, status.success())
    }
}

/// A file of `docs/ci`.
fn recipe(name: &str) -> PathBuf {
    crate_root().join("docs/ci").join(name)
}

/// Workflows and actions of this repository.
fn workflows_and_actions() -> Vec<PathBuf> {
    let mut paths = vec![recipe("action.yml"), recipe("workflow.yml")];
    let folder = crate_root().join(".github/workflows");
    let more = std::fs::read_dir(folder).into_iter().flatten();
    paths.extend(more.map(|entry| entry.unwrap().path()));
    paths
}

/// The steps of a workflow or an action.
fn steps(content: &Value) -> Vec<&Value> {
    let jobs = content["jobs"].as_object().into_iter().flatten();
    let lists = jobs.map(|(_, job)| &job["steps"]).chain([&content["runs"]["steps"]]);
    lists.filter_map(Value::as_array).flatten().collect()
}

#[test]
fn ci_recipes_are_accepted_by_what_reads_and_judges_them() {
    let mut paths = workflows_and_actions();
    paths.push(recipe("gitlab.yml"));
    let read = read_all(&paths);
    let mut failures = Vec::new();
    for (path, file) in read.as_object().unwrap() {
        let problems = file["problems"].as_array().unwrap();
        failures.extend(
            problems
                .iter()
                .map(|problem| format!("{path}:{}", problem.as_str().unwrap())),
        );
        for step in steps(&file["content"]) {
            if let Some(uses) = step["uses"].as_str() {
                // A tag can be moved to another commit.
                let commit = uses.rsplit_once('@').map_or("", |(_, commit)| commit);
                let is_commit = commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
                failures.extend((!is_commit).then(|| format!("{path}: {uses} is not pinned to a commit")));
            }
            if let Some(script) = step["run"].as_str() {
                // A value in an expression would become a part of the script.
                failures.extend(
                    script
                        .contains("${{")
                        .then(|| format!("{path}: an expression in {script}")),
                );
                // A runner starts it so that the first failure ends it.
                let script = format!("set -e\n{script}");
                failures.extend(shellcheck("bash", &script).map(|fault| format!("{path}: {fault}")));
            }
        }
    }
    let database = std::fs::read_to_string(recipe("database.sh")).unwrap();
    failures.extend(shellcheck("sh", &database));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What ShellCheck has against a script.
fn shellcheck(shell: &str, script: &str) -> Option<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let mut command = Command::new("shellcheck");
    command.args(["--severity", "style", "--shell", shell]).arg(file.path());
    let run = Run::of(command);
    (run.code() != 0).then_some(run.stdout)
}
