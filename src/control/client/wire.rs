//! From what servers answer to the nouns. `torso server` answers with all that the nouns have; Turso Cloud with less, and
//! with nulls and empty texts for what there is not. What is missing is filled in here, so that nobody else has to know.

use crate::control::accounts::{ApiToken, Invite, Member, Organization, User};
use crate::control::builtin_locations;
use crate::control::database_url::DatabaseUrl;
use crate::control::names::LocationCode;
use crate::control::tokens::Expiration;
use crate::control::types::{
    Configuration, CreateDatabase, Database, Group, GroupConfiguration, Instance, Isolation, Location, Parent,
};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Serialize};
use serde_json::{Map, Value, json};

/// What a reply holds under a key; the reply itself where it has none such.
pub(super) fn within(mut reply: Value, key: &str) -> Value {
    match reply.as_object_mut().and_then(|members| members.remove(key)) {
        Some(value) => value,
        None => reply,
    }
}

/// The list under a key; a bare list counts, too.
pub(super) fn list(reply: Value, key: &str) -> Result<Vec<Value>> {
    match within(reply, key) {
        Value::Array(items) => Ok(items),
        // What some servers say for none.
        Value::Null => Ok(Vec::new()),
        _ => Err(unknown(key).caused_by("it is not a list")),
    }
}

fn unknown(noun: &str) -> Error {
    Error::new(
        Code::Unavailable,
        format!("the server's answer about {noun} is not in the format of the Platform API"),
    )
    .hint("is the address right? torso context list shows it")
}

/// Any noun whose form is the same everywhere.
pub(super) fn read<T: DeserializeOwned>(value: Value, noun: &str) -> Result<T> {
    serde_json::from_value(value).map_err(|error| unknown(noun).caused_by(error))
}

/// What is sent. Our own nouns have a JSON form, so there is nothing that could fail.
pub(super) fn to_json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// An expiration in the forms that all servers understand, of which seconds are not one.
pub(super) fn expiration(expiration: Expiration) -> String {
    let Expiration::After(span) = expiration else {
        return "never".to_owned();
    };
    let mut left = span.as_secs();
    let mut text = String::new();
    for (unit, seconds) in [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if left >= seconds {
            text.push_str(&format!("{}{unit}", left / seconds));
            left %= seconds;
        }
    }
    text
}

/// Reads a noun after its object was completed.
fn completed<T: DeserializeOwned>(
    value: Value,
    noun: &str,
    complete: impl FnOnce(&mut Map<String, Value>),
) -> Result<T> {
    match value {
        Value::Object(mut members) => {
            complete(&mut members);
            read(Value::Object(members), noun)
        }
        _ => Err(unknown(noun).caused_by("it is not an object")),
    }
}

fn text<'a>(members: &'a Map<String, Value>, key: &str) -> &'a str {
    members.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Drops a setting that is torso's own, where a server means something else by the word.
fn keep_isolation(members: &mut Map<String, Value>) {
    if members
        .get("isolation")
        .is_some_and(|isolation| Isolation::deserialize(isolation).is_err())
    {
        members.remove("isolation");
    }
}

/// Gives what is absent or null a value.
fn fill(members: &mut Map<String, Value>, key: &str, value: Value) {
    if members.get(key).is_none_or(Value::is_null) {
        members.insert(key.to_owned(), value);
    }
}

/// Makes a time of what may be a date only, in UTC, and takes out what is no time at all.
fn normalize_time(members: &mut Map<String, Value>, key: &str) {
    let value = text(members, key);
    if value.parse::<Timestamp>().is_ok() {
        return;
    }
    let mended = value
        .parse::<jiff::civil::DateTime>()
        .ok()
        .and_then(|time| jiff::tz::TimeZone::UTC.to_timestamp(time).ok());
    match mended {
        Some(at) => members.insert(key.to_owned(), json!(at)),
        None => members.remove(key),
    };
}

/// Takes out what is empty, so that it counts as absent.
fn drop_empty(members: &mut Map<String, Value>, keys: &[&str]) {
    for key in keys {
        if members
            .get(*key)
            .is_some_and(|value| value.is_null() || value.as_str() == Some(""))
        {
            members.remove(*key);
        }
    }
}

/// The primary's code, and every location with the primary's first.
fn order_locations(members: &mut Map<String, Value>, all: &str, primary: &str) {
    let mut codes: Vec<Value> = match members.remove(all) {
        Some(Value::Array(codes)) => codes,
        _ => Vec::new(),
    };
    if text(members, primary).is_empty()
        && let Some(first) = codes.first()
    {
        members.insert(primary.to_owned(), first.clone());
    }
    if let Some(first) = members.get(primary) {
        codes.retain(|code| code != first);
        codes.insert(0, first.clone());
    }
    members.insert(all.to_owned(), Value::Array(codes));
}

/// Where a hostname of the Platform API is reached, unless the server says so itself.
fn fill_url(members: &mut Map<String, Value>, hostname: &str) {
    let host = text(members, hostname).to_owned();
    fill(members, hostname, json!(""));
    if text(members, "url").is_empty() && !host.is_empty() {
        let url = format!("libsql://{host}");
        // A host that is none is no address.
        if DatabaseUrl::parse(&url).is_ok() {
            members.insert("url".to_owned(), json!(url));
        }
    }
    fill(members, "url", json!(""));
}

pub(super) fn database(value: Value) -> Result<Database> {
    completed(value, "a database", |members| {
        keep_isolation(members);
        fill_url(members, "Hostname");
        order_locations(members, "regions", "primaryRegion");
        for key in ["block_reads", "block_writes", "delete_protection"] {
            fill(members, key, json!(false));
        }
        // A branch that is none may be told as an object of nulls. Where it came from is no reason to refuse a database.
        if members
            .get("parent")
            .is_some_and(|parent| Parent::deserialize(parent).is_err())
        {
            members.remove("parent");
        }
    })
}

/// A new database of which a server told little: the rest is as it was asked for.
pub(super) fn created_database(value: Value, request: &CreateDatabase) -> Result<Database> {
    completed(value, "a database", |members| {
        fill(members, "Name", json!(request.name));
        if let Some(group) = &request.group {
            fill(members, "group", json!(group));
        }
        if let Some(location) = &request.location {
            fill(members, "primaryRegion", json!(location));
        }
    })
    .and_then(database)
}

pub(super) fn group(value: Value) -> Result<Group> {
    completed(value, "a group", |members| {
        order_locations(members, "locations", "primary");
        for key in ["uuid", "version"] {
            fill(members, key, json!(""));
        }
        for key in ["delete_protection", "archived"] {
            fill(members, key, json!(false));
        }
    })
}

pub(super) fn instance(value: Value) -> Result<Instance> {
    completed(value, "an instance", |members| {
        fill_url(members, "hostname");
        fill(members, "uuid", json!(""));
        let name = text(members, "name").to_owned();
        fill(members, "region", json!(name));
        // The Platform API lists those that serve.
        fill(members, "state", json!("ready"));
    })
}

pub(super) fn group_configuration(value: Value) -> Result<GroupConfiguration> {
    completed(value, "a configuration", keep_isolation)
}

pub(super) fn configuration(value: Value) -> Result<Configuration> {
    completed(value, "a configuration", |members| {
        drop_empty(members, &["size_limit"]);
        fill(members, "size_limit", json!("0"));
        for key in ["allow_attach", "block_reads", "block_writes", "delete_protection"] {
            fill(members, key, json!(false));
        }
    })
}

/// A location of which only code and description are told: the rest is known of well-known ones.
pub(super) fn plain_location(code: LocationCode, description: String, in_use: bool) -> Location {
    let known = builtin_locations::find(code.as_str());
    Location {
        description: if description.is_empty() {
            code.to_string()
        } else {
            description
        },
        lat: known.map(|place| place.lat),
        lon: known.map(|place| place.lon),
        dir: None,
        builtin: true,
        in_use,
        node: None,
        code,
    }
}

pub(super) fn user(value: Value) -> Result<User> {
    completed(value, "a user", |members| {
        for key in ["name", "email", "avatarUrl", "plan"] {
            drop_empty(members, &[key]);
        }
    })
}

pub(super) fn organization(value: Value) -> Result<Organization> {
    completed(value, "an organization", |members| {
        let keys = ["id", "plan_id", "plan_timeline", "platform"];
        drop_empty(members, &keys);
        for key in ["overages", "require_mfa", "blocked_reads", "blocked_writes"] {
            fill(members, key, json!(false));
        }
        fill(members, "type", json!("team"));
    })
}

pub(super) fn member(value: Value) -> Result<Member> {
    completed(value, "a member", |members| drop_empty(members, &["email"]))
}

pub(super) fn invite(value: Value) -> Result<Invite> {
    completed(value, "an invitation", |members| {
        fill(members, "id", json!(0));
        fill(members, "accepted", json!(false));
        for key in ["created_at", "CreatedAt"] {
            if let Some(at) = members.get(key).cloned() {
                fill(members, "created_at", at);
            }
        }
        normalize_time(members, "created_at");
        // Not told everywhere when an invitation is made, and then it is now.
        fill(members, "created_at", json!(Timestamp::now()));
    })
}

pub(super) fn api_token(value: Value) -> Result<ApiToken> {
    completed(value, "an API token", |members| {
        drop_empty(
            members,
            &[
                "organization",
                "group",
                "created_at",
                "last_used_at",
                "expires_at",
                "prefix",
            ],
        );
        for key in ["created_at", "last_used_at", "expires_at"] {
            normalize_time(members, key);
        }
        fill(members, "id", json!(""));
        fill(members, "scopes", json!([]));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_answer_without_optional_fields_gets_their_defaults() {
        let database = database(json!({
            "Name": "app", "DbId": "0eb771dd-6906-11ee-8553-eaa7715aeaf2", "Hostname": "app-me.example.io",
            "regions": ["lhr", "ams"], "primaryRegion": "ams", "group": "default", "parent": null,
        }))
        .unwrap();
        assert_eq!(&*database.url, "libsql://app-me.example.io");
        assert_eq!(database.locations[0].as_str(), "ams");
        assert_eq!(database.locations.len(), 2);
        let instance = instance(json!({
            "uuid": "x", "name": "lhr", "type": "replica", "region": "lhr", "hostname": "lhr-app.example.io"
        }))
        .unwrap();
        assert_eq!(&*instance.url, "libsql://lhr-app.example.io");
        let configuration = configuration(json!({"size_limit": null})).unwrap();
        assert_eq!(configuration.size_limit, "0");
        let token =
            api_token(json!({"name": "ci", "id": "1", "organization": "", "group": "", "scopes": null})).unwrap();
        assert_eq!((token.organization, token.group), (None, None));
        let token =
            api_token(json!({"name": "ci", "id": "1", "created_at": "2026-01-02", "expires_at": "soon"})).unwrap();
        assert_eq!(token.created_at, Some("2026-01-02T00:00:00Z".parse().unwrap()));
        assert_eq!(token.expires_at, None);
    }

    #[test]
    fn api_answer_that_cannot_be_true_is_an_error_that_names_it() {
        let error = database(json!({
            "Name": "app", "DbId": "0eb771dd-6906-11ee-8553-eaa7715aeaf2", "url": "file:///etc/passwd", "Hostname": "h",
            "regions": ["ams"], "group": "default",
        }))
        .unwrap_err();
        assert!(error.full_message().contains("http(s), libsql or ws(s)"), "{error}");
        let error = database(json!({"Name": "../x"})).unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
        assert!(error.message().contains("a database"), "{error}");
        assert!(list(json!({"databases": 3}), "databases").is_err());
    }
}
