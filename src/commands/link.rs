//! `torso link`: the database that commands mean in a folder, in its project file.

use super::DryRun;
use super::answers::{self, Done};
use super::completers;
use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::error::{Error, Result};
use crate::settings::PROJECT_FILE;
use crate::settings::keys::SettingKey;
use serde::Serialize;
use std::path::PathBuf;

crate::commands::schemas::document!("link" => Linked);

/// Name the database that commands mean in a folder
///
/// Writes the database and the current context into the file .torso.toml of this folder. Other lines and comments of it stay.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso link app
  torso link --remove")]
pub(crate) struct Args {
    /// Name of the database
    #[arg(value_name = "NAME", required_unless_present = "remove", conflicts_with = "remove", add = completers::databases())]
    name: Option<DatabaseName>,
    /// Remove the link to a database
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Linked {
    database: Option<DatabaseName>,
    context: Option<String>,
    file: PathBuf,
    /// Whether the file was changed.
    changed: bool,
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    match &args.name {
        Some(name) => link(ctx, name, &args.dry),
        None => unlink(ctx, &args.dry),
    }
}

fn link(ctx: &Context, name: &DatabaseName, dry: &DryRun) -> Result<()> {
    let database = super::db::find(ctx, name)?;
    let context = ctx.settings.current_context()?;
    let file = project_file()?;
    if dry.dry_run {
        let step = format!("link this folder to database {} in {}", database.name, file.display());
        return answers::plan(ctx, vec![step]);
    }
    let changed = ctx
        .settings
        .link_project(&file, Some((&database.name, context.as_deref())))?;
    let sentence = match &context {
        Some(context) => format!(
            "Commands in this folder now use database {} of context {context}.",
            database.name
        ),
        None => format!("Commands in this folder now use database {}.", database.name),
    };
    let name = database.name.clone();
    let linked = Linked {
        database: Some(database.name),
        context,
        file,
        changed,
    };
    ctx.ui.show(&Done::new(linked, name, sentence))
}

fn unlink(ctx: &Context, dry: &DryRun) -> Result<()> {
    let file = project_file()?;
    if dry.dry_run {
        let is_linked = ctx.settings.get(SettingKey::Database)?.is_some();
        let step = format!("remove the link to a database from {}", file.display());
        return answers::plan(ctx, if is_linked { vec![step] } else { Vec::new() });
    }
    let changed = ctx.settings.link_project(&file, None)?;
    let sentence = if changed {
        "This folder is no longer linked to a database."
    } else {
        "No database is linked in this folder."
    };
    let linked = Linked {
        database: None,
        context: None,
        file,
        changed,
    };
    ctx.ui.show(&Done::new(linked, "", sentence))
}

fn project_file() -> Result<PathBuf> {
    let here = std::env::current_dir().map_err(|error| Error::io(error, "cannot find out the current folder"))?;
    Ok(here.join(PROJECT_FILE))
}
