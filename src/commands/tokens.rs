//! Tokens that open a database, or all of a group: made, listed and ended the same way. The nouns are in `db` and `group`.

use super::DryRun;
use super::answers::{self, Done};
use super::paging::{self, Limit};
use super::values::Span;
use crate::context::Context;
use crate::control::names::{DatabaseName, GroupName, TokenId};
use crate::control::tokens::{
    AttachList, AttachPermissions, Authorization, DatabaseToken, Expiration, Minted, NewToken, TablePermission,
    TokenPermissions,
};
use crate::control::{ControlPlane, ListPage, if_allowed};
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View};
use serde::Serialize;
use std::time::Duration;

crate::commands::schemas::document!("db tokens create", "group tokens create" => MintedView);
crate::commands::schemas::document!("db tokens list", "group tokens list" => Tokens);
crate::commands::schemas::document!("db tokens revoke", "group tokens revoke" => Revoked);
crate::commands::schemas::document!("db tokens invalidate", "group tokens invalidate" => Invalidated);

/// What tokens open.
#[derive(Debug, Clone)]
pub(super) enum Of {
    Database(DatabaseName),
    Group(GroupName),
}

impl Of {
    fn noun(&self) -> &'static str {
        match self {
            Self::Database(_) => "database",
            Self::Group(_) => "group",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Database(name) => name.as_str(),
            Self::Group(name) => name.as_str(),
        }
    }
}

/// What a new token may do, and for how long.
#[derive(clap::Args)]
pub(super) struct New {
    /// How long it is valid, such as 7d
    #[arg(long, short, value_name = "DURATION", default_value = "never")]
    expiration: Expiration,
    /// The token may only read
    #[arg(long, short)]
    read_only: bool,
    /// Name to show in lists
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Databases that it may attach for reading (comma-separated)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    attach: Vec<DatabaseName>,
    /// Permission on tables (Turso Cloud only); repeatable
    #[arg(long, short, value_name = "TABLE:ACTIONS")]
    permissions: Vec<String>,
    #[command(flatten)]
    dry: DryRun,
}

/// Which token is to end.
#[derive(clap::Args)]
pub(super) struct Which {
    /// Id of the token
    #[arg(value_name = "ID")]
    id: String,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Succeed if there is no such token
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

/// How all tokens are to end.
#[derive(clap::Args)]
pub(super) struct RotationArgs {
    /// Keep existing tokens valid for this long
    #[arg(long, value_name = "DURATION")]
    grace: Option<Span>,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    dry: DryRun,
}

/// What may be done with tables.
const ACTIONS: [&str; 7] = [
    "data_read",
    "data_add",
    "data_update",
    "data_delete",
    "schema_add",
    "schema_update",
    "schema_delete",
];

fn permission(text: &str) -> Result<TablePermission> {
    let refuse = || {
        Error::new(Code::InvalidValue, format!("{text:?} is not a permission")).hint(format!(
            "write TABLE:ACTION or all:ACTION with actions of {}",
            ACTIONS.join(", ")
        ))
    };
    let (table, actions) = text.rsplit_once(':').ok_or_else(refuse)?;
    let actions: Vec<String> = actions.split(',').map(str::to_owned).collect();
    if table.is_empty() || !actions.iter().all(|action| ACTIONS.contains(&action.as_str())) {
        return Err(refuse());
    }
    Ok(TablePermission {
        tables: (table != "all").then(|| vec![table.to_owned()]),
        actions,
    })
}

/// The answer: the one time that the token is told.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct MintedView(Minted);

impl View for MintedView {
    fn layout(&self) -> Layout {
        Layout::Said(self.0.jwt.expose().to_owned())
    }

    fn names(&self) -> Vec<String> {
        vec![self.0.jwt.expose().to_owned()]
    }
}

/// Answers a dry run, unless there is nothing that tokens could open.
fn plan(ctx: &Context, of: &Of, step: String) -> Result<()> {
    let plane = ctx.control()?;
    if ctx.server_if_any()?.is_none() {
        // The one error about files, which need no tokens.
        list_all(plane, of)?;
    }
    match of {
        Of::Database(name) => if_allowed(plane.get_database(name)).map(drop)?,
        Of::Group(name) => if_allowed(plane.get_group(name)).map(drop)?,
    }
    answers::plan(ctx, vec![step])
}

pub(super) fn create(ctx: &Context, of: &Of, args: &New) -> Result<()> {
    let fine_grained = args
        .permissions
        .iter()
        .map(|text| permission(text))
        .collect::<Result<Vec<_>>>()?;
    let new = NewToken {
        name: args.label.clone(),
        expiration: args.expiration,
        authorization: if args.read_only {
            Authorization::ReadOnly
        } else {
            Authorization::FullAccess
        },
        permissions: TokenPermissions {
            permissions: (!args.attach.is_empty()).then(|| AttachPermissions {
                read_attach: AttachList {
                    databases: args.attach.iter().map(ToString::to_string).collect(),
                },
            }),
            fine_grained_permissions: (!fine_grained.is_empty()).then_some(fine_grained),
        },
    };
    let plane = ctx.control()?;
    if args.dry.dry_run {
        let what = match new.authorization {
            Authorization::FullAccess => "a token",
            Authorization::ReadOnly => "a read-only token",
        };
        return plan(ctx, of, format!("create {what} for {} {}", of.noun(), of.name()));
    }
    ctx.ui.show(&MintedView(match of {
        Of::Database(name) => plane.create_database_token(name, &new)?,
        Of::Group(name) => plane.create_group_token(name, &new)?,
    }))
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Tokens(Vec<DatabaseToken>);

/// Which part of the list is printed.
#[derive(clap::Args)]
pub(super) struct Part {
    #[command(flatten)]
    limit: Limit,
    /// Only tokens behind this one: of the next page
    #[arg(long, value_name = "ID")]
    after: Option<TokenId>,
}

fn list_after(
    plane: &dyn ControlPlane,
    of: &Of,
    after: Option<&TokenId>,
    limit: usize,
) -> Result<ListPage<DatabaseToken>> {
    match of {
        Of::Database(name) => plane.list_database_tokens_after(name, after, limit),
        Of::Group(name) => plane.list_group_tokens_after(name, after, limit),
    }
}

fn list_all(plane: &dyn ControlPlane, of: &Of) -> Result<Vec<DatabaseToken>> {
    match of {
        Of::Database(name) => plane.list_database_tokens(name),
        Of::Group(name) => plane.list_group_tokens(name),
    }
}

/// Prints tokens. Those that commands made for themselves are printed with `all`.
pub(super) fn list(ctx: &Context, of: &Of, part: Part, all: bool) -> Result<()> {
    let plane = ctx.control()?;
    paging::print(
        ctx,
        (&part.limit, part.after),
        |after, limit| list_after(plane, of, after, limit),
        |token| all || !token.is_of_a_command(),
        |token| token.id.parse(),
        Tokens,
    )
}

impl View for Tokens {
    fn layout(&self) -> Layout {
        let mut table = Table::new(
            ["ID", "LABEL", "OPENS", "FOR", "BY", "CREATED", "EXPIRES", "ENDED"],
            "No tokens.",
        );
        for token in &self.0 {
            table.row(vec![
                Cell::text(&token.id),
                Cell::maybe(token.name.as_ref(), Cell::text),
                Cell::text(match &token.database {
                    Some(name) => format!("database {name}"),
                    None => format!("group {}", token.group),
                }),
                Cell::text(match token.authorization {
                    Authorization::FullAccess => "everything",
                    Authorization::ReadOnly => "reading",
                }),
                Cell::text(&token.created_by),
                Cell::time(token.created_at),
                Cell::maybe(token.expires_at, Cell::time),
                Cell::maybe(token.revoked_at, Cell::time),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|token| token.id.clone()).collect()
    }
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Revoked {
    #[serde(flatten)]
    token: Option<DatabaseToken>,
    revoked: bool,
}

/// Ends one token.
pub(super) fn revoke(ctx: &Context, of: &Of, which: &Which) -> Result<()> {
    let id = which.id.as_str();
    let plane = ctx.control()?;
    let doing = format!("revoke token {id} of {} {}", of.noun(), of.name());
    if which.dry.dry_run {
        let is_there = list_all(plane, of)?.iter().any(|token| token.id == id);
        let missing = Error::new(
            Code::TokenNotFound,
            format!("there is no token {id} of {} {}", of.noun(), of.name()),
        );
        return answers::plan_for_existing(ctx, doing, is_there, which.if_exists, missing);
    }
    ctx.confirm(which.yes, &doing, of.name())?;
    let done = match of {
        Of::Database(name) => plane.revoke_database_token(name, id),
        Of::Group(name) => plane.revoke_group_token(name, id),
    };
    let token = match done {
        Ok(token) => Some(token),
        Err(error) if which.if_exists && error.code() == Code::TokenNotFound => None,
        Err(error) => return Err(error),
    };
    let sentence = match &token {
        Some(_) => format!("Revoked token {id}."),
        None => format!("There is no token {id}."),
    };
    let revoked = token.is_some();
    ctx.ui.show(&Done::new(Revoked { token, revoked }, id, sentence))
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Invalidated {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    grace_ms: u64,
}

/// Ends all tokens made so far.
pub(super) fn invalidate(ctx: &Context, of: &Of, ending: &RotationArgs) -> Result<()> {
    let grace = match ending.grace {
        None => Duration::ZERO,
        Some(Span::For(grace)) => grace,
        Some(Span::Never) => {
            return Err(Error::new(Code::InvalidValue, "--grace needs an end, such as 10m")
                .hint("without --grace the tokens are revoked at once"));
        }
    };
    let plane = ctx.control()?;
    let doing = format!("revoke all existing tokens of {} {}", of.noun(), of.name());
    if ending.dry.dry_run {
        return plan(ctx, of, doing);
    }
    ctx.confirm(ending.yes, &doing, of.name())?;
    match of {
        Of::Database(name) => plane.rotate_database_tokens(name, grace)?,
        Of::Group(name) => plane.rotate_group_tokens(name, grace)?,
    }
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    let when = if grace.is_zero() {
        "do not open it any more".to_owned()
    } else {
        format!("open it for {} more", crate::ui::text::span(grace_ms))
    };
    let sentence = format!("Tokens made so far for {} {} {when}.", of.noun(), of.name());
    let thing = Invalidated {
        kind: of.noun(),
        name: of.name().to_owned(),
        grace_ms,
    };
    ctx.ui.show(&Done::new(thing, of.name(), sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_permissions_are_parsed_or_refused() {
        let read = permission("users:data_read,data_add").unwrap();
        assert_eq!(read.tables, Some(vec!["users".to_owned()]));
        assert_eq!(read.actions, ["data_read", "data_add"]);
        assert_eq!(permission("all:schema_add").unwrap().tables, None);
        for text in ["", "users", "users:", ":data_read", "users:read"] {
            assert!(permission(text).is_err(), "{text}");
        }
    }
}
