//! `torso db copy`: a database's content to another name or another control plane, compared on arrival.
//!
//! The content goes through a file of this machine, consistent in itself: written by the control plane that has it, handed to
//! the one that gets it. What takes the place of another database's content does so in one transaction, and that database
//! keeps all else.

use super::create::{NewPlacement, existing};
use super::interruption::check_interrupted;
use super::{find, reach};
use crate::commands::answers::{self, Done};
use crate::commands::committed::Committed;
use crate::commands::{DryRun, completers, default_location};
use crate::context::Context;
use crate::control::if_allowed;
use crate::control::names::{ContextName, DatabaseName};
use crate::control::types::{CreateDatabase, Database, Seed};
use crate::error::{Code, Error, Result};
use crate::settings::keys::SettingKey;
use crate::shell::{self, dump, interrupt};
use crate::sql::content::{Content, content};
use crate::sql::{self, Target, copy, query, script};
use serde::Serialize;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _, Write as _};
use std::path::Path;

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
struct Ends<'a> {
    from: &'a Context,
    to: &'a Context,
    source: CopyEnd,
    target: CopyEnd,
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let copy = target(args)?;
    let elsewhere = |end: &Endpoint| end.context.as_ref().map(|name| ctx.elsewhere(name));
    let (from, to) = (elsewhere(&args.source), elsewhere(&copy));
    let (from, to) = (from.as_ref().unwrap_or(ctx), to.as_ref().unwrap_or(ctx));
    let ends = Ends {
        source: end(from, &args.source.name)?,
        target: end(to, &copy.name)?,
        from,
        to,
    };
    if ends.source == ends.target {
        return Err(
            Error::new(Code::Usage, format!("{} would be copied onto itself", ends.source))
                .hint("give the copy another name, or another context"),
        );
    }
    let original = find(from, &args.source.name)?;
    match existing(to, &copy.name)? {
        Some(database) if args.if_not_exists => {
            let sentence = format!(
                "Database {} exists already in context {}.",
                copy.name, ends.target.context
            );
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
            ctx.ui.show(&Done::new(copied, &copy.name, sentence))
        }
        Some(database) if args.overwrite => replace(ctx, args, ends, &original, &database),
        Some(_) => Err(Error::new(
            Code::DatabaseExists,
            format!(
                "database {} exists already in context {}",
                copy.name, ends.target.context
            ),
        )
        .hint("choose another name, or add --if-not-exists or --overwrite")),
        None => create(ctx, args, ends, &original),
    }
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
    let Ends { from, to, .. } = ends;
    // Within a context the copy goes where the source is.
    let model = Some(original).filter(|_| ends.source.context == ends.target.context);
    let wish = default_location::Wish {
        location: args.place.location.as_ref(),
        branched_from: model,
        group: args.place.group.as_ref(),
        group_by_flag: args.place.group.is_some(),
    };
    let choice = if_allowed(default_location::choose(to, &wish))?;
    if args.dry.dry_run {
        let at = choice.map_or_else(String::new, |choice| format!(" at {}", choice.location));
        return answers::plan(
            ctx,
            vec![format!("copy database {} to {}{at}", ends.source, ends.target)],
        );
    }
    interrupt::install();
    let staging = to.control()?.staging()?;
    take(from, original, &staging.path)?;
    let expected = read_content(ctx, &Target::file(&staging.path).restricted(true, false))?;
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
        name: ends.target.name.clone(),
        group,
        location: choice.map(|choice| choice.location),
        seed: Some(Seed::DatabaseUpload {
            path: staging.path.clone(),
        }),
        size_limit: None,
    };
    let mut progress = ctx.ui.progress(format!("Copying to {}", ends.target));
    let database = to.control()?.create_database_telling(&request, &mut |done, all| {
        progress.at(done, all);
        check_interrupted()
    })?;
    drop(progress);
    let compared = compare(ctx, &ends, &expected);
    if let Ok(Some(difference)) = compared {
        return Err(match to.control()?.delete_database(&request.name) {
            Ok(()) => difference.hint("the copy was removed again; the source is as it was"),
            Err(_) => difference.hint(format!(
                "the incomplete copy remains: torso db destroy {}",
                request.name
            )),
        });
    }
    let sentence = format!("Copied database {} to {}: ", ends.source, ends.target);
    answer(ctx, ends, sentence, database, expected, compared, false)
}

/// Puts the source's content in the place of that of a database that is there. All else about it stays.
fn replace(ctx: &Context, args: &Args, ends: Ends<'_>, original: &Database, former: &Database) -> Result<()> {
    let Ends { from, to, .. } = ends;
    let name = &former.name;
    let elsewhere = args.place.location.as_ref().is_some_and(|code| *code != former.primary)
        || args.place.group.as_ref().is_some_and(|group| *group != former.group);
    if elsewhere {
        return Err(Error::new(
            Code::Usage,
            format!(
                "database {} is at {} in group {}, and stays there when its content is replaced",
                ends.target, former.primary, former.group
            ),
        )
        .hint("leave out --location and --group, or give the copy another name"));
    }
    if args.dry.dry_run {
        let step = format!(
            "replace the content of {} by that of {}; its id, URL, tokens, replicas and settings stay",
            ends.target, ends.source
        );
        return answers::plan(ctx, vec![step]);
    }
    if former.delete_protection {
        return Err(Error::new(
            Code::DeleteProtected,
            format!("database {name} is protected from deletion"),
        )
        .hint(format!("torso db config set {name} delete-protection off")));
    }
    ctx.confirm(
        args.yes,
        &format!("replace the content of database {}", ends.target),
        name.as_str(),
    )?;
    interrupt::install();
    let staging = to.control()?.staging()?;
    take(from, original, &staging.path)?;
    let expected = read_content(ctx, &Target::file(&staging.path).restricted(true, false))?;
    match to.server_if_any()? {
        None => replace_file(to, former, &staging.path)?,
        Some(_) => replace_on_server(to, former, &staging.path)?,
    }
    let compared = compare(ctx, &ends, &expected);
    if let Ok(Some(difference)) = compared {
        return Err(difference.hint(format!(
            "an application may have written to {name} meanwhile; the source is as it was"
        )));
    }
    let database = Committed::new(to, former.clone())
        .refresh_replicas(to, name)
        .follow_up("the answer describes the database as it was", |database| {
            *database = to.control()?.get_database(name)?;
            Ok(())
        })
        .into_result();
    let sentence = format!(
        "Copied database {} into {}, which keeps its id, URL, tokens, replicas and settings: ",
        ends.source, ends.target
    );
    answer(ctx, ends, sentence, database, expected, compared, true)
}

/// Compares the copy with what was read of the source. The difference, if there is one; an error if that cannot be found
/// out.
fn compare(ctx: &Context, ends: &Ends<'_>, expected: &Content) -> Result<Option<Error>> {
    let connection = ends.to.control()?.connection(&ends.target.name, None)?;
    let found = read_content(ctx, &reach::reading(&connection)?)?;
    Ok(difference(&ends.source, expected, &found))
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

/// Puts a complete file in the place of a database's content, on this machine.
fn replace_file(to: &Context, database: &Database, content: &Path) -> Result<()> {
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
    })
}

/// Puts the content of a complete file in the place of a database's on a server: in one transaction, so that applications
/// see the one or the other, and what fails leaves the former. Their connections and tokens go on.
fn replace_on_server(to: &Context, database: &Database, content: &Path) -> Result<()> {
    let name = &database.name;
    let connection = to.control()?.connection_to_write(name)?;
    let mut session = sql::open(&reach::target(&connection)?)?;
    interrupt::on_interrupt(session.interrupter());
    to.ui.notice(format!(
        "Replacing the content of {name} in one transaction: who writes to it meanwhile waits or is told that it is busy."
    ));
    let copied = shell::copy_from(session.as_mut(), &Target::file(content).restricted(true, false))?;
    for what in copied.left_behind {
        to.ui.warn(format!("not copied is {what}"));
    }
    Ok(())
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
            rebuild(from, &database.name, path)
        }
        Err(error) => Err(error),
    }
}

/// Makes the file anew from a dump.
pub(super) fn rebuild(from: &Context, database: &DatabaseName, path: &Path) -> Result<()> {
    let doing = |error| Error::io(error, format!("cannot write a copy of {database}"));
    let connection = from.control()?.connection(database, None)?;
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
                "{} tables of database {database} could not be read whole",
                report.errors
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

fn difference(source: &CopyEnd, expected: &Content, found: &Content) -> Option<Error> {
    let message = || {
        format!(
            "the copy of {source} differs from it: {} rows in {} tables arrived of {} in {}, or other ones",
            found.rows, found.tables, expected.rows, expected.tables
        )
    };
    (expected != found).then(|| Error::new(Code::Internal, message()))
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
}
