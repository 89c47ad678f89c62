//! `torso db shell`: what the words after it mean, and which database is opened. The shell itself is in `crate::shell`.

use crate::commands::committed::Committed;
use crate::commands::own_files::check_not_own;
use crate::commands::{clap_errors, completers};
use crate::context::Context;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::types::{Connection, DatabaseFilter, Role};
use crate::error::{Code, Error, Kind, Result};
use crate::secret::Secret;
use crate::settings::env;
use crate::shell::args::{self, Arguments};
use crate::shell::{self, Hooks, ShellOptions, TerminalOptions};
use crate::sql::Target;
use std::ffi::{OsStr, OsString};
use std::sync::LazyLock;
use std::time::Duration;

/// Open an SQL shell on a database, or run SQL and dot-commands
///
/// DATABASE is a name, a path such as ./local.db, a file: URL, :memory:, or the URL of a server's database (http(s)://,
/// libsql:// or ws(s)://). Its token is in the variable TORSO_DATABASE_TOKEN or in the URL (?authToken=…). Without DATABASE,
/// torso opens the project's database, else :memory:.
///
/// The words after DATABASE are SQL or dot-commands, run in order. Without any, statements are read from standard input. In
/// scripts, output and exit codes are those of sqlite3. Its flags may have one dash or two, before or after the database.
#[derive(clap::Args)]
#[command(
    override_usage = "torso db shell [DATABASE] [SQL | .COMMAND]... [FLAG]...",
    after_help = "Examples:
  torso db shell app
  torso db shell app 'select count(*) from airports' --json
  torso db shell ./local.db .schema
  torso db shell app -bail < migration.sql

Options:
  -f, -init FILE        run a script; read a file before all else
  -cmd COMMAND          run before the SQL; repeatable
  --output MODE         json, jsonl, csv, name, box, table, column, markdown, line
                        and more; flags as in sqlite3: --json, -csv
  -header, -noheader    print column names, or not
  -separator S          text between columns; also -newline S, -nullvalue S
  -bail                 stop at the first error
  -batch, -interactive  force batch or interactive mode
  -echo, -eqp, -stats   as in sqlite3; so are -nofollow, -nonce S, -mmap N
                        and -version
  --location CODE       open the replica at this location
  --read-only, -safe    refuse writes; refuse files and programs
  --wait-replica        end each write when a replica has it too (servers)

Exit codes: 0 or SQLite's own (1 error, 8 read-only), 7 server unreachable

At the prompt: .help. Also: torso help shell"
)]
pub(crate) struct Args {
    /// Database, then SQL or dot-commands
    #[arg(value_name = "DATABASE", hide = true, add = completers::databases())]
    words: Vec<OsString>,
    /// Understood among the words; here for completion
    #[arg(long = "location", alias = "instance", value_name = "CODE", hide = true, add = completers::locations())]
    _location: Option<String>,
}

impl Args {
    /// Whether the words name JSON as the form of the result.
    pub(super) fn asks_for_json(&self) -> bool {
        clap_errors::names_json(&self.words)
    }

    /// Whether the words name a file to open.
    pub(super) fn names_a_file(&self) -> bool {
        let named = args::parse(&self.words).map_or(None, |arguments| arguments.database);
        named.is_some_and(|name| matches!(outside(&name), Ok(Some(Target::File { .. }))))
    }
}

/// A global flag: its name with its dashes, and whether a value follows.
type GlobalFlag = (String, bool);

/// The global flags that may stand among the shell's words: all but those for the form of the answer, which is the shell's.
static GLOBALS: LazyLock<Vec<GlobalFlag>> = LazyLock::new(|| {
    crate::commands::global_arguments()
        .get_arguments()
        .filter(|argument| !matches!(argument.get_id().as_str(), "output" | "json"))
        .flat_map(|argument| {
            let takes_value = argument.get_action().takes_values();
            let long = argument
                .get_long()
                .into_iter()
                .chain(argument.get_all_aliases().unwrap_or_default());
            long.map(move |name| (format!("--{name}"), takes_value))
        })
        .collect()
});

/// Those of one letter.
static SHORT_GLOBALS: LazyLock<Vec<GlobalFlag>> = LazyLock::new(|| {
    crate::commands::global_arguments()
        .get_arguments()
        .filter_map(|argument| {
            Some((
                format!("-{}", argument.get_short()?),
                argument.get_action().takes_values(),
            ))
        })
        .collect()
});

/// The form of the answer; `--json` is short for one.
const FORM: &str = "--output";

/// Puts `--` before the words that are the shell's own to understand: its flags have one dash and many letters, which the
/// parser of the command line would take for many flags. Global flags among them are moved to the front, and the form of
/// the answer, which is the shell's to give, from the front to them.
pub(in crate::commands) fn set_words_apart(args: Vec<OsString>) -> Vec<OsString> {
    let Some(start) = words_start(&args) else {
        return args;
    };
    let mut front = Vec::new();
    let mut words = Vec::new();
    let mut before = args[..start].iter();
    while let Some(word) = before.next() {
        let text = word.to_string_lossy();
        if text == "--json" || is_flag(&text, FORM) {
            words.push(word.clone());
            if text == FORM {
                words.extend(before.next().cloned());
            }
        } else {
            front.push(word.clone());
        }
    }
    let mut rest = args[start..].iter();
    while let Some(word) = rest.next() {
        let text = word.to_string_lossy();
        if text == "--" {
            words.push(word.clone());
            words.extend(rest.by_ref().cloned());
        } else if text == "-help" {
            front.push("--help".into());
        } else if matches!(&*text, "--help" | "-h" | "-q") {
            front.push(word.clone());
        } else if let Some((_, takes_value)) = find_global(&text) {
            front.push(word.clone());
            if *takes_value && !text.contains('=') {
                front.extend(rest.next().cloned());
            }
        } else {
            words.push(word.clone());
        }
    }
    front.push("--".into());
    front.extend(words);
    front
}

/// The global flag that a word is. Most words are none, and the flags need not be listed for them.
fn find_global(text: &str) -> Option<&'static GlobalFlag> {
    text.starts_with('-')
        .then(|| GLOBALS.iter().find(|(flag, _)| is_flag(text, flag)))
        .flatten()
}

fn is_flag(text: &str, flag: &str) -> bool {
    text.strip_prefix(flag)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

/// Where the words after `db shell` begin, if that is the command.
fn words_start(args: &[OsString]) -> Option<usize> {
    let mut nouns = ["db", "shell"].iter();
    let mut noun = nouns.next()?;
    let mut at = 1;
    while at < args.len() {
        let text = args[at].to_string_lossy();
        at += 1;
        if text.starts_with('-') {
            let takes_value = text == FORM
                || GLOBALS
                    .iter()
                    .chain(&*SHORT_GLOBALS)
                    .any(|(flag, takes_value)| *takes_value && text == *flag);
            at += usize::from(takes_value);
        } else if text == *noun {
            match nouns.next() {
                Some(next) => noun = next,
                None => return Some(at),
            }
        } else {
            return None;
        }
    }
    None
}

/// The name of a database that lives as long as the shell.
const MEMORY: &str = ":memory:";

/// A database to open.
struct ShellTarget {
    target: Target,
    name: String,
    /// Where it is in the control plane, if it is there.
    connection: Option<Connection>,
}

/// Runs the shell. Returns its exit code, which is the script's.
pub(in crate::commands) fn run(ctx: &Context, args: &Args) -> Result<u8> {
    let json_errors = args.asks_for_json();
    let arguments = match args::parse(&args.words) {
        Ok(arguments) => arguments,
        Err(problem) if json_errors => {
            return Err(Error::new(Code::InvalidValue, problem).hint("torso db shell --help lists the options"));
        }
        Err(problem) => return Ok(u8::try_from(shell::refuse_arguments(&problem)).unwrap_or(1)),
    };
    if arguments.version {
        ctx.ui.value(&shell::version())?;
        return Ok(0);
    }
    let mut place = place(ctx, &arguments)?;
    if arguments.wait_replica {
        super::reach::wait_for_replicas(ctx, &mut place.target, place.connection.is_some(), &place.name)?;
    }
    let waits = arguments.wait_replica;
    let own_files = ctx.settings.config_dir().ok().map(|(directory, _)| directory);
    let replica_hint = place.connection.as_ref().and_then(super::reach::read_only_hint);
    let full_hint = place.connection.as_ref().and_then(super::reach::size_limit_note);
    let full_hint = full_hint.map(|note| format!("hint: {note}"));
    let options = ShellOptions {
        target: place.target,
        name: place.name,
        startup_file: own_files.as_ref().map(|directory| directory.join("shellrc")),
        arguments,
        json_errors,
        terminal: terminal_options(ctx, place.connection.as_ref()),
    };
    let databases = || names(ctx);
    let resolve = |name: &str| resolve(ctx, name, waits);
    let ending = shell::run(
        &options,
        Hooks {
            resolve: &resolve,
            read_only_hint: replica_hint,
            full_hint,
            queries: own_files.map(|directory| directory.join("queries.json")),
            check_output_file: &|path| check_not_own(ctx, path),
            databases: &databases,
        },
    );
    if ending.wrote
        && !waits
        && let Some(connection) = place.connection.filter(|connection| connection.role == Role::Primary)
    {
        refresh_replicas(ctx, &connection.database);
    }
    Ok(u8::try_from(ending.exit_code).unwrap_or(1))
}

/// How long the shell waits at its end for replicas on a server. The server refreshes them by itself.
const REPLICAS_PATIENCE: Duration = Duration::from_secs(2);

/// Gives replicas what was written. A replica that does not answer holds nobody up.
fn refresh_replicas(ctx: &Context, name: &DatabaseName) {
    let committed = Committed::new(ctx, ());
    let opener = match ctx.server_if_any() {
        Ok(Some(_)) => ctx.plane_opener(Vec::new()),
        _ => {
            committed.refresh_replicas(ctx, name).into_result();
            return;
        }
    };
    let (sender, receiver) = std::sync::mpsc::channel();
    let work = committed.follow_up(&format!("while refreshing the replicas of database {name}"), |()| {
        let (open, replicated) = (opener?, name.clone());
        std::thread::spawn(move || {
            let refreshed = open().and_then(|plane| super::refresh_if_replicated(plane.as_ref(), &replicated));
            // Nobody waits any more after a while.
            let _ = sender.send(refreshed);
        });
        match receiver.recv_timeout(REPLICAS_PATIENCE) {
            Ok(refreshed) => refreshed,
            Err(_) => {
                ctx.ui.notice(format!(
                    "A replica of database {name} does not have the change yet; the server goes on by itself. torso db replicas {name} shows them."
                ));
                Ok(())
            }
        }
    });
    work.into_result();
}

/// Who types, where somebody does.
fn terminal_options(ctx: &Context, connection: Option<&Connection>) -> TerminalOptions {
    TerminalOptions {
        colour: ctx.ui.colors_answer(),
        quiet: ctx.ui.is_quiet(),
        raw: ctx.ui.raw(),
        location: connection.map(|connection| connection.location.to_string()),
        protected: connection.is_some_and(|connection| connection.delete_protection),
        replica: connection.is_some_and(|connection| connection.role == Role::Replica),
        histories: ctx.settings.state_dir().map(|directory| directory.join("history")),
    }
}

/// The names of all databases, for completion: nothing where they cannot be told.
fn names(ctx: &Context) -> Vec<String> {
    let plane = ctx.control();
    let found = plane.and_then(|plane| plane.list_databases(&DatabaseFilter::default()));
    let found = found.into_iter().flatten();
    found.map(|database| database.name.to_string()).collect()
}

/// What the first word names.
fn place(ctx: &Context, arguments: &Arguments) -> Result<ShellTarget> {
    let location = arguments
        .location
        .as_deref()
        .or(arguments.instance.as_deref())
        .map(str::parse::<LocationCode>)
        .transpose()?;
    let named = arguments.database.as_deref().unwrap_or_default();
    refuse_sql_as_a_database(ctx, named)?;
    if arguments.database.is_some()
        && let Some(target) = outside(named)?
    {
        if location.is_some() {
            return Err(Error::new(
                Code::Usage,
                "--location is for a database of torso, not for a file or URL",
            ));
        }
        return Ok(ShellTarget {
            target: target.restricted(arguments.read_only, arguments.no_links),
            name: named.to_string_lossy().into_owned(),
            connection: None,
        });
    }
    let name = match arguments.database {
        Some(_) => Some(named.to_string_lossy().parse::<DatabaseName>()?),
        None => None,
    };
    let name = match (ctx.database(name), location.is_some()) {
        (Ok(name), _) => name,
        // Nothing is named anywhere: a scratch database.
        (Err(error), false) if error.kind() == Kind::Usage && arguments.database.is_none() => {
            return Ok(ShellTarget {
                target: Target::Memory,
                name: MEMORY.to_owned(),
                connection: None,
            });
        }
        (Err(error), _) => return Err(error),
    };
    let connection = ctx
        .control()?
        .connection(&name, location.as_ref())
        .map_err(|error| super::near_miss(ctx, &name, error))
        .map_err(|error| suggest_path(error, &name))?;
    // The link to its primary is torso's own; what is not to be followed are links that a user names.
    let target = match arguments.read_only {
        true => super::reach::reading(&connection)?,
        false => super::reach::target(&connection)?,
    };
    Ok(ShellTarget {
        target,
        name: name.to_string(),
        connection: Some(connection),
    })
}

/// Words that statements begin with.
const STATEMENTS: &[&str] = &[
    "alter", "analyze", "attach", "begin", "commit", "create", "delete", "detach", "drop", "explain", "insert",
    "pragma", "reindex", "replace", "select", "update", "vacuum", "values", "with",
];

/// SQL or a dot-command where the database belongs would make an empty file of that name.
fn refuse_sql_as_a_database(ctx: &Context, word: &OsStr) -> Result<()> {
    let text = word.to_string_lossy();
    // `.data.db` is a file, and so is `./tables`.
    let is_command = text.strip_prefix('.').is_some_and(|rest| {
        let name = rest.split_whitespace().next().unwrap_or_default();
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    let is_sql = text
        .trim()
        .split_once(char::is_whitespace)
        .is_some_and(|(first, _)| STATEMENTS.iter().any(|statement| first.eq_ignore_ascii_case(statement)));
    if !(is_command || is_sql) || std::path::Path::new(word).exists() {
        return Ok(());
    }
    let database = ctx
        .database(None)
        .map_or_else(|_| "NAME".to_owned(), |name| name.to_string());
    let what = if is_command { "a dot-command" } else { "SQL" };
    Err(
        Error::new(Code::Usage, format!("the first word is {what}, not a database: {text}")).hint(format!(
            "name the database first, such as torso db shell {database}; a file of that name needs its path (./)"
        )),
    )
}

/// A bare word is a name; a file in this directory must be written with its path.
fn suggest_path(error: Error, name: &DatabaseName) -> Error {
    if error.code() == Code::DatabaseNotFound && std::path::Path::new(name.as_str()).exists() {
        error.hint(format!("for the file, type ./{name}"))
    } else {
        error
    }
}

/// What a word stands for that is not the name of a database in the control plane.
fn outside(word: &OsStr) -> Result<Option<Target>> {
    let text = word.to_string_lossy();
    if text == MEMORY {
        return Ok(Some(Target::Memory));
    }
    if let Some((scheme, _)) = text.split_once("://")
        && matches!(scheme, "http" | "https" | "libsql" | "ws" | "wss")
    {
        let url = url::Url::parse(&text)
            // Not repeated: it may hold a token.
            .map_err(|error| Error::new(Code::InvalidValue, "the database's URL has no valid form").caused_by(error))?;
        // A token in the URL goes before it.
        let token = env::text(env::DATABASE_TOKEN);
        return Ok(Some(Target::Remote {
            url,
            token: token.map(Secret::new),
            renewal: None,
            read_only: false,
            wait_replica: false,
        }));
    }
    if text.parse::<DatabaseName>().is_ok() {
        return Ok(None);
    }
    Ok(Some(Target::file(word)))
}

/// A word given to `.open`: a name that is known, or else a path.
fn resolve(ctx: &Context, word: &str, waits: bool) -> Result<Option<Target>> {
    if let Some(target) = outside(OsStr::new(word))? {
        return Ok(Some(target));
    }
    let Ok(name) = word.parse::<DatabaseName>() else {
        return Ok(None);
    };
    let connection = ctx.control().and_then(|plane| plane.connection(&name, None));
    match connection {
        Ok(connection) => {
            let mut target = super::reach::target(&connection)?;
            if let Target::Remote { wait_replica, .. } = &mut target {
                *wait_replica = waits;
            }
            Ok(Some(target))
        }
        Err(error) if error.code() == Code::DatabaseNotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(line: &str) -> String {
        let args = line.split(' ').map(OsString::from).collect();
        let words: Vec<String> = set_words_apart(args)
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        words.join(" ")
    }

    #[test]
    fn shell_arguments_are_separated_from_those_of_torso() {
        for (line, expected) in [
            ("torso db list", "torso db list"),
            ("torso db show shell", "torso db show shell"),
            ("torso db shell -csv x", "torso db shell -- -csv x"),
            (
                "torso --context a db shell x --json",
                "torso --context a db shell -- x --json",
            ),
            (
                "torso db shell x --data-dir /d -csv",
                "torso db shell --data-dir /d -- x -csv",
            ),
            ("torso db shell --help", "torso db shell --help --"),
            ("torso db shell x -help", "torso db shell --help -- x"),
            ("torso db shell x -q", "torso db shell -q -- x"),
            ("torso db shell x -- --quiet", "torso db shell -- x -- --quiet"),
        ] {
            assert_eq!(apart(line), expected);
        }
    }
}
