//! SQL and migrations on many databases of this machine, in databases a second, beside `sqlite3` started for each file, eight at
//! a time.
//!
//! `BENCH_DATABASES` changes how many there are. Memory is compared with that for a tenth of them: it must not grow.

use super::measure::{self, Program, Sample, Until};
use super::support::world::TORSO;
use std::io::{self, Write};
use std::path::PathBuf;
use torso::control::DatabaseOperations as _;
use torso::control::embedded::Embedded;
use torso::control::types::CreateDatabase;

/// Databases a second, at least.
const GOAL: f64 = 500.0;

/// Much that memory may be more for ten times as many databases, in MiB.
const MEMORY: f64 = 4.0;

/// A thing to do on all databases.
struct FleetCase {
    name: &'static str,
    /// The arguments of torso, without the pattern; `{dir}` stands for a directory with one more migration than before.
    arguments: &'static [&'static str],
}

const CASES: &[FleetCase] = &[
    FleetCase {
        name: "exec, read",
        arguments: &["db", "exec", "select count(*) from t"],
    },
    FleetCase {
        name: "exec, write",
        arguments: &["db", "exec", "insert into t values (1)"],
    },
    FleetCase {
        name: "exec, 3 in a transaction",
        arguments: &[
            "db",
            "exec",
            "insert into t values (1); update t set a = a + 1; delete from t where a > 9",
            "--transaction",
        ],
    },
    FleetCase {
        name: "migrate, 1 file",
        arguments: &["db", "migrate", "--dir", "{dir}"],
    },
    FleetCase {
        name: "migrate, nothing to do",
        arguments: &["db", "migrate", "--dir", "{same dir}"],
    },
];

/// The databases, and the migrations that they have.
struct Fleet {
    directory: tempfile::TempDir,
    count: u64,
    migrations: u64,
}

impl Fleet {
    fn new(count: u64) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let plane = Embedded::open(&directory.path().join("data")).map_err(io::Error::other)?;
        for number in 0..count {
            let request = CreateDatabase {
                name: format!("tenant-{number:05}").parse().map_err(io::Error::other)?,
                group: None,
                location: Some("ams".parse().map_err(io::Error::other)?),
                seed: None,
                size_limit: None,
                expires_at: None,
            };
            plane.create_database(&request).map_err(io::Error::other)?;
        }
        std::fs::create_dir(directory.path().join("migrations"))?;
        let fleet = Self {
            directory,
            count,
            migrations: 0,
        };
        measure::run(&fleet.torso(&["db", "exec", "create table t(a)"], "tenant-*"))?;
        Ok(fleet)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn torso(&self, arguments: &[&str], pattern: &str) -> Program {
        let migrations = self.path("migrations").to_string_lossy().into_owned();
        let mut arguments: Vec<String> = arguments
            .iter()
            .map(|argument| match *argument {
                "{dir}" | "{same dir}" => migrations.clone(),
                other => other.to_owned(),
            })
            .collect();
        arguments.extend(["--match", pattern, "--output", "jsonl"].map(str::to_owned));
        Program {
            program: TORSO.into(),
            arguments,
            stdin: None,
            environment: vec![
                ("TORSO_DATA_DIR".to_owned(), self.path("data")),
                ("TORSO_CONFIG_DIR".to_owned(), self.path("config")),
            ],
            times: 1,
            until: Until::End,
        }
    }

    /// `sqlite3` on every file.
    fn sqlite3(&self, sql: &str) -> Program {
        let files = self.path("data/locations/ams");
        let script = format!(
            "find {} -name '*.db' -print0 | xargs -0 -P 8 -I FILE sqlite3 FILE '{sql}'",
            files.display()
        );
        Program {
            program: "sh".into(),
            arguments: vec!["-c".to_owned(), script],
            stdin: None,
            environment: Vec::new(),
            times: 1,
            until: Until::End,
        }
    }

    fn add_migration(&mut self) -> io::Result<()> {
        self.migrations += 1;
        let path = self.path(&format!("migrations/{:04}_add.sql", self.migrations));
        std::fs::write(path, format!("create table m{}(a, b);\n", self.migrations))
    }
}

pub fn run(rounds: u64) -> io::Result<()> {
    let mut fleet = Fleet::new(super::number("BENCH_DATABASES", 1_000))?;
    let mut out = io::stdout();
    writeln!(
        out,
        "{:<26} {:>9} {:>10} {:>10} {:>9}  met",
        "databases a second", "torso", "goal", "MiB, all", "MiB, 1/10"
    )?;
    for case in CASES {
        let (mut all, mut tenth) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            if case.arguments.contains(&"{dir}") {
                fleet.add_migration()?;
            }
            all.push(measure::run(&fleet.torso(case.arguments, "tenant-*"))?);
            tenth.push(measure::run(
                &fleet.torso(case.arguments, &pattern_of_a_tenth(fleet.count)),
            )?);
        }
        let (all, tenth) = (super::median(&all), super::median(&tenth));
        let rate = fleet.count as f64 / all.milliseconds * 1000.0;
        let met = rate >= GOAL && all.peak_mib <= tenth.peak_mib + MEMORY;
        writeln!(
            out,
            "{:<26} {rate:>9.0} {GOAL:>10.0} {:>10.1} {:>9.1}  {}",
            case.name,
            all.peak_mib,
            tenth.peak_mib,
            if met { "yes" } else { "NO" }
        )?;
    }
    for (name, sql) in [
        ("sqlite3, read", "select count(*) from t"),
        ("sqlite3, write", "insert into t values (1)"),
    ] {
        let samples: Vec<Sample> = (0..rounds)
            .map(|_| measure::run(&fleet.sqlite3(sql)))
            .collect::<io::Result<_>>()?;
        let rate = fleet.count as f64 / super::median(&samples).milliseconds * 1000.0;
        writeln!(out, "{name:<26} {rate:>9.0}")?;
    }
    Ok(())
}

/// A pattern for the first tenth of the names, for a power of ten.
fn pattern_of_a_tenth(count: u64) -> String {
    let digits = (count / 10).max(1).ilog10() as usize;
    format!("tenant-{}*", "0".repeat(5 - digits))
}
