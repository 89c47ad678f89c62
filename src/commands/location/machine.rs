//! `torso location add --node` and `remove --node`: locations on other machines.

use super::{Remove, Removed};
use crate::commands::answers::{self, Done};
use crate::context::Context;
use crate::control::names::LocationCode;
use crate::control::node_status::NodeInvitation;
use crate::control::types::Location;
use crate::error::{Code, Result};
use crate::secret::Secret;
use serde::Serialize;

/// The answer of `torso location add`.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Added {
    Location(Location),
    Machine(InvitedMachine),
}

/// What a machine joins with.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
pub(super) struct InvitedMachine {
    #[serde(flatten)]
    invitation: NodeInvitation,
    /// What to type on that machine. The token is in it.
    command: Secret,
}

pub(super) fn add(ctx: &Context, code: &LocationCode, is_dry: bool) -> Result<()> {
    let accounts = ctx.accounts()?;
    if is_dry {
        accounts.check_invited_node(code)?;
        return answers::plan(
            ctx,
            vec![format!("create a token for a machine to join as location {code}")],
        );
    }
    let invitation = accounts.invite_node(code)?;
    // printf is part of the shell, so the token is in no list of processes.
    let command = format!(
        "printf %s {} | torso node --join {} --token-stdin --advertise \"$(hostname)\"",
        invitation.token.expose(),
        invitation.server
    );
    let sentence = format!("Type this on the machine of location {code}, within 10 minutes:\n{command}");
    let name = invitation.location.clone();
    let machine = InvitedMachine {
        invitation,
        command: Secret::new(command),
    };
    ctx.ui.show(&Done::new(Added::Machine(machine), name, sentence))
}

pub(super) fn remove(ctx: &Context, args: &Remove) -> Result<()> {
    let (accounts, code) = (ctx.accounts()?, args.code.clone());
    if args.dry.dry_run {
        match accounts.check_removed_node(&code) {
            Err(error) if args.if_exists && error.code() == Code::LocationNotFound => {
                return answers::plan(ctx, Vec::new());
            }
            checked => checked?,
        }
        return answers::plan(ctx, vec![format!("have no other machine be location {code}")]);
    }
    let (removed, sentence) = match accounts.remove_node(&code) {
        Ok(()) => (true, format!("No other machine is location {code} any more.")),
        Err(error) if args.if_exists && error.code() == Code::LocationNotFound => {
            (false, format!("No other machine is location {code}."))
        }
        Err(error) => return Err(error),
    };
    let answer = Removed {
        code: code.clone(),
        removed,
    };
    ctx.ui.show(&Done::new(answer, code, sentence))
}
