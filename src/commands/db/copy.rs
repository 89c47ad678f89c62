//! `torso db copy`: a database's content to another name or another control plane, compared on arrival.
//!
//! The content goes through a file of this machine, consistent in itself: written by the control plane that has it, handed to
//! the one that gets it. The copy is made under its name only when it is whole; what takes another's place is made beside it
//! first.

use super::create::{NewPlacement, existing};
use super::interruption::check_interrupted;
use super::{find, reach};
use crate::commands::answers::{self, Done};
use crate::commands::{DryRun, completers, default_location};
use crate::context::Context;
use crate::control::names::{ContextName, DatabaseName, LocationCode};
use crate::control::types::{Configuration, ConfigurationPatch, CreateDatabase, Database, Seed};
use crate::error::{Code, Error, Result};
use crate::settings::keys::SettingKey;
use crate::shell::{dump, interrupt};
use crate::sql::content::{Content, content};
use crate::sql::{self, Target, copy, query, script};
use serde::Serialize;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _, Write as _};
use std::path::Path;

/// Copy a database to another name, or to another context
///
/// torso makes the copy under a temporary name, compares a hash of schema and rows with the source, and only then gives it
/// its name. Tokens, replicas and settings are not copied.
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
    /// Replace an existing database of that name
    #[arg(long, conflicts_with = "if_not_exists")]
    overwrite: bool,
    /// Do not ask for confirmation (with --overwrite)
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    dry: DryRun,
}

/// A database, perhaps in another context.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Endpoint {
    context: Option<ContextName>,
    name: DatabaseName,
}

impl std::str::FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (context, name) = match text.split_once(':') {
            Some((context, name)) => (Some(context.parse()?), name),
            None => (None, text),
        };
        Ok(Self {
            context,
            name: name.parse()?,
        })
    }
}

/// One end of a copy, as it is answered.
#[derive(Serialize, Clone, PartialEq)]
struct CopyEnd {
    context: String,
    name: DatabaseName,
}

impl std::fmt::Display for CopyEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.context, self.name)
    }
}

#[derive(Serialize)]
struct Copied {
    source: CopyEnd,
    copy: CopyEnd,
    /// False when it was there already.
    copied: bool,
    /// True when another database had its name before.
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

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let copy = match (&args.copy, &args.to_context) {
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
    };
    let elsewhere = |end: &Endpoint| end.context.as_ref().map(|name| ctx.elsewhere(name));
    let (from, to) = (elsewhere(&args.source), elsewhere(&copy));
    let (from, to) = (from.as_ref().unwrap_or(ctx), to.as_ref().unwrap_or(ctx));
    let source = end(from, &args.source.name)?;
    let target = end(to, &copy.name)?;
    if source == target {
        return Err(Error::new(Code::Usage, format!("{source} would be copied onto itself"))
            .hint("give the copy another name, or another context"));
    }
    let original = find(from, &args.source.name)?;
    let before = existing(to, &copy.name)?;
    if let Some(database) = &before {
        if args.if_not_exists {
            let sentence = format!("Database {} exists already in context {}.", copy.name, target.context);
            let name = copy.name.clone();
            let copied = Copied {
                source,
                copy: target,
                copied: false,
                replaced: false,
                database: database.clone(),
                tables: None,
                rows: None,
                content_hash: None,
            };
            return ctx.ui.show(&Done::new(copied, name, sentence));
        }
        if !args.overwrite {
            return Err(Error::new(
                Code::DatabaseExists,
                format!("database {} exists already in context {}", copy.name, target.context),
            )
            .hint("choose another name, or add --if-not-exists or --overwrite"));
        }
    }
    // Within a context the copy goes where the source is, and in another's place where that one was.
    let model = before
        .as_ref()
        .or(Some(&original).filter(|_| source.context == target.context));
    let wish = default_location::Wish {
        location: args.place.location.as_ref(),
        branched_from: model,
        group: args.place.group.as_ref(),
        group_by_flag: args.place.group.is_some(),
    };
    let choice = default_location::choose(to, &wish)?;
    if args.dry.dry_run {
        let mut steps = vec![format!("copy database {source} to {target} at {}", choice.location)];
        if before.is_some() {
            steps.push(format!("destroy the database {target} that is there"));
        }
        return answers::plan(ctx, steps);
    }
    if let Some(database) = &before {
        if database.delete_protection {
            return Err(Error::new(
                Code::DeleteProtected,
                format!("database {} is protected from deletion", copy.name),
            )
            .hint(format!("torso db config set {} delete-protection off", copy.name)));
        }
        ctx.confirm(args.yes, &format!("replace database {target}"), copy.name.as_str())?;
    }
    interrupt::install();
    let staging = to.control()?.staging()?;
    take(from, &original, &staging.path)?;
    let expected = read_content(ctx, &Target::file(&staging.path).restricted(true, false))?;
    if let (Some(database), None) = (&before, to.server_if_any()?) {
        let copied = Copied {
            source: source.clone(),
            copy: target.clone(),
            copied: true,
            replaced: true,
            database: replace_in_place(to, database, &staging.path, &source, &expected)?,
            tables: Some(expected.tables),
            rows: Some(expected.rows),
            content_hash: Some(expected.hash.clone()),
        };
        let sentence = format!(
            "Copied database {source} into {target}, which keeps its URL, replicas and settings: {} in {}, compared by hash.",
            answers::counted(usize::try_from(expected.rows).unwrap_or(usize::MAX), "row"),
            answers::counted(usize::try_from(expected.tables).unwrap_or(usize::MAX), "table"),
        );
        return ctx.ui.show(&Done::new(copied, copy.name.clone(), sentence));
    }
    let group = match (&args.place.group, model) {
        (Some(group), _) => Some(group.clone()),
        (None, Some(database)) => Some(database.group.clone()),
        (None, None) => to
            .settings
            .get(SettingKey::DefaultGroup)?
            .map(|(value, _)| value.parse())
            .transpose()?,
    };
    let request = CreateDatabase {
        name: match before {
            None => copy.name.clone(),
            Some(_) => beside(&copy.name)?,
        },
        group,
        location: Some(choice.location),
        seed: Some(Seed::DatabaseUpload {
            path: staging.path.clone(),
        }),
        size_limit: None,
    };
    let mut progress = ctx.ui.progress(format!("Copying to {target}"));
    let mut database = to.control()?.create_database_telling(&request, &mut |done, all| {
        progress.at(done, all);
        check_interrupted()
    })?;
    drop(progress);
    let arrived = to
        .control()?
        .connection(&request.name, None)
        .and_then(|connection| read_content(ctx, &reach::reading(&connection)?))
        .and_then(|found| same(&source, &expected, &found));
    let settled = match (arrived, before.is_some()) {
        (Ok(()), false) => Ok(()),
        (Ok(()), true) => {
            let former = Former::of(to, &copy.name)?;
            take_place(to, &request.name, &copy.name).map(|found| {
                former.hand_on(to, &found);
                database = found;
            })
        }
        (Err(error), _) => Err(error),
    };
    if let Err(error) = settled {
        return Err(match to.control()?.delete_database(&request.name) {
            Ok(_) => error,
            Err(_) => error.hint(format!(
                "the incomplete copy remains: torso db destroy {}",
                request.name
            )),
        });
    }
    let sentence = format!(
        "Copied database {source} to {target}: {} in {}, compared by hash.",
        answers::counted(usize::try_from(expected.rows).unwrap_or(usize::MAX), "row"),
        answers::counted(usize::try_from(expected.tables).unwrap_or(usize::MAX), "table"),
    );
    let name = copy.name.clone();
    let copied = Copied {
        source,
        copy: target,
        copied: true,
        replaced: before.is_some(),
        database,
        tables: Some(expected.tables),
        rows: Some(expected.rows),
        content_hash: Some(expected.hash),
    };
    ctx.ui.show(&Done::new(copied, name, sentence))
}

/// An end with its context's name, or the server's address where the environment names it.
fn end(ctx: &Context, name: &DatabaseName) -> Result<CopyEnd> {
    let context = match ctx.settings.server()? {
        None => crate::settings::contexts::LOCAL.to_owned(),
        Some(server) => match server.context {
            Some(name) => name.to_string(),
            None => ctx.server()?.address(),
        },
    };
    Ok(CopyEnd {
        context,
        name: name.clone(),
    })
}

/// Puts a complete file in the place of a database's content, on this machine. Its id, URL, settings and replicas stay.
fn replace_in_place(
    to: &Context,
    database: &Database,
    content: &Path,
    source: &CopyEnd,
    expected: &Content,
) -> Result<Database> {
    let (plane, name) = (to.control()?, &database.name);
    let limit: u64 = plane.get_configuration(name)?.size_limit.parse().unwrap_or(0);
    let size = std::fs::metadata(content).map_or(0, |metadata| metadata.len());
    if limit > 0 && size > limit {
        return Err(Error::new(
            Code::SizeLimit,
            format!("database {name} would have {size} bytes, more than its size limit of {limit}"),
        )
        .hint(format!("torso db config set {name} size-limit {size}")));
    }
    let connection = plane.connection(name, None)?;
    let file = reach::file(&connection)
        .ok_or_else(|| Error::new(Code::Unsupported, format!("database {name} is not a file")))?;
    let mut progress = to.ui.progress(format!("Copying to {name}"));
    copy::replace_content(content, &file, &mut |done, all| {
        progress.at(done, all);
        check_interrupted()
    })?;
    drop(progress);
    same(source, expected, &read_content(to, &reach::reading(&connection)?)?)?;
    if let Err(error) = plane.sync_database(name, None) {
        to.ui.warn(format!("the replicas of {name} are not refreshed: {error}"));
    }
    plane.get_database(name)
}

/// What a database had that is replaced by another one, on a server.
struct Former {
    configuration: Configuration,
    locations: Vec<LocationCode>,
}

impl Former {
    fn of(to: &Context, name: &DatabaseName) -> Result<Self> {
        let plane = to.control()?;
        Ok(Self {
            configuration: plane.get_configuration(name)?,
            locations: plane.get_database(name)?.locations,
        })
    }

    /// Gives the settings and replicas to the database that took its place. What fails is said; the copy stands.
    fn hand_on(&self, to: &Context, database: &Database) {
        let name = &database.name;
        let former = &self.configuration;
        let patch = ConfigurationPatch {
            size_limit: Some(former.size_limit.clone()),
            allow_attach: Some(former.allow_attach),
            block_reads: Some(former.block_reads),
            block_writes: Some(former.block_writes),
            ..ConfigurationPatch::default()
        };
        let requested = to.control().and_then(|plane| {
            plane.update_configuration(name, &patch)?;
            let missing = self.locations.iter().filter(|code| !database.locations.contains(code));
            for location in missing {
                plane.add_instance(name, location)?;
            }
            Ok(())
        });
        if let Err(error) = requested {
            to.ui.warn(format!(
                "{name} does not have all settings and replicas of the former one: {error}"
            ));
        }
        to.ui.warn(format!(
            "tokens of the former {name} open nothing any more: torso db tokens create {name} makes new ones"
        ));
    }
}

/// A name for the time until the copy takes its place.
fn beside(name: &DatabaseName) -> Result<DatabaseName> {
    let start: String = name.as_str().chars().take(40).collect();
    format!("{}-copy-{:08x}", start.trim_end_matches('-'), fastrand::u32(..)).parse()
}

/// Writes a database's content to a file.
fn take(from: &Context, database: &Database, path: &Path) -> Result<()> {
    let mut progress = from.ui.progress(format!("Reading {}", database.name));
    let mut tell = |done: u64, all: u64| {
        progress.at(done, all);
        check_interrupted()
    };
    let Some(server) = from.server_if_any()? else {
        let connection = from.control()?.connection(&database.name, None)?;
        let file = reach::file(&connection)
            .ok_or_else(|| Error::new(Code::Unsupported, format!("database {} is not a file", database.name)))?;
        return copy::copy_file(&file, path, &mut tell);
    };
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(|error| Error::io(error, format!("cannot write {}", path.display())))?;
    match server.export(&database.name, None, &mut file, &mut tell) {
        Ok(_) => file
            .sync_all()
            .map_err(|error| Error::io(error, format!("cannot write {}", path.display()))),
        // Turso Cloud: what it has as SQL makes the same database.
        Err(error) if error.code() == Code::Unsupported => {
            file.set_len(0)
                .map_err(|error| Error::io(error, format!("cannot write {}", path.display())))?;
            rebuild(from, database, path)
        }
        Err(error) => Err(error),
    }
}

/// Makes the file anew from a dump.
pub(super) fn rebuild(from: &Context, database: &Database, path: &Path) -> Result<()> {
    let doing = |error| Error::io(error, format!("cannot write a copy of {}", database.name));
    let connection = from.control()?.connection(&database.name, None)?;
    let mut session = sql::open(&reach::reading(&connection)?)?;
    let mut script = tempfile::tempfile().map_err(doing)?;
    let mut writer = BufWriter::with_capacity(1 << 20, &mut script);
    let report = dump::dump(
        session.as_mut(),
        &dump::DumpOptions {
            trailer: true,
            ..dump::DumpOptions::default()
        },
        &mut writer,
    )
    .map_err(Error::from)?;
    if report.errors > 0 {
        return Err(Error::new(
            Code::InvalidFile,
            format!(
                "{} tables of database {} could not be read whole",
                report.errors, database.name
            ),
        ));
    }
    writer.flush().map_err(doing)?;
    drop(writer);
    script.rewind().map_err(doing)?;
    let mut copy = sql::open(&Target::file(path))?;
    for pragma in ["locking_mode = EXCLUSIVE", "journal_mode = MEMORY", "synchronous = OFF"] {
        query::rows(copy.as_mut(), &format!("PRAGMA {pragma}"))?;
    }
    script::run(copy.as_mut(), &mut BufReader::new(script), "the dump", &mut |_| {
        check_interrupted()
    })?;
    drop(copy);
    File::open(path).and_then(|file| file.sync_all()).map_err(doing)
}

/// What is in a database.
fn read_content(ctx: &Context, target: &Target) -> Result<Content> {
    let mut session = sql::open(target)?;
    interrupt::on_interrupt(session.interrupter());
    let mut progress = ctx.ui.progress_of_rows("Comparing");
    content(session.as_mut(), &mut |rows| {
        progress.at(rows, 0);
        check_interrupted()
    })
}

fn same(source: &CopyEnd, expected: &Content, found: &Content) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::new(
        Code::Internal,
        format!(
            "the copy of {source} differs from it: {} rows in {} tables arrived of {} in {}, or other ones",
            found.rows, found.tables, expected.rows, expected.tables
        ),
    )
    .hint("the copy was removed again; the source is as it was"))
}

/// Gives a complete copy the name of another database, which goes.
fn take_place(to: &Context, copy: &DatabaseName, name: &DatabaseName) -> Result<Database> {
    let plane = to.control()?;
    // Whether it can be renamed at all is found out before anything goes.
    match plane.rename_database(copy, name) {
        Err(error) if error.code() == Code::Unsupported => {
            return Err(Error::new(
                Code::Unsupported,
                format!("database {name} cannot be replaced: its control plane cannot rename databases"),
            )
            .hint(format!("destroy it first: torso db destroy {name}")));
        }
        Err(error) if error.code() == Code::DatabaseExists => {}
        other => return other,
    }
    plane.delete_database(name)?;
    plane.rename_database(copy, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_have_a_context_or_not() {
        let end: Endpoint = "prod:app".parse().unwrap();
        assert_eq!(end.context.unwrap().as_str(), "prod");
        assert_eq!("app".parse::<Endpoint>().unwrap().context, None);
        for text in ["", ":", "prod:", ":app", "a:b:c", "../x"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_beside_is_a_name() {
        for name in ["a".to_owned(), "x".repeat(64), format!("{}-{}", "y".repeat(39), "z")] {
            let name: DatabaseName = name.parse().unwrap();
            assert_ne!(beside(&name).unwrap(), name);
        }
    }
}
