//! A server with a few things on it, which answers as `torso server` does but remembers nothing.

use crate::support::stub::{Answer, Request, Stub};
use serde_json::{Value, json};

const ID: &str = "0eb771dd-6906-41ee-8553-eaa7715aeaf2";
const AT: &str = "2026-11-01T12:00:00Z";

/// Starts it.
pub fn start() -> Stub {
    Stub::start(answer)
}

fn database(name: &str) -> Value {
    json!({
        "Name": name, "DbId": ID, "Hostname": format!("{name}-me.example.com"),
        "url": format!("https://{name}-me.example.com/"), "group": "default", "primaryRegion": "ams",
        "regions": ["ams", "lhr"], "block_reads": false, "block_writes": false, "delete_protection": false,
        "parent": null, "created_at": AT, "size_bytes": 8192,
    })
}

fn group() -> Value {
    json!({
        "name": "default", "uuid": ID, "locations": ["ams", "lhr"], "primary": "ams", "delete_protection": false,
        "version": "", "archived": false,
    })
}

fn organization(slug: &str, kind: &str) -> Value {
    json!({ "id": ID, "name": slug, "slug": slug, "type": kind, "plan_id": "self-hosted" })
}

fn token(id: &str) -> Value {
    json!({
        "id": id, "name": "web", "database": "app", "group": "default", "authorization": "read-only",
        "created_at": AT, "expires_at": null, "created_by": "me", "revoked_at": null,
    })
}

fn usage() -> Value {
    json!({ "rows_read": 10, "rows_written": 2, "storage_bytes": 8192, "bytes_synced": 0 })
}

pub fn missing(what: &str, code: &str) -> Answer {
    Answer::Json(
        404,
        json!({ "error": format!("there is no {what}"), "code": code, "hint": "look around" }),
    )
}

/// What is answered to a request, in whichever organization.
pub fn answer(request: &Request) -> Answer {
    let line = request.line();
    let line = line.replacen(" /v1/organizations/team", " /v1", 1);
    let line = line.replacen(" /v2/organizations/team", " /v2", 1);
    let line = line.replacen(" /v1/organizations/me", " /v1", 1);
    if request
        .header("authorization")
        .is_none_or(|value| value != format!("Bearer {}", super::TOKEN))
    {
        return Answer::Json(
            401,
            json!({ "error": "no token", "code": "unauthenticated", "hint": "log in" }),
        );
    }
    let body = match line.as_str() {
        "GET /v1/auth/validate" => json!({ "exp": -1 }),
        "GET /v1/user" => json!({ "user": { "username": "me", "name": "", "email": "me@example.com", "plan": "x" } }),
        "GET /v1/auth/api-tokens" => json!({ "tokens": [
            { "name": "ci", "id": ID, "organization": "team", "group": null, "scopes": ["read"], "created_at": AT,
              "last_used_at": AT, "expires_at": null, "prefix": "torso_ab" } ] }),
        "POST /v1/auth/api-tokens/ci" => json!({ "name": "ci", "id": ID, "token": "torso_minted", "created_at": AT }),
        "DELETE /v1/auth/api-tokens/ci" => json!({ "token": "ci" }),
        "POST /v1/auth/invalidate" => json!({ "validFrom": 1_793_534_400 }),
        "GET /v1/organizations" => json!({ "organizations": [
            organization("me", "personal"), organization("team", "team") ] }),
        "POST /v1/organizations" => json!({ "organization": organization("team", "team") }),
        "GET /v1" => json!({ "organization": organization("team", "team") }),
        "DELETE /v1" => json!({}),
        "GET /v1/subscription" => json!({ "subscription": { "plan": "self-hosted" } }),
        "GET /v1/usage" => json!({ "organization": { "uuid": ID, "usage": {
            "rows_read": 10, "rows_written": 2, "storage_bytes": 8192, "bytes_synced": 0, "databases": 1,
            "locations": 2, "groups": 1 }, "databases": [] } }),
        "GET /v1/members" => json!({ "members": [{ "username": "me", "role": "owner", "email": "me@example.com" }] }),
        "POST /v1/members" => json!({ "member": "bob", "role": "viewer" }),
        "PATCH /v1/members/bob" => json!({ "member": { "username": "bob", "role": "admin", "email": "" } }),
        "DELETE /v1/members/bob" => json!({ "member": "bob" }),
        "GET /v1/server/users" => json!({ "users": [{ "username": "me", "email": "me@example.com", "created_at": AT,
            "operator": true, "organizations": ["me", "team"], "api_tokens": 1, "last_used_at": AT }] }),
        "POST /v1/server/users/bob/disable" | "DELETE /v1/server/users/bob" => json!({ "tokens": [
            { "kind": "database", "id": "t1", "name": "web", "organization": "team" } ], "tokens_ended": true }),
        "GET /v1/server/organizations" => json!({ "organizations": [{ "slug": "team", "name": "team", "type": "team",
            "created_at": AT, "owners": ["me"], "members": 2, "databases": 3, "storage_bytes": 8192, "over_quota": false }] }),
        "GET /v1/server/quotas" => json!({ "quotas": [
            { "organization": null, "name": "databases", "value": 50 } ] }),
        "PUT /v1/server/quotas" => json!({ "quota": { "organization": null, "name": "databases", "value": 50 } }),
        "GET /v1/server/configuration" | "PATCH /v1/server/configuration" => json!({ "configuration": {
            "locations": ["ams", "lhr"], "log_level": "info", "warnings": [] } }),
        "GET /v1/server/backup-schedules" => json!({ "schedules": [
            { "organization": null, "group": null, "every_seconds": 86400, "keep": "7d,4w,12m", "last_backup_at": AT,
              "failing": false } ] }),
        "PUT /v1/server/backup-schedules" => json!({ "schedule": { "organization": "team", "group": "default",
            "every_seconds": 3600, "keep": "7d", "last_backup_at": null, "failing": false } }),
        "DELETE /v1/server/backup-schedules" => json!({ "group": "team/default" }),
        "GET /v2/invites" => json!({ "invites": [
            { "id": 1, "email": "eve@example.com", "role": "member", "accepted": false, "created_at": AT } ] }),
        "POST /v2/invites" => json!({ "invited": { "id": 2, "email": "eve@example.com", "role": "member",
            "created_at": AT, "link": "https://there.example.com/invite/once" } }),
        "DELETE /v2/invites/eve@example%2Ecom" => json!({}),
        "GET /v1/audit-logs" => json!({
            "audit_logs": [{ "code": "db-create", "message": "made database app", "origin": "cli", "author": "me",
                "created_at": AT, "data": { "database": "app", "result": "ok" } }],
            "pagination": { "page": 1, "page_size": 25, "total_pages": 1, "total_rows": 1 } }),
        "GET /v1/locations" => json!({ "locations": { "ams": "Amsterdam", "lhr": "London" } }),
        "GET /v1/groups" => json!({ "groups": [group()] }),
        "GET /v1/groups/default" => json!({ "group": group() }),
        "GET /v1/databases" => json!({ "databases": [database("app")], "pagination": { "next": null } }),
        "GET /v1/databases/app" => json!({ "database": database("app") }),
        "POST /v1/databases/app/transfer" => json!({}),
        "POST /v1/groups/default/transfer" => group(),
        "GET /v1/databases/app/configuration" => json!({ "size_limit": "0", "delete_protection": false }),
        "GET /v1/databases/app/instances" => json!({ "instances": [
            { "uuid": ID, "name": "ams", "type": "primary", "region": "ams", "hostname": "app.example.com",
              "url": "https://app.example.com/", "state": "ready" },
            { "uuid": "1eb771dd-6906-41ee-8553-eaa7715aeaf2", "name": "lhr", "type": "replica", "region": "lhr",
              "hostname": "lhr.example.com", "url": "https://lhr.example.com/", "state": "behind", "lag_ms": 40,
              "lag_frames": 3, "position": 120 } ] }),
        "GET /v1/databases/app/usage" => json!({ "database": { "uuid": ID,
            "instances": [{ "uuid": ID, "usage": usage() }], "usage": usage(), "total": usage() } }),
        "GET /v1/databases/app/stats" => json!({ "top_queries": [
            { "query": "SELECT 1", "rows_read": 10, "rows_written": 0 } ] }),
        "POST /v1/databases/app/auth/tokens" | "POST /v1/groups/default/auth/tokens" => {
            json!({ "jwt": "header.claims.signature", "id": "t1", "expires_at": AT })
        }
        "GET /v1/databases/app/auth/tokens" | "GET /v1/groups/default/auth/tokens" => {
            json!({ "tokens": [token("t1")] })
        }
        "DELETE /v1/databases/app/auth/tokens/t1" | "DELETE /v1/groups/default/auth/tokens/t1" => {
            json!({ "token": token("t1") })
        }
        "POST /v1/databases/app/auth/rotate" | "POST /v1/groups/default/auth/rotate" => json!({}),
        line if line.contains("/databases/") => return missing("database of that name", "database_not_found"),
        _ => return missing("such path", "path_not_found"),
    };
    Answer::Json(200, body)
}
