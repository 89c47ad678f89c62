//! Locations: where databases can be.

use super::api_error::CallSubject;
use super::{Client, about, wire};
use crate::control::LocationOperations;
use crate::control::endpoints::Operation;
use crate::control::location_status::LocationStatus;
use crate::control::names::{GroupName, LocationCode};
use crate::control::types::{Location, NewLocation};
use crate::error::{Code, Error, Result};
use serde_json::Value;
use std::collections::BTreeMap;

impl LocationOperations for Client {
    fn list_locations(&self) -> Result<Vec<Location>> {
        let mut known = read_locations(self.ask_for_locations()?)?;
        let used = self.locations_in_use()?;
        // A server answers for the personal organization.
        for location in &mut known {
            location.in_use = used.contains(&location.code);
        }
        Ok(known)
    }

    fn get_location(&self, code: &LocationCode) -> Result<Location> {
        // The list decides, because Turso Cloud also answers for codes that it does not offer; a torso server's own error
        // suggests the nearest code.
        let all = self.list_locations()?;
        let found = all.into_iter().find(|location| location.code == *code);
        found.ok_or_else(|| self.location_not_found(code))
    }

    fn check_location(&self, code: &LocationCode) -> Result<()> {
        let reply = self.ask_for_locations()?;
        // Only a list that can be read says that a location is not in it; else the change itself finds out.
        let Ok(known) = read_locations(reply) else {
            return Ok(());
        };
        let is_known = known.iter().any(|location| location.code == *code);
        is_known.then_some(()).ok_or_else(|| self.location_not_found(code))
    }

    fn location_status(&self, group: Option<&GroupName>) -> Result<Vec<LocationStatus>> {
        let subject = about("the state of locations").only_here("add up the state of instances");
        let mut call = self.call(Operation::LocationStatus, &[], subject);
        if let Some(group) = group {
            call = call.query("group", group);
        }
        wire::read(
            wire::within(self.http.ask(&call)?, "locations"),
            "the state of a location",
        )
    }

    fn check_new_location(&self, _: &NewLocation) -> Result<()> {
        Err(fixed_locations())
    }

    fn check_removable_location(&self, _: &LocationCode) -> Result<()> {
        Err(fixed_locations())
    }

    fn add_location(&self, _: &NewLocation) -> Result<Location> {
        Err(fixed_locations())
    }

    fn remove_location(&self, _: &LocationCode) -> Result<Location> {
        Err(fixed_locations())
    }
}

impl Client {
    fn ask_for_locations(&self) -> Result<Value> {
        self.http
            .ask(&self.call(Operation::ListLocations, &[], about("the locations")))
    }

    /// The error about a location that is not there: a server of torso suggests the nearest code.
    fn location_not_found(&self, code: &LocationCode) -> Error {
        self.http
            .ask(&self.call(Operation::GetLocation, &[code], about_location(code)))
            .err()
            .filter(|error| error.code() == Code::LocationNotFound)
            .unwrap_or_else(|| {
                Error::new(Code::LocationNotFound, format!("there is no location {code}"))
                    .hint("torso location list shows the locations")
            })
    }
}

/// The locations in a server's answer, without what uses them.
fn read_locations(mut reply: Value) -> Result<Vec<Location>> {
    if let Some(details) = reply.get_mut("details") {
        return wire::read(details.take(), "a location");
    }
    let descriptions: BTreeMap<LocationCode, String> = wire::read(wire::within(reply, "locations"), "the locations")?;
    let location = |(code, description)| wire::plain_location(code, description, false);
    Ok(descriptions.into_iter().map(location).collect())
}

fn about_location(code: &LocationCode) -> CallSubject<'static> {
    CallSubject::new(format!("location {code}"), Code::LocationNotFound, Code::LocationExists)
        .hint("torso location list shows the locations")
}

fn fixed_locations() -> Error {
    Error::new(
        Code::Unsupported,
        "the locations of a server are chosen where it is started",
    )
    .hint("torso location list shows them; torso server --locations names them")
}
