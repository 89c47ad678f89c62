//! `torso group tokens`: what opens all databases of a group on a server.

use super::One;
use crate::commands::complete;
use crate::commands::tokens::{self, Ending, Listed, New, Of, Which};
use crate::context::Context;
use crate::control::names::GroupName;
use crate::error::Result;
use clap::Subcommand;

/// Make, list and end tokens that open all databases of a group
#[derive(Subcommand)]
pub(crate) enum Verb {
    Create(Create),
    #[command(visible_alias = "ls")]
    List(One),
    #[command(visible_alias = "rm")]
    Revoke(Revoke),
    Invalidate(Invalidate),
}

pub(super) fn run(ctx: &Context, verb: &Verb) -> Result<()> {
    let of = |name: &GroupName| Of::Group(name.clone());
    match verb {
        Verb::Create(args) => tokens::create(ctx, &of(&args.name), &args.new),
        Verb::List(args) => tokens::list(ctx, &of(&args.name), &Listed::EVERY),
        Verb::Revoke(args) => tokens::revoke(ctx, &of(&args.name), &args.which),
        Verb::Invalidate(args) => tokens::invalidate(ctx, &of(&args.name), &args.ending),
    }
}

/// Make a token that opens all databases of a group, now and in future, and print it, once
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group tokens create default --expiration 7d")]
pub(crate) struct Create {
    /// Name of the group
    #[arg(value_name = "NAME", add = complete::groups())]
    name: GroupName,
    #[command(flatten)]
    new: New,
}

/// End one token, at once
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group tokens revoke default ID --yes")]
pub(crate) struct Revoke {
    /// Name of the group
    #[arg(value_name = "NAME", add = complete::groups())]
    name: GroupName,
    #[command(flatten)]
    which: Which,
}

/// End every token made so far for a group or one of its databases
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso group tokens invalidate default --grace 10m --yes")]
pub(crate) struct Invalidate {
    /// Name of the group
    #[arg(value_name = "NAME", add = complete::groups())]
    name: GroupName,
    #[command(flatten)]
    ending: Ending,
}
