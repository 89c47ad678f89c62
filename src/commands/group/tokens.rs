//! `torso group tokens`: what opens all databases of a group on a server.

use crate::commands::completers;
use crate::commands::tokens::{self, New, Of, Part, RotationArgs, Which};
use crate::context::Context;
use crate::control::names::GroupName;
use crate::error::Result;
use clap::Subcommand;

/// Tokens that open all databases of a group
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
    let of = |name: &GroupName| Of::Group(name.clone());
    match verb {
        Verb::Create(args) => tokens::create(ctx, &of(&args.name), &args.new),
        // Commands make no tokens of groups for themselves.
        Verb::List(args) => tokens::list(ctx, &of(&args.name), args.part, true),
        Verb::Revoke(args) => tokens::revoke(ctx, &of(&args.name), &args.which),
        Verb::Invalidate(args) => tokens::invalidate(ctx, &of(&args.name), &args.ending),
    }
}

/// Create a token for all databases of a group, also future ones; print it once
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group tokens create default --expiration 7d")]
pub(crate) struct Create {
    /// Name of the group
    #[arg(value_name = "NAME", add = completers::groups())]
    name: GroupName,
    #[command(flatten)]
    new: New,
}

/// List the tokens of a group (the secrets are not stored)
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group tokens list default")]
pub(crate) struct List {
    /// Name of the group
    #[arg(value_name = "NAME", add = completers::groups())]
    name: GroupName,
    #[command(flatten)]
    part: Part,
}

/// Revoke one token, effective at once
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group tokens revoke default ID --yes")]
pub(crate) struct Revoke {
    /// Name of the group
    #[arg(value_name = "NAME", add = completers::groups())]
    name: GroupName,
    #[command(flatten)]
    which: Which,
}

/// Revoke all existing tokens of a group and of its databases
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group tokens invalidate default --grace 10m --yes")]
pub(crate) struct Invalidate {
    /// Name of the group
    #[arg(value_name = "NAME", add = completers::groups())]
    name: GroupName,
    #[command(flatten)]
    ending: RotationArgs,
}
