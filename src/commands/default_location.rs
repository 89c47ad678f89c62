//! Which location a new database goes to, and why.

use crate::context::Context;
use crate::control::names::{GroupName, LocationCode};
use crate::control::types::Database;
use crate::control::{builtin_locations, if_allowed};
use crate::error::Result;
use crate::settings::SettingOrigin;
use crate::settings::keys::SettingKey;
use serde::Serialize;

/// The location when nothing else says one.
const FALLBACK: &str = builtin_locations::LOCAL;

/// A location and who chose it.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub location: LocationCode,
    pub source: Source,
    /// For a person: `the nearest to your time zone, Europe/Amsterdam`.
    pub reason: String,
}

impl Choice {
    /// Whether the user named it, so that there may be no such location.
    pub fn is_of_user(&self) -> bool {
        matches!(self.source, Source::Flag | Source::Project | Source::Settings)
    }

    /// Says who chose, unless the user did on this very line.
    pub fn print(&self, ctx: &Context) {
        if self.source != Source::Flag {
            ctx.ui.notice(format!("location {}: {}", self.location, self.reason));
        }
    }
}

/// Who chose.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Source {
    Flag,
    Branch,
    Group,
    Project,
    Settings,
    Nearest,
    Fallback,
}

/// What is known before anything is looked up.
#[derive(Default)]
pub(super) struct Wish<'a> {
    /// `--location`.
    pub location: Option<&'a LocationCode>,
    /// The database that the new one branches from.
    pub branched_from: Option<&'a Database>,
    pub group: Option<&'a GroupName>,
    /// Whether `--group` named the group.
    pub group_by_flag: bool,
}

/// `--location`, else the place of the database it branches from, else the primary location of `--group`, else the project
/// file, else the settings, else the primary location of the group that those name, else the nearest by the time zone,
/// else `local`.
pub(super) fn choose(ctx: &Context, wish: &Wish<'_>) -> Result<Choice> {
    if let Some(location) = wish.location {
        return Ok(Choice {
            location: location.clone(),
            source: Source::Flag,
            reason: "asked for with --location".into(),
        });
    }
    if let Some(database) = wish.branched_from.filter(|_| !wish.group_by_flag) {
        return Ok(Choice {
            location: database.primary.clone(),
            source: Source::Branch,
            reason: format!("where database {} is", database.name),
        });
    }
    let of_group = match wish.group {
        None => None,
        Some(name) => {
            let groups = ctx.control()?.list_groups();
            // Settings may still say where, unless the group decides.
            let groups = if wish.group_by_flag {
                groups?
            } else {
                if_allowed(groups)?.unwrap_or_default()
            };
            groups.into_iter().find(|group| group.name == *name)
        }
    };
    let of_group = of_group.map(|group| Choice {
        reason: format!("the primary location of group {}", group.name),
        location: group.primary,
        source: Source::Group,
    });
    if let Some(choice) = of_group.as_ref().filter(|_| wish.group_by_flag) {
        return Ok(choice.clone());
    }
    if let Some((value, origin)) = ctx.settings.get(SettingKey::DefaultLocation)? {
        let source = if matches!(origin, SettingOrigin::Project(_)) {
            Source::Project
        } else {
            Source::Settings
        };
        return Ok(Choice {
            location: value.parse()?,
            source,
            reason: format!("from the {origin}"),
        });
    }
    if let Some(choice) = of_group {
        return Ok(choice);
    }
    if ctx.server_if_any()?.is_some() {
        return on_a_server(ctx);
    }
    Ok(match near() {
        Some((location, zone)) => Choice {
            location,
            source: Source::Nearest,
            reason: format!("the nearest to your time zone, {zone}"),
        },
        None => Choice {
            location: FALLBACK.parse()?,
            source: Source::Fallback,
            reason: "the time zone is UTC or unknown; set --location or default_location".into(),
        },
    })
}

/// On a server, where nothing is said: the primary location of the group that a new database goes to; before there is one,
/// the nearest of those that the server has.
fn on_a_server(ctx: &Context) -> Result<Choice> {
    let plane = ctx.control()?;
    let groups = plane.list_groups()?;
    let usual = groups
        .iter()
        .find(|group| group.name.as_str() == "default")
        .or(groups.first());
    if let Some(group) = usual {
        return Ok(Choice {
            location: group.primary.clone(),
            source: Source::Group,
            reason: format!("the primary location of group {}", group.name),
        });
    }
    let there = plane.list_locations()?;
    let near = near().and_then(|(code, zone)| {
        let here = builtin_locations::find(code.as_str())?;
        let nearest = there
            .iter()
            .filter_map(|location| {
                let away = builtin_locations::distance_km(here.lat, here.lon, location.lat?, location.lon?);
                Some((away, location))
            })
            .min_by(|a, b| a.0.total_cmp(&b.0))?;
        Some((nearest.1.code.clone(), zone))
    });
    match (near, there.first()) {
        (Some((location, zone)), _) => Ok(Choice {
            location,
            source: Source::Nearest,
            reason: format!("the server's nearest to your time zone, {zone}"),
        }),
        (None, Some(first)) => Ok(Choice {
            location: first.code.clone(),
            source: Source::Fallback,
            reason: "the server's first".into(),
        }),
        (None, None) => Ok(Choice {
            location: FALLBACK.parse()?,
            source: Source::Fallback,
            reason: "the server names no locations".into(),
        }),
    }
}

/// The location nearest to the system's time zone, and the zone. Asks no network.
pub(super) fn near() -> Option<(LocationCode, String)> {
    let zone = jiff::tz::TimeZone::try_system().ok()?;
    let zone = zone.iana_name()?;
    Some((builtin_locations::nearest(zone)?.code.parse().ok()?, zone.to_owned()))
}
