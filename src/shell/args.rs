//! The words after `db shell`: the single-dash flags of `sqlite3`, with one dash or two, before and after the database,
//! and our own.

use super::render::preset;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// A flag that takes effect in its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switch {
    /// A preset of [`super::render::Style`].
    Mode(String),
    Separator(String),
    Newline(String),
    Null(String),
    Headers(bool),
    /// Results without rows are shown, too.
    ShowEmpty,
    Echo,
    /// Plans before results; with programs too if true.
    Plan(bool),
    Stats,
    /// So many bytes of the file are read through the address space.
    Mmap(i64),
    Backslash,
    Safe,
    /// Run before everything else.
    Command(Vec<u8>),
}

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// A name, a path or a URL.
    pub database: Option<OsString>,
    /// SQL and dot-commands to run instead of reading standard input.
    pub commands: Vec<Vec<u8>>,
    /// Scripts to run instead of reading standard input.
    pub files: Vec<PathBuf>,
    pub switches: Vec<Switch>,
    pub init: Option<PathBuf>,
    pub bail: bool,
    /// Forced to behave as with a person, or without.
    pub interactive: Option<bool>,
    pub read_only: bool,
    /// A write is answered when a replica has it.
    pub wait_replica: bool,
    /// The database's path may not lead through symbolic links.
    pub no_links: bool,
    pub nonce: Option<String>,
    pub location: Option<String>,
    pub instance: Option<String>,
    /// Only the version is wanted.
    pub version: bool,
}

impl Arguments {
    /// Whether statements come from standard input.
    #[must_use]
    pub fn reads_stdin(&self) -> bool {
        self.commands.is_empty() && self.files.is_empty()
    }
}

/// Flags of `sqlite3` that tune its memory, which no result depends on, and how many values each takes. `-maxsize` is about
/// `-deserialize`, and does nothing without it there either.
const IGNORED: [(&str, usize); 6] = [
    ("maxsize", 1),
    ("heap", 1),
    ("pagecache", 2),
    ("lookaside", 2),
    ("threadsafe", 1),
    ("scanstats", 0),
];

/// Flags of `sqlite3` that are refused, each with what to do instead.
const REFUSED: [(&str, &str); 7] = [
    ("A", "archives are not read here; use tar, or sqlite3 -A"),
    (
        "append",
        "databases within other files are not opened here; cut the database out first",
    ),
    (
        "deserialize",
        "files are not opened in memory; open :memory: and type .restore FILE",
    ),
    ("memtrace", "memory is not traced; heaptrack and valgrind do that"),
    ("multiplex", "databases are single files"),
    ("vfs", "name the file system in the database's name: file:PATH?vfs=NAME"),
    ("zip", "ZIP archives are not databases here; unzip reads them"),
];

/// What `--output FORM` chooses. Of the forms of all commands, CSV has a header, names are bare values, and a result without rows
/// is a document, too; `-csv` and `-json` are those of `sqlite3`.
fn output_form(form: &str) -> Result<Vec<Switch>, String> {
    match form {
        "csv" => Ok(vec![Switch::Headers(true), Switch::ShowEmpty, mode(form)?]),
        "json" => Ok(vec![Switch::ShowEmpty, mode(form)?]),
        "name" => Ok(vec![mode("list")?]),
        _ => Ok(vec![mode(form)?]),
    }
}

fn mode(name: &str) -> Result<Switch, String> {
    preset::by_name(name)
        .map(|preset| Switch::Mode(preset.name.to_owned()))
        .ok_or_else(|| format!("unknown output mode: {name}"))
}

/// Understands the words. What is wrong is told in one sentence.
pub fn parse(words: &[OsString]) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    let mut words = words.iter();
    let mut only_operands = false;
    while let Some(word) = words.next() {
        let text = word.as_encoded_bytes();
        if only_operands || text.len() < 2 || text[0] != b'-' {
            operand(&mut arguments, word);
            continue;
        }
        if text == b"--" {
            only_operands = true;
            continue;
        }
        let text = word.to_string_lossy();
        let name = text.strip_prefix("--").unwrap_or(&text[1..]);
        let (name, attached) = match name.split_once('=') {
            Some((name, value)) => (name, Some(OsString::from(value))),
            None => (name, None),
        };
        let mut value = || {
            attached
                .clone()
                .or_else(|| words.next().cloned())
                .ok_or_else(|| format!("missing argument to {text}"))
        };
        match name {
            "output" => arguments.switches.extend(output_form(&value()?.to_string_lossy())?),
            "mode" => arguments.switches.push(mode(&value()?.to_string_lossy())?),
            "json" if text.starts_with("--") => arguments.switches.extend(output_form("json")?),
            mode if preset::by_name(mode).is_some_and(|preset| preset.is_flag) => {
                arguments.switches.push(Switch::Mode(mode.to_owned()))
            }
            "separator" => arguments.switches.push(Switch::Separator(text_value(value()?))),
            "newline" => arguments.switches.push(Switch::Newline(text_value(value()?))),
            "nullvalue" => arguments.switches.push(Switch::Null(text_value(value()?))),
            "header" | "headers" => arguments.switches.push(Switch::Headers(true)),
            "noheader" | "noheaders" => arguments.switches.push(Switch::Headers(false)),
            "echo" => arguments.switches.push(Switch::Echo),
            "eqp" => arguments.switches.push(Switch::Plan(false)),
            "eqpfull" => arguments.switches.push(Switch::Plan(true)),
            "stats" => arguments.switches.push(Switch::Stats),
            "backslash" => arguments.switches.push(Switch::Backslash),
            "safe" => arguments.switches.push(Switch::Safe),
            "cmd" => arguments.switches.push(Switch::Command(value()?.into_encoded_bytes())),
            "init" => arguments.init = Some(value()?.into()),
            "f" | "file" => arguments.files.push(value()?.into()),
            "bail" => arguments.bail = true,
            "batch" => arguments.interactive = Some(false),
            "interactive" => arguments.interactive = Some(true),
            "readonly" | "read-only" => arguments.read_only = true,
            "wait-replica" => arguments.wait_replica = true,
            "nonce" => arguments.nonce = Some(text_value(value()?)),
            "location" => arguments.location = Some(text_value(value()?)),
            "instance" => arguments.instance = Some(text_value(value()?)),
            "version" => arguments.version = true,
            "nofollow" => arguments.no_links = true,
            "mmap" => arguments
                .switches
                .push(Switch::Mmap(super::words::integer(&text_value(value()?)))),
            other => {
                if let Some((_, instead)) = REFUSED.iter().find(|(name, _)| *name == other) {
                    return Err(format!("option {text} is not available: {instead}"));
                }
                let Some((_, values)) = IGNORED.iter().find(|(name, _)| *name == other) else {
                    return Err(format!("unknown option: {text}"));
                };
                for _ in 0..*values {
                    value()?;
                }
            }
        }
    }
    if !arguments.files.is_empty() && !arguments.commands.is_empty() {
        return Err("give SQL or -f FILE, not both; -cmd SQL runs before the file".to_owned());
    }
    Ok(arguments)
}

fn operand(arguments: &mut Arguments, word: &OsStr) {
    if arguments.database.is_none() {
        arguments.database = Some(word.to_owned());
    } else {
        arguments.commands.push(word.as_encoded_bytes().to_vec());
    }
}

fn text_value(value: OsString) -> String {
    value.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Arguments, String> {
        parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn dot_command_flags_may_stand_anywhere() {
        let arguments = parsed(&["-csv", "app", "--header", "select 1", "-separator", ";", "--bail"]).unwrap();
        assert_eq!(arguments.database.as_deref(), Some(OsStr::new("app")));
        assert_eq!(arguments.commands, [b"select 1"]);
        assert!(arguments.bail);
        assert_eq!(
            arguments.switches,
            [
                Switch::Mode("csv".into()),
                Switch::Headers(true),
                Switch::Separator(";".into())
            ]
        );
    }

    #[test]
    fn dot_command_values_may_be_attached_and_operands_set_off() {
        let arguments = parsed(&["--output=json", "--", "-odd", "-- a comment"]).unwrap();
        assert_eq!(arguments.database.as_deref(), Some(OsStr::new("-odd")));
        assert_eq!(arguments.commands, [b"-- a comment"]);
        assert_eq!(arguments.switches, [Switch::ShowEmpty, Switch::Mode("json".into())]);
    }

    #[test]
    fn dot_command_argument_that_is_wrong_is_named() {
        assert_eq!(parsed(&["-foo"]).unwrap_err(), "unknown option: -foo");
        assert_eq!(
            parsed(&["-zip", "x"]).unwrap_err(),
            "option -zip is not available: ZIP archives are not databases here; unzip reads them"
        );
        assert_eq!(parsed(&["app", "-cmd"]).unwrap_err(), "missing argument to -cmd");
        assert!(parsed(&["-lookaside", "1", "2", "x"]).is_ok());
        for words in [["app", "select 1", "-f", "x"], ["-f", "x", "app", "select 1"]] {
            assert!(parsed(&words).unwrap_err().starts_with("give SQL or -f FILE, not both"));
        }
    }
}
