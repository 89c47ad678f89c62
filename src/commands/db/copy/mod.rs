//! `torso db copy`: a database's content to another name or another control plane, compared on arrival.
//!
//! The steps: the two ends are looked up, the options are checked against what is there, the source's content is read into a
//! file, a new database is made of it or an existing one's content is replaced, and the result is compared (`content` has the
//! steps that move content). A database whose content is replaced keeps all else.

mod content;
mod replacement;

pub(super) use content::{read_content, rebuild, replace_by_file, write_to_file};
pub(super) use replacement::{ReplacedContent, ReplacementWish, replace_by_source};

use super::create::{NewPlacement, existing};
use super::endpoint::{Endpoint, QualifiedName};
use super::find;
use crate::commands::answers::{self, Done};
use crate::commands::committed::Committed;
use crate::commands::{DryRun, completers, default_location, preconditions};
use crate::context::Context;
use crate::control::if_allowed;
use crate::control::names::{ContextName, DatabaseName, GroupName};
use crate::control::types::Database;
use crate::error::{Code, Error, Result};
use crate::settings::keys::SettingKey;
use crate::sql::content::Content;
use content::{SourceContent, create_from_file};
use serde::Serialize;

crate::commands::schemas::document!("db copy" => Copied);

/// Copy a database to another name, or to another context
///
/// torso compares a hash of schema and rows with the source. Tokens, replicas and settings are not copied. With --overwrite,
/// torso replaces the content of a database in one transaction; its id, URL, tokens, replicas, size limit and settings stay.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db copy app app-before-migration
  torso db copy app prod:app
  torso db copy prod:app app --overwrite
  torso db copy app --to-context prod --group europe")]
pub(crate) struct Args {
    /// Database to copy, or CONTEXT:DATABASE
    #[arg(value_name = "SOURCE", add = completers::databases())]
    source: Endpoint,
    /// Name of the copy, or CONTEXT:NAME [default with --to-context: the same]
    #[arg(value_name = "COPY", required_unless_present = "to_context")]
    copy: Option<Endpoint>,
    /// Context to copy to
    #[arg(long, value_name = "NAME", add = completers::contexts())]
    to_context: Option<ContextName>,
    #[command(flatten)]
    place: NewPlacement,
    /// Succeed if a database of the copy's name exists
    #[arg(long)]
    if_not_exists: bool,
    /// Replace the content of an existing database of that name
    #[arg(long, conflicts_with = "if_not_exists")]
    overwrite: bool,
    /// Do not ask for confirmation (with --overwrite)
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Copied {
    source: QualifiedName,
    copy: QualifiedName,
    /// False when it was there already.
    copied: bool,
    /// True when the content of a database that was there was replaced.
    replaced: bool,
    database: Database,
    #[serde(skip_serializing_if = "Option::is_none")]
    tables: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    /// SHA3-256 over schema and rows, the same for source and copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_hash: Option<String>,
}

/// The two ends, each with the context that it is in.
pub(super) struct Ends<'a> {
    from: &'a Context,
    to: &'a Context,
    source: QualifiedName,
    target: QualifiedName,
}

impl<'a> Ends<'a> {
    /// Two databases in contexts that are open.
    pub fn new(from: &'a Context, source: &DatabaseName, to: &'a Context, target: &DatabaseName) -> Result<Self> {
        Ok(Self {
            source: QualifiedName::of(from, source)?,
            target: QualifiedName::of(to, target)?,
            from,
            to,
        })
    }
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let copy = target(args)?;
    let (from, to) = (args.source.elsewhere(ctx), copy.elsewhere(ctx));
    let (from, to) = (from.as_ref().unwrap_or(ctx), to.as_ref().unwrap_or(ctx));
    let ends = Ends::new(from, &args.source.name, to, &copy.name)?;
    if ends.source == ends.target {
        return Err(
            Error::new(Code::Usage, format!("{} cannot be copied to itself", ends.source))
                .hint("give the copy another name, or another context"),
        );
    }
    let original = find(from, &args.source.name)?;
    match existing(to, &copy.name)? {
        None => create(ctx, args, ends, &original),
        Some(database) if args.if_not_exists => leave(ctx, ends, database),
        Some(database) if args.overwrite => replace(ctx, args, ends, &original, &database),
        Some(_) => Err(Error::new(
            Code::DatabaseExists,
            format!(
                "database {} exists already in context {}",
                copy.name, ends.target.context
            ),
        )
        .hint("choose another name, or add --if-not-exists or --overwrite")),
    }
}

/// Leaves a database of the copy's name as it is.
fn leave(ctx: &Context, ends: Ends<'_>, database: Database) -> Result<()> {
    let name = ends.target.name.clone();
    let sentence = format!("Database {name} exists already in context {}.", ends.target.context);
    let copied = Copied {
        source: ends.source,
        copy: ends.target,
        copied: false,
        replaced: false,
        database,
        tables: None,
        rows: None,
        content_hash: None,
    };
    ctx.ui.show(&Done::new(copied, name, sentence))
}

/// Where the copy goes.
fn target(args: &Args) -> Result<Endpoint> {
    Ok(match (&args.copy, &args.to_context) {
        (Some(Endpoint { context: Some(one), .. }), Some(other)) if one != other => {
            return Err(Error::new(
                Code::Usage,
                format!("the copy is in context {one}, and --to-context says {other}"),
            )
            .hint("use it once"));
        }
        (Some(copy), to) => Endpoint {
            context: copy.context.clone().or_else(|| to.clone()),
            name: copy.name.clone(),
        },
        (None, to) => Endpoint {
            context: to.clone(),
            name: args.source.name.clone(),
        },
    })
}

/// Makes a new database of the source's content.
fn create(ctx: &Context, args: &Args, ends: Ends<'_>, original: &Database) -> Result<()> {
    // Within a context the copy goes where the source is.
    let model = Some(original).filter(|_| ends.source.context == ends.target.context);
    let wish = default_location::Wish {
        location: args.place.location.as_ref(),
        branched_from: model,
        group: args.place.group.as_ref(),
        group_by_flag: args.place.group.is_some(),
    };
    if let Some(group) = args.place.group.as_ref() {
        preconditions::check_group(ends.to, group)?;
    }
    let choice = if_allowed(default_location::choose(ends.to, &wish))?;
    if let Some(choice) = choice.as_ref().filter(|choice| choice.is_of_user()) {
        preconditions::check_location(ends.to, &choice.location)?;
    }
    let location = choice.map(|choice| choice.location);
    if args.dry.dry_run {
        let at = location.map_or_else(String::new, |location| format!(" at {location}"));
        return answers::plan(
            ctx,
            vec![format!("copy database {} to {}{at}", ends.source, ends.target)],
        );
    }
    let content = SourceContent::read(ctx, &ends, original)?;
    let database = create_from_file(&ends, group(args, ends.to, model)?, location, &content)?;
    let compared = content.compare(ctx, &ends);
    if let Ok(Some(difference)) = compared {
        return Err(match ends.to.control()?.delete_database(&ends.target.name) {
            Ok(()) => difference.hint("the copy was removed again; the source is as it was"),
            Err(_) => difference.hint(format!(
                "the incomplete copy remains: torso db destroy {}",
                ends.target.name
            )),
        });
    }
    let sentence = format!("Copied database {} to {}: ", ends.source, ends.target);
    answer(ctx, ends, sentence, database, content.summary, compared, false)
}

/// The group of a new copy: as asked for, else that of the source in the same context, else the default of the settings.
fn group(args: &Args, to: &Context, model: Option<&Database>) -> Result<Option<GroupName>> {
    match (&args.place.group, model) {
        (Some(group), _) => Ok(Some(group.clone())),
        (None, Some(database)) => Ok(Some(database.group.clone())),
        (None, None) => to
            .settings
            .get(SettingKey::DefaultGroup)?
            .map(|(value, _)| value.parse())
            .transpose(),
    }
}

/// Puts the source's content in the place of that of a database that is there. All else about it stays.
fn replace(ctx: &Context, args: &Args, ends: Ends<'_>, original: &Database, former: &Database) -> Result<()> {
    let wish = ReplacementWish {
        place: &args.place,
        dry_run: args.dry.dry_run,
        is_confirmed: args.yes,
    };
    let Some(replaced) = replace_by_source(ctx, &wish, &ends, original, former, || Ok(()))? else {
        return Ok(());
    };
    let sentence = format!(
        "Copied database {} into {}, which keeps its id, URL, tokens, replicas and settings: ",
        ends.source, ends.target
    );
    let ReplacedContent {
        database,
        summary,
        compared,
    } = replaced;
    answer(ctx, ends, sentence, database, summary, compared, true)
}

/// Shows what was copied. A copy that could not be compared is there all the same.
fn answer(
    ctx: &Context,
    ends: Ends<'_>,
    mut sentence: String,
    database: Database,
    expected: Content,
    compared: Result<Option<Error>>,
    replaced: bool,
) -> Result<()> {
    let counted = |count: u64, noun| answers::counted(usize::try_from(count).unwrap_or(usize::MAX), noun);
    sentence.push_str(&format!(
        "{} in {}",
        counted(expected.rows, "row"),
        counted(expected.tables, "table")
    ));
    sentence.push_str(if compared.is_ok() { ", compared by hash." } else { "." });
    let name = ends.target.name.clone();
    let copied = Copied {
        source: ends.source,
        copy: ends.target,
        copied: true,
        replaced,
        database,
        tables: Some(expected.tables),
        rows: Some(expected.rows),
        content_hash: Some(expected.hash),
    };
    let copied = Committed::new(ctx, copied)
        .follow_up("the copy was not compared with its source", |_| compared.map(drop))
        .into_result();
    ctx.ui.show(&Done::new(copied, name, sentence))
}
