//! `torso help`: a command's help, or a topic.

use super::Cli;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::settings::env;
use clap::CommandFactory as _;

/// Print the help of a command, or a topic: exit-codes, json, environment
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  torso help db create\n  torso help exit-codes")]
pub(super) struct Args {
    /// A command such as db create, or a topic
    #[arg(value_name = "COMMAND|TOPIC")]
    words: Vec<String>,
}

/// The table of exit codes, in Markdown that reads well as it is.
pub(super) const EXIT_CODES: &str = "\
## Exit codes

| code | meaning |
|---|---|
| 0 | done, or already so (`--if-exists`, `--if-not-exists`) |
| 1 | failed: an invalid value or file, an SQL error, the disk; for `doctor`: something is wrong |
| 2 | the command line is wrong |
| 3 | not found |
| 4 | not logged in, or not allowed |
| 5 | exists already, or in conflict |
| 6 | needs confirmation: nobody can be asked, and no `--yes` |
| 7 | unreachable, busy or timed out; trying again may help |
| 8 | some parts succeeded, some failed; the answer says which |
| 130 | interrupted |
";

const JSON: &str = "\
Every command that answers takes --output table|json|jsonl|csv|name; --json is short for --output json.

The answer is on stdout and nothing else is. A list is a bare array, a single thing an object, with the names of the
Platform API (Name, DbId, primaryRegion). Members are only ever added. Times are RFC 3339 UTC, sizes bytes, durations
milliseconds, enums lower case.

A failure prints its document on stderr:
  {\"error\":{\"code\":\"database_not_found\",\"message\":\"…\",\"hint\":\"…\",\"retryable\":false}}
Codes are a published list and never change their meaning; retryable says whether the same command may succeed later.

jsonl prints an array's items one a line. csv prints a header and rows. name prints bare names, one a line:
  torso db list --output name | xargs -n1 torso db export
";

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    match args.words.first().map(String::as_str) {
        Some("exit-codes") => ctx.ui.page(EXIT_CODES),
        Some("json") => ctx.ui.page(JSON),
        Some("environment") => ctx.ui.page(&environment()),
        _ => command(ctx, &args.words),
    }
}

fn environment() -> String {
    let width = env::ALL.iter().map(|variable| variable.name.len()).max().unwrap_or(0);
    let line = |variable: &env::Variable| format!("{:width$}  {}\n", variable.name, variable.meaning);
    env::ALL.iter().map(line).collect()
}

fn command(ctx: &Context, words: &[String]) -> Result<()> {
    let mut tree = Cli::command();
    tree.build();
    let mut found = &mut tree;
    for word in words {
        let path = found.get_bin_name().unwrap_or("torso").to_owned();
        found = found.find_subcommand_mut(word).ok_or_else(|| {
            Error::new(Code::Usage, format!("there is no command or topic {word:?}")).hint(format!(
                "{path} --help shows the commands; topics are exit-codes, json, environment"
            ))
        })?;
    }
    let help = found.render_long_help();
    ctx.ui.page(&if ctx.ui.colors_answer() {
        help.ansi().to_string()
    } else {
        help.to_string()
    })
}
