//! `torso engine`: the program that runs databases on a server.

use super::{DryRun, answers};
use crate::context::Context;
use crate::engine::sqld::program::{self, InstalledProgram, ProgramSource, Search, VERSION};
use crate::error::Result;
use crate::settings::{Settings, env};
use crate::ui::{Card, Cell, Layout, View};
use clap::Subcommand;
use serde::Serialize;
use std::path::{Path, PathBuf};

crate::commands::schemas::document!("engine status", "engine install" => Engine);

/// Install libSQL server for torso server
///
/// Databases on this machine are plain files and do not need it.
#[derive(Subcommand)]
#[command(defer = true)]
pub(super) enum Verb {
    Status(Status),
    Install(Install),
}

pub(super) fn run(ctx: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::Status(args) => status(ctx, &args),
        Verb::Install(args) => install(ctx, &args),
    }
}

/// Show which libSQL server would be used
///
/// torso uses the first of these: --sqld, TORSO_SQLD, sqld on the PATH, the program that torso engine install installed. It looks
/// for that in the data directory, then in the default one.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso engine status")]
pub(super) struct Status {
    /// Path of the sqld program to check
    #[arg(long, value_name = "PATH")]
    sqld: Option<PathBuf>,
}

/// Install libSQL server
///
/// Downloads the version that this torso is tested with, with npm (part of Node.js). torso checks its checksum, runs none of
/// the package's scripts, and puts the program below the data directory. If it is installed already, nothing happens.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso engine install")]
pub(super) struct Install {
    #[command(flatten)]
    dry: DryRun,
}

/// The program as it was found.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Engine {
    path: PathBuf,
    version: String,
    /// Whether it is the version that torso is tested with.
    tested: bool,
    /// `flag`, `environment`, `path` or `installed`.
    source: &'static str,
    /// Whether its processes are kept to their own files by the system's kernel.
    confined: bool,
}

impl From<InstalledProgram> for Engine {
    fn from(found: InstalledProgram) -> Self {
        Self {
            tested: found.version == VERSION,
            path: found.path,
            version: found.version,
            source: match found.source {
                ProgramSource::Flag => "flag",
                ProgramSource::Environment => "environment",
                ProgramSource::Path => "path",
                ProgramSource::Installed => "installed",
            },
            confined: crate::engine::confine::confinement() != crate::engine::confine::Confinement::None,
        }
    }
}

impl View for Engine {
    fn layout(&self) -> Layout {
        Layout::Card(
            Card::default()
                .field("path", Cell::text(self.path.display().to_string()))
                .field("version", Cell::text(&self.version))
                .field("tested", Cell::yes_no(self.tested))
                .field("source", Cell::text(self.source))
                .field("confined", Cell::yes_no(self.confined)),
        )
    }

    fn names(&self) -> Vec<String> {
        vec![self.path.display().to_string()]
    }
}

/// The program that would be used; `flag` names one. Warns of a version that torso is not tested with.
pub(super) fn find(ctx: &Context, flag: Option<&Path>) -> Result<InstalledProgram> {
    let (data_dir, _) = ctx.settings.data_dir()?;
    let environment = env::get(env::SQLD).map(PathBuf::from);
    let path = std::env::var_os("PATH");
    let default_dir = Settings::default_data_dir().filter(|dir| *dir != data_dir);
    let data_dirs: Vec<&Path> = std::iter::once(&data_dir)
        .chain(&default_dir)
        .map(PathBuf::as_path)
        .collect();
    let found = program::find(&Search {
        flag,
        environment: environment.as_deref(),
        path: path.as_deref(),
        data_dirs: &data_dirs,
    })?;
    if found.version != VERSION {
        ctx.ui.warn(format!(
            "torso is tested with version {VERSION}, and this is {}",
            found.version
        ));
    }
    Ok(found)
}

fn status(ctx: &Context, args: &Status) -> Result<()> {
    ctx.ui.show(&Engine::from(find(ctx, args.sqld.as_deref())?))
}

fn install(ctx: &Context, args: &Install) -> Result<()> {
    let (data_dir, _) = ctx.settings.data_dir()?;
    if args.dry.dry_run {
        let step = format!("install libSQL server {VERSION} below {} with npm", data_dir.display());
        return answers::plan(ctx, vec![step]);
    }
    ctx.ui.show(&Engine::from(program::install(&data_dir)?))
}
