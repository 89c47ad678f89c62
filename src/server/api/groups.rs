//! Groups.

use super::body::Named;
use super::call::OperationCall;
use super::reply::{ApiReply, to_json};
use crate::control::ControlPlane;
use crate::control::names::{GroupName, LocationCode, OrganizationSlug};
use crate::control::types::{
    Database, DatabaseFilter, Group, GroupConfigurationPatch, Instance, InstanceState, Isolation, NewGroup,
};
use crate::error::{Code, Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

/// A group in the API's form, with the state of its locations.
fn to_api(plane: &dyn ControlPlane, group: &Group) -> Result<Value> {
    let mut value = to_json(group)?;
    value["status"] = json!({ "locations": status(plane, group) });
    Ok(value)
}

/// The state of a group's locations. One of the databases that share a process at each location stands for all of them.
fn status(plane: &dyn ControlPlane, group: &Group) -> Vec<Value> {
    let filter = DatabaseFilter {
        group: Some(group.name.clone()),
        ..DatabaseFilter::default()
    };
    let databases = plane.list_databases(&filter).unwrap_or_default();
    let is_isolated = |database: &&Database| database.isolation == Some(Isolation::Database);
    let shared = databases.iter().find(|database| !is_isolated(database));
    let instances: Vec<Instance> = shared
        .into_iter()
        .chain(databases.iter().filter(is_isolated))
        .filter_map(|database| plane.list_instances(&database.name).ok())
        .flatten()
        .collect();
    let is_down = |location: &LocationCode| {
        instances
            .iter()
            .any(|instance| instance.location == *location && instance.state == InstanceState::Missing)
    };
    group
        .locations
        .iter()
        .map(|location| json!({ "name": location, "status": if is_down(location) { "down" } else { "up" } }))
        .collect()
}

fn one(plane: &dyn ControlPlane, group: &Group) -> Result<ApiReply> {
    ApiReply::of("group", &to_api(plane, group)?)
}

pub(super) fn list(call: &OperationCall<'_>) -> Result<ApiReply> {
    let plane = call.plane()?;
    let page = plane.list_groups_after(call.query_as("cursor")?.as_ref(), call.page_limit()?)?;
    let next = page.next(|group| group.name.to_string());
    let groups = page.items.iter().map(|group| to_api(&*plane, group));
    Ok(ApiReply::page("groups", groups.collect::<Result<_>>()?, next))
}

#[derive(Deserialize)]
struct New {
    name: Named<GroupName>,
    location: Named<LocationCode>,
}

pub(super) fn create(call: &OperationCall<'_>) -> Result<ApiReply> {
    let new: New = call.body()?;
    let new = NewGroup {
        name: new.name.get()?,
        location: new.location.get()?,
    };
    let plane = call.plane()?;
    let group = plane.create_group(&new)?;
    one(&*plane, &group)
}

/// The answer to a request that has created a group before.
pub(super) fn created(call: &OperationCall<'_>) -> Result<ApiReply> {
    let new: New = call.body()?;
    let plane = call.plane()?;
    let group = plane.get_group(&new.name.get()?)?;
    one(&*plane, &group)
}

pub(super) fn get(call: &OperationCall<'_>) -> Result<ApiReply> {
    let plane = call.plane()?;
    let group = plane.get_group(&call.name("groupName")?)?;
    one(&*plane, &group)
}

/// The group with an id; a name is accepted, too.
pub(super) fn by_id(plane: &dyn ControlPlane, id: &str) -> Result<Group> {
    plane
        .list_groups()?
        .into_iter()
        .find(|group| group.uuid == id || group.name.as_str() == id)
        .ok_or_else(|| {
            Error::new(Code::GroupNotFound, format!("there is no group with the id {id:?}"))
                .hint("torso group list shows the groups")
        })
}

pub(super) fn get_by_id(call: &OperationCall<'_>) -> Result<ApiReply> {
    let plane = call.plane()?;
    let group = by_id(&*plane, call.text("groupId")?)?;
    one(&*plane, &group)
}

pub(super) fn delete(call: &OperationCall<'_>) -> Result<ApiReply> {
    let (plane, name) = (call.plane()?, call.name("groupName")?);
    let group = plane.get_group(&name)?;
    plane.delete_group(&name)?;
    ApiReply::of("group", &group)
}

/// The answer to a request that has deleted a group before: what is still known of it.
pub(super) fn deleted(call: &OperationCall<'_>) -> Result<ApiReply> {
    let name: GroupName = call.name("groupName")?;
    Ok(ApiReply::Json(json!({ "group": { "name": name } })))
}

#[derive(Deserialize)]
struct Rename {
    name: Named<GroupName>,
}

pub(super) fn rename(call: &OperationCall<'_>) -> Result<ApiReply> {
    let to: Rename = call.body()?;
    let plane = call.plane()?;
    let group = plane.rename_group(&call.name("groupName")?, &to.name.get()?)?;
    one(&*plane, &group)
}

/// The answer to a request that has renamed a group before.
pub(super) fn renamed(call: &OperationCall<'_>) -> Result<ApiReply> {
    let to: Rename = call.body()?;
    let plane = call.plane()?;
    let group = plane.get_group(&to.name.get()?)?;
    one(&*plane, &group)
}

#[derive(Deserialize)]
struct Transfer {
    organization: Named<OrganizationSlug>,
}

/// The answer is the bare group, as in the API's document.
pub(super) fn transfer(call: &OperationCall<'_>) -> Result<ApiReply> {
    let to: Transfer = call.body()?;
    ApiReply::bare(
        &call
            .plane()?
            .transfer_group(&call.name("groupName")?, &to.organization.get()?)?,
    )
}

/// The answer to a request that has begun to move a group before: what is not moved yet is moved now.
pub(super) fn transferred(call: &OperationCall<'_>) -> Result<ApiReply> {
    let to: Transfer = call.body()?;
    let name: GroupName = call.name("groupName")?;
    let there = call.hosted.plane(call.caller, Some(&to.organization.get()?))?;
    match (call.plane()?.get_group(&name), there.get_group(&name)) {
        (Err(_), Ok(moved)) => ApiReply::bare(&moved),
        _ => transfer(call),
    }
}

pub(super) fn update(call: &OperationCall<'_>) -> Result<ApiReply> {
    call.plane()?.get_group(&call.name("groupName")?)?;
    Ok(ApiReply::empty())
}

pub(super) fn get_configuration(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::bare(&call.plane()?.get_group_configuration(&call.name("groupName")?)?)
}

#[derive(Deserialize)]
struct Patch {
    delete_protection: Option<bool>,
    isolation: Option<Named<Isolation>>,
}

pub(super) fn update_configuration(call: &OperationCall<'_>) -> Result<ApiReply> {
    let patch: Patch = call.body()?;
    let (plane, name) = (call.plane()?, call.name("groupName")?);
    let patch = GroupConfigurationPatch {
        delete_protection: patch.delete_protection,
        isolation: patch.isolation.map(|isolation| isolation.get()).transpose()?,
    };
    let configuration = if patch == GroupConfigurationPatch::default() {
        plane.get_group_configuration(&name)?
    } else {
        plane.update_group_configuration(&name, &patch)?
    };
    ApiReply::bare(&configuration)
}

pub(super) fn add_location(call: &OperationCall<'_>) -> Result<ApiReply> {
    let plane = call.plane()?;
    let group = plane.add_group_location(&call.name("groupName")?, &call.name("location")?)?;
    one(&*plane, &group)
}

pub(super) fn remove_location(call: &OperationCall<'_>) -> Result<ApiReply> {
    let plane = call.plane()?;
    let group = plane.remove_group_location(&call.name("groupName")?, &call.name("location")?)?;
    one(&*plane, &group)
}

/// Adding a location returns when it can be used, so there is nothing to wait for: this only checks the group.
pub(super) fn wait_for_location(call: &OperationCall<'_>) -> Result<ApiReply> {
    let (name, location): (GroupName, LocationCode) = (call.name("groupName")?, call.name("location")?);
    let plane = call.plane()?;
    let group = plane.get_group(&name)?;
    if !group.locations.contains(&location) {
        return Err(Error::new(
            Code::LocationNotFound,
            format!("group {name} has no location {location}"),
        )
        .hint(format!("torso group locations add {name} {location}")));
    }
    one(&*plane, &group)
}

pub(super) fn promote(call: &OperationCall<'_>) -> Result<ApiReply> {
    let plane = call.plane()?;
    let group = plane.promote_group(&call.name("groupName")?, &call.name("location")?)?;
    one(&*plane, &group)
}
