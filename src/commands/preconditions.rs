//! What a change needs: locations, groups, free names, room, and what may be destroyed or written to. One place for all verbs, asked
//! before a plan is printed and before anything is changed, so that a dry run promises nothing which the change itself is refused.
//!
//! The control plane checks again, for others work at the same time. What a token may not see, and what a server does not answer,
//! is left to it: no change fails for a question that it does not need.

use crate::context::Context;
use crate::control::is_unanswered;
use crate::control::names::{DatabaseName, GroupName, LocationCode, OrganizationSlug};
use crate::control::types::{Database, Group, not_writable, protected_by_group};
use crate::error::{Code, Error, Result};

/// What a control plane answers about a condition: an error if it is `missing`, or if the change could not be asked for either. None
/// where the token in use may not ask, and where a server has no such path or answers about something else.
pub(super) fn if_known<T>(read: Result<T>, missing: Code) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code() == missing => Err(error),
        Err(error) if is_unanswered(&error) || error.code() == Code::MethodNotAllowed => Ok(None),
        Err(error) => Err(error),
    }
}

/// Fails where there is no such location.
pub(super) fn check_location(ctx: &Context, code: &LocationCode) -> Result<()> {
    if_known(ctx.control()?.check_location(code), Code::LocationNotFound).map(drop)
}

/// Fails where there is no such group.
pub(super) fn check_group(ctx: &Context, name: &GroupName) -> Result<()> {
    let group = ctx.control()?.get_group(name).map_err(|error| match error.code() {
        Code::GroupNotFound => {
            let hint = error.hint_text().map_or(String::new(), |hint| format!("{hint}; "));
            error.hint(format!("{hint}torso group create {name} makes it"))
        }
        _ => error,
    });
    if_known(group, Code::GroupNotFound).map(drop)
}

/// Fails where a database has the name.
pub(super) fn check_new_database_name(ctx: &Context, name: &DatabaseName) -> Result<()> {
    check_free(ctx.control()?.get_database(name), Code::DatabaseNotFound, || {
        Error::new(Code::DatabaseExists, format!("database {name} exists already"))
            .hint(format!("torso db show {name} shows it; choose another name"))
    })
}

/// Fails where a group has the name.
pub(super) fn check_new_group_name(ctx: &Context, name: &GroupName) -> Result<()> {
    check_free(ctx.control()?.get_group(name), Code::GroupNotFound, || {
        Error::new(Code::GroupExists, format!("group {name} exists already"))
            .hint(format!("torso group show {name} shows it"))
    })
}

/// Fails where what was asked for is there; `missing` is the answer that it is not.
fn check_free<T>(read: Result<T>, missing: Code, exists: impl FnOnce() -> Error) -> Result<()> {
    match if_known(read, missing) {
        Ok(Some(_)) => Err(exists()),
        Ok(None) => Ok(()),
        Err(error) if error.code() == missing => Ok(()),
        Err(error) => Err(error),
    }
}

/// Fails where the organization cannot be seen, or where there are none.
pub(super) fn check_organization(ctx: &Context, slug: &OrganizationSlug) -> Result<()> {
    if_known(ctx.accounts()?.get_organization(slug), Code::OrganizationNotFound).map(drop)
}

/// Fails where a database has delete protection.
pub(super) fn check_destroyable(database: &Database) -> Result<()> {
    let name = &database.name;
    if !database.delete_protection {
        return Ok(());
    }
    Err(Error::new(
        Code::DeleteProtected,
        format!("database {name} is protected from deletion"),
    )
    .hint(format!("torso db config set {name} delete-protection off")))
}

/// Fails where the group of a database has delete protection, which the control plane refuses as well.
pub(super) fn check_group_protection(ctx: &Context, database: &Database) -> Result<()> {
    let (name, group) = (&database.name, &database.group);
    // A group that cannot be seen is left to the control plane.
    match ctx.control()?.get_group(group) {
        Ok(found) if found.delete_protection => Err(protected_by_group(name, group)),
        _ => Ok(()),
    }
}

/// Fails where a group or one of its databases has delete protection.
pub(super) fn check_group_destroyable(group: &Group, databases: &[Database]) -> Result<()> {
    if group.delete_protection {
        let name = &group.name;
        return Err(Error::new(
            Code::DeleteProtected,
            format!("group {name} is protected from deletion"),
        )
        .hint(format!("torso group config set {name} delete-protection off")));
    }
    databases.iter().try_for_each(check_destroyable)
}

/// Fails where nothing may be written to a database.
pub(super) fn check_writable(database: &Database) -> Result<()> {
    let name = &database.name;
    if !database.block_writes {
        return Ok(());
    }
    let why = format!("writes to {name} are blocked; torso db config set {name} block-writes off lifts it");
    Err(not_writable(name, &why))
}

/// Fails where the content of a database is not to be replaced: under delete protection, and where its writes are blocked.
pub(super) fn check_replaceable(database: &Database) -> Result<()> {
    let name = &database.name;
    if database.block_writes {
        return Err(
            Error::new(Code::Blocked, format!("writes to database {name} are blocked"))
                .hint(format!("torso db config set {name} block-writes off")),
        );
    }
    check_destroyable(database)
}

/// Fails where a database has no instance at a location, or where there is no such location.
pub(super) fn check_instance(ctx: &Context, database: &Database, location: &LocationCode) -> Result<()> {
    let name = &database.name;
    if database.locations.contains(location) {
        return Ok(());
    }
    check_location(ctx, location)?;
    Err(Error::new(
        Code::InstanceNotFound,
        format!("database {name} has no instance in {location}"),
    )
    .hint(format!("torso db replicate {name} {location} makes one")))
}

/// Fails where the replica of a new database would be where its primary is, or where there is no such location.
pub(super) fn check_new_replica(ctx: &Context, primary: Option<&LocationCode>, replica: &LocationCode) -> Result<()> {
    if primary == Some(replica) {
        return Err(Error::new(
            Code::PrimaryInstance,
            format!("the primary of the new database is at {replica}"),
        )
        .hint("choose another location: torso location list"));
    }
    check_location(ctx, replica)
}

/// Fails where databases of a group are not replicated to a location, so that it cannot become their primary.
pub(super) fn check_group_location(group: &Group, location: &LocationCode) -> Result<()> {
    let name = &group.name;
    if group.locations.contains(location) {
        return Ok(());
    }
    Err(Error::new(
        Code::InstanceNotFound,
        format!("group {name} has no replicas in {location}"),
    )
    .hint(format!("torso group locations add {name} {location} makes them")))
}

/// Fails where a location is a group's primary one, which cannot be taken from it.
pub(super) fn check_group_replica(group: &Group, location: &LocationCode) -> Result<()> {
    let name = &group.name;
    if group.primary != *location {
        return Ok(());
    }
    Err(Error::new(
        Code::PrimaryInstance,
        format!("{location} is the primary location of group {name}"),
    )
    .hint(format!("promote another first: torso group promote {name} LOCATION")))
}

/// Fails where content of so many bytes does not fit into a database that is there.
pub(super) fn check_room_for_replacement(ctx: &Context, name: &DatabaseName, size: u64) -> Result<()> {
    let configuration = if_known(ctx.control()?.get_configuration(name), Code::DatabaseNotFound)?;
    let limit: u64 = configuration.map_or(0, |found| found.size_limit.parse().unwrap_or(0));
    if limit == 0 || size <= limit {
        return Ok(());
    }
    Err(Error::new(
        Code::SizeLimit,
        format!("database {name} would have {size} bytes, more than its size limit of {limit}"),
    )
    .hint(format!("torso db config set {name} size-limit {size}")))
}

/// Fails where a new database would begin larger than its limit, both in bytes. 0 is no limit.
pub(super) fn check_room(name: &DatabaseName, size: u64, limit: u64) -> Result<()> {
    if limit == 0 || size <= limit {
        return Ok(());
    }
    Err(Error::new(
        Code::SizeLimit,
        format!("{name} would have {size} bytes, more than its size limit of {limit}"),
    )
    .hint("give a larger --size-limit"))
}
