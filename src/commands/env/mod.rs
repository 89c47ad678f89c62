//! `torso env`: a `.env` file that has what an application needs to reach a database.

mod dotenv;

use super::DryRun;
use super::answers::{self, Done};
use super::completers;
use super::variables::{self, Access, NamedVariables};
use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::error::{Code, Error, Result};
use crate::settings::files;
use crate::ui::output_file::check_replaceable;
use clap::Subcommand;
use serde::Serialize;
use std::path::{Path, PathBuf};

crate::commands::schemas::document!("env pull" => Pulled);

/// Write a database's URL and token into a .env file
#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    Pull(Pull),
}

pub(super) fn run(ctx: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::Pull(args) => pull(ctx, args),
    }
}

/// Write a database's URL and token into a .env file
///
/// Variables that the file has get new values in their place; the others are added at its end. Other lines and comments stay. The
/// file is replaced as a whole, and only you can read it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso env pull --db app
  torso env pull .env.local --db app --expires 7d --env-name APP_DB")]
pub(crate) struct Pull {
    /// The file
    #[arg(value_name = "FILE", default_value = ".env")]
    file: PathBuf,
    /// Name of the database [default: the project's]
    #[arg(long, value_name = "NAME", add = completers::databases())]
    db: Option<DatabaseName>,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    wanted: NamedVariables,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Pulled {
    database: DatabaseName,
    file: PathBuf,
    /// The names of the variables that were written.
    variables: Vec<String>,
}

fn pull(ctx: &Context, args: Pull) -> Result<()> {
    if args.file == Path::new("-") {
        return Err(Error::new(Code::Usage, "torso env pull writes a file, and - is none")
            .hint("torso db env prints the variables"));
    }
    let name = ctx.database(args.db)?;
    let database = super::db::find(ctx, &name)?;
    // What a link leads to is replaced, not the link.
    let path = target(&args.file)?;
    check_replaceable(&args.file)?;
    for path in [&args.file, &path] {
        super::own_files::check_not_own(ctx, path)?;
    }
    // Read before a token is made: a file that cannot be read is an error without an effect.
    let before = read(&path)?;
    check_folder(&path)?;
    if args.dry.dry_run {
        let step = format!("write the variables of database {name} into {}", args.file.display());
        return answers::plan(ctx, vec![step]);
    }
    let variables = variables::of_database(ctx, &database, &args.wanted, &args.access, "torso env pull")?;
    let values: Vec<(&str, &str)> = variables
        .iter()
        .map(|variable| (variable.name.as_str(), variable.value.expose()))
        .collect();
    // It holds a token.
    files::replace(&path, &dotenv::merge(&before, &values), 0o600)?;
    let sentence = format!("Wrote the variables of database {name} into {}.", args.file.display());
    let pulled = Pulled {
        database: name.clone(),
        file: path,
        variables: variables.into_iter().map(|variable| variable.name).collect(),
    };
    ctx.ui.show(&Done::new(pulled, name, sentence))
}

/// The file that a path means, which may not be there yet: links are followed.
fn target(path: &Path) -> Result<PathBuf> {
    /// As many as Linux follows.
    const MOST_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(to) = std::fs::read_link(&path) else {
            let absolute = path.canonicalize().or_else(|_| std::path::absolute(&path));
            return absolute.map_err(|error| Error::io(error, format!("cannot use {}", path.display())));
        };
        path = folder(&path).join(to);
    }
    Err(Error::new(
        Code::InvalidFile,
        format!("{} is a link that leads back to itself", path.display()),
    ))
}

fn read(path: &Path) -> Result<String> {
    let text = std::fs::read(path).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    });
    match text {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            let valid = error
                .get_ref()
                .and_then(|error| error.downcast_ref::<std::string::FromUtf8Error>())
                .map_or(&[][..], |error| &error.as_bytes()[..error.utf8_error().valid_up_to()]);
            let line = 1 + memchr::memchr_iter(b'\n', valid).count();
            Err(Error::new(
                Code::InvalidFile,
                format!("{}:{line}: the file is not UTF-8 text", path.display()),
            )
            .hint("save it in UTF-8; the other lines stay as they are"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Error::io(error, format!("cannot read {}", path.display()))),
    }
}

/// Fails if there is no folder that the file could be in.
fn check_folder(path: &Path) -> Result<()> {
    let folder = folder(path);
    if folder.is_dir() {
        return Ok(());
    }
    Err(Error::new(
        Code::FileNotFound,
        format!("there is no folder {}", folder.display()),
    ))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
