//! Who may do what, in one pure function: the role of a user in an organization, narrowed by what the token in use was
//! made for. Everything else in the hosted plane asks it, and nothing else decides.

use crate::control::accounts::MemberRole;
use crate::control::names::GroupName;
use crate::error::{Code, Error, Result};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// An action in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::VariantArray)]
pub enum Action {
    /// See databases, groups, locations and usage.
    View,
    CreateDatabase,
    DeleteDatabase,
    /// Rename and configure databases; add, remove and sync their replicas.
    ConfigureDatabase,
    /// Export a database.
    ExportDatabase,
    /// Make a token that may only read a database.
    MintReadToken,
    MintToken,
    /// Revoke tokens of a database.
    RotateDatabase,
    CreateGroup,
    DeleteGroup,
    /// Rename and configure groups; add and remove their locations.
    ConfigureGroup,
    MintGroupReadToken,
    MintGroupToken,
    RotateGroup,
    /// Set or lift delete protection.
    Protect,
    /// Move databases or groups to another organization.
    Transfer,
    /// Add and remove locations; check and repair the plane.
    Maintain,
    /// See members, invitations, the audit log.
    SeeMembers,
    ManageMembers,
    SeeAudit,
    /// Change or delete the organization.
    ManageOrganization,
}

impl Action {
    pub const ALL: &[Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The lowest role that is allowed to do it.
    #[must_use]
    pub fn role(self) -> MemberRole {
        match self {
            Self::View | Self::ExportDatabase | Self::MintReadToken | Self::MintGroupReadToken | Self::SeeMembers => {
                MemberRole::Viewer
            }
            Self::CreateDatabase
            | Self::DeleteDatabase
            | Self::ConfigureDatabase
            | Self::MintToken
            | Self::RotateDatabase
            | Self::CreateGroup
            | Self::DeleteGroup
            | Self::ConfigureGroup
            | Self::MintGroupToken
            | Self::RotateGroup => MemberRole::Member,
            Self::Protect | Self::Transfer | Self::Maintain | Self::ManageMembers | Self::SeeAudit => MemberRole::Admin,
            Self::ManageOrganization => MemberRole::Owner,
        }
    }

    /// The scopes that a token with scopes needs, all of them. None if only a token without scopes may do it.
    #[must_use]
    pub fn scopes(self) -> Option<&'static [Scope]> {
        Some(match self {
            Self::View => &[Scope::Read],
            Self::CreateDatabase => &[Scope::CreateDatabase],
            Self::DeleteDatabase => &[Scope::DeleteDatabase],
            Self::ConfigureDatabase => &[Scope::ConfigureDatabase],
            // An export has what a token could read.
            Self::ExportDatabase | Self::MintReadToken | Self::MintToken => &[Scope::MintToken],
            Self::RotateDatabase => &[Scope::RotateDatabase],
            Self::ConfigureGroup => &[Scope::ConfigureGroup],
            Self::MintGroupReadToken | Self::MintGroupToken => &[Scope::MintGroupToken],
            Self::RotateGroup => &[Scope::RotateGroup],
            Self::Protect => &[Scope::ConfigureDatabase, Scope::ConfigureGroup],
            Self::CreateGroup
            | Self::DeleteGroup
            | Self::Transfer
            | Self::Maintain
            | Self::SeeMembers
            | Self::ManageMembers
            | Self::SeeAudit
            | Self::ManageOrganization => return None,
        })
    }

    /// Its name in error messages.
    fn doing(self) -> &'static str {
        match self {
            Self::View => "look at databases and groups",
            Self::CreateDatabase => "create databases",
            Self::DeleteDatabase => "destroy databases",
            Self::ConfigureDatabase => "change databases",
            Self::ExportDatabase => "export databases",
            Self::MintReadToken => "create database tokens",
            Self::MintToken => "create database tokens that write",
            Self::RotateDatabase => "invalidate database tokens",
            Self::CreateGroup => "create groups",
            Self::DeleteGroup => "destroy groups",
            Self::ConfigureGroup => "change groups",
            Self::MintGroupReadToken => "create group tokens",
            Self::MintGroupToken => "create group tokens that write",
            Self::RotateGroup => "invalidate group tokens",
            Self::Protect => "change delete protection",
            Self::Transfer => "move databases and groups to other organizations",
            Self::Maintain => "change locations or repair the server",
            Self::SeeMembers => "see members",
            Self::ManageMembers => "change members and invitations",
            Self::SeeAudit => "see the audit log",
            Self::ManageOrganization => "change the organization",
        }
    }
}

/// A scope of an API token. Its name is that of the Platform API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::VariantArray, strum::IntoStaticStr)]
pub enum Scope {
    #[strum(serialize = "read")]
    Read,
    #[strum(serialize = "db:create")]
    CreateDatabase,
    #[strum(serialize = "db:delete")]
    DeleteDatabase,
    #[strum(serialize = "db:configure")]
    ConfigureDatabase,
    #[strum(serialize = "db:mint-token")]
    MintToken,
    #[strum(serialize = "db:rotate-creds")]
    RotateDatabase,
    #[strum(serialize = "group:configure")]
    ConfigureGroup,
    #[strum(serialize = "group:mint-token")]
    MintGroupToken,
    #[strum(serialize = "group:rotate-creds")]
    RotateGroup,
}

impl Scope {
    pub const ALL: &[Self] = <Self as strum::VariantArray>::VARIANTS;

    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Scope {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|scope| scope.name() == text)
            .ok_or_else(|| {
                let all: Vec<_> = Self::ALL.iter().map(|scope| scope.name()).collect();
                Error::new(Code::InvalidValue, format!("{text:?} is not a scope")).hint(format!(
                    "scopes are {}; read-only and full-access cannot be combined with others",
                    all.join(", ")
                ))
            })
    }
}

/// The scopes of an API token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scopes {
    /// Whatever its owner may do.
    #[default]
    Everything,
    Only(BTreeSet<Scope>),
}

impl Scopes {
    /// Parses the scopes in a request: nothing or `full-access`, `read-only`, or a list.
    pub fn parse(texts: &[String]) -> Result<Self> {
        match texts {
            [] => Ok(Self::Everything),
            [one] if one == "full-access" => Ok(Self::Everything),
            [one] if one == "read-only" => Ok(Self::Only([Scope::Read].into())),
            all => Ok(Self::Only(all.iter().map(|text| text.parse()).collect::<Result<_>>()?)),
        }
    }

    /// As [`Scopes::parse`] takes it.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Everything => Vec::new(),
            Self::Only(scopes) => scopes.iter().map(ToString::to_string).collect(),
        }
    }

    /// Whether a token with these scopes may make one with those.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) => true,
            (Self::Only(_), Self::Everything) => false,
            (Self::Only(ours), Self::Only(theirs)) => theirs.is_subset(ours),
        }
    }
}

/// The target of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermissionTarget<'a> {
    /// The whole organization.
    Organization,
    /// A group, or a database in it.
    Group(&'a GroupName),
    /// Lists, which are filtered to what the bearer may see.
    Visible,
}

/// The rights of a token in an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    pub role: MemberRole,
    pub scopes: Scopes,
    /// Set if the token is for one group only.
    pub group: Option<GroupName>,
}

/// Checks that an action is allowed; the error says why it is not.
pub fn permission(rights: &Rights, action: Action, target: PermissionTarget<'_>) -> Result<()> {
    if rights.role < action.role() {
        if matches!(action, Action::MintToken | Action::MintGroupToken) {
            return Err(reads_only(rights.role, action));
        }
        return Err(Error::new(
            Code::Forbidden,
            format!("as {} you may not {}", with_article(rights.role), action.doing()),
        )
        .hint(format!(
            "{} of the organization may: torso org members list",
            with_article(action.role())
        )));
    }
    if let Scopes::Only(scopes) = &rights.scopes {
        let allowed = action
            .scopes()
            .is_some_and(|needed| needed.iter().all(|scope| scopes.contains(scope)));
        if !allowed {
            let hint = match action.scopes() {
                Some(needed) => {
                    let names: Vec<_> = needed.iter().map(|scope| scope.name()).collect();
                    format!("use a token with the scope {}", names.join(" and "))
                }
                None => "use a token with full access".to_owned(),
            };
            return Err(Error::new(
                Code::Forbidden,
                format!("the API token in use may not {}", action.doing()),
            )
            .hint(hint));
        }
    }
    let fits = match (&rights.group, target) {
        (None, _) | (Some(_), PermissionTarget::Visible) => true,
        // What the token is for would be gone: the Platform API allows that to no token of a group.
        (Some(_), PermissionTarget::Group(_)) if matches!(action, Action::DeleteGroup | Action::Transfer) => {
            return Err(Error::new(
                Code::Forbidden,
                format!("the API token in use is for one group and may not {}", action.doing()),
            )
            .hint("use a token that is not limited to a group: torso auth api-tokens list"));
        }
        (Some(own), PermissionTarget::Group(group)) => own == group,
        (Some(_), PermissionTarget::Organization) => false,
    };
    if fits {
        return Ok(());
    }
    Err(Error::new(
        Code::Forbidden,
        format!(
            "the API token in use is for one group and may not {} outside it",
            action.doing()
        ),
    )
    .hint("use a token that is not limited to a group: torso auth api-tokens list"))
}

/// The error for a token that writes, of somebody who may have one that reads. The message says so itself, because the
/// official CLI prints nothing else.
fn reads_only(role: MemberRole, action: Action) -> Error {
    Error::new(
        Code::Forbidden,
        format!(
            "as {} you may not {}: create a read-only one (--read-only), and open the database by its URL with \
             ?authToken=TOKEN",
            with_article(role),
            action.doing()
        ),
    )
    .hint(format!(
        "{} of the organization may create one that writes: torso org members list",
        with_article(action.role())
    ))
}

fn with_article(role: MemberRole) -> String {
    match role {
        MemberRole::Admin | MemberRole::Owner => format!("an {role}"),
        MemberRole::Viewer | MemberRole::Member => format!("a {role}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each role may do, and with which scopes. The roles are viewer, member, admin, owner.
    const TABLE: [(Action, &str, &str); 21] = [
        (Action::View, "vmao", "read"),
        (Action::CreateDatabase, "mao", "db:create"),
        (Action::DeleteDatabase, "mao", "db:delete"),
        (Action::ConfigureDatabase, "mao", "db:configure"),
        (Action::ExportDatabase, "vmao", "db:mint-token"),
        (Action::MintReadToken, "vmao", "db:mint-token"),
        (Action::MintToken, "mao", "db:mint-token"),
        (Action::RotateDatabase, "mao", "db:rotate-creds"),
        (Action::CreateGroup, "mao", ""),
        (Action::DeleteGroup, "mao", ""),
        (Action::ConfigureGroup, "mao", "group:configure"),
        (Action::MintGroupReadToken, "vmao", "group:mint-token"),
        (Action::MintGroupToken, "mao", "group:mint-token"),
        (Action::RotateGroup, "mao", "group:rotate-creds"),
        (Action::Protect, "ao", "db:configure group:configure"),
        (Action::Transfer, "ao", ""),
        (Action::Maintain, "ao", ""),
        (Action::SeeMembers, "vmao", ""),
        (Action::ManageMembers, "ao", ""),
        (Action::SeeAudit, "ao", ""),
        (Action::ManageOrganization, "o", ""),
    ];

    fn rights(role: MemberRole, scopes: Scopes, group: Option<&str>) -> Rights {
        Rights {
            role,
            scopes,
            group: group.map(|name| name.parse().unwrap()),
        }
    }

    #[test]
    fn permission_is_decided_for_each_action() {
        assert_eq!(TABLE.map(|(action, ..)| action), *Action::ALL);
        let roles = [
            ('v', MemberRole::Viewer),
            ('m', MemberRole::Member),
            ('a', MemberRole::Admin),
            ('o', MemberRole::Owner),
        ];
        for (action, allowed, scopes) in TABLE {
            for (letter, role) in roles {
                let plain = permission(
                    &rights(role, Scopes::Everything, None),
                    action,
                    PermissionTarget::Organization,
                );
                assert_eq!(plain.is_ok(), allowed.contains(letter), "{action:?} as {role}");
                // A scope gives nothing that the role does not, and only what it is for.
                let needed: Vec<&str> = scopes.split_ascii_whitespace().collect();
                for &scope in Scope::ALL {
                    let only = Scopes::Only([scope].into());
                    let limited = permission(&rights(role, only, None), action, PermissionTarget::Organization);
                    let fits = needed == [scope.name()];
                    assert_eq!(
                        limited.is_ok(),
                        plain.is_ok() && fits,
                        "{action:?} as {role} with {scope}"
                    );
                }
                let all = Scopes::Only(Scope::ALL.iter().copied().collect());
                let limited = permission(&rights(role, all, None), action, PermissionTarget::Organization);
                assert_eq!(
                    limited.is_ok(),
                    plain.is_ok() && !needed.is_empty(),
                    "{action:?} as {role}"
                );
            }
        }
    }

    #[test]
    fn permission_for_a_group_reaches_no_other_group() {
        let (own, other): (GroupName, GroupName) = ("own".parse().unwrap(), "other".parse().unwrap());
        let limited = rights(MemberRole::Owner, Scopes::Everything, Some("own"));
        for &action in Action::ALL {
            let ends_the_group = matches!(action, Action::DeleteGroup | Action::Transfer);
            let of_own = permission(&limited, action, PermissionTarget::Group(&own));
            assert_eq!(of_own.is_ok(), !ends_the_group, "{action:?}");
            assert!(permission(&limited, action, PermissionTarget::Visible).is_ok());
            for target in [PermissionTarget::Group(&other), PermissionTarget::Organization] {
                let error = permission(&limited, action, target).unwrap_err();
                assert_eq!(error.code(), Code::Forbidden);
                assert!(error.hint_text().is_some());
            }
        }
    }

    #[test]
    fn token_scopes_are_parsed_as_they_are_displayed() {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(Scopes::parse(&[]).unwrap(), Scopes::Everything);
        assert_eq!(Scopes::parse(&texts(&["full-access"])).unwrap(), Scopes::Everything);
        let read = Scopes::parse(&texts(&["read-only"])).unwrap();
        assert_eq!(read.names(), ["read"]);
        for wrong in [&["all"][..], &["read-only", "db:create"], &["db:"], &["READ"]] {
            assert!(Scopes::parse(&texts(wrong)).is_err(), "{wrong:?}");
        }
        assert!(Scopes::Everything.cover(&read) && !read.cover(&Scopes::Everything) && read.cover(&read));
    }
}
