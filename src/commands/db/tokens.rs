//! `torso db tokens`: what opens a database on a server.

use crate::commands::completers;
use crate::commands::tokens::{self, New, Of, Part, RotationArgs, Which};
use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::error::Result;
use clap::Subcommand;

/// Create, list and revoke tokens that open a database
#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    Create(Create),
    #[command(visible_alias = "ls")]
    List(List),
    #[command(visible_alias = "rm")]
    Revoke(Revoke),
    Invalidate(Invalidate),
}

pub(super) fn run(ctx: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::Create(args) => {
            let of = if args.group {
                Of::Group(super::find(ctx, &args.name)?.group)
            } else {
                Of::Database(args.name.clone())
            };
            tokens::create(ctx, &of, &args.new)
        }
        Verb::List(args) => tokens::list(ctx, &Of::Database(args.name), args.part, args.all),
        Verb::Revoke(args) => tokens::revoke(ctx, &Of::Database(args.name.clone()), &args.which),
        Verb::Invalidate(args) => tokens::invalidate(ctx, &Of::Database(args.name.clone()), &args.ending),
    }
}

/// Create a token that opens a database, and print it once
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso db tokens create app --expiration 7d --read-only")]
pub(crate) struct Create {
    /// Name of the database
    #[arg(value_name = "NAME", add = completers::databases())]
    name: DatabaseName,
    #[command(flatten)]
    new: New,
    /// For all databases of its group, also future ones
    #[arg(long)]
    group: bool,
}

/// List the tokens that open a database (the secrets are not stored)
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso db tokens list app")]
pub(crate) struct List {
    /// Name of the database
    #[arg(value_name = "NAME", add = completers::databases())]
    name: DatabaseName,
    /// Also list one-hour tokens of torso's own commands
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    part: Part,
}

/// Revoke one token, effective at once
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso db tokens revoke app ID --yes")]
pub(crate) struct Revoke {
    /// Name of the database
    #[arg(value_name = "NAME", add = completers::databases())]
    name: DatabaseName,
    #[command(flatten)]
    which: Which,
}

/// Revoke all existing tokens of a database
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso db tokens invalidate app --grace 10m --yes")]
pub(crate) struct Invalidate {
    /// Name of the database
    #[arg(value_name = "NAME", add = completers::databases())]
    name: DatabaseName,
    #[command(flatten)]
    ending: RotationArgs,
}
