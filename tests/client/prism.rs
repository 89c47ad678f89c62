//! The OpenAPI document of the Platform API as a server: a mock made from it alone answers every call that our client makes,
//! and refuses what does not fit the document.

use crate::support::{crate_root, data, installed, sqld};
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use torso::control::accounts::{MemberRole, NewApiToken, OrganizationPatch};
use torso::control::client::{Client, RetryPolicy};
use torso::control::endpoints::Method;
use torso::control::names::{DatabaseName, GroupName, LocationCode};
use torso::control::tokens::{NewToken, Span};
use torso::control::types::{ConfigurationPatch, CreateDatabase, DatabaseFilter, GroupConfigurationPatch, NewGroup};
use torso::control::{
    ApiTokenOperations as _, DatabaseOperations as _, DatabaseTokenOperations as _, GroupOperations as _,
    InstanceOperations as _, InviteOperations as _, LocationOperations as _, MaintenanceOperations as _,
    MemberOperations as _, OrganizationOperations as _, TransferOperations as _, UsageOperations as _,
};
use torso::error::{Code, Result};

/// The mock; ended when it is dropped.
struct Prism {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Prism {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The document with two of its faults mended: it asks for no token, and requires a field of new members that it does not
/// define.
fn document() -> Value {
    let mut document: Value =
        serde_json::from_slice(&std::fs::read(data("platform-api.openapi.json")).unwrap()).unwrap();
    document["components"]["securitySchemes"] = json!({ "bearer": { "type": "http", "scheme": "bearer" } });
    document["security"] = json!([{ "bearer": [] }]);
    let members = &mut document["paths"]["/v1/organizations/{organizationSlug}/members"]["post"];
    let schema = &mut members["requestBody"]["content"]["application/json"]["schema"];
    assert!(schema.is_object());
    schema["required"] = json!(["username"]);
    document
}

impl Prism {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("torso-prism-").tempdir().unwrap();
        let path = folder.path().join("platform-api.json");
        std::fs::write(&path, document().to_string()).unwrap();
        let program = installed::npm().join("node_modules/@stoplight/prism-cli/dist/index.js");
        let port = sqld::free_port();
        let process = Command::new("node")
            .arg(program)
            .args(["mock", "--host", "127.0.0.1", "--port", &port.to_string()])
            .arg(&path)
            .current_dir(crate_root())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("cannot run node: install Node.js");
        let prism = Self {
            process,
            port,
            _folder: folder,
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the mock does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        prism
    }

    fn client(&self, token: bool) -> Client {
        Client::new(
            format!("http://127.0.0.1:{}", self.port).parse().unwrap(),
            token.then(|| torso::secret::Secret::new("any".to_owned())),
            Some("acme".parse().unwrap()),
            RetryPolicy {
                call: Duration::from_secs(20),
                ..RetryPolicy::USUAL
            },
        )
    }
}

/// What came of a call, for the list of those that failed.
struct Calls(Vec<String>);

impl Calls {
    fn ok<T>(&mut self, name: &str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.0.push(format!("{name}: {error:?}"));
                None
            }
        }
    }

    /// What only torso's own server has is one clear refusal.
    fn unsupported<T>(&mut self, name: &str, result: Result<T>) {
        match result {
            Err(error) if error.code() == Code::Unsupported && error.hint_text().is_some() => {}
            Err(error) => self.0.push(format!("{name}: {error:?}")),
            Ok(_) => self.0.push(format!("{name} succeeded")),
        }
    }
}

#[test]
fn requests_and_answers_fit_the_document_of_the_api() {
    let prism = Prism::start();
    let client = prism.client(true);
    let mut calls = Calls(Vec::new());
    plane(&client, &mut calls);
    accounts(&client, &mut calls);
    assert!(calls.0.is_empty(), "{}", calls.0.join("\n"));

    let stranger = prism.client(false);
    assert_eq!(stranger.list_groups().unwrap_err().code(), Code::Unauthenticated);
    // A body that does not fit is told, not waited for.
    let refused = client.request(
        Method::Post,
        "/v1/organizations/{org}/databases",
        Some(json!({ "name": 5 })),
    );
    assert_eq!(refused.unwrap_err().code(), Code::InvalidValue);
}

fn plane(client: &Client, calls: &mut Calls) {
    let (app, other): (DatabaseName, DatabaseName) = ("app".parse().unwrap(), "other".parse().unwrap());
    let (group, code): (GroupName, LocationCode) = ("default".parse().unwrap(), "lhr".parse().unwrap());
    let locations = calls.ok("list_locations", client.list_locations()).unwrap_or_default();
    assert!(!locations.is_empty());
    calls.ok("get_location", client.get_location(&locations[0].code));
    let groups = calls.ok("list_groups", client.list_groups()).unwrap_or_default();
    assert!(groups.iter().all(|group| group.locations[0] == group.primary));
    let new = NewGroup {
        name: group.clone(),
        location: code.clone(),
    };
    calls.ok("create_group", client.create_group(&new));
    calls.ok("get_group", client.get_group(&group));
    calls.ok("delete_group", client.delete_group(&group));
    calls.ok("add_group_location", client.add_group_location(&group, &code));
    calls.ok("remove_group_location", client.remove_group_location(&group, &code));
    calls.ok("get_group_configuration", client.get_group_configuration(&group));
    let on = GroupConfigurationPatch {
        delete_protection: Some(true),
        ..Default::default()
    };
    calls.ok(
        "update_group_configuration",
        client.update_group_configuration(&group, &on),
    );
    calls.ok(
        "transfer_group",
        client.transfer_group(&group, &"acme".parse().unwrap()),
    );
    calls.unsupported("rename_group", client.rename_group(&group, &"x".parse().unwrap()));
    calls.unsupported("promote_group", client.promote_group(&group, &code));

    let databases = calls
        .ok("list_databases", client.list_databases(&DatabaseFilter::default()))
        .unwrap_or_default();
    assert!(databases.iter().all(|database| !database.hostname.is_empty()));
    let new = CreateDatabase {
        name: app.clone(),
        group: None,
        location: None,
        seed: None,
        size_limit: None,
        expires_at: None,
    };
    calls.ok("create_database", client.create_database(&new));
    let branch = CreateDatabase {
        seed: Some(torso::control::types::Seed::Database { name: app.clone() }),
        group: Some(group.clone()),
        ..new
    };
    calls.ok("create_database from another", client.create_database(&branch));
    calls.ok("get_database", client.get_database(&app));
    calls.ok("delete_database", client.delete_database(&app));
    calls.ok("get_configuration", client.get_configuration(&app));
    let patch = ConfigurationPatch {
        block_reads: Some(true),
        size_limit: Some("1073741824".to_owned()),
        ..ConfigurationPatch::default()
    };
    calls.ok("update_configuration", client.update_configuration(&app, &patch));
    let instances = calls
        .ok("list_instances", client.list_instances(&app))
        .unwrap_or_default();
    assert!(!instances.is_empty());
    calls.unsupported("rename_database", client.rename_database(&app, &other));
    calls.unsupported("add_instance", client.add_instance(&app, &code));
    calls.unsupported("sync_database", client.sync_database(&app, None));
    calls.unsupported("promote_instance", client.promote_instance(&app, &code));
    // The hostnames of the document's examples are placeholders in brackets, which are no address.
    let refused = client.connection(&app, None).unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    insta::assert_snapshot!(refused.full_message(), @"the server returned no address for the database");

    calls.ok(
        "create_database_token",
        client.create_database_token(&app, &NewToken::default()),
    );
    calls.ok(
        "create_group_token",
        client.create_group_token(&group, &NewToken::default()),
    );
    calls.ok(
        "rotate_database_tokens",
        client.rotate_database_tokens(&app, Duration::ZERO),
    );
    calls.ok(
        "rotate_group_tokens",
        client.rotate_group_tokens(&group, Duration::ZERO),
    );
    calls.unsupported("list_database_tokens", client.list_database_tokens(&app));
    calls.unsupported("revoke_database_token", client.revoke_database_token(&app, "x"));
    let span = Span {
        from: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        to: None,
    };
    let usage = calls.ok("database_usage", client.database_usage(&app, span));
    assert!(usage.is_some_and(|usage| usage.usage == usage.total && usage.total.storage_bytes > 0));
    calls.ok("top_queries", client.top_queries(&app));
    let findings = calls.ok("check", client.check(false)).unwrap_or_default();
    assert_eq!(findings.len(), 1);
}

fn accounts(client: &Client, calls: &mut Calls) {
    let (acme, iku) = ("acme".parse().unwrap(), "iku".parse().unwrap());
    calls.ok("validate", client.validate());
    calls.ok("current_user", client.current_user());
    calls.ok("list_api_tokens", client.list_api_tokens());
    let minted = calls.ok(
        "create_api_token",
        client.create_api_token(&"ci".parse().unwrap(), &NewApiToken::default()),
    );
    assert!(minted.is_some_and(|minted| !minted.value.expose().is_empty()));
    calls.ok("revoke_api_token", client.revoke_api_token(&"ci".parse().unwrap()));
    let organizations = calls
        .ok("list_organizations", client.list_organizations())
        .unwrap_or_default();
    assert!(!organizations.is_empty());
    calls.ok("get_organization", client.get_organization(&acme));
    let patch = OrganizationPatch {
        overages: Some(false),
        require_mfa: None,
    };
    calls.ok("update_organization", client.update_organization(&acme, &patch));
    calls.ok("list_members", client.list_members(&acme));
    calls.ok("get_member", client.get_member(&acme, &iku));
    calls.ok("add_member", client.add_member(&acme, &iku, MemberRole::Viewer));
    calls.ok("update_member", client.update_member(&acme, &iku, MemberRole::Admin));
    calls.ok("remove_member", client.remove_member(&acme, &iku, false));
    calls.ok("list_invites", client.list_invites(&acme));
    calls.ok(
        "create_invite",
        client.create_invite(&acme, "iku@example.com", MemberRole::Member),
    );
    calls.ok("delete_invite", client.delete_invite(&acme, "iku@example.com"));
    calls.ok("audit_log", client.audit_log(&acme, 1, 25));
    calls.ok("list_plans", client.list_plans());
    calls.ok("subscription", client.subscription(&acme));
    calls.ok("organization_usage", client.organization_usage(&acme));
}
