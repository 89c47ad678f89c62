//! Every fenced block runs, or says why it does not.
//!
//! A comment right before a block says what becomes of it:
//!
//! - `run`: the page's blocks of that kind are run in order by one shell, in a world of its own.
//! - `run: both`: the same, and once more with nothing changed but the environment, which names a torso server.
//! - `run: server`: the same, with a torso server; `prod` is its context, and its address stands for `127.0.0.1:8080`. Another
//!   one stands for Turso Cloud, whose API it speaks.
//! - `run: whole server`: those of `docs/backup.md`, which `tests/backup/page.rs` follows.
//! - `run: node`, `run: python`: a program for the database `app` on that server, after the page's `run: server` blocks.
//! - `run: rust`: a program that `rust.rs` runs.
//! - `run: lost primary`, `run: former primary`: what `lost_primary.rs` runs while a primary is lost, and when it is back.
//! - `output`: what the block before it prints.
//! - `session`, `server session`: README's, which `readme.rs` runs.
//! - `not run: REASON`: neither.
//!
//! Blocks of JSON and TOML without a comment are parsed.

use super::languages;
use super::pages::{self, Block, Page};
use crate::support::server::Server;
use crate::support::{Run, World, crate_root, installed, sqld, world::TORSO};
use std::fmt::Write as _;
use std::path::Path;

/// The address of Turso Cloud's API.
const TURSO_CLOUD: &str = "https://api.turso.tech";

/// What is run while a primary is lost, and when its files are back.
pub const LOST_PRIMARY: &str = "run: lost primary";
pub const FORMER_PRIMARY: &str = "run: former primary";

/// Why a block is not as it should be.
fn fault(block: &Block) -> Option<String> {
    let is_of = |language: &str| (block.language != language).then(|| format!("a block of {language} is expected"));
    match block.marker.as_deref() {
        Some(
            "run" | "run: both" | "run: server" | "run: whole server" | LOST_PRIMARY | FORMER_PRIMARY | "session"
            | "server session",
        ) => is_of("sh"),
        Some("run: node") => is_of("js"),
        Some("run: python") => is_of("python"),
        Some("run: rust") => is_of("rust"),
        Some("output") => is_of("text"),
        Some(other) if other.starts_with("not run: ") => (other.len() < 20).then(|| "the reason is missing".to_owned()),
        _ => match block.language.as_str() {
            "json" => serde_json::from_str::<serde_json::Value>(&block.text)
                .err()
                .map(|error| error.to_string()),
            "toml" => block
                .text
                .parse::<toml_edit::DocumentMut>()
                .err()
                .map(|error| error.to_string()),
            other => Some(format!("a block of {other:?} that is not run and does not say why")),
        },
    }
}

#[test]
fn docs_block_of_every_page_is_run_parsed_or_says_why_not() {
    let mut faults = Vec::new();
    for page in pages::all() {
        for block in page.blocks() {
            faults.extend(fault(&block).map(|fault| format!("{}:{}: {fault}", page.name(), block.line)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn docs_blocks_marked_run_work_as_written() {
    let (mut run, mut faults) = (0, Vec::new());
    for page in pages::all() {
        let blocks = page.blocks();
        let runs_here = |block: &Block| is(block, "run") || is(block, "run: both");
        if blocks.iter().any(runs_here) {
            let mut world = World::new();
            prepare(&mut world, &page);
            faults.extend(session_faults(&world, &page, &blocks, runs_here, str::to_owned));
            run += 1;
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(run > 3, "only {run} pages have blocks that run");
}

/// What the pages have for scripts works on every control plane: here it runs on a server, with the same output.
#[cfg(unix)]
#[test]
fn docs_blocks_marked_run_both_work_unchanged_on_a_server() {
    let (mut run, mut faults) = (0, Vec::new());
    for page in pages::all() {
        let blocks = page.blocks();
        let runs_on_both = |block: &Block| is(block, "run: both");
        if !blocks.iter().any(runs_on_both) {
            continue;
        }
        let mut world = World::new();
        prepare(&mut world, &page);
        let home = World::new();
        let server = Server::start(&home, &["--locations", "ams,lhr"]);
        server.wait_ready();
        world.set("TORSO_API_URL", server.url());
        world.set("TORSO_TOKEN", &server.token);
        faults.extend(session_faults(&world, &page, &blocks, runs_on_both, str::to_owned));
        // Nothing of it was made on this machine.
        let here = world.ok(["db", "list", "--context", "local", "--output", "name"]);
        assert_eq!(here, "", "{}", page.name());
        run += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(run, 2, "pages with scripts for both");
}

#[cfg(unix)]
#[test]
fn docs_blocks_marked_run_with_a_server_work_as_written() {
    let (mut run, mut faults) = (0, Vec::new());
    for page in pages::all() {
        let blocks = page.blocks();
        if !blocks.iter().any(|block| is(block, "run: server")) {
            continue;
        }
        let mut world = World::new();
        prepare(&mut world, &page);
        let server = Server::start(&world, &["--locations", "ams,lhr,iad"]);
        server.wait_ready();
        world.write("token", format!("{}\n", server.token));
        world.set("TOKEN", &server.token);
        if !page.text.contains("torso context add prod") {
            let url = server.url();
            world.ok(["context", "add", "prod", "--url", url, "--token-file", "token"]);
            world.ok(["context", "use", "prod"]);
        }
        let address = server.address().to_owned();
        // It speaks the API of Turso Cloud, whose users have a place of their own.
        let cloud = page.text.contains(TURSO_CLOUD).then(|| cloud(&world));
        // The port of `torso dev` on the page.
        let port = sqld::free_port().to_string();
        let translate = |text: &str| {
            let text = text.replace("127.0.0.1:8080", &address).replace("8081", &port);
            match &cloud {
                Some(cloud) => text.replace(TURSO_CLOUD, cloud.url()),
                None => text,
            }
        };
        let found = session_faults(&world, &page, &blocks, |block| is(block, "run: server"), translate);
        if found.is_empty() {
            faults.extend(program_faults(&world, &page, &blocks));
        }
        faults.extend(found);
        run += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(run > 1, "only {run} pages have blocks that run with a server");
}

/// A server in the place of Turso Cloud, whose token is in a file.
#[cfg(unix)]
fn cloud(world: &World) -> Server {
    let server = Server::start_apart(&["--locations", "ams"]);
    server.wait_ready();
    world.write("cloud.token", format!("{}\n", server.token));
    server
}

pub fn is(block: &Block, marker: &str) -> bool {
    block.marker.as_deref() == Some(marker)
}

/// Gives a world the files that pages speak of, and torso and the languages of a page on its path.
pub fn prepare(world: &mut World, page: &Page) {
    let bin = world.path("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(TORSO, bin.join("torso")).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    world.set("PATH", format!("{}:{path}", bin.display()));
    // npm tells of its own newer versions.
    world.set("NPM_CONFIG_UPDATE_NOTIFIER", "false");
    std::os::unix::fs::symlink(installed::npm().join("node_modules"), world.work().join("node_modules")).unwrap();
    for file in ["airports.csv", "planes.csv", "airlines.csv"] {
        std::fs::copy(crate_root().join("tests/data").join(file), world.work().join(file)).unwrap();
    }
    std::fs::copy(
        crate_root().join("docs/ci/database.sh"),
        world.work().join("database.sh"),
    )
    .unwrap();
    languages::provide(world, &page.name());
    world.write(
        "schema.sql",
        "create table notes (id integer primary key, body text);\n",
    );
    world.write("migration.sql", "alter table notes add column at text;\n");
    world.ok([
        "db",
        "shell",
        "./old.sqlite",
        "create table t (x); insert into t values (1)",
    ]);
}

/// Runs those of the page's blocks that are `chosen` in one shell, and compares what they print with the blocks that show it.
pub fn session_faults(
    world: &World,
    page: &Page,
    blocks: &[Block],
    chosen: impl Fn(&Block) -> bool,
    translate: impl Fn(&str) -> String,
) -> Vec<String> {
    let mut script = String::from("set -eu\nexec 2>&1\n");
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| chosen(block)) {
        let _ = write!(script, "echo '@@ {at}'\n{}\n", translate(&block.text));
    }
    let mut shell = world.command("sh");
    shell.arg("-c").arg(&script);
    let run = Run::of(shell);
    if run.code() != 0 {
        return vec![format!("{}: exit code {}\n{}", page.name(), run.code(), run.stdout)];
    }
    let mut faults = Vec::new();
    for part in run.stdout.split("@@ ").skip(1) {
        let (at, printed) = part.split_once('\n').unwrap();
        let at: usize = at.parse().unwrap();
        if let Some(shown) = blocks.get(at + 1).filter(|block| is(block, "output")) {
            let expected = translate(&shown.text);
            if printed.trim_end() != expected.trim_end() {
                faults.push(format!("{}:{}: prints\n{printed}", page.name(), shown.line));
            }
        }
    }
    faults
}

/// Runs the page's programs, each with the address of the database `app` and a token that opens it.
fn program_faults(world: &World, page: &Page, blocks: &[Block]) -> Vec<String> {
    let is_program = |block: &Block| is(block, "run: node") || is(block, "run: python");
    if !blocks.iter().any(is_program) {
        return Vec::new();
    }
    let url = world.ok(["db", "show", "app", "--url"]);
    let token = world.ok(["db", "tokens", "create", "app"]);
    let mut faults = Vec::new();
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| is_program(block)) {
        let node = is(block, "run: node");
        let (program, script) = if node {
            let name = format!("docs-{}.mjs", world.root().file_name().unwrap().display());
            (Path::new("node").to_owned(), installed::npm().join(name))
        } else {
            (installed::python(), world.work().join("program.py"))
        };
        std::fs::write(&script, &block.text).unwrap();
        let mut command = world.command(program);
        command.arg(&script);
        command
            .env("DATABASE_URL", url.trim())
            .env("DATABASE_TOKEN", token.trim());
        let run = Run::of(command);
        if node {
            std::fs::remove_file(&script).unwrap();
        }
        // A library may log before.
        let shown = blocks.get(at + 1).filter(|block| is(block, "output"));
        if run.code() != 0 || shown.is_some_and(|shown| !run.stdout.ends_with(&shown.text)) {
            faults.push(format!("{}:{}\n{}", page.name(), block.line, run.report()));
        }
    }
    faults
}
