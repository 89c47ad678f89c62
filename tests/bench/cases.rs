//! What is measured.

use super::flights;
use super::measure::{Program, Until};
use super::support::sqld::Sqld;
use std::cell::OnceCell;
use std::io;
use std::path::PathBuf;
use std::process::Command;

const ALL: &str = "select * from flights";

/// The files that the programs work on.
pub struct World {
    directory: tempfile::TempDir,
    /// Started by the first case that wants it.
    server: OnceCell<Sqld>,
}

/// What time to stay under.
#[derive(Clone, Copy)]
pub enum Goal {
    /// So many times the other's.
    Ratio(f64),
    Milliseconds(f64),
    /// So many rows of the table in a second, at least.
    RowsPerSecond(f64),
    Any,
}

/// What peak of memory to stay under.
#[derive(Clone, Copy)]
pub enum Memory {
    /// Half of the other's: both hold the rows.
    Half,
    Mebibytes(f64),
    Any,
}

/// Rows pass through: the size of the table must not matter.
const STREAMING: Memory = Memory::Mebibytes(64.0);

use Goal::{Any, Milliseconds, Ratio, RowsPerSecond};

/// One comparison.
pub struct Case {
    pub name: &'static str,
    pub goal: Goal,
    /// What memory to stay under.
    pub memory: Memory,
    pub most_rounds: u64,
    /// Preparing takes minutes: it runs only when asked for by name.
    pub slow_to_prepare: bool,
    /// Puts the world in the state that either side starts from.
    pub prepare: fn(&World) -> io::Result<()>,
    pub sqlite3: Box<dyn Fn(&World) -> Program>,
    pub torso: Box<dyn Fn(&World) -> Program>,
}

/// The address of a server that takes connections and never answers.
fn silent_server() -> &'static str {
    static URL: std::sync::OnceLock<(std::net::TcpListener, String)> = std::sync::OnceLock::new();
    let (_, url) = URL.get_or_init(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        (listener, format!("http://{address}"))
    });
    url
}

impl World {
    /// Makes the CSV file and a database of it.
    pub fn new(rows: u64) -> io::Result<Self> {
        let world = Self {
            directory: tempfile::tempdir()?,
            server: OnceCell::new(),
        };
        flights::write(&world.path("flights.csv"), rows)?;
        let import = format!(".import --csv {} flights", world.text("flights.csv"));
        let made = Command::new("sqlite3")
            .arg(world.path("flights.db"))
            .arg(import)
            .status()?;
        if !made.success() {
            return Err(io::Error::other("sqlite3 could not import the data"));
        }
        let dump = Command::new("sqlite3")
            .arg(world.path("flights.db"))
            .arg(".dump")
            .output()?;
        std::fs::write(world.path("flights.sql"), dump.stdout)?;
        Ok(world)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn sqlite3(&self, arguments: &[&str]) -> Program {
        self.program("sqlite3".into(), arguments)
    }

    fn torso(&self, arguments: &[&str]) -> Program {
        self.program(env!("CARGO_BIN_EXE_torso").into(), arguments)
    }

    fn program(&self, program: PathBuf, arguments: &[&str]) -> Program {
        Program {
            program,
            arguments: arguments
                .iter()
                .map(|argument| argument.replace("{dir}", &self.text("")))
                .map(|argument| match self.server.get() {
                    Some(server) => argument.replace("{url}", &server.url()),
                    None => argument,
                })
                .collect(),
            stdin: None,
            environment: vec![
                ("HOME".into(), self.path("home")),
                ("TORSO_DATA_DIR".into(), self.path("data")),
                ("TORSO_CONFIG_DIR".into(), self.path("config")),
            ],
            times: 1,
            until: Until::End,
        }
    }

    /// What a shell runs at a Tab behind `torso db show`, in the context of a server if one is named.
    fn completion(&self, server: Option<&str>) -> Program {
        let mut program = self.torso(&["--", "torso", "db", "show", ""]);
        program.environment.push(("TORSO_COMPLETE".into(), "fish".into()));
        if let Some(url) = server {
            program.environment.push(("TORSO_API_URL".into(), url.into()));
            program.environment.push(("TORSO_TOKEN".into(), "none".into()));
        }
        program
    }

    /// Runs `torso` to prepare something.
    fn make(&self, arguments: &[&str]) -> io::Result<()> {
        let program = self.torso(arguments);
        let mut command = Command::new(&program.program);
        command
            .args(&program.arguments)
            .envs(program.environment.iter().map(|(name, value)| (name, value)));
        let output = command.output()?;
        if output.status.success() {
            Ok(())
        } else {
            Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
        }
    }

    /// Has a server with the table of flights, and none called `imported`.
    fn served(&self) -> io::Result<()> {
        if self.server.get().is_none() {
            self.server.get_or_init(Sqld::start);
            for (name, sql) in [("all", ALL), ("one", "select 1")] {
                let stmt =
                    format!("{{\"batch\":{{\"steps\":[{{\"stmt\":{{\"sql\":\"{sql}\",\"want_rows\":true}}}}]}}}}");
                std::fs::write(self.path(&format!("{name}.json")), stmt)?;
            }
            self.make(&["db", "shell", "{url}", ".import --csv {dir}/flights.csv flights"])?;
        }
        self.make(&["db", "shell", "{url}", "drop table if exists imported"])
    }

    /// Has exactly `count` databases.
    fn databases(&self, count: u32) -> io::Result<()> {
        let made = self.path(&format!("data/made-{count}"));
        if made.exists() {
            return Ok(());
        }
        self.fresh()?;
        for number in 0..count {
            let name = format!("db-{number}");
            self.make(&["db", "create", &name, "--location", "ams"])?;
        }
        std::fs::write(made, "")
    }

    /// Has no databases at all.
    fn fresh(&self) -> io::Result<()> {
        for place in ["data", "home", "config", "out"] {
            let path = self.path(place);
            if path.exists() {
                std::fs::remove_dir_all(&path)?;
            }
            std::fs::create_dir_all(&path)?;
        }
        Ok(())
    }
}

fn case(name: &'static str, goal: Goal, sqlite3: &'static [&'static str], torso: &'static [&'static str]) -> Case {
    Case {
        name,
        goal,
        memory: Memory::Any,
        most_rounds: u64::MAX,
        slow_to_prepare: false,
        prepare: |_| Ok(()),
        sqlite3: Box::new(|world| world.sqlite3(sqlite3)),
        torso: Box::new(|world| world.torso(torso)),
    }
}

/// A shell on a server beside `curl`, which only fetches the bytes that the shell has to understand.
fn fetched(name: &'static str, goal: Goal, body: &'static str, words: &'static [&'static str]) -> Case {
    Case {
        slow_to_prepare: true,
        prepare: World::served,
        sqlite3: Box::new(move |world| {
            let body = format!("@{{dir}}/{body}.json");
            let words = ["-sS", "-o", "/dev/null", "--data-binary", &body, "{url}/v3/cursor"];
            world.program("curl".into(), &words)
        }),
        torso: Box::new(move |world| world.torso(&[&["db", "shell", "{url}"][..], words].concat())),
        ..case(name, goal, &[], &[])
    }
}

/// The same words for both shells, on the table of flights.
fn shell(name: &'static str, most: f64, memory: Memory, words: &'static [&'static str]) -> Case {
    let with = |first: &'static [&'static str]| -> Vec<&'static str> { [first, &["{dir}/flights.db"], words].concat() };
    Case {
        sqlite3: Box::new(move |world| world.sqlite3(&with(&[]))),
        torso: Box::new(move |world| world.torso(&with(&["db", "shell"]))),
        memory,
        ..case(name, Ratio(most), &[], &[])
    }
}

/// Every case, in the order they are shown.
pub fn all() -> Vec<Case> {
    const ONE: &[&str] = &["{dir}/flights.db", "select 1"];
    let many_times = |mut program: Program| {
        program.times = 20;
        program
    };
    let empty = |world: &World| world.fresh();
    let started = |case: Case| Case {
        sqlite3: Box::new(move |world| many_times((case.sqlite3)(world))),
        torso: Box::new(move |world| many_times((case.torso)(world))),
        ..case
    };
    let made: &[&str] = &[
        "{dir}/out/{n}.db",
        "pragma journal_mode=wal; create table t(a); drop table t",
    ];
    vec![
        started(case("start --version", Ratio(2.0), ONE, &["--version"])),
        started(case(
            "start select 1",
            Ratio(1.4),
            ONE,
            &["db", "shell", "{dir}/flights.db", "select 1"],
        )),
        Case {
            sqlite3: Box::new(|world| Program {
                until: Until::Shown("sqlite> "),
                ..world.sqlite3(&["{dir}/flights.db"])
            }),
            torso: Box::new(|world| Program {
                until: Until::Shown("flights.db> "),
                ..world.torso(&["db", "shell", "{dir}/flights.db"])
            }),
            ..case("start to prompt", Milliseconds(30.0), &[], &[])
        },
        // A shell calls it at every Tab; here and from a server that does not answer, a person waits no longer than this.
        Case {
            prepare: |world| world.databases(10),
            torso: Box::new(|world| world.completion(None)),
            ..case("completion of a database", Milliseconds(200.0), ONE, &[])
        },
        Case {
            prepare: |world| world.databases(10),
            torso: Box::new(|world| world.completion(Some(silent_server()))),
            ..case("completion, silent server", Milliseconds(200.0), ONE, &[])
        },
        started(Case {
            prepare: |world| world.databases(10),
            ..case("db list of 10", Ratio(3.0), ONE, &["db", "list"])
        }),
        // Beside its own start: what else it does.
        started(Case {
            prepare: |world| world.databases(10),
            sqlite3: Box::new(|world| world.torso(&["--version"])),
            ..case("db env (--version)", Ratio(2.0), &[], &["db", "env", "db-3"])
        }),
        started(Case {
            prepare: empty,
            sqlite3: Box::new(|world| {
                let sqlite3 = "sqlite3 {dir}/out/{n}.db 'pragma journal_mode=wal; create table t(a); drop table t'";
                world.program("sh".into(), &["-c", sqlite3])
            }),
            ..case(
                "run --ephemeral (sh)",
                Ratio(3.0),
                &[],
                &["run", "--ephemeral", "--", "true"],
            )
        }),
        started(Case {
            prepare: empty,
            ..case(
                "db create",
                Ratio(2.0),
                made,
                &["db", "create", "{n}", "--location", "ams"],
            )
        }),
        Case {
            prepare: empty,
            most_rounds: 1,
            sqlite3: Box::new(move |world| Program {
                times: 1000,
                ..world.sqlite3(made)
            }),
            torso: Box::new(|world| Program {
                times: 1000,
                ..world.torso(&["db", "create", "{n}", "--location", "ams"])
            }),
            ..case("1000 db create", Milliseconds(10_000.0), &[], &[])
        },
        Case {
            prepare: |world| world.databases(10_000),
            slow_to_prepare: true,
            ..case("db list of 10000", Milliseconds(100.0), ONE, &["db", "list"])
        },
        Case {
            prepare: empty,
            ..case(
                "import",
                Ratio(0.45),
                &["{dir}/out/a.db", ".import --csv {dir}/flights.csv flights"],
                &[
                    "db",
                    "shell",
                    "{dir}/out/a.db",
                    ".import --csv {dir}/flights.csv flights",
                ],
            )
        },
        Case {
            prepare: empty,
            ..case(
                "db create --from-csv",
                Ratio(0.8),
                &["{dir}/out/a.db", ".import --csv {dir}/flights.csv flights"],
                &[
                    "db",
                    "create",
                    "flights",
                    "--location",
                    "ams",
                    "--from-csv",
                    "{dir}/flights.csv",
                ],
            )
        },
        Case {
            prepare: empty,
            sqlite3: Box::new(|world| Program {
                stdin: Some(world.path("flights.sql")),
                ..world.sqlite3(&["{dir}/out/a.db"])
            }),
            torso: Box::new(|world| Program {
                stdin: Some(world.path("flights.sql")),
                ..world.torso(&["db", "shell", "{dir}/out/a.db"])
            }),
            ..case("restore", Ratio(0.8), &[], &[])
        },
        shell("dump", 0.4, STREAMING, &[".dump"]),
        shell("csv", 0.5, STREAMING, &[".mode csv", ALL]),
        shell("json", 0.5, STREAMING, &[".mode json", ALL]),
        shell("list", 0.5, STREAMING, &[".mode list", ALL]),
        shell("line", 0.8, STREAMING, &[".mode line", ALL]),
        shell("insert", 0.8, STREAMING, &[".mode insert flights", ALL]),
        shell("quote", 0.8, STREAMING, &[".mode quote", ALL]),
        shell("tabs", 0.8, STREAMING, &[".mode tabs", ALL]),
        shell("html", 0.8, STREAMING, &[".mode html", ALL]),
        shell("tcl", 0.8, STREAMING, &[".mode tcl", ALL]),
        shell("box", 0.35, Memory::Half, &[".mode box", ALL]),
        shell("column", 0.35, Memory::Half, &[".mode column", ALL]),
        shell("table", 0.35, Memory::Half, &[".mode table", ALL]),
        shell("markdown", 0.35, Memory::Half, &[".mode markdown", ALL]),
        fetched("remote csv (curl)", Ratio(1.25), "all", &["-csv", ALL]),
        fetched("remote select 1 (curl)", Any, "one", &["select 1"]),
        Case {
            sqlite3: Box::new(|world| Program {
                until: Until::FirstByte,
                ..world.program(
                    "curl".into(),
                    &["-sSN", "--data-binary", "@{dir}/all.json", "{url}/v3/cursor"],
                )
            }),
            torso: Box::new(|world| Program {
                until: Until::FirstByte,
                ..world.torso(&["db", "shell", "{url}", ALL])
            }),
            ..fetched("remote first row", Milliseconds(50.0), "all", &[])
        },
        // Nobody else imports into a server; `sqlite3` here does it into a file.
        Case {
            slow_to_prepare: true,
            most_rounds: 3,
            prepare: |world| {
                world.fresh()?;
                world.served()
            },
            sqlite3: Box::new(|world| world.sqlite3(&["{dir}/out/a.db", ".import --csv {dir}/flights.csv imported"])),
            torso: Box::new(|world| world.torso(&["db", "shell", "{url}", ".import --csv {dir}/flights.csv imported"])),
            ..case("remote import", RowsPerSecond(20_000.0), &[], &[])
        },
    ]
}
