//! The same scripts on a libSQL server: the shell there beside `sqlite3` on a database in memory.
//!
//! Left out are scripts that need what a server refuses (temporary tables, other databases, settings of a local engine) or
//! what JSON cannot say (infinite reals); `docs/shell.md` lists them.

use super::{Case, Make, generate, times};
use crate::support::beside::{Answer, Difference, answer, helps, need_oracle, sqlite3, tell, torso};
use crate::support::in_parallel;
use crate::support::sqld::{Sqld, free_port};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a script may not hold, in lower case.
const LOCAL: &[&str] = &[
    " temp",
    "attach",
    "aux1",
    "9e999",
    ".databases",
    ".da",
    ".dat",
    ".o ",
    ".op",
    ".sav",
    ".clone",
    ".cl",
    ".restor",
    ".res",
    ".conn",
    ".co",
    ".dbc",
    ".limit",
    ".progress",
    ".pro",
    ".trace",
    ".auth",
    ".scan",
    ".bac",
    ".parameter init",
    "analyze",
    "parameters",
    ".cd",
    ".c\n",
    "load",
    ".stat",
];

/// What `.show` tells of a server only.
const FOREIGN_KEYS: &str = "foreign_keys: off (servers begin with on, files with off)\n";

/// A server with many databases.
struct Server {
    // Ends the program when it is dropped.
    _program: Sqld,
    url: String,
    admin: u16,
    next: AtomicU64,
}

impl Server {
    fn start() -> Self {
        let admin = free_port();
        let listen = format!("127.0.0.1:{admin}");
        let program = Sqld::start_with(&["--enable-namespaces", "--admin-listen-addr", &listen]);
        Self {
            url: program.url(),
            _program: program,
            admin,
            next: AtomicU64::new(0),
        }
    }

    /// Asks the server's administration for something: what it said.
    fn administer(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).unwrap();
        let head =
            "host: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        write!(stream, "{request} HTTP/1.1\r\n{head}").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    }

    /// Runs a case on a database of its own.
    fn answer(&self, helps: &[(&str, String)], case: &Case) -> Answer {
        let name = format!("n{}", self.next.fetch_add(1, Ordering::Relaxed));
        let said = self.administer(&format!("POST /v1/namespaces/{name}/create"));
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        // The server tells its databases apart by the name it is called; a proxy's address does not need to be resolved.
        let host = self.url.replace("127.0.0.1", &format!("{name}.test"));
        let mut program: Command = torso();
        program
            .env("http_proxy", &self.url)
            .args(["-cmd", "PRAGMA foreign_keys=OFF"]);
        let mut case = case.clone();
        case.arguments[0].clone_from(&host);
        let mut got = answer(program, helps, &case);
        for text in std::iter::once(&mut got.stdout).chain(got.written.values_mut()) {
            *text = text.replace(&host, ":memory:").replace(FOREIGN_KEYS, "");
        }
        // To spare the server; a busy one refuses now and then.
        self.administer(&format!("DELETE /v1/namespaces/{name}"));
        got
    }
}

fn makes_sense(case: &Case) -> bool {
    let everything = case
        .files
        .iter()
        .fold(case.script.to_lowercase(), |mut all, (_, content)| {
            all.push_str(&String::from_utf8_lossy(content).to_lowercase());
            all
        });
    // Parameters are kept in the shell, so that setting one changes no row.
    if everything.contains(".parameter") && everything.contains(".changes") {
        return false;
    }
    // A server does not tell collations.
    if everything.contains(".lint") && everything.contains("nocase") {
        return false;
    }
    !LOCAL.iter().any(|word| everything.contains(word))
}

#[test]
fn servers_answer_as_sqlite3_does() {
    need_oracle();
    let server = Server::start();
    let generators: [(&str, u64, Make); 5] = [
        ("modes", 200, super::modes::case),
        ("commands", 200, super::commands::case),
        ("imports", 200, super::imports::case),
        ("schemas", 200, super::schemas::case),
        ("reading", 150, super::reading::case),
    ];
    let mut cases = Vec::new();
    for (generator, scripts, make) in generators {
        cases.extend(
            generate(generator, scripts * times(), make)
                .into_iter()
                .filter(makes_sense),
        );
    }
    for case in &mut cases {
        // Rows are sent many at a time, and `changes` counts the last lot.
        case.script = case
            .script
            .replace("select changes(), total_changes();", "select total_changes();");
    }
    let (theirs, ours) = (helps(sqlite3), helps(torso));
    let differing = Mutex::new(Vec::new());
    in_parallel(&cases, |case| {
        let expected = answer(sqlite3(), &theirs, case);
        let got = server.answer(&ours, case);
        if expected != got {
            let mut case = case.clone();
            case.name = format!("remote {}", case.name);
            differing.lock().unwrap().push(Difference { case, expected, got });
        }
    });
    let differing = differing.into_inner().unwrap();
    tell(format_args!(
        "shell: {} of {} generated scripts answered on a server as sqlite3 answers them",
        cases.len() - differing.len(),
        cases.len()
    ));
    super::judge("remote", &differing);
}
