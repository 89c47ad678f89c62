//! Locations: where databases can be.

use super::api_error::CallSubject;
use super::{Client, about, wire};
use crate::control::LocationOperations;
use crate::control::endpoints::Operation;
use crate::control::location_status::LocationStatus;
use crate::control::names::{GroupName, LocationCode};
use crate::control::types::{Location, NewLocation};
use crate::error::{Code, Error, Result};
use std::collections::BTreeMap;

impl LocationOperations for Client {
    fn list_locations(&self) -> Result<Vec<Location>> {
        let mut reply = self
            .http
            .ask(&self.call(Operation::ListLocations, &[], about("the locations")))?;
        let used = self.locations_in_use()?;
        if let Some(details) = reply.get_mut("details") {
            let mut known: Vec<Location> = wire::read(details.take(), "a location")?;
            // A server answers for the personal organization.
            for location in &mut known {
                location.in_use = used.contains(&location.code);
            }
            return Ok(known);
        }
        let descriptions: BTreeMap<LocationCode, String> =
            wire::read(wire::within(reply, "locations"), "the locations")?;
        Ok(descriptions
            .into_iter()
            .map(|(code, description)| {
                let in_use = used.contains(&code);
                wire::plain_location(code, description, in_use)
            })
            .collect())
    }

    fn get_location(&self, code: &LocationCode) -> Result<Location> {
        // The list decides, because Turso Cloud also answers for codes that it does not offer; a torso server's own error
        // suggests the nearest code.
        let all = self.list_locations()?;
        match all.into_iter().find(|location| location.code == *code) {
            Some(location) => Ok(location),
            None => Err(self
                .http
                .ask(&self.call(Operation::GetLocation, &[code], about_location(code)))
                .err()
                .filter(|error| error.code() == Code::LocationNotFound)
                .unwrap_or_else(|| {
                    Error::new(Code::LocationNotFound, format!("there is no location {code}"))
                        .hint("torso location list shows the locations")
                })),
        }
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

    fn add_location(&self, _: &NewLocation) -> Result<Location> {
        Err(fixed_locations())
    }

    fn remove_location(&self, _: &LocationCode) -> Result<Location> {
        Err(fixed_locations())
    }
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
