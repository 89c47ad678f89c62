//! Organizations, tokens and routes, over HTTP: every endpoint of the router, with every kind of token. What is refused is
//! refused with the status that says so, tells nothing of what it would have reached, and changes nothing.

mod realm;
mod rules;

use realm::{Bearer, Realm};
use rules::Rule;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use torso::control::endpoints::{ENDPOINTS, Method, ORGANIZATION, Operation};
use torso::control::hosted::permission::permission;

/// What is to come of a request.
#[derive(Debug, PartialEq)]
enum Verdict {
    Allowed,
    Unauthenticated,
    Forbidden,
    /// The organization is nobody's business.
    Unknown,
}

fn verdict(bearer: &Bearer, organization: &str, operation: Operation) -> Verdict {
    let rule = rules::rule(operation);
    if matches!(rule, Rule::Public) {
        return Verdict::Allowed;
    }
    if !bearer.valid {
        return Verdict::Unauthenticated;
    }
    let unless_limited = || {
        if bearer.is_limited() {
            Verdict::Forbidden
        } else {
            Verdict::Allowed
        }
    };
    let group = "default".parse().unwrap();
    match rule {
        Rule::Public | Rule::Bearer => Verdict::Allowed,
        Rule::Unlimited => unless_limited(),
        Rule::Operator if bearer.user == "alice" => unless_limited(),
        Rule::Operator => Verdict::Forbidden,
        Rule::Member | Rule::MemberUnlimited | Rule::May(_) => match bearer.rights(organization) {
            None => Verdict::Unknown,
            Some(rights) => match rule {
                Rule::May(needed) => {
                    let denied =
                        |(action, on): &(_, rules::On)| permission(&rights, *action, on.target(&group)).is_err();
                    if needed.iter().any(denied) {
                        Verdict::Forbidden
                    } else {
                        Verdict::Allowed
                    }
                }
                Rule::MemberUnlimited => unless_limited(),
                _ => Verdict::Allowed,
            },
        },
    }
}

#[test]
fn token_of_each_kind_passes_its_own_routes_and_no_other() {
    let realm = Realm::new();
    let mut counts = BTreeMap::<String, usize>::new();
    let mut wrong = Vec::new();
    let mut before = realm.state();
    for bearer in &realm.bearers {
        for endpoint in ENDPOINTS {
            for template in endpoint.paths() {
                let named = template.starts_with(ORGANIZATION) || template.contains("/{organization");
                // A token for one organization means that one where the path names none.
                let organization = if named {
                    "team"
                } else {
                    bearer.only.unwrap_or(bearer.user)
                };
                let mut expected = verdict(bearer, organization, endpoint.operation);
                if !named && endpoint.operation == Operation::RevokeOrganizationToken && expected == Verdict::Allowed {
                    expected = Verdict::Forbidden;
                }
                let changes = rules::changes(endpoint.operation);
                let allowed = expected == Verdict::Allowed;
                // It would end all the others.
                if allowed && endpoint.operation == Operation::InvalidateSessions {
                    continue;
                }
                // What would be done is not; where things are the bearer's own there is nothing of these names.
                let there = !(allowed && (changes || !named));
                let mut body = if there {
                    rules::body(endpoint.operation)
                } else {
                    json!({ "name": 7, "size": "x", "role": 7 })
                };
                if allowed && endpoint.operation == Operation::UpdateOrganization {
                    body = json!({ "require_mfa": true });
                }
                // Made without a body, in the place that is theirs alone.
                let makes = matches!(
                    endpoint.operation,
                    Operation::CreateApiToken
                        | Operation::CreateApiTokenNested
                        | Operation::UploadDump
                        | Operation::Mend
                );
                // To a token for a group there is no other group, and its own is to stay.
                let only_group = bearer.group && (changes || !named) && template.contains("{groupName}");
                if allowed && (makes || only_group) {
                    continue;
                }
                let (method, path) = (endpoint.method.name(), realm.path(endpoint, &template, there));
                let (status, text) = realm.ask(&bearer.token, method, &path, &body);
                let code = serde_json::from_str::<Value>(&text).map_or(Value::Null, |answer| answer["code"].clone());
                let got = match (status, code.as_str()) {
                    (401, _) => Verdict::Unauthenticated,
                    (403, _) => Verdict::Forbidden,
                    (404, Some("organization_not_found")) => Verdict::Unknown,
                    // Tokens of somebody else's, or for another organization, are not there. A token of a group sees itself.
                    (404, Some("token_not_found")) if endpoint.operation == Operation::RevokeOrganizationToken => {
                        let is_of_group = bearer.rights("team").is_some_and(|rights| rights.group.is_some());
                        if named && !is_of_group {
                            Verdict::Allowed
                        } else {
                            Verdict::Forbidden
                        }
                    }
                    (500.., Some(code)) if code != "unsupported" => panic!("{method} {path}: {text}"),
                    _ => Verdict::Allowed,
                };
                if got != expected || (allowed && !changes && named && status != 200) {
                    wrong.push(format!(
                        "{}: {method} {path}: {expected:?}, and was {status} {text:.200}",
                        bearer.name
                    ));
                }
                if !allowed && (bearer.rights("team").is_none() || !bearer.valid) {
                    let leaks = |hidden: &&String| text.contains(hidden.as_str()) && !path.contains(hidden.as_str());
                    if let Some(leak) = realm.hidden.iter().find(leaks) {
                        wrong.push(format!("{}: {method} {path} tells {leak}: {text}", bearer.name));
                    }
                }
                *counts.entry(format!("{expected:?}")).or_default() += 1;
            }
        }
        let after = realm.state();
        for (was, is) in before.iter().zip(&after).filter(|(was, is)| was != is) {
            wrong.push(format!("{} changed {}: {} became {}", bearer.name, was.0, was.1, is.1));
        }
        before = after;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        counts["Forbidden"] > 500 && counts["Unknown"] > 100 && counts["Unauthenticated"] > 500,
        "{counts:?}"
    );
    assert!(
        ENDPOINTS.iter().any(|endpoint| endpoint.method == Method::Put),
        "uploads are among them"
    );
}
