//! Putting a source's content in the place of another database's, which keeps its id, its URL, its tokens and all else: what is
//! checked and asked before, the replacement, and what follows from it. For `db copy --overwrite` and `db branch --reset`.

use super::Ends;
use super::content::{SourceContent, replace_by_file};
use crate::commands::committed::Committed;
use crate::commands::db::create::NewPlacement;
use crate::commands::{answers, preconditions};
use crate::context::Context;
use crate::control::types::Database;
use crate::error::{Code, Error, Result};
use crate::sql::content::Content;

/// What the user said about the replacement.
pub(in crate::commands::db) struct ReplacementWish<'a> {
    pub place: &'a NewPlacement,
    pub dry_run: bool,
    /// Whether nothing is to be asked.
    pub is_confirmed: bool,
}

/// A database whose content was replaced.
pub(in crate::commands::db) struct ReplacedContent {
    pub database: Database,
    /// What it was given.
    pub summary: Content,
    /// An error if it could not be compared with that.
    pub compared: Result<Option<Error>>,
}

/// Replaces the content of `former` in one transaction. `before` is called when nothing is left to refuse. None after a dry run,
/// which is answered.
pub(in crate::commands::db) fn replace_by_source(
    ctx: &Context,
    wish: &ReplacementWish<'_>,
    ends: &Ends<'_>,
    original: &Database,
    former: &Database,
    before: impl FnOnce() -> Result<()>,
) -> Result<Option<ReplacedContent>> {
    let name = &former.name;
    check_stays(wish.place, ends, former)?;
    preconditions::check_replaceable(former)?;
    if wish.dry_run {
        // With its log, which a copy has not: an estimate, for a plan only.
        if let Some(size) = original.size_bytes {
            preconditions::check_room_for_replacement(ends.to, name, size)?;
        }
        let step = format!(
            "replace the content of {} by that of {}; its id, URL, tokens, replicas and settings stay",
            ends.target, ends.source
        );
        return answers::plan(ctx, vec![step]).map(|()| None);
    }
    ctx.confirm(
        wish.is_confirmed,
        &format!("replace the content of database {}", ends.target),
        name.as_str(),
    )?;
    before()?;
    let content = SourceContent::read(ctx, ends, original)?;
    replace_by_file(ends.to, former, content.path())?;
    let compared = content.compare(ctx, ends);
    if let Ok(Some(difference)) = compared {
        return Err(difference.hint(format!(
            "an application may have written to {name} meanwhile; the source is as it was"
        )));
    }
    let database = Committed::new(ends.to, former.clone())
        .refresh_replicas(ends.to, name)
        .follow_up("the answer shows the database as it was before", |database| {
            *database = ends.to.control()?.get_database(name)?;
            Ok(())
        })
        .into_result();
    Ok(Some(ReplacedContent {
        database,
        summary: content.summary,
        compared,
    }))
}

/// Fails where the options say that a database whose content is replaced would be elsewhere.
fn check_stays(place: &NewPlacement, ends: &Ends<'_>, former: &Database) -> Result<()> {
    let moves = place.location.as_ref().is_some_and(|code| *code != former.primary)
        || place.group.as_ref().is_some_and(|group| *group != former.group);
    if !moves {
        return Ok(());
    }
    Err(Error::new(
        Code::Usage,
        format!(
            "database {} is at {} in group {}, and stays there when its content is replaced",
            ends.target, former.primary, former.group
        ),
    )
    .hint("leave out --location and --group, or give the copy another name"))
}
