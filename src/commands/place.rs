//! Which location a new database goes to, and why.

use crate::context::Context;
use crate::control::names::{GroupName, LocationCode};
use crate::control::places;
use crate::error::Result;
use crate::settings::Origin;
use crate::settings::keys::Key;
use serde::Serialize;

/// The location when nothing else says one.
const FALLBACK: &str = places::LOCAL;

/// A location and who chose it.
#[derive(Debug)]
pub(super) struct Choice {
    pub location: LocationCode,
    pub source: Source,
    /// For a person: `the nearest to your time zone, Europe/Amsterdam`.
    pub reason: String,
}

impl Choice {
    /// Says who chose, unless the user did on this very line.
    pub fn tell(&self, ctx: &Context) {
        if self.source != Source::Flag {
            ctx.ui.notice(format!("Location {}: {}.", self.location, self.reason));
        }
    }
}

/// Who chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Source {
    Flag,
    Group,
    Project,
    Settings,
    Nearest,
    Fallback,
}

/// `--location`, else the primary of an existing group that was asked for, else the project file, else the settings, else
/// the nearest by the time zone, else `local`.
pub(super) fn choose(ctx: &Context, flag: Option<&LocationCode>, group: Option<&GroupName>) -> Result<Choice> {
    if let Some(location) = flag {
        return Ok(Choice {
            location: location.clone(),
            source: Source::Flag,
            reason: "asked for with --location".into(),
        });
    }
    if let Some(name) = group
        && let Some(group) = ctx
            .control()?
            .list_groups()?
            .into_iter()
            .find(|group| group.name == *name)
    {
        return Ok(Choice {
            location: group.primary,
            source: Source::Group,
            reason: format!("the primary location of group {name}"),
        });
    }
    if let Some((value, origin)) = ctx.settings.get(Key::DefaultLocation)? {
        let source = if matches!(origin, Origin::Project(_)) {
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
    Ok(match near() {
        Some((location, zone)) => Choice {
            location,
            source: Source::Nearest,
            reason: format!("the nearest to your time zone, {zone}"),
        },
        None => Choice {
            location: FALLBACK.parse()?,
            source: Source::Fallback,
            reason: "nothing says where this machine is".into(),
        },
    })
}

/// The location nearest to the system's time zone, and the zone. Asks no network.
pub(super) fn near() -> Option<(LocationCode, String)> {
    let zone = jiff::tz::TimeZone::try_system().ok()?;
    let zone = zone.iana_name()?;
    Some((places::nearest(zone)?.code.parse().ok()?, zone.to_owned()))
}
