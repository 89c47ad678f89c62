//! `torso db branch`: a new database with another's content, which may have an end, and may be given that content again.

use super::copy::{Ends, ReplacementWish, replace_by_source};
use super::expiry::Expiry;
use super::seed::Source;
use super::{create, find, git_branch};
use crate::commands::answers::Done;
use crate::commands::committed::Committed;
use crate::commands::completers;
use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::control::types::{ConfigurationPatch, Database, DatabaseExpiry};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use serde::Serialize;

crate::commands::schemas::document!("db branch" => Reset);

/// Stands for the branch that is checked out; no branch of git is called so.
const CHECKED_OUT: &str = "..";

/// Create a database as a copy of another
///
/// The copy is consistent, even while the source is written to, and has the source's location and group. With --reset, a branch that
/// is there gets the source's present content; its id, URL and tokens stay. With --from-git, it is called SOURCE-BRANCH, in lower
/// case and with - for what a name cannot have. A changed name gets a checksum, so no two are alike.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db branch app app-test --expires-in 3d
  torso db branch app --from-git --reset --yes")]
pub(crate) struct Args {
    /// Database to copy
    #[arg(value_name = "SOURCE", add = completers::databases())]
    source: DatabaseName,
    /// Name of the copy
    #[arg(
        value_name = "TARGET",
        required_unless_present = "from_git",
        conflicts_with = "from_git"
    )]
    target: Option<DatabaseName>,
    #[command(flatten)]
    wanted: create::Wanted,
    #[command(flatten)]
    expiry: Expiry,
    /// Derive TARGET from the git branch that is checked out, or from BRANCH
    #[arg(long, value_name = "BRANCH", num_args = 0..=1, require_equals = true, default_missing_value = CHECKED_OUT,
        add = completers::git_branches())]
    from_git: Option<String>,
    /// Give a branch that is there its source's content again
    #[arg(long, conflicts_with = "if_not_exists")]
    reset: bool,
    /// Do not ask for confirmation (with --reset)
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(ctx: &Context, mut args: Args) -> Result<()> {
    let target = target(&args)?;
    args.wanted.expires_at = args.expiry.end()?;
    if (args.reset || args.from_git.is_some())
        && let Some(branch) = create::existing(ctx, &target)?
    {
        let source = find(ctx, &args.source)?;
        check_branch(&source, &branch)?;
        if args.reset {
            return reset(ctx, &args, &source, &branch);
        }
    }
    create::make_and_show(ctx, Some(target), &args.wanted, &Source::branch(args.source))
}

fn target(args: &Args) -> Result<DatabaseName> {
    match (&args.target, args.from_git.as_deref()) {
        (Some(target), _) => Ok(target.clone()),
        (None, Some("")) => Err(Error::new(Code::Usage, "--from-git= names no branch")
            .hint("is a variable empty? --from-git alone means the branch that is checked out")),
        (None, None | Some(CHECKED_OUT)) => {
            let directory =
                std::env::current_dir().map_err(|error| Error::io(error, "cannot find the current directory"))?;
            git_branch::database_name(&args.source, &git_branch::current_branch(&directory)?)
        }
        (None, Some(branch)) => git_branch::database_name(&args.source, branch),
    }
}

/// Refuses a database that is no branch of the source: a slip in a name must not cost another database its content.
fn check_branch(source: &Database, branch: &Database) -> Result<()> {
    let is_branch = |parent: &crate::control::types::Parent| parent.id == source.id || parent.name == source.name;
    if branch.parent.as_ref().is_some_and(is_branch) {
        return Ok(());
    }
    let (source, branch) = (&source.name, &branch.name);
    Err(
        Error::new(Code::Conflict, format!("database {branch} is no branch of {source}")).hint(format!(
            "choose another name; torso db copy {source} {branch} --overwrite replaces its content all the same"
        )),
    )
}

/// The answer: the branch, and what was done with it.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Reset {
    #[serde(flatten)]
    database: Database,
    created: bool,
    reset: bool,
}

fn reset(ctx: &Context, args: &Args, source: &Database, branch: &Database) -> Result<()> {
    let wish = ReplacementWish {
        place: &args.wanted.place,
        dry_run: args.wanted.dry.dry_run,
        is_confirmed: args.yes,
    };
    let ends = Ends::new(ctx, &source.name, ctx, &branch.name)?;
    // The new end first: else the branch could be destroyed in between.
    let renew = || {
        if args.expiry.is_set() {
            let patch = ConfigurationPatch {
                expires_at: Some(args.wanted.expires_at.map_or(DatabaseExpiry::Never, DatabaseExpiry::At)),
                ..ConfigurationPatch::default()
            };
            ctx.control()?.update_configuration(&branch.name, &patch)?;
        }
        Ok(())
    };
    // Of the content that the branch gets: it is read later than this.
    let now = Timestamp::now();
    let Some(replaced) = replace_by_source(ctx, &wish, &ends, source, branch, renew)? else {
        return Ok(());
    };
    let database = Committed::new(ctx, replaced.database)
        .follow_up("the branch was not compared with its source", |_| {
            replaced.compared.map(drop)
        })
        .follow_up("when the branch was reset is not recorded", |database| {
            let patch = ConfigurationPatch {
                branched_at: Some(now),
                ..ConfigurationPatch::default()
            };
            // Servers that do not know it pass over it.
            ctx.control()?.update_configuration(&database.name, &patch)?;
            *database = find(ctx, &database.name)?;
            Ok(())
        })
        .into_result();
    let sentence = format!(
        "Reset database {} to the content of {}{}; its id, URL and tokens are as before.",
        database.name,
        source.name,
        super::expiry::sentence_part(&database)
    );
    let name = database.name.clone();
    let reset = Reset {
        database,
        created: false,
        reset: true,
    };
    ctx.ui.show(&Done::new(reset, name, sentence))
}
