//! Databases.

use super::body::Named;
use super::call::OperationCall;
use super::groups;
use super::reply::{ApiReply, to_json};
use crate::control::ControlPlane;
use crate::control::names::{DatabaseId, DatabaseName, GroupName, LocationCode, OrganizationSlug};
use crate::control::tokens::Span;
use crate::control::types::{Configuration, ConfigurationPatch, CreateDatabase, Database, DatabaseFilter, Seed};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// The most databases on a page.
const LARGEST_PAGE: usize = 1_000;

/// A database in the API's form.
fn to_api(database: &Database) -> Result<Value> {
    let mut value = to_json(database)?;
    for (key, constant) in [
        ("type", json!("logical")),
        ("version", json!("")),
        ("sleeping", json!(false)),
        ("archived", json!(false)),
        ("is_schema", json!(false)),
        ("schema", json!("")),
    ] {
        value[key] = constant;
    }
    Ok(value)
}

pub(super) fn one(database: &Database) -> Result<ApiReply> {
    ApiReply::of("database", &to_api(database)?)
}

fn unsupported(what: &str, hint: &str) -> Error {
    Error::new(Code::Unsupported, what).hint(hint)
}

/// A page of databases, ordered by name. The cursor is the name of the last one on the page before.
pub(super) fn list(call: &OperationCall<'_>) -> Result<ApiReply> {
    let limit = call.number("limit")?;
    let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(LARGEST_PAGE).clamp(1, LARGEST_PAGE));
    let plane = call.plane()?;
    let group = match call.query("group_id") {
        Some(id) => Some(groups::by_id(&*plane, id)?.name),
        None => None,
    };
    // What is no id is nobody's parent.
    let parent = call.query("parent_db_id").map(str::parse::<DatabaseId>);
    let no_parent = matches!(parent, Some(Err(_)));
    let filter = DatabaseFilter {
        group: call.query_as("group")?.or_else(|| group.clone()),
        location: call.query_as("location")?,
        parent: match parent {
            Some(Ok(id)) => Some(id),
            Some(Err(_)) => None,
            None => call.query_as("parent")?,
        },
        after: None,
        // One more tells whether there are more.
        limit: limit.map(|limit| limit + 1),
    };
    // There are no schema databases here, so a list of those, or of the children of one, is empty.
    let is_empty = no_parent
        || call.query("schema").is_some()
        || call.query("type") == Some("schema")
        || group.is_some_and(|group| filter.group.as_ref() != Some(&group));
    let mut databases = match call.query("cursor") {
        _ if is_empty => Vec::new(),
        Some(cursor) => page_after(&*plane, filter, cursor)?,
        None => plane.list_databases(&filter)?,
    };
    let limit = limit.unwrap_or(usize::MAX);
    let more = databases.len() > limit;
    databases.truncate(limit);
    let next = databases.last().filter(|_| more).map(|database| &database.name);
    let all: Vec<Value> = databases.iter().map(to_api).collect::<Result<_>>()?;
    Ok(ApiReply::Json(
        json!({ "databases": all, "pagination": { "next": next } }),
    ))
}

/// The databases after a cursor. One that is no name stands before or after names all the same.
fn page_after(plane: &dyn ControlPlane, filter: DatabaseFilter, cursor: &str) -> Result<Vec<Database>> {
    if let Ok(after) = cursor.parse() {
        let after = Some(after);
        return plane.list_databases(&DatabaseFilter { after, ..filter });
    }
    let limit = filter.limit;
    let mut databases = plane.list_databases(&DatabaseFilter { limit: None, ..filter })?;
    databases.retain(|database| database.name.as_str() > cursor);
    databases.truncate(limit.unwrap_or(usize::MAX));
    Ok(databases)
}

/// The request for a database, in the spellings of all clients. Empty texts count as absent.
#[derive(Deserialize)]
struct New {
    name: Named<DatabaseName>,
    group: Option<String>,
    group_id: Option<String>,
    location: Option<String>,
    seed: Option<NewSeed>,
    size_limit: Option<Value>,
    expires_at: Option<Timestamp>,
    is_schema: Option<bool>,
    schema: Option<String>,
    use_tursodb: Option<bool>,
    remote_encryption: Option<Value>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with the seed")]
struct NewSeed {
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The official CLI sends `value`.
    #[serde(alias = "value")]
    name: Option<String>,
    url: Option<String>,
    id: Option<String>,
    timestamp: Option<String>,
}

fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

impl New {
    /// Refuses features that do not exist here, if ignoring them would be a surprise.
    fn check(&self) -> Result<()> {
        if self.remote_encryption.as_ref().is_some_and(|value| !value.is_null()) {
            return Err(unsupported(
                "databases are not encrypted by this server",
                "leave out remote_encryption, and encrypt the server's disk",
            ));
        }
        if self.is_schema == Some(true) || self.schema.as_ref().is_some_and(|schema| !schema.is_empty()) {
            return Err(unsupported(
                "this server has no schema databases",
                "leave out schema and is_schema",
            ));
        }
        if self.use_tursodb == Some(true) {
            return Err(unsupported(
                "databases of this server run on libSQL",
                "leave out use_tursodb",
            ));
        }
        Ok(())
    }
}

fn seed(new: NewSeed) -> Result<Option<Seed>> {
    if non_empty(new.timestamp).is_some() {
        return Err(unsupported(
            "a database can only be branched as it is now",
            "leave out the seed's timestamp",
        ));
    }
    let missing = |what: &str| {
        Error::new(Code::InvalidValue, format!("the seed has no {what}"))
            .hint("docs/api.md lists the body of each path, and seeds")
    };
    match non_empty(new.kind).as_deref() {
        None => Ok(None),
        Some("database") => Ok(Some(Seed::Database {
            name: non_empty(new.name).ok_or_else(|| missing("name"))?.parse()?,
        })),
        Some("upload") => Ok(Some(Seed::Upload {
            id: non_empty(new.id).ok_or_else(|| missing("id"))?,
        })),
        Some("dump") => Ok(Some(Seed::Dump {
            url: non_empty(new.url).ok_or_else(|| missing("url"))?,
        })),
        Some("database_upload") => Err(unsupported(
            "this server takes no files at a database's own address",
            "send the file to /v1/uploads first, then name it: {\"seed\": {\"type\": \"upload\", \"id\": \"…\"}}",
        )),
        Some(other) => Err(
            Error::new(Code::InvalidValue, format!("{other:?} is not a kind of seed"))
                .hint("it is database, upload or dump"),
        ),
    }
}

pub(super) fn create(call: &OperationCall<'_>) -> Result<ApiReply> {
    let new: New = call.body()?;
    new.check()?;
    let plane = call.plane()?;
    let group: Option<GroupName> = match (non_empty(new.group), non_empty(new.group_id)) {
        (Some(name), _) => Some(name.parse()?),
        (None, Some(id)) => Some(groups::by_id(&*plane, &id)?.name),
        (None, None) => None,
    };
    let location: Option<LocationCode> = non_empty(new.location).map(|code| code.parse()).transpose()?;
    let request = CreateDatabase {
        name: new.name.get()?,
        group,
        location,
        seed: new.seed.map(seed).transpose()?.flatten(),
        size_limit: non_empty(new.size_limit.and_then(size)),
        expires_at: new.expires_at,
    };
    let database = plane.create_database(&request)?;
    new_database(call, &database)
}

/// The answer to a request that has created a database before.
pub(super) fn created(call: &OperationCall<'_>) -> Result<ApiReply> {
    let new: New = call.body()?;
    let database = call.plane()?.get_database(&new.name.get()?)?;
    new_database(call, &database)
}

fn new_database(call: &OperationCall<'_>, database: &Database) -> Result<ApiReply> {
    Ok(ApiReply::Json(json!({
        "database": to_api(database)?,
        "username": call.caller.username(),
    })))
}

pub(super) fn name(call: &OperationCall<'_>) -> Result<DatabaseName> {
    call.name("databaseName")
}

pub(super) fn get(call: &OperationCall<'_>) -> Result<ApiReply> {
    one(&call.plane()?.get_database(&name(call)?)?)
}

/// The database with an id; a name is accepted, too.
pub(super) fn by_id(plane: &dyn ControlPlane, id: &str) -> Result<Database> {
    plane
        .list_databases(&DatabaseFilter::default())?
        .into_iter()
        .find(|database| database.id.as_str() == id || database.name.as_str() == id)
        .ok_or_else(|| {
            Error::new(
                Code::DatabaseNotFound,
                format!("there is no database with the id {id:?}"),
            )
            .hint("torso db list shows the databases")
        })
}

/// Version 3 includes the configuration.
pub(super) fn get_by_id(call: &OperationCall<'_>) -> Result<ApiReply> {
    let database = by_id(&*call.plane()?, call.text("databaseId")?)?;
    let mut value = to_api(&database)?;
    value["allow_rules_config"] = json!({ "allowed_ips": [], "allowed_aws_vpc_ids": [] });
    Ok(ApiReply::Json(json!({ "database": value })))
}

pub(super) fn delete(call: &OperationCall<'_>) -> Result<ApiReply> {
    let name = name(call)?;
    if call.query("expired") == Some("true") {
        let deleted = call.plane()?.delete_expired_database(&name)?;
        return Ok(ApiReply::Json(json!({ "database": name, "deleted": deleted })));
    }
    call.plane()?.delete_database(&name)?;
    ApiReply::of("database", &name)
}

/// The answer to a request that has deleted a database before.
pub(super) fn deleted(call: &OperationCall<'_>) -> Result<ApiReply> {
    Ok(ApiReply::Json(match call.query("expired") {
        Some("true") => json!({ "database": name(call)?, "deleted": true }),
        _ => json!({ "database": name(call)? }),
    }))
}

/// The same for a database of which only the id is known.
pub(super) fn deleted_by_id(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("database", &call.text("databaseId")?)
}

pub(super) fn delete_by_id(call: &OperationCall<'_>) -> Result<ApiReply> {
    let plane = call.plane()?;
    let database = by_id(&*plane, call.text("databaseId")?)?;
    plane.delete_database(&database.name)?;
    ApiReply::of("database", &database.name)
}

#[derive(Deserialize)]
struct Rename {
    name: Named<DatabaseName>,
}

pub(super) fn rename(call: &OperationCall<'_>) -> Result<ApiReply> {
    let to: Rename = call.body()?;
    one(&call.plane()?.rename_database(&name(call)?, &to.name.get()?)?)
}

/// The answer to a request that has renamed a database before.
pub(super) fn renamed(call: &OperationCall<'_>) -> Result<ApiReply> {
    let to: Rename = call.body()?;
    one(&call.plane()?.get_database(&to.name.get()?)?)
}

#[derive(Deserialize)]
struct Transfer {
    org: Option<Named<OrganizationSlug>>,
    organization: Option<Named<OrganizationSlug>>,
}

fn destination(call: &OperationCall<'_>) -> Result<OrganizationSlug> {
    let to: Transfer = call.body()?;
    let to = to.organization.or(to.org).ok_or_else(|| {
        Error::new(Code::InvalidValue, "no organization is named").hint("send {\"organization\": \"…\"}")
    })?;
    to.get()
}

pub(super) fn transfer(call: &OperationCall<'_>) -> Result<ApiReply> {
    call.plane()?.transfer_database(&name(call)?, &destination(call)?)?;
    Ok(ApiReply::empty())
}

/// The answer to a request that has begun to move a database before. A start of the server undoes a move that was cut short,
/// so it either arrived or is to be made again.
pub(super) fn transferred(call: &OperationCall<'_>) -> Result<ApiReply> {
    let (name, to) = (name(call)?, destination(call)?);
    let there = call.hosted.plane(call.caller, Some(&to))?;
    if call.plane()?.get_database(&name).is_err() && there.get_database(&name).is_ok() {
        return Ok(ApiReply::empty());
    }
    transfer(call)
}

/// For operations that do nothing here: only checks that the database exists.
pub(super) fn check_exists(call: &OperationCall<'_>) -> Result<ApiReply> {
    get(call)
}

pub(super) fn sync(call: &OperationCall<'_>) -> Result<ApiReply> {
    let location: Option<LocationCode> = call.query_as("location")?;
    ApiReply::of("synced", &call.plane()?.sync_database(&name(call)?, location.as_ref())?)
}

/// There are no rules about client addresses here, so the list is empty.
fn configured(configuration: &Configuration) -> Result<ApiReply> {
    let mut value = to_json(configuration)?;
    value["allowed_ips"] = json!([]);
    value["allowed_aws_vpc_ids"] = json!([]);
    Ok(ApiReply::Json(value))
}

pub(super) fn get_configuration(call: &OperationCall<'_>) -> Result<ApiReply> {
    configured(&call.plane()?.get_configuration(&name(call)?)?)
}

/// A size as text or as a number of bytes.
fn size(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Null => None,
        // Anything else is refused by the parser of sizes.
        other => Some(other.to_string()),
    }
}

#[derive(Deserialize)]
struct Patch {
    size_limit: Option<Value>,
    #[serde(flatten)]
    patch: ConfigurationPatch,
    allowed_ips: Option<Vec<String>>,
    allowed_aws_vpc_ids: Option<Vec<String>>,
}

pub(super) fn update_configuration(call: &OperationCall<'_>) -> Result<ApiReply> {
    let patch: Patch = call.body()?;
    for rules in [&patch.allowed_ips, &patch.allowed_aws_vpc_ids].into_iter().flatten() {
        if !rules.is_empty() {
            return Err(unsupported(
                "this server has no rules about clients' addresses",
                "use the firewall of the machine",
            ));
        }
    }
    let change = ConfigurationPatch {
        size_limit: patch.size_limit.and_then(size),
        ..patch.patch
    };
    configured(&call.plane()?.update_configuration(&name(call)?, &change)?)
}

pub(super) fn usage(call: &OperationCall<'_>) -> Result<ApiReply> {
    let span = Span {
        from: call.time("from")?,
        to: call.time("to")?,
    };
    if let (Some(from), Some(to)) = (span.from, span.to)
        && from > to
    {
        return Err(Error::new(
            Code::InvalidValue,
            format!("the time range begins at {from} and ends earlier, at {to}"),
        )
        .hint("ask with from= at the earlier time, and to= at the later one"));
    }
    ApiReply::of("database", &call.plane()?.database_usage(&name(call)?, span)?)
}

pub(super) fn top_queries(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::bare(&call.plane()?.top_queries(&name(call)?)?)
}

pub(super) fn stats(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("top_queries", &call.plane()?.top_queries(&name(call)?)?)
}
