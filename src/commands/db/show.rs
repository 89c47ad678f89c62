//! `torso db show`: one database, its instances, or one bare value of it. The card is made here; the fields, which are also those
//! of the JSON, are in `control::types` ([`Database`], [`Instance`]).

use super::config::Settings;
use crate::commands::{completers, default_location, location};
use crate::context::Context;
use crate::control::database_url::DatabaseUrl;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::types::{Database, Instance, Location, Role};
use crate::control::{ControlPlane, if_allowed};
use crate::error::{Code, Error, Result};
use crate::ui::{Card, Cell, Layout, Table, View, text};
use jiff::Timestamp;
use serde::Serialize;

crate::commands::schemas::document!("db show" => DatabaseView);
crate::commands::schemas::document!("db show" => Urls<'_>);
crate::commands::schemas::document!("db show" => String);

/// Show a database: URL, path, location, settings and replicas
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db show app
  torso db show app --url
  sqlite3 \"$(torso db show app --path)\"")]
pub(crate) struct Args {
    /// Name of the database [default: the project's]
    #[arg(value_name = "NAME", add = completers::databases())]
    name: Option<DatabaseName>,
    #[command(flatten)]
    only: Only,
}

/// Print one bare value instead.
#[derive(clap::Args)]
#[group(multiple = false)]
struct Only {
    /// Print only the URL. Where that is a file, @libsql/client needs a timeout (timeout: 5000), or it fails at once while
    /// another program writes
    #[arg(long)]
    url: bool,
    /// Print only the URL for HTTP clients
    #[arg(long)]
    http_url: bool,
    /// Print only the URL of the instance at this location
    #[arg(long, value_name = "CODE", add = completers::locations())]
    instance_url: Option<LocationCode>,
    /// Print only the URLs of all instances, primary first
    #[arg(long)]
    instance_urls: bool,
    /// Print only the path of the primary's file
    #[arg(long)]
    path: bool,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    let name = ctx.database(args.name)?;
    let database = super::find(ctx, &name)?;
    let plane = ctx.control()?;
    let only = args.only;
    if only.url {
        return ctx.ui.value(&database.url);
    }
    if only.http_url {
        return match database.url.http() {
            Some(url) => ctx.ui.value(url.as_str()),
            None => Err(Error::new(
                Code::Unsupported,
                format!("database {name} is a file on this machine and has no HTTP address"),
            )
            .hint(format!("use its file: torso db show {name} --url"))),
        };
    }
    if only.path {
        let path = database.url.path().ok_or_else(|| {
            Error::new(
                Code::Unsupported,
                format!("database {name} is not a file on this machine"),
            )
        })?;
        return ctx.ui.path(path);
    }
    let instances = plane.list_instances(&name)?;
    if only.instance_urls {
        let urls: Vec<&str> = instances.iter().map(|instance| instance.url.as_str()).collect();
        return ctx.ui.show(&Urls(urls));
    }
    if let Some(location) = only.instance_url {
        return match instances.iter().find(|instance| instance.location == location) {
            Some(instance) => ctx.ui.value(&instance.url),
            None => Err(no_instance(&name, &location)),
        };
    }
    let configuration = Settings::of(&plane.get_configuration(&name)?);
    ctx.ui.show(&DatabaseView {
        nearest_url: nearest_url(plane, &database, &instances)?,
        database,
        configuration,
        instances,
    })
}

/// The URL of the replica on another machine that is nearer to this machine's time zone than all others and the primary; none where
/// there is none, or the zone is not known.
fn nearest_url(plane: &dyn ControlPlane, database: &Database, instances: &[Instance]) -> Result<Option<DatabaseUrl>> {
    let Some((here, _)) = default_location::near().filter(|_| instances.len() > 1 && database.url.http().is_some())
    else {
        return Ok(None);
    };
    let Some(locations) = if_allowed(plane.list_locations())? else {
        return Ok(None);
    };
    let find = |code: &LocationCode| locations.iter().find(|location| location.code == *code);
    let Some(here) = find(&here) else { return Ok(None) };
    let serves = |location: &Location| location.node.as_ref().is_some_and(|node| node.url.is_some());
    let distances = instances.iter().filter_map(|instance| {
        let location = find(&instance.location)?;
        let is_primary = instance.role == Role::Primary;
        let distance = location::distance_km(here, location)?;
        (is_primary || serves(location)).then_some((distance, !is_primary, instance))
    });
    let nearest = distances.min_by_key(|(distance, is_replica, _)| (*distance, *is_replica));
    Ok(nearest.and_then(|(_, is_replica, instance)| is_replica.then(|| instance.url.clone())))
}

/// What to say about a location where the database is not.
pub(super) fn no_instance(name: &DatabaseName, location: &LocationCode) -> Error {
    Error::new(
        Code::InstanceNotFound,
        format!("database {name} has no instance at {location}"),
    )
    .hint(format!("torso db replicas {name} shows where it is"))
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Urls<'a>(Vec<&'a str>);

impl View for Urls<'_> {
    fn layout(&self) -> Layout {
        // Bare lines, like the other single values.
        Layout::Said(self.0.join("\n"))
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct DatabaseView {
    #[serde(flatten)]
    database: Database,
    configuration: Settings,
    instances: Vec<Instance>,
    /// That of the nearest replica on another machine, where that is nearer than the primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    nearest_url: Option<DatabaseUrl>,
}

impl View for DatabaseView {
    fn layout(&self) -> Layout {
        let database = &self.database;
        let limit = self.configuration.size_limit;
        let blocked = match (database.block_reads, database.block_writes) {
            (false, false) => None,
            (true, false) => Some("reads"),
            (false, true) => Some("writes"),
            (true, true) => Some("reads and writes"),
        };
        Layout::Card(
            Card::default()
                .field("Name", Cell::text(database.name.as_str()))
                .field_if("Nearest URL", self.nearest_url.as_ref(), |url| Cell::text(url.as_str()))
                .field("URL", Cell::text(database.url.as_str()))
                .field("ID", Cell::text(database.id.as_str()))
                .field("Group", Cell::text(database.group.as_str()))
                .field("Location", Cell::text(database.primary.as_str()))
                .field_if("Size", database.size_bytes, Cell::size)
                .field(
                    "Size limit",
                    if limit == 0 {
                        Cell::number(0).with_display("none")
                    } else {
                        Cell::size(limit)
                    },
                )
                .field("Delete protection", Cell::yes_no(database.delete_protection))
                .field_if("Blocked", blocked, Cell::text)
                .field_if("Branch of", database.parent.as_ref(), |parent| {
                    Cell::text(parent.name.as_str()).with_display(format!(
                        "{}, {}",
                        parent.name,
                        text::time(parent.branched_at)
                    ))
                })
                .field_if("Created", database.created_at, Cell::time)
                .field_if("Expires", database.expires_at, Cell::time)
                .field_if("Last backup", database.last_backup.as_ref(), |backup| {
                    Cell::text(backup.at.to_string()).with_display(format!(
                        "{}, to {}",
                        text::age(backup.at, Timestamp::now()),
                        backup.to
                    ))
                })
                .table("Instances", instance_table(&self.instances)),
        )
    }

    fn names(&self) -> Vec<String> {
        vec![self.database.name.to_string()]
    }
}

/// Instances as `show` and `replicas` list them. Frames are shown where the engine counts such.
pub(super) fn instance_table(instances: &[Instance]) -> Table {
    let frames = instances.iter().any(|instance| instance.position.is_some());
    let mut titles = vec!["LOCATION", "ROLE", "STATE", "SIZE", "LAST SYNC", "BEHIND"];
    if frames {
        titles.extend(["FRAMES BEHIND", "POSITION", "AT RISK", "RESTARTS"]);
    }
    let delays = instances.iter().any(|instance| instance.visible_after_ms.is_some());
    titles.extend(delays.then_some("VISIBLE AFTER"));
    let clients = instances.iter().any(|instance| instance.connections.is_some());
    titles.extend(clients.then_some("CLIENTS"));
    let errors = instances.iter().any(|instance| instance.last_error.is_some());
    if errors {
        titles.push("LAST ERROR");
    }
    let mut table = Table::new(titles, "No instances.");
    for instance in instances {
        let primary = instance.role == Role::Primary;
        let mut row = vec![
            Cell::text(instance.location.as_str()),
            Cell::text(if primary { "primary" } else { "replica" }),
            Cell::text(instance.state.name()),
            Cell::maybe(instance.size_bytes, Cell::size),
            Cell::maybe(instance.synced_at.filter(|_| !primary), Cell::age),
            Cell::maybe(instance.lag_ms.filter(|_| !primary), |ms| {
                if ms == 0 {
                    Cell::span(0).with_display("no")
                } else {
                    Cell::span(ms)
                }
            }),
        ];
        if frames {
            row.push(Cell::maybe(instance.lag_frames.filter(|_| !primary), Cell::number));
            row.push(Cell::maybe(instance.position, Cell::number));
            row.push(Cell::maybe(instance.at_risk_frames, Cell::number));
            row.push(Cell::maybe(instance.restarts, Cell::number));
        }
        if delays {
            row.push(Cell::maybe(instance.visible_after_ms, Cell::span));
        }
        if clients {
            row.push(Cell::maybe(instance.connections, Cell::number));
        }
        if errors {
            row.push(Cell::text(instance.last_error.clone().unwrap_or_default()));
        }
        table.row(row);
    }
    table
}
