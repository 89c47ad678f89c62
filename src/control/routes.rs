//! The Platform API's paths, written once: what a client asks for and what a server answers to.
//!
//! A function makes each path below `/v1` or `/v1/organizations/{slug}`. [`ENDPOINTS`] lists every method and path, so that
//! a router and its tests can be held against it. Names are parsed types whose characters need no escaping in a URL, so a
//! path cannot be steered by a name.

use super::names::{DatabaseName, GroupName, LocationCode};

/// An HTTP method, as far as the Platform API uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Patch,
    Delete,
}

/// A method on a path. Parameters are in braces, as in the API's own document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    pub method: Method,
    /// Below the prefix, for an organization's resources; complete, for what is outside one.
    pub path: &'static str,
    /// Whether the path goes below `/v1` and `/v1/organizations/{organizationSlug}` alike.
    pub scoped: bool,
    /// The [`super::ControlPlane`] method that answers it.
    pub operation: &'static str,
}

const fn scoped(method: Method, path: &'static str, operation: &'static str) -> Endpoint {
    Endpoint {
        method,
        path,
        scoped: true,
        operation,
    }
}

const fn global(method: Method, path: &'static str, operation: &'static str) -> Endpoint {
    Endpoint {
        method,
        path,
        scoped: false,
        operation,
    }
}

/// Every endpoint that a control plane answers. Those for accounts, tokens and billing belong to a server.
pub const ENDPOINTS: &[Endpoint] = &[
    global(Method::Get, "/v1/locations", "list_locations"),
    global(Method::Get, "/v1/locations/{location}", "get_location"),
    scoped(Method::Get, "/groups", "list_groups"),
    scoped(Method::Post, "/groups", "create_group"),
    scoped(Method::Get, "/groups/{groupName}", "get_group"),
    scoped(Method::Delete, "/groups/{groupName}", "delete_group"),
    scoped(Method::Post, "/groups/{groupName}/rename", "rename_group"),
    scoped(
        Method::Get,
        "/groups/{groupName}/configuration",
        "get_group_configuration",
    ),
    scoped(
        Method::Patch,
        "/groups/{groupName}/configuration",
        "update_group_configuration",
    ),
    scoped(
        Method::Post,
        "/groups/{groupName}/locations/{location}",
        "add_group_location",
    ),
    scoped(
        Method::Delete,
        "/groups/{groupName}/locations/{location}",
        "remove_group_location",
    ),
    scoped(
        Method::Post,
        "/groups/{groupName}/locations/{location}/promote",
        "promote_group",
    ),
    scoped(Method::Get, "/databases", "list_databases"),
    scoped(Method::Post, "/databases", "create_database"),
    scoped(Method::Get, "/databases/{databaseName}", "get_database"),
    scoped(Method::Delete, "/databases/{databaseName}", "delete_database"),
    scoped(Method::Post, "/databases/{databaseName}/rename", "rename_database"),
    scoped(
        Method::Get,
        "/databases/{databaseName}/configuration",
        "get_configuration",
    ),
    scoped(
        Method::Patch,
        "/databases/{databaseName}/configuration",
        "update_configuration",
    ),
    scoped(Method::Get, "/databases/{databaseName}/instances", "list_instances"),
    scoped(
        Method::Get,
        "/databases/{databaseName}/instances/{instanceName}",
        "list_instances",
    ),
    scoped(Method::Post, "/databases/{databaseName}/instances", "add_instance"),
    scoped(
        Method::Delete,
        "/databases/{databaseName}/instances/{instanceName}",
        "remove_instance",
    ),
    scoped(
        Method::Post,
        "/databases/{databaseName}/instances/{instanceName}/promote",
        "promote_instance",
    ),
    scoped(Method::Post, "/databases/{databaseName}/sync", "sync_database"),
];

/// Not scoped: locations are everybody's.
pub const LOCATIONS: &str = "/v1/locations";

#[must_use]
pub fn location(code: &LocationCode) -> String {
    format!("{LOCATIONS}/{code}")
}

pub const GROUPS: &str = "/groups";

#[must_use]
pub fn group(name: &GroupName) -> String {
    format!("{GROUPS}/{name}")
}

#[must_use]
pub fn group_rename(name: &GroupName) -> String {
    format!("{GROUPS}/{name}/rename")
}

#[must_use]
pub fn group_configuration(name: &GroupName) -> String {
    format!("{GROUPS}/{name}/configuration")
}

#[must_use]
pub fn group_location(name: &GroupName, location: &LocationCode) -> String {
    format!("{GROUPS}/{name}/locations/{location}")
}

/// torso's own.
#[must_use]
pub fn group_promote(name: &GroupName, location: &LocationCode) -> String {
    format!("{GROUPS}/{name}/locations/{location}/promote")
}

pub const DATABASES: &str = "/databases";

#[must_use]
pub fn database(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}")
}

/// torso's own.
#[must_use]
pub fn database_rename(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}/rename")
}

#[must_use]
pub fn database_configuration(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}/configuration")
}

#[must_use]
pub fn instances(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}/instances")
}

/// An instance is named by its location.
#[must_use]
pub fn instance(name: &DatabaseName, location: &LocationCode) -> String {
    format!("{DATABASES}/{name}/instances/{location}")
}

/// torso's own.
#[must_use]
pub fn instance_promote(name: &DatabaseName, location: &LocationCode) -> String {
    format!("{DATABASES}/{name}/instances/{location}/promote")
}

/// torso's own.
#[must_use]
pub fn database_sync(name: &DatabaseName) -> String {
    format!("{DATABASES}/{name}/sync")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths that the functions make, with the parameters' names for values.
    fn made() -> Vec<String> {
        let (name, group_name, code) = (
            "name".parse().unwrap(),
            "group".parse().unwrap(),
            "location".parse().unwrap(),
        );
        vec![
            LOCATIONS.to_owned(),
            location(&code),
            GROUPS.to_owned(),
            group(&group_name),
            group_rename(&group_name),
            group_configuration(&group_name),
            group_location(&group_name, &code),
            group_promote(&group_name, &code),
            DATABASES.to_owned(),
            database(&name),
            database_rename(&name),
            database_configuration(&name),
            instances(&name),
            instance(&name, &code),
            instance_promote(&name, &code),
            database_sync(&name),
        ]
    }

    #[test]
    fn functions_and_table_agree() {
        let fill = |path: &str| {
            path.replace("{location}", "location")
                .replace("{groupName}", "group")
                .replace("{databaseName}", "name")
                .replace("{instanceName}", "location")
        };
        let mut listed: Vec<String> = ENDPOINTS.iter().map(|endpoint| fill(endpoint.path)).collect();
        listed.sort();
        listed.dedup();
        let mut made = made();
        made.sort();
        assert_eq!(made, listed);
    }

    #[test]
    fn no_endpoint_is_listed_twice() {
        for (index, one) in ENDPOINTS.iter().enumerate() {
            assert!(
                !ENDPOINTS[index + 1..]
                    .iter()
                    .any(|other| other.method == one.method && other.path == one.path)
            );
        }
    }
}
