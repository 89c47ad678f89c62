//! The table, and the paths that the client makes of it.

use super::*;

#[test]
fn route_of_each_endpoint_is_listed_once() {
    let mut seen = std::collections::HashSet::new();
    for endpoint in ENDPOINTS {
        for path in endpoint.paths() {
            assert!(seen.insert((endpoint.method, path)), "{endpoint:?}");
        }
    }
}

#[test]
fn path_of_each_operation_leads_to_its_first_endpoint() {
    let slug = "acme".parse().unwrap();
    for endpoint in ENDPOINTS
        .iter()
        .filter(|endpoint| **endpoint == *endpoint.operation.endpoint())
    {
        let names: Vec<&str> = endpoint
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        let parameters: Vec<&dyn Display> = names.iter().map(|name| name as &dyn Display).collect();
        for (organization, prefix) in [(None, "/v1"), (Some(&slug), "/v1/organizations/acme")] {
            let filled = endpoint.path.replace(['{', '}'], "");
            let expected = if endpoint.scoped {
                format!("{prefix}{filled}")
            } else {
                filled
            };
            assert_eq!(endpoint.operation.path(organization, &parameters), expected);
        }
        assert_eq!(endpoint.operation.method(), endpoint.method);
    }
}

#[test]
fn parameter_cannot_change_where_a_path_leads() {
    let slug: OrganizationSlug = "acme".parse().unwrap();
    assert_eq!(
        Operation::DeleteInvite.path(None, &[&slug, &"../x?y=é@example.com"]),
        "/v2/organizations/acme/invites/%2E%2E%2Fx%3Fy%3D%C3%A9@example%2Ecom"
    );
}
