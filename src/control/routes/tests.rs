//! The table and the paths agree.

use super::*;

/// The paths that the functions make, with the parameters' names for values.
fn made() -> Vec<String> {
    let (name, group_name, code) = (
        "name".parse().unwrap(),
        "group".parse().unwrap(),
        "location".parse().unwrap(),
    );
    let (slug, id) = ("org".parse().unwrap(), "id".parse().unwrap());
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
        database_export(&name),
        database_usage(&name),
        database_stats(&name),
        database_transfer(&name),
        group_transfer(&group_name),
        tokens(&database(&name)),
        token(&group(&group_name), &id),
        rotate(&group(&group_name)),
        UPLOADS.to_owned(),
        upload(&id),
        CHECK.to_owned(),
        ORGANIZATIONS.to_owned(),
        organization(&slug),
        VALIDATE.to_owned(),
        INVALIDATE.to_owned(),
        USER.to_owned(),
        API_TOKENS.to_owned(),
        api_token(&"token".parse().unwrap()),
        ACCEPT_INVITE.to_owned(),
        PLANS.to_owned(),
        invites(&slug),
    ]
    .into_iter()
    .chain([
        members(&slug),
        member(&slug, &"user".parse().unwrap()),
        audit_logs(&slug),
        organization_usage(&slug),
        subscription(&slug),
    ])
    .collect()
}

#[test]
fn every_path_that_is_made_is_listed() {
    let fill = |path: &str| {
        path.replace("{location}", "location")
            .replace("{groupName}", "group")
            .replace("{databaseName}", "name")
            .replace("{instanceName}", "location")
            .replace("{organizationSlug}", "org")
            .replace("{username}", "user")
            .replace("{tokenId}", "id")
            .replace("{uploadId}", "id")
            .replace("{tokenName}", "token")
    };
    let listed: Vec<String> = ENDPOINTS
        .iter()
        .flat_map(|endpoint| {
            let mut paths = endpoint.paths();
            paths.push(endpoint.path.to_owned());
            paths
        })
        .map(|path| fill(&path))
        .collect();
    for path in made() {
        assert!(listed.contains(&path), "{path}");
    }
}

#[test]
fn no_endpoint_is_listed_twice() {
    let mut seen = std::collections::HashSet::new();
    for endpoint in ENDPOINTS {
        for path in endpoint.paths() {
            assert!(seen.insert((endpoint.method, path)), "{endpoint:?}");
        }
    }
}
