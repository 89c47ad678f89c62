//! What a user can type: a folder or file per noun, a function per verb, arguments beside the behaviour.
//!
//! The doc comments on the arguments are the help, the reference and the man pages. A verb is handed a [`Context`],
//! asks the control plane, and shows one answer. Errors travel back up to [`run`], which has them printed once.

mod answers;
mod api;
mod apply;
mod auth;
mod backup_place;
mod clap_errors;
mod committed;
mod completers;
mod completion;
mod config;
mod context;
mod db;
mod default_location;
#[cfg(feature = "server")]
mod dev;
mod doctor;
mod early_end;
#[cfg(feature = "server")]
mod engine;
mod env;
mod gc;
mod group;
mod help;
mod in_use;
mod interruption;
mod link;
mod location;
mod manual;
#[cfg(feature = "server")]
mod node;
#[cfg(feature = "server")]
mod operator;
mod org;
mod own_files;
mod paging;
mod parse;
#[cfg(feature = "server")]
pub mod permissions;
mod preconditions;
#[cfg(feature = "server")]
mod quota;
#[cfg(unix)]
mod run;
#[cfg(feature = "server")]
mod schedules;
mod schemas;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod server_config;
#[cfg(feature = "server")]
mod server_values;
mod time_limit;
mod token_input;
mod tokens;
mod values;
mod variables;
mod wait;
mod watch;
#[cfg(not(feature = "server"))]
mod without_server;

use crate::context::Context;
use crate::error::{Code, Result};
use crate::settings::{self, Overrides, Settings, keys};
use crate::shell::interrupt;
use crate::ui::{self, Color, OutputFormat, Ui, report};
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum as _};
use early_end::EarlyEnd;
use keys::SettingKey;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Instant;
use time_limit::{TimeLimit, TimeoutAction};
use values::Span;

/// SQLite databases by name, with replicas, a shell and a server
///
/// Databases live on this machine, one directory per location; no account, server or network is needed. A database has
/// one primary and any number of replicas in other locations.
#[derive(Parser)]
#[command(
    name = "torso",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    args_override_self = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    globals: Globals,
}

#[derive(Subcommand)]
enum Command {
    #[command(subcommand)]
    Db(db::Verb),
    #[cfg(unix)]
    Run(run::Args),
    #[command(subcommand)]
    Env(env::Verb),
    Link(link::Args),
    #[cfg(feature = "server")]
    Dev(dev::Args),
    #[command(subcommand)]
    Wait(wait::Verb),
    Gc(gc::Args),
    #[command(subcommand)]
    Group(group::Verb),
    Apply(apply::Args),
    #[command(subcommand)]
    Location(location::Verb),
    #[command(subcommand)]
    Context(context::Verb),
    #[command(subcommand)]
    Auth(auth::Verb),
    #[command(subcommand)]
    Org(org::Verb),
    Api(api::Args),
    #[command(subcommand)]
    Config(config::Verb),
    Doctor(doctor::Args),
    #[cfg(feature = "server")]
    #[command(subcommand)]
    Engine(engine::Verb),
    #[cfg(feature = "server")]
    Server(Box<server::Args>),
    #[cfg(feature = "server")]
    Node(node::Args),
    #[cfg(not(feature = "server"))]
    #[command(flatten)]
    LeftOut(without_server::LeftOut),
    Completion(completion::Args),
    Help(help::Args),
    #[command(hide = true)]
    Man(manual::Args),
}

/// Flags that every command takes.
#[derive(clap::Args)]
#[command(next_help_heading = "Global options")]
struct Globals {
    /// Output format
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    output: Option<OutputFormat>,
    /// Short for --output json
    #[arg(long, global = true, conflicts_with = "output")]
    json: bool,
    /// Print only the result, no progress and no notes
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Never prompt; fail where an answer is needed
    #[arg(long, global = true)]
    no_input: bool,
    /// When to use colour
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    color: Option<Color>,
    /// Show control characters in names and data as they are
    #[arg(long, global = true)]
    raw: bool,
    /// Give up after this time, such as 30s or 5m
    #[arg(long, global = true, value_name = "DURATION")]
    timeout: Option<Span>,
    /// Use this context
    #[arg(long, global = true, value_name = "NAME", add = completers::contexts())]
    context: Option<String>,
    /// Use this organization of the server
    #[arg(long, global = true, value_name = "NAME")]
    org: Option<String>,
    /// Directory of your settings
    #[arg(long, short, global = true, value_name = "DIR", alias = "config-path")]
    config_dir: Option<PathBuf>,
    /// Directory of the catalog and the databases
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// A command that has the global flags and nothing else, for who must recognize them.
fn global_arguments() -> clap::Command {
    <Globals as clap::Args>::augment_args(clap::Command::new("torso"))
}

/// Says what would be done, and does nothing.
#[derive(clap::Args, Default)]
struct DryRun {
    /// Print what would be done; change nothing
    #[arg(long)]
    dry_run: bool,
}

/// The command line as a tree: what the reference, the man pages and the tests walk.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// A word with a leading `~/` as the home directory, also in the value of an option: shells do that only at the start of a
/// word that is not quoted, and programs that start this one do not do it at all.
fn expand_home(word: OsString) -> OsString {
    let Some(text) = word.to_str() else { return word };
    let (option, value) = match text.split_once('=') {
        Some((option, value)) if option.starts_with("--") => (Some(option), value),
        _ => (None, text),
    };
    let Some(home) = std::env::home_dir().filter(|_| value == "~" || value.starts_with("~/")) else {
        return word;
    };
    let mut path = OsString::new();
    if let Some(option) = option {
        path.push(option);
        path.push("=");
    }
    path.push(home);
    path.push(&value[1..]);
    path
}

/// The whole program. Answers completion requests, parses, runs, reports.
pub fn run(args: Vec<OsString>) -> u8 {
    if settings::env::get(settings::env::COMPLETE).is_some() {
        return completion::answer(args);
    }
    let args = args.into_iter().map(expand_home).collect();
    let mut args = db::shell::set_words_apart(args);
    // Its file may be called otherwise: by a version, or as a copy. Help and errors name what the docs name.
    if let Some(program) = args.first_mut() {
        *program = OsString::from("torso");
    }
    let cli = match parse::parse(&args) {
        Ok(cli) => cli,
        Err(error) => return clap_errors::answer(&args, error),
    };
    let settings = Settings::new(Overrides {
        config_dir: cli.globals.config_dir.clone(),
        data_dir: cli.globals.data_dir.clone(),
        context: cli.globals.context.clone(),
        organization: cli.globals.org.clone(),
    });
    let (ui, problem) = match decide(&cli.globals, &settings) {
        Ok(ui) => (ui, None),
        // The settings cannot be read: `config path` and friends must still run, so that they can be mended.
        Err(error) => (Ui::new(options(&cli.globals, None, None)), Some(error)),
    };
    let json = ui.format().is_json() || matches!(&cli.command, Some(Command::Db(verb)) if verb.asks_for_json());
    let limit = match cli.globals.timeout {
        Some(Span::For(limit)) => Some(limit),
        Some(Span::Never) | None => None,
    };
    let at_timeout = cli
        .command
        .as_ref()
        .map_or(TimeoutAction::Exit, Command::timeout_action);
    let time_limit = limit.map(|limit| TimeLimit::new(limit, at_timeout));
    if let Some(time_limit) = time_limit {
        time_limit.start(ui, json);
    }
    if cli.command.as_ref().is_some_and(Command::uses_the_plane) {
        let early_end = EarlyEnd { ui, json };
        // A thread that listens costs a tenth of `select 1` on a file. There, the shell itself says when it is worth it.
        if !matches!(&cli.command, Some(Command::Db(verb)) if verb.is_shell_on_a_file()) {
            early_end.on_interrupt();
        }
        #[cfg(unix)]
        crate::temporary_files::on_first(move || early_end.on_termination());
    }
    // The others end at that moment, whatever they do.
    let until = match at_timeout {
        TimeoutAction::Exit => None,
        TimeoutAction::Report | TimeoutAction::Stop { .. } => limit.and_then(|limit| Instant::now().checked_add(limit)),
    };
    let ctx = Context::new(ui, settings)
        .stopping(interrupt::pressed)
        .within(limit)
        .asking_until(until)
        .leaving_runs(matches!(cli.command, Some(Command::Gc(_))));
    let result = match (problem, cli.command) {
        (Some(error), Some(command)) if !command.mends_settings() => Err(error),
        (_, Some(command)) => dispatch(&ctx, command),
        (_, None) => help::print_overview(&ctx).map(|()| 0),
    };
    let result = match time_limit {
        Some(time_limit) => time_limit.result_of(result),
        None => result,
    };
    ctx.warn_of_skipped_items();
    ctx.warn_of_ignored_project_files();
    #[cfg(unix)]
    for notice in crate::served_file::take_notices() {
        ui.notice(notice);
    }
    match result {
        Ok(code) => code,
        Err(error) => report::report(&ctx.ui, json, &error),
    }
}

/// Runs a command. The exit code is 0, or that of a script in a shell.
fn dispatch(ctx: &Context, command: Command) -> Result<u8> {
    let done = match command {
        Command::Db(verb) => return db::run(ctx, verb),
        #[cfg(unix)]
        Command::Run(args) => return run::run(ctx, args),
        Command::Env(verb) => env::run(ctx, verb),
        Command::Link(args) => link::run(ctx, &args),
        #[cfg(feature = "server")]
        Command::Dev(args) => dev::run(ctx, args),
        #[cfg(feature = "server")]
        Command::Node(args) => node::run(ctx, &args),
        Command::Wait(verb) => wait::run(ctx, verb),
        Command::Gc(args) => gc::run(ctx, &args),
        Command::Group(verb) => group::run(ctx, verb),
        Command::Apply(args) => apply::run(ctx, &args),
        Command::Location(verb) => location::run(ctx, verb),
        Command::Context(verb) => context::run(ctx, verb),
        Command::Auth(verb) => auth::run(ctx, verb),
        Command::Org(verb) => org::run(ctx, verb),
        Command::Api(args) => api::run(ctx, &args),
        Command::Config(verb) => config::run(ctx, verb),
        Command::Doctor(args) => doctor::run(ctx, &args),
        #[cfg(feature = "server")]
        Command::Engine(verb) => engine::run(ctx, verb),
        #[cfg(feature = "server")]
        Command::Server(args) => server::run(ctx, *args),
        #[cfg(not(feature = "server"))]
        Command::LeftOut(command) => Err(command.to_error()),
        Command::Completion(args) => completion::run(ctx, args),
        Command::Help(args) => help::run(ctx, &args),
        Command::Man(args) => manual::run(ctx, &args),
    };
    done.map(|()| 0)
}

/// What to do about a time limit of a command that serves.
#[cfg(feature = "server")]
const SERVE_ON: fn() -> &'static str = || "leave --timeout out to serve until Ctrl-C";

impl Command {
    /// Whether it may take a while, and leave work for the next command when it is ended.
    fn uses_the_plane(&self) -> bool {
        matches!(
            self,
            Self::Db(_)
                | Self::Group(_)
                | Self::Apply(_)
                | Self::Location(_)
                | Self::Doctor(_)
                | Self::Auth(_)
                | Self::Org(_)
                | Self::Api(_)
                | Self::Context(_)
                | Self::Env(_)
                | Self::Link(_)
                | Self::Wait(_)
                | Self::Gc(_)
        )
    }

    /// What happens when its time is up.
    fn timeout_action(&self) -> TimeoutAction {
        match self {
            Self::Wait(_) => TimeoutAction::Report,
            #[cfg(unix)]
            Self::Run(_) => TimeoutAction::Stop {
                hint: run::hint_at_timeout,
            },
            #[cfg(feature = "server")]
            Self::Dev(_) => TimeoutAction::Stop { hint: SERVE_ON },
            #[cfg(feature = "server")]
            Self::Node(_) => TimeoutAction::Stop { hint: SERVE_ON },
            #[cfg(feature = "server")]
            Self::Server(args) if args.serves() => TimeoutAction::Stop { hint: SERVE_ON },
            _ => TimeoutAction::Exit,
        }
    }

    /// Whether it must run although the settings file is broken.
    fn mends_settings(&self) -> bool {
        matches!(
            self,
            Self::Config(_) | Self::Completion(_) | Self::Help(_) | Self::Man(_)
        )
    }
}

/// Flags first, then settings.
fn decide(globals: &Globals, settings: &Settings) -> Result<Ui> {
    let ask = |key: SettingKey, needed: bool| match needed.then(|| settings.user_value(key)) {
        // Without a home directory there are no settings to read; what needs them will say so.
        Some(Err(error)) if error.code() == Code::InvalidSettings && settings.config_dir().is_err() => Ok(None),
        Some(value) => value,
        None => Ok(None),
    };
    let format = ask(SettingKey::Output, globals.output.is_none() && !globals.json)?;
    let color = ask(SettingKey::Color, globals.color.is_none())?;
    Ok(Ui::new(options(globals, format, color)))
}

fn options(globals: &Globals, format: Option<String>, color: Option<String>) -> ui::UiOptions {
    // The settings have checked their values, so what does not parse cannot be.
    let format = format
        .and_then(|value| OutputFormat::from_str(&value, false).ok())
        .unwrap_or_default();
    let color = color
        .and_then(|value| Color::from_str(&value, false).ok())
        .unwrap_or_default();
    ui::UiOptions {
        format: globals
            .output
            .unwrap_or(if globals.json { OutputFormat::Json } else { format }),
        color: globals.color.unwrap_or(color),
        quiet: globals.quiet,
        no_input: globals.no_input,
        raw: globals.raw,
    }
}
