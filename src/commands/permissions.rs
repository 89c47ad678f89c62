//! What each command needs of the API token in use, on a server: the table behind `docs/permissions.md`.
//!
//! A command needs what its operation needs and no more: what it reads beside that is left out where the token may not read
//! it. `tests/server/verbs.rs` runs every row with every scope and role against a real server.

use crate::control::accounts::MemberRole;
use crate::control::hosted::permission::Action;
use std::fmt::Write as _;

/// What a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// It asks no server, or needs no token there.
    Nothing,
    /// Any token that the server accepts.
    AnyToken,
    /// A token of any member of the organization.
    Membership,
    /// A token without scopes that is limited to no organization.
    Unlimited,
    /// Such a token of the server's operator.
    Operator,
    /// A token that may do all of these in the organization.
    Actions(&'static [Action]),
    /// That of the request that it sends.
    Request,
    /// A server cannot do it.
    Unsupported,
}

use Action as A;
use Permission::{Actions, AnyToken, Membership, Nothing, Operator, Request, Unlimited, Unsupported};

/// The commands with what they need; a command with options that change this has a row for each.
pub const PERMISSIONS: &[(&str, Permission)] = &[
    ("db create", Actions(&[A::CreateDatabase])),
    ("db create --from-file", Actions(&[A::CreateDatabase])),
    ("db create --from-db", Actions(&[A::View, A::CreateDatabase])),
    ("db list", Actions(&[A::View])),
    ("db show", Actions(&[A::View])),
    ("db env", Actions(&[A::View, A::MintToken])),
    ("db env --read-only", Actions(&[A::View, A::MintReadToken])),
    ("db shell", Actions(&[A::View, A::MintReadToken])),
    ("db shell, to write", Actions(&[A::View, A::MintToken])),
    ("db exec", Actions(&[A::View, A::MintToken])),
    ("db exec, to read", Actions(&[A::View, A::MintReadToken])),
    ("db migrate", Actions(&[A::View, A::MintToken])),
    ("db destroy", Actions(&[A::DeleteDatabase])),
    ("db destroy --location", Actions(&[A::ConfigureDatabase])),
    ("db rename", Actions(&[A::ConfigureDatabase])),
    ("db branch", Actions(&[A::View, A::CreateDatabase])),
    (
        "db branch --reset",
        Actions(&[A::View, A::ExportDatabase, A::MintToken]),
    ),
    ("db copy", Actions(&[A::View, A::ExportDatabase, A::CreateDatabase])),
    (
        "db copy --overwrite",
        Actions(&[A::View, A::ExportDatabase, A::MintToken]),
    ),
    ("db diff", Actions(&[A::View, A::MintReadToken])),
    ("db schema", Actions(&[A::View, A::MintReadToken])),
    ("db import", Actions(&[A::CreateDatabase])),
    (
        "db import, into a database that is there",
        Actions(&[A::View, A::MintToken]),
    ),
    ("db export", Actions(&[A::ExportDatabase])),
    ("db backup", Actions(&[A::View, A::ExportDatabase])),
    ("db backups", AnyToken),
    ("db restore", Actions(&[A::View, A::MintToken])),
    ("db restore --as", Actions(&[A::CreateDatabase])),
    ("db dump", Actions(&[A::View, A::MintReadToken])),
    ("db inspect", Actions(&[A::View, A::MintReadToken])),
    ("db inspect --queries", Actions(&[A::View])),
    ("db config show", Actions(&[A::View])),
    ("db config set", Actions(&[A::ConfigureDatabase])),
    ("db config set delete-protection", Actions(&[A::Protect])),
    ("db replicate", Actions(&[A::ConfigureDatabase])),
    ("db replicas", Actions(&[A::View])),
    ("db sync", Actions(&[A::ConfigureDatabase])),
    ("db sync --all", Actions(&[A::View, A::ConfigureDatabase])),
    ("db promote", Actions(&[A::ConfigureDatabase])),
    ("db promote --force", Actions(&[A::ConfigureDatabase])),
    ("db verify", Actions(&[A::ConfigureDatabase])),
    ("db compact", Actions(&[A::ConfigureDatabase])),
    ("db locations", Actions(&[A::View])),
    ("db tokens create", Actions(&[A::MintToken])),
    ("db tokens create --read-only", Actions(&[A::MintReadToken])),
    ("db tokens create --group", Actions(&[A::View, A::MintGroupToken])),
    ("db tokens list", Actions(&[A::View])),
    ("db tokens revoke", Actions(&[A::RotateDatabase])),
    ("db tokens invalidate", Actions(&[A::RotateDatabase])),
    ("db usage", Actions(&[A::View])),
    ("group create", Actions(&[A::CreateGroup])),
    ("group list", Actions(&[A::View])),
    ("group show", Actions(&[A::View])),
    ("group rename", Actions(&[A::ConfigureGroup])),
    ("group destroy", Actions(&[A::DeleteGroup])),
    ("group locations list", Actions(&[A::View])),
    ("group locations add", Actions(&[A::ConfigureGroup])),
    ("group locations remove", Actions(&[A::ConfigureGroup])),
    ("group promote", Actions(&[A::ConfigureGroup])),
    ("group config show", Actions(&[A::View])),
    ("group config set", Actions(&[A::ConfigureGroup])),
    ("group config set delete-protection", Actions(&[A::Protect])),
    ("group tokens create", Actions(&[A::MintGroupToken])),
    ("group tokens create --read-only", Actions(&[A::MintGroupReadToken])),
    ("group tokens list", Actions(&[A::View])),
    ("group tokens revoke", Actions(&[A::RotateGroup])),
    ("group tokens invalidate", Actions(&[A::RotateGroup])),
    ("group transfer", Actions(&[A::Transfer])),
    ("apply, to create a database", Actions(&[A::View, A::CreateDatabase])),
    ("apply --check", Actions(&[A::View])),
    ("location list", Actions(&[A::View])),
    ("location show", Actions(&[A::View])),
    ("location status", Actions(&[A::View])),
    ("location add", Unsupported),
    ("location add --node", Operator),
    ("location remove", Unsupported),
    ("location remove --node", Operator),
    (
        "location drain",
        Actions(&[A::View, A::ConfigureDatabase, A::ConfigureGroup]),
    ),
    ("node", Nothing),
    ("run", Actions(&[A::CreateDatabase, A::MintToken, A::DeleteDatabase])),
    ("run --db", Actions(&[A::View, A::MintToken])),
    ("env pull", Actions(&[A::View, A::MintToken])),
    ("link", Actions(&[A::View])),
    ("dev", Nothing),
    ("wait db", Actions(&[A::View])),
    ("gc", Actions(&[A::View, A::DeleteDatabase])),
    ("context list", Nothing),
    ("context show", Nothing),
    ("context add", Nothing),
    ("context use", Nothing),
    ("context remove", Nothing),
    ("auth login", AnyToken),
    ("auth accept", Nothing),
    ("auth logout", Nothing),
    ("auth logout --all", Unlimited),
    ("auth whoami", AnyToken),
    ("auth status", AnyToken),
    ("auth token", Nothing),
    ("auth api-tokens list", AnyToken),
    ("auth api-tokens mint", Unlimited),
    ("auth api-tokens revoke", Unlimited),
    ("org list", AnyToken),
    ("org show", Membership),
    ("org create", Unlimited),
    ("org switch", Membership),
    ("org destroy", Actions(&[A::ManageOrganization])),
    ("org db-transfer", Actions(&[A::Transfer])),
    ("org members list", Actions(&[A::SeeMembers])),
    ("org members add", Actions(&[A::ManageMembers])),
    ("org members role", Actions(&[A::ManageMembers])),
    ("org members remove", Actions(&[A::ManageMembers])),
    ("org invites list", Actions(&[A::SeeMembers])),
    ("org invites create", Actions(&[A::ManageMembers])),
    ("org invites remove", Actions(&[A::ManageMembers])),
    ("org audit-logs list", Actions(&[A::SeeAudit])),
    ("api", Request),
    ("config get", Nothing),
    ("config set", Nothing),
    ("config unset", Nothing),
    ("config list", Nothing),
    ("config show", Nothing),
    ("config path", Nothing),
    ("doctor", Actions(&[A::Maintain])),
    ("engine status", Nothing),
    ("engine install", Nothing),
    ("server backup", Nothing),
    ("server backups", Nothing),
    ("server restore", Nothing),
    ("server users list", Operator),
    ("server users disable", Operator),
    ("server users remove", Operator),
    ("server orgs list", Operator),
    ("server quotas list", Operator),
    ("server quotas set", Operator),
    ("server config show", Operator),
    ("server config set", Operator),
    ("server schedules list", Operator),
    ("server schedules set", Operator),
    ("server schedules remove", Operator),
    ("completion", Nothing),
    ("help", Nothing),
];

impl Permission {
    /// The lowest role and the scopes that it takes, as the table of `docs/permissions.md` says them.
    fn described(self) -> (String, String) {
        let texts = |role: &str, scopes: &str| (role.to_owned(), scopes.to_owned());
        match self {
            Nothing => texts("no token is needed", ""),
            AnyToken => texts("any token", "any"),
            Membership => texts("viewer", "any"),
            Unlimited => texts("any user", "none: only a token with full access, without `--org`"),
            Operator => texts(
                "the server's operator",
                "none: only a token with full access, without `--org`",
            ),
            Request => texts("as the request", "as the request"),
            Unsupported => texts("not on a server", ""),
            Actions(actions) => {
                let role = actions.iter().map(|action| action.role()).max();
                let scopes: Option<Vec<_>> = actions.iter().map(|action| action.scopes()).collect();
                let scopes = match scopes {
                    None => "none: only a token with full access".to_owned(),
                    Some(scopes) => {
                        let mut names: Vec<_> = scopes.concat().iter().map(|scope| format!("`{scope}`")).collect();
                        names.sort();
                        names.dedup();
                        names.join(" and ")
                    }
                };
                (role.unwrap_or(MemberRole::Viewer).to_string(), scopes)
            }
        }
    }
}

/// `docs/permissions.md`.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(
        "# What commands need on a server\n\n\
         For everybody who makes API tokens for scripts, to look up. Made from the program itself; do not edit.\n\n\
         A command is done and says so (exit code 0), or is refused and has changed nothing (exit code 4). A token with scopes \
         needs all that are named. A command may read things beside its operation, such as the best place for a new database. \
         If the token may not read them, it leaves them to the server.\n\n\
         `apply` needs what each of its steps needs.\n\n\
         `run` destroys its database at its end, which needs a scope of its own. Without that it says so, and the database \
         stays.\n\n\
         <!-- not run: it would create a token -->\n\
         ```sh\n\
         torso auth api-tokens mint ci --org acme --scope db:create --scope db:mint-token\n\
         ```\n\n\
         The role is that of the token's user in the organization: viewer, member, admin or owner, each with the rights of \
         those before it. Scopes give nothing that the role does not. A viewer's shell and dump use a token that only reads. \
         `--dry-run` needs `read`, where it looks at what is there.\n\n\
         | torso | lowest role | scopes |\n|---|---|---|\n",
    );
    for (command, permission) in PERMISSIONS.iter().filter(|(_, permission)| *permission != Nothing) {
        let (role, scopes) = permission.described();
        let (command, more) = command.split_once(", ").unwrap_or((command, ""));
        let more = if more.is_empty() {
            String::new()
        } else {
            format!(", {more}")
        };
        let _ = writeln!(out, "| `{command}`{more} | {role} | {scopes} |");
    }
    out.push_str("\nNext: [scripts and CI](scripting.md).\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;
    use std::collections::BTreeSet;

    #[test]
    fn permissions_name_every_command_and_no_other() {
        fn leaves(command: &Command, path: &str, found: &mut BTreeSet<String>) {
            for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
                let path = format!("{path} {}", below.get_name()).trim().to_owned();
                if below.has_subcommands() {
                    leaves(below, &path, found);
                } else {
                    found.insert(path);
                }
            }
        }
        let mut commands = BTreeSet::new();
        leaves(&crate::commands::command(), "", &mut commands);
        let bare = |text: &str| {
            let text = text.split([',']).next().unwrap_or_default();
            let words = text.split(' ').take_while(|word| !word.starts_with("--"));
            let path = words.collect::<Vec<_>>().join(" ");
            path.trim_end_matches(" delete-protection").to_owned()
        };
        let named: BTreeSet<String> = PERMISSIONS.iter().map(|(command, _)| bare(command)).collect();
        assert_eq!(named, commands);
    }
}
