//! `torso run`: the command's exit code and signals, and what is left after any end.

use crate::support::network::{Fault, Network};
use crate::support::server::Server;
use crate::support::world::TORSO;
use crate::support::{Run, World, catches, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// So many runs are interrupted; the long form is run by hand with `TORSO_RUNS=500`.
fn runs() -> u64 {
    std::env::var("TORSO_RUNS").map_or(40, |runs| runs.parse().expect("TORSO_RUNS is a number"))
}

/// What a run leaves: databases, records, files in the location and processes.
fn remains(world: &World) -> Vec<String> {
    let mut left = world.databases();
    for folder in ["runs", "locations/local"] {
        let files = std::fs::read_dir(world.data_dir().join(folder))
            .into_iter()
            .flatten()
            .flatten();
        left.extend(files.map(|file| file.path().display().to_string()));
    }
    left.extend(processes(world).into_iter().map(|pid| format!("process {pid}")));
    left
}

/// The processes that work in this world's folder.
fn processes(world: &World) -> Vec<i32> {
    let is_of_world = |pid: i32| {
        std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(world.root()))
            && std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| is_of_world(*pid))
        .collect()
}

/// Starts a run, and waits until its command, which is ready for what comes, has made the file `running`.
fn start(world: &World, script: &str) -> Child {
    let child = world
        .torso_command(["run", "--location", "local", "--", "sh", "-c", script])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the command runs", || world.work().join("running").exists());
    child
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

fn exit_code(mut child: Child) -> i32 {
    let status = child.wait().unwrap();
    status
        .code()
        .unwrap_or_else(|| 128 + std::os::unix::process::ExitStatusExt::signal(&status).unwrap())
}

#[test]
fn run_gives_a_new_database_and_destroys_it() {
    let world = World::new();
    let script = r#"sqlite3 "${DATABASE_URL#file:}" "insert into t values (2); select sum(x) from t"
        test "$DATABASE_URL" = "$TURSO_DATABASE_URL" && test "$APP" = "$DATABASE_URL" && test -f "$FILE" &&
        test -z "${TURSO_AUTH_TOKEN+set}" && exit 7"#;
    world.write("schema.sql", "create table t (x); insert into t values (1);");
    let mut command = world.torso_command(["run", "--schema", "schema.sql", "--replica", "lhr,ams"]);
    command.args(["--env-name", "APP", "--env-name", "FILE=path", "--", "sh", "-c", script]);
    // One of another database must not reach the command.
    command.env("TURSO_AUTH_TOKEN", "stale");
    let run = Run::of(command);
    assert_eq!((run.code(), run.stdout.as_str(), run.stderr.as_str()), (7, "3\n", ""));
    assert_eq!(remains(&world), Vec::<String>::new());
}

#[test]
fn run_whose_command_renames_its_database_destroys_it_all_the_same() {
    let world = World::new();
    world.ok(["db", "create", "other", "--location", "local"]);
    let rename = "torso db rename $(torso db list 'run-*' --output name) kept --output name";
    let again = format!("{rename} && torso db create extra --location local --quiet");
    let mut command = world.torso_command(["run", "--", "sh", "-c", &again]);
    command.env("PATH", with_torso());
    Run::of(command).success();
    assert_eq!(world.databases(), ["extra", "other"]);
    // Also where torso itself is killed.
    let mut command = world.torso_command(["run", "--", "sh", "-c", &format!("{rename}; kill -9 $PPID")]);
    command.env("PATH", with_torso());
    assert_eq!(exit_code(command.stdout(Stdio::null()).spawn().unwrap()), 128 + 9);
    world.torso(["db", "list"]).success();
    assert_eq!(world.databases(), ["extra", "other"]);
}

/// A search path on which the program under test comes first.
fn with_torso() -> String {
    let folder = Path::new(TORSO).parent().unwrap().display().to_string();
    format!("{folder}:{}", std::env::var("PATH").unwrap())
}

#[test]
fn run_with_a_database_keeps_it() {
    let world = World::with_app("create table t (x)");
    let script = r#"sqlite3 "${DATABASE_URL#file:}" "insert into t values (1)""#;
    world.ok(["run", "--db", "app", "--", "sh", "-c", script]);
    assert_eq!(world.query("app", "select count(*) from t"), "1");
    world
        .torso(["run", "--db", "none", "--json", "--", "true"])
        .fails(3, "database_not_found");
    world
        .torso(["run", "--db", "app", "--location", "ams", "--json", "--", "true"])
        .fails(2, "usage");
}

#[test]
fn run_of_what_cannot_be_started_exits_as_a_shell_does() {
    let world = World::new();
    world.write("plain", "no program");
    for (command, code) in [("no-such-program", 127), ("./plain", 126)] {
        let run = world.torso(["run", "--json", "--", command]);
        run.clone().fails(code, "command_not_started");
        assert_eq!(remains(&world), Vec::<String>::new());
    }
    world.torso(["run", "--json"]).fails(2, "usage");
    world.write("broken.sql", "create table t (x); insert into none values (1);");
    world
        .torso(["run", "--schema", "broken.sql", "--json", "--", "touch", "started"])
        .fails(1, "invalid_file");
    assert!(!world.work().join("started").exists());
    assert_eq!(remains(&world), Vec::<String>::new());
}

#[test]
fn run_passes_signals_on_and_exits_as_the_command_does() {
    for (signal, script, code) in [
        (
            Signal::SIGTERM,
            "trap 'exit 3' TERM; touch running; while :; do sleep 0.05; done",
            3,
        ),
        (
            Signal::SIGINT,
            "trap 'exit 4' INT; touch running; while :; do sleep 0.05; done",
            4,
        ),
        (Signal::SIGHUP, "touch running; exec sleep 60", 128 + 1),
        (
            Signal::SIGUSR1,
            "trap 'exit 5' USR1; touch running; while :; do sleep 0.05; done",
            5,
        ),
    ] {
        let world = World::new();
        let child = start(&world, script);
        send(&child, signal);
        assert_eq!(exit_code(child), code, "{signal}");
        assert_eq!(remains(&world), Vec::<String>::new(), "{signal}");
    }
    let world = World::new();
    assert_eq!(world.torso(["run", "--", "sh", "-c", "kill -9 $$"]).code(), 128 + 9);
    assert_eq!(remains(&world), Vec::<String>::new());
}

#[test]
fn run_whose_time_is_up_kills_a_command_that_does_not_end() {
    let world = World::new();
    let script = "trap '' TERM INT; touch running; sleep 300; sleep 300";
    let run = world.torso(["run", "--timeout", "1s", "--", "sh", "-c", script]);
    assert_eq!(run.code(), 7, "{}", run.report());
    assert!(run.stderr.starts_with("error: stopped after 1s\n"), "{}", run.report());
    assert_eq!(remains(&world), Vec::<String>::new());
}

#[test]
fn run_ends_what_its_command_leaves_running() {
    let world = World::new();
    let leave = "(trap '' TERM; exec sleep 300) > /dev/null 2>&1 & (setsid sleep 300 > /dev/null 2>&1 &) ; exit 0";
    world.ok(["run", "--", "sh", "-c", leave]);
    assert_eq!(remains(&world), Vec::<String>::new());
}

#[test]
fn run_whose_torso_was_killed_is_cleared_by_the_next_command() {
    let world = World::new();
    let child = start(&world, "touch running; sleep 300");
    assert!(catches(child.id(), Signal::SIGTERM));
    // Not while it lives.
    assert_eq!(world.databases().len(), 1);
    send(&child, Signal::SIGKILL);
    assert_eq!(exit_code(child), 128 + 9);
    let next = world.torso(["db", "list"]).success();
    assert!(
        next.stderr.contains("which an earlier torso run left"),
        "{}",
        next.report()
    );
    assert_eq!(remains(&world), Vec::<String>::new());
}

/// What is hit, and with what.
const HITS: [(bool, Signal); 4] = [
    (true, Signal::SIGINT),
    (true, Signal::SIGTERM),
    (true, Signal::SIGKILL),
    (false, Signal::SIGKILL),
];

#[test]
#[allow(clippy::print_stdout)] // The count is part of the proof; `--nocapture` shows it.
fn run_interrupted_at_any_moment_leaves_nothing_after_the_next_command() {
    let world = World::new();
    world.write("schema.sql", "create table t (x); insert into t values (1);");
    let mut dice = fastrand::Rng::with_seed(13);
    let mut hits = 0;
    for round in 0..runs() {
        let (torso, signal) = HITS[dice.usize(..HITS.len())];
        let line = [
            "run",
            "--schema",
            "schema.sql",
            "--replica",
            "lhr",
            "--",
            "sh",
            "-c",
            "sleep 0.02; sleep 0.01 &",
        ];
        let mut child = world
            .torso_command(line)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(dice.u64(..150_000)));
        let pid = child.id().cast_signed();
        let target = if torso {
            Some(pid)
        } else {
            processes(&world).into_iter().find(|other| *other != pid)
        };
        hits += usize::from(target.is_some_and(|target| kill(Pid::from_raw(target), signal).is_ok()));
        child.wait().unwrap();
        assert_eq!(
            remains(&world),
            Vec::<String>::new(),
            "round {round}: {signal} for torso {torso}"
        );
    }
    println!("run: {hits} signals in {} runs, nothing left", runs());
    assert!(hits as u64 * 2 > runs(), "only {hits} signals met a run");
}

#[test]
fn run_that_takes_longer_than_its_timeout_ends_its_command() {
    let world = World::new();
    let begun = std::time::Instant::now();
    world
        .torso([
            "run",
            "--timeout",
            "1s",
            "--json",
            "--",
            "sh",
            "-c",
            "sleep 60 & sleep 60",
        ])
        .fails(7, "timeout");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(remains(&world), Vec::<String>::new());
}

#[test]
fn run_in_many_jobs_at_once_gives_each_its_own() {
    let world = World::new();
    let script = r#"f="${DATABASE_URL#file:}"; sqlite3 "$f" "create table t (x); insert into t values ($0)"
        sleep 0.2; sqlite3 "$f" "select x from t""#;
    std::thread::scope(|scope| {
        for job in 0..64 {
            let world = &world;
            scope.spawn(move || {
                let job = job.to_string();
                assert_eq!(world.ok(["run", "--", "sh", "-c", script, &job]).trim(), job);
            });
        }
    });
    assert_eq!(remains(&world), Vec::<String>::new());
}

#[test]
fn run_on_a_server_has_a_token_and_leaves_nothing_there() {
    let mut world = World::new();
    let server = Server::start(&world, &["--locations", "local,lhr", "--owner", "alice"]);
    let token = server.token.clone();
    world.set("TORSO_API_URL", server.url());
    world.set("TORSO_TOKEN", &token);
    let script = r#"torso="$0"; "$torso" db shell "$DATABASE_URL" "select count(*) from t""#;
    world.write("schema.sql", "create table t (x); insert into t values (1);");
    let run = |script: &str| {
        let mut command = world.torso_command([
            "run",
            "--schema",
            "schema.sql",
            "--replica",
            "lhr",
            "--",
            "sh",
            "-c",
            script,
        ]);
        command.arg(crate::support::world::TORSO);
        command
    };
    let answer = Run::of(run(&format!("export TORSO_DATABASE_TOKEN=$DATABASE_TOKEN; {script}"))).success();
    assert_eq!(answer.stdout, "1\n", "{}", answer.report());
    assert_eq!(world.databases(), Vec::<String>::new());
    let mut child = run("touch running; sleep 300").spawn().unwrap();
    until("the command runs", || Path::new(&world.work()).join("running").exists());
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    // Where the machine is gone as well, whoever runs torso gc destroys it.
    let left = server.ok("GET", "/v1/databases", None);
    assert!(left["databases"][0]["expires_at"].is_string(), "{left}");
    world.ok(["group", "list"]);
    assert_eq!(world.databases(), Vec::<String>::new());
}

/// A server, and a world whose commands reach it over a network.
fn server_behind_network() -> (World, Server, Network) {
    let mut world = World::new();
    let server = Server::start(&world, &["--locations", "local,lhr", "--owner", "alice"]);
    let network = Network::before(server.address());
    world.set("TORSO_API_URL", network.url());
    world.set("TORSO_TOKEN", &server.token);
    (world, server, network)
}

const SILENT: Fault = Fault::Silence(Duration::from_secs(120));

/// Far less than the network is silent, and far more than a loaded machine needs.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn run_whose_server_falls_silent_ends_with_its_command() {
    let (world, _server, network) = server_behind_network();
    network.choose(
        |method, path| match method == "DELETE" && path.contains("/databases/") {
            true => SILENT,
            false => Fault::None,
        },
    );
    let begun = std::time::Instant::now();
    let run = world.torso(["run", "--", "sh", "-c", "exit 5"]);
    assert_eq!(run.code(), 5, "{}", run.report());
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert!(run.stderr.contains("is not destroyed yet"), "{}", run.report());
    assert!(run.stderr.contains("torso gc --yes"), "{}", run.report());
    network.choose(|_, _| Fault::None);
    world.ok(["gc", "--yes"]);
    assert_eq!(world.databases(), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(world.data_dir().join("runs")).unwrap().count(), 0);
}

#[test]
fn run_whose_server_is_silent_ends_when_its_time_is_up() {
    let (world, _server, network) = server_behind_network();
    network.choose(|_, _| SILENT);
    let begun = std::time::Instant::now();
    let run = world.torso(["run", "--timeout", "2s", "--json", "--", "touch", "started"]);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let error = run.clone().fails(7, "timeout").error();
    assert!(
        error["message"].as_str().unwrap().starts_with("stopped after 2s"),
        "{error}"
    );
    assert!(error["hint"].as_str().unwrap().contains("was not started"), "{error}");
    assert!(!world.work().join("started").exists());
}

#[test]
fn wait_for_a_silent_server_says_nothing_of_changes() {
    let (world, _server, network) = server_behind_network();
    network.choose(|_, _| SILENT);
    let begun = std::time::Instant::now();
    let run = world.torso(["wait", "db", "app", "--timeout", "2s", "--json"]);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let error = run.fails(7, "timeout").error();
    assert!(!error.to_string().contains("may have been made"), "{error}");
}

#[test]
fn run_with_a_database_of_a_server_leaves_no_token_that_opens_it() {
    let (world, _server, _network) = server_behind_network();
    world.ok(["db", "create", "app"]);
    let missing = world.torso(["run", "--db", "app", "--json", "--", "no-such-program"]);
    missing.fails(127, "command_not_started");
    assert_eq!(
        world.json(["db", "tokens", "list", "app", "--all"]),
        serde_json::json!([])
    );
    let run = world.torso([
        "run",
        "--db",
        "app",
        "--",
        "sh",
        "-c",
        "test -n \"$DATABASE_TOKEN\"; exit 3",
    ]);
    assert_eq!(run.code(), 3, "{}", run.report());
    let tokens = world.json(["db", "tokens", "list", "app", "--all"]);
    let tokens = tokens.as_array().unwrap();
    assert!(tokens.iter().all(|token| token["revoked_at"].is_string()), "{tokens:?}");
}

#[test]
fn gc_keeps_and_names_a_protected_database_of_a_run() {
    let world = World::new();
    let protect = r#""$0" db config set "$("$0" db list "run-*" --output name)" delete-protection on"#;
    let run = world.torso(["run", "--", "sh", "-c", protect, crate::support::world::TORSO]);
    assert!(run.stderr.contains("is not destroyed yet"), "{}", run.report());
    let plan = world.json(["gc", "--dry-run"]);
    let step = plan["steps"][0].as_str().unwrap();
    assert!(step.starts_with("keep database run-"), "{plan}");
    let kept = world.json(["gc", "--yes"]);
    assert_eq!(kept[0]["destroyed"], false, "{kept}");
    assert_eq!(kept[0]["error"]["code"], "delete_protected", "{kept}");
    assert_eq!(world.databases().len(), 1);
}
