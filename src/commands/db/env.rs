//! `torso db env`: how an application reaches a database, as environment variables.

use crate::commands::variables::{self, Access, NamedVariables, Variable, VariableFormat};
use crate::commands::{DryRun, answers, completers};
use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::control::tokens::Expiration;
use crate::control::types::Database;
use crate::error::{Code, Error, Result};
use crate::settings::env;
use crate::ui::{Layout, OutputFormat, View};
use serde::Serialize;
use serde::ser::SerializeMap as _;
use std::io::Write as _;
use std::path::Path;

crate::commands::schemas::document!("db env", "db create" => std::collections::BTreeMap<String, String>);

/// Print a database's URL and token as environment variables
///
/// DATABASE_URL and TURSO_DATABASE_URL are the URL; DATABASE_TOKEN and TURSO_AUTH_TOKEN are a new token, and empty where
/// databases are files. With --format github, torso appends them to the files in GITHUB_ENV and GITHUB_OUTPUT for later
/// steps. It prints the line that masks the token in the log.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db env app > .env
  eval \"$(torso db env app --format export --expires 30m)\"
  torso db env app --format github --expires 1h")]
pub(crate) struct Args {
    /// Name of the database [default: the project's]
    #[arg(value_name = "NAME", add = completers::databases())]
    name: Option<DatabaseName>,
    /// Format of the variables
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "dotenv")]
    format: VariableFormat,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    wanted: NamedVariables,
    #[command(flatten)]
    dry: DryRun,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    let name = ctx.database(args.name)?;
    let database = super::find(ctx, &name)?;
    // Asked for before a token is made.
    let files = match args.format {
        VariableFormat::Github => Some(GithubFiles::of_environment()?),
        _ => None,
    };
    if args.dry.dry_run {
        let token = database
            .url
            .path()
            .is_none()
            .then(|| format!("create a token for database {name}"));
        return answers::plan(ctx, token.into_iter().collect());
    }
    let variables = variables::of_database(ctx, &database, &args.wanted, &args.access, "torso db env")?;
    if let Some(files) = files {
        return files.append(ctx, &variables);
    }
    print(ctx, &variables, args.format)
}

/// Prints a database's variables as `torso db env` does without options.
pub(super) fn print_default(ctx: &Context, database: &Database) -> Result<()> {
    let access = Access::full(Expiration::Never);
    let variables = variables::of_database(ctx, database, &NamedVariables::default(), &access, "torso db env")?;
    print(ctx, &variables, VariableFormat::Dotenv)
}

/// Prints variables in a form. `--output` wins over it where it asks for a form of its own.
fn print(ctx: &Context, variables: &[Variable], form: VariableFormat) -> Result<()> {
    if ctx.ui.format() == OutputFormat::Table {
        // Unchanged, for another program reads it.
        return ctx.ui.page(&variables::lines(variables, form));
    }
    ctx.ui.show(&Variables { variables, form })
}

/// The answer: an object of names and values.
struct Variables<'a> {
    variables: &'a [Variable],
    form: VariableFormat,
}

impl Serialize for Variables<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.variables.len()))?;
        for variable in self.variables {
            map.serialize_entry(&variable.name, variable.value.expose())?;
        }
        map.end()
    }
}

impl View for Variables<'_> {
    fn layout(&self) -> Layout {
        Layout::Said(variables::lines(self.variables, self.form))
    }

    fn names(&self) -> Vec<String> {
        self.variables.iter().map(|variable| variable.name.clone()).collect()
    }
}

/// The files by which a step of GitHub Actions hands variables and outputs to later steps.
struct GithubFiles {
    environment: String,
    output: Option<String>,
}

impl GithubFiles {
    fn of_environment() -> Result<Self> {
        let environment = env::text(env::GITHUB_ENV).ok_or_else(|| {
            Error::new(
                Code::InvalidValue,
                "GITHUB_ENV is not set, so there is no later step that could get the variables",
            )
            .hint("use --format github in a step of GitHub Actions, --format export in a shell")
        })?;
        Ok(Self {
            environment,
            output: env::text(env::GITHUB_OUTPUT),
        })
    }

    fn append(&self, ctx: &Context, variables: &[Variable]) -> Result<()> {
        let mut masks: Vec<&str> = Vec::new();
        for variable in variables.iter().filter(|variable| variable.hidden) {
            if !masks.contains(&variable.value.expose()) {
                masks.push(variable.value.expose());
            }
        }
        // Before anything else could print the token.
        let lines: String = masks.iter().map(|secret| format!("::add-mask::{secret}\n")).collect();
        ctx.ui.page(&lines)?;
        append(&self.environment, &variables::lines(variables, VariableFormat::Github))?;
        if let Some(output) = &self.output {
            let lines: String = variables
                .iter()
                .map(|variable| variables::github_line(&variable.name.to_lowercase(), variable.value.expose()) + "\n")
                .collect();
            append(output, &lines)?;
        }
        Ok(())
    }
}

fn append(path: &str, lines: &str) -> Result<()> {
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut file| file.write_all(lines.as_bytes()))
        .map_err(|error| Error::io(error, format!("cannot write {}", Path::new(path).display())))
}
