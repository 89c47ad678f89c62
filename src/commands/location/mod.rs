//! `torso location`: the places where databases can be.

mod drain;
mod machine;
mod status;

use super::answers::{self, Done};
use super::{DryRun, completers, default_location};
use crate::context::Context;
use crate::control::names::LocationCode;
use crate::control::types::{DatabaseFilter, Location, NewLocation};
use crate::error::{Code, Error, Result};
use crate::ui::{Card, Cell, Layout, Table, View};
use clap::Subcommand;
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

crate::commands::schemas::document!("location list", "db locations" => LocationsView);
crate::commands::schemas::document!("location show" => One);
crate::commands::schemas::document!("location add" => machine::Added);
crate::commands::schemas::document!("location remove" => Removed);

/// Named places for databases, and their state
#[derive(Subcommand)]
#[command(defer = true)]
pub(super) enum Verb {
    #[command(visible_alias = "ls")]
    List(List),
    Show(Show),
    Status(status::Status),
    Add(Add),
    #[command(visible_alias = "rm")]
    Remove(Remove),
    Drain(drain::Drain),
}

pub(super) fn run(ctx: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::List(args) => list(ctx, &args),
        Verb::Show(args) => show(ctx, &args),
        Verb::Status(args) => status::status(ctx, &args),
        Verb::Add(args) => add(ctx, &args),
        Verb::Remove(args) => remove(ctx, &args),
        Verb::Drain(args) => drain::drain(ctx, &args),
    }
}

/// List the known locations
///
/// The three-letter codes are those of airports. `local` means this machine, with no geographic place. On this machine every
/// code works; a server and Turso Cloud have locations of their own.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso location list --near")]
pub(super) struct List {
    /// Nearest to this machine's time zone first
    #[arg(long)]
    near: bool,
    /// Only locations in use, or added by you
    #[arg(long, conflicts_with = "all")]
    used: bool,
    /// Measure the response time of a database there (servers only)
    #[arg(long, short)]
    latency: bool,
    /// All locations (the default)
    #[arg(long, hide = true)]
    all: bool,
}

/// A location, and how far it is.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct LocationView {
    #[serde(flatten)]
    location: Location,
    /// Kilometres from the location nearest to the time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    distance_km: Option<u64>,
    /// Milliseconds that a database there takes to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u64>,
    /// Whether a new database would go there, were nothing else said.
    nearest: bool,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct LocationsView {
    places: Vec<LocationView>,
    #[serde(skip)]
    distances: bool,
    #[serde(skip)]
    latencies: bool,
    /// Directories below it go without saying.
    #[serde(skip)]
    data_dir: PathBuf,
}

pub(super) fn list(ctx: &Context, args: &List) -> Result<()> {
    let near = default_location::near().map(|(code, _)| code);
    let (data_dir, _) = ctx.settings.data_dir()?;
    let locations = ctx.control()?.list_locations()?;
    let latencies = if args.latency { latencies(ctx)? } else { HashMap::new() };
    let here = near
        .as_ref()
        .and_then(|code| locations.iter().find(|location| location.code == *code))
        .cloned();
    let mut places: Vec<LocationView> = locations
        .into_iter()
        .filter(|location| !args.used || location.in_use || !location.builtin || own_dir(location, &data_dir).is_some())
        .map(|location| LocationView {
            distance_km: here
                .as_ref()
                .filter(|_| args.near)
                .and_then(|here| distance_km(here, &location)),
            latency_ms: latencies.get(&location.code).copied(),
            nearest: near.as_ref() == Some(&location.code),
            location,
        })
        .collect();
    if args.near {
        if here.is_none() {
            ctx.ui.warn(
                "the time zone of this machine is not known, so nothing is near; set TZ to a zone such as Europe/Paris",
            );
        }
        places.sort_by_key(|place| (place.distance_km.unwrap_or(u64::MAX), place.location.code.clone()));
    }
    ctx.ui.show(&LocationsView {
        places,
        distances: args.near,
        latencies: args.latency,
        data_dir,
    })
}

/// The most databases that are looked at for one in each location.
const LOOKED_AT: usize = 50;

/// How long a database of each location takes to answer, in milliseconds, rounded up.
fn latencies(ctx: &Context) -> Result<HashMap<LocationCode, u64>> {
    let server = ctx.server()?;
    let plane = ctx.control()?;
    let mut found = HashMap::new();
    for database in plane
        .list_databases(&DatabaseFilter::default())?
        .into_iter()
        .take(LOOKED_AT)
    {
        if database.locations.iter().all(|code| found.contains_key(code)) {
            continue;
        }
        for instance in plane.list_instances(&database.name)? {
            let Some(url) = instance.url.http() else { continue };
            if found.contains_key(&instance.location) {
                continue;
            }
            match server.latency(&url) {
                Ok(took) => {
                    let ms = took.as_micros().div_ceil(1_000);
                    found.insert(instance.location, u64::try_from(ms).unwrap_or(u64::MAX));
                }
                Err(error) => ctx.ui.warn(format!("location {}: {error}", instance.location)),
            }
        }
    }
    Ok(found)
}

impl View for LocationsView {
    fn layout(&self) -> Layout {
        let own_dir = |place: &LocationView| own_dir(&place.location, &self.data_dir);
        let directories = self.places.iter().any(|place| own_dir(place).is_some());
        let machines = self.places.iter().any(|place| place.location.node.is_some());
        let mut titles = vec!["CODE", "DESCRIPTION", "IN USE"];
        if self.distances {
            titles.push("DISTANCE KM");
        }
        if self.latencies {
            titles.push("LATENCY");
        }
        if directories {
            titles.push("DIRECTORY");
        }
        if machines {
            titles.extend(["MACHINE", "LAST CONTACT"]);
        }
        let mut table = Table::new(titles, "No locations.");
        for place in &self.places {
            let location = &place.location;
            let code = location.code.as_str();
            let mut row = vec![
                if place.nearest {
                    Cell::text(code).with_display(format!("{code} (nearest)"))
                } else {
                    Cell::text(code)
                },
                Cell::text(&location.description),
                Cell::yes_no(location.in_use),
            ];
            if self.distances {
                row.push(Cell::maybe(place.distance_km, Cell::number));
            }
            if self.latencies {
                row.push(Cell::maybe(place.latency_ms, Cell::span));
            }
            if directories {
                row.push(Cell::maybe(own_dir(place), |dir| Cell::text(dir.to_string_lossy())));
            }
            if machines {
                let node = location.node.as_ref();
                row.push(Cell::maybe(node, |node| Cell::text(node.state.name())));
                row.push(Cell::maybe(node.and_then(|node| node.last_contact_at), Cell::age));
            }
            table.row(row);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.places
            .iter()
            .map(|place| place.location.code.to_string())
            .collect()
    }
}

/// The directory that a user gave a location. One below the data directory is torso's own choice.
fn own_dir(location: &Location, data_dir: &Path) -> Option<PathBuf> {
    location.dir.clone().filter(|dir| !dir.starts_with(data_dir))
}

/// Great-circle distance; whole kilometres are all that the coordinates carry.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and 20,016
pub(super) fn distance_km(a: &Location, b: &Location) -> Option<u64> {
    const EARTH_RADIUS_KM: f64 = 6371.0;
    let (lat1, lon1) = (a.lat?.to_radians(), a.lon?.to_radians());
    let (lat2, lon2) = (b.lat?.to_radians(), b.lon?.to_radians());
    let half = |from: f64, to: f64| ((to - from) / 2.0).sin().powi(2);
    let chord = half(lat1, lat2) + lat1.cos() * lat2.cos() * half(lon1, lon2);
    Some((2.0 * EARTH_RADIUS_KM * chord.sqrt().min(1.0).asin()).round() as u64)
}

/// Show one location
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso location show ams")]
pub(super) struct Show {
    /// Code of the location
    #[arg(value_name = "CODE", add = completers::locations())]
    code: LocationCode,
}

fn show(ctx: &Context, args: &Show) -> Result<()> {
    ctx.ui.show(&One(ctx.control()?.get_location(&args.code)?))
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct One(Location);

impl View for One {
    fn layout(&self) -> Layout {
        let location = &self.0;
        Layout::Card(
            Card::default()
                .field("Code", Cell::text(location.code.as_str()))
                .field("Description", Cell::text(&location.description))
                .field_if("Latitude", location.lat, Cell::number)
                .field_if("Longitude", location.lon, Cell::number)
                .field_if("Directory", location.dir.as_ref(), |dir| {
                    Cell::text(dir.to_string_lossy())
                })
                .field_if("Machine", location.node.as_ref(), |node| Cell::text(node.state.name()))
                .field_if(
                    "Last contact",
                    location.node.as_ref().and_then(|node| node.last_contact_at),
                    Cell::age,
                )
                .field_if(
                    "Clients at",
                    location.node.as_ref().and_then(|node| node.url.as_ref()),
                    Cell::text,
                )
                .field_if(
                    "Keys checked",
                    location.node.as_ref().and_then(|node| node.keys_confirmed_at),
                    Cell::age,
                )
                .field("Built in", Cell::yes_no(location.builtin))
                .field("In use", Cell::yes_no(location.in_use)),
        )
    }

    fn names(&self) -> Vec<String> {
        vec![self.0.code.to_string()]
    }
}

/// Add a location, or set the directory of a built-in one
///
/// With --node it is another machine's, which joins the server with the command that this prints.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  torso location add nas --name \"The disk in the cellar\" --dir /mnt/nas/torso\n  torso location add lhr --node"
)]
pub(super) struct Add {
    /// Code of the location, such as nas
    #[arg(value_name = "CODE")]
    code: LocationCode,
    /// Print the command with which a machine becomes it
    #[arg(long, conflicts_with_all = ["name", "dir", "lat", "lon"])]
    node: bool,
    /// Name to show in lists
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Directory for its databases, such as on another disk
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// Latitude, in degrees north
    #[arg(long, requires = "lon", allow_negative_numbers = true, value_name = "DEGREES")]
    lat: Option<f64>,
    /// Longitude, in degrees east
    #[arg(long, requires = "lat", allow_negative_numbers = true, value_name = "DEGREES")]
    lon: Option<f64>,
    #[command(flatten)]
    dry: DryRun,
}

fn add(ctx: &Context, args: &Add) -> Result<()> {
    if args.node {
        return machine::add(ctx, &args.code, args.dry.dry_run);
    }
    check_degrees("--lat", args.lat, 90.0)?;
    check_degrees("--lon", args.lon, 180.0)?;
    let plane = ctx.control()?;
    let known = plane
        .list_locations()?
        .into_iter()
        .find(|location| location.code == args.code);
    let description = match (&args.name, known) {
        (Some(name), _) => name.clone(),
        (None, Some(known)) => known.description,
        (None, None) => {
            return Err(Error::new(Code::Usage, format!("location {} needs a name", args.code))
                .hint(format!("torso location add {} --name \"What to call it\"", args.code)));
        }
    };
    // The catalog is read from any directory, so it keeps whole paths only.
    let dir = match &args.dir {
        Some(dir) => {
            Some(std::path::absolute(dir).map_err(|error| Error::io(error, format!("cannot use {}", dir.display())))?)
        }
        None => None,
    };
    let new = NewLocation {
        code: args.code.clone(),
        description,
        dir,
        lat: args.lat,
        lon: args.lon,
    };
    if args.dry.dry_run {
        plane.check_new_location(&new)?;
        return answers::plan(ctx, vec![format!("add location {}", new.code)]);
    }
    let location = plane.add_location(&new)?;
    let sentence = match &location.dir {
        Some(dir) => format!(
            "Added location {}, with its databases in {}.",
            location.code,
            dir.display()
        ),
        None => format!("Added location {}.", location.code),
    };
    let code = location.code.clone();
    ctx.ui
        .show(&Done::new(machine::Added::Location(location), code, sentence))
}

fn check_degrees(flag: &str, value: Option<f64>, limit: f64) -> Result<()> {
    match value {
        // Not the other way round: NaN is within no limits.
        Some(degrees) if !(-limit..=limit).contains(&degrees) => Err(Error::new(
            Code::InvalidValue,
            format!("{flag} {degrees} is not between -{limit} and {limit}"),
        )),
        _ => Ok(()),
    }
}

/// Remove a location that you added
///
/// Fails while databases or groups use it. A built-in location loses only the directory that you set.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso location remove nas")]
pub(super) struct Remove {
    /// Code of the location
    #[arg(value_name = "CODE", add = completers::locations())]
    code: LocationCode,
    /// Have another machine be it no more
    #[arg(long)]
    node: bool,
    /// Succeed if there is no such location
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Removed {
    code: LocationCode,
    removed: bool,
}

fn remove(ctx: &Context, args: &Remove) -> Result<()> {
    if args.node {
        return machine::remove(ctx, args);
    }
    let plane = ctx.control()?;
    if args.dry.dry_run {
        return match plane.check_removable_location(&args.code) {
            Err(error) if args.if_exists && error.code() == Code::LocationNotFound => answers::plan(ctx, Vec::new()),
            Err(error) => Err(error),
            Ok(()) => answers::plan(ctx, vec![format!("remove location {}", args.code)]),
        };
    }
    let (removed, sentence) = match plane.remove_location(&args.code) {
        Ok(_) => (true, format!("Removed location {}.", args.code)),
        Err(error) if args.if_exists && error.code() == Code::LocationNotFound => {
            (false, format!("There is no location {}.", args.code))
        }
        Err(error) => return Err(error),
    };
    let code = args.code.clone();
    ctx.ui.show(&Done::new(
        Removed {
            code: code.clone(),
            removed,
        },
        code,
        sentence,
    ))
}
