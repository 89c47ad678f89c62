//! Locations, in the three forms of the API.

use super::call::OperationCall;
use super::reply::{ApiReply, to_json};
use crate::control::builtin_locations;
use crate::control::names::{GroupName, LocationCode};
use crate::control::types::Location;
use crate::error::Result;
use serde_json::{Map, Value, json};

/// The platform of all locations, which clients show.
const PLATFORM: &str = "local";

/// How many other locations are listed as the closest ones.
const CLOSEST: usize = 5;

fn described(locations: &[Location]) -> Map<String, Value> {
    locations
        .iter()
        .map(|location| (location.code.to_string(), json!(location.description)))
        .collect()
}

/// `details` is not in the Platform API.
pub(super) fn list(call: &OperationCall<'_>) -> Result<ApiReply> {
    let locations = call.plane()?.list_locations()?;
    Ok(ApiReply::Json(json!({
        "locations": described(&locations),
        "details": to_json(&locations)?,
    })))
}

pub(super) fn list_by_platform(call: &OperationCall<'_>) -> Result<ApiReply> {
    let locations = call.plane()?.list_locations()?;
    Ok(ApiReply::Json(
        json!({ "locations": { PLATFORM: described(&locations) } }),
    ))
}

pub(super) fn status(call: &OperationCall<'_>) -> Result<ApiReply> {
    let group: Option<GroupName> = call.query_as("group")?;
    ApiReply::of("locations", &call.plane()?.location_status(group.as_ref())?)
}

pub(super) fn get(call: &OperationCall<'_>) -> Result<ApiReply> {
    let code: LocationCode = call.name("location")?;
    let plane = call.plane()?;
    let location = plane.get_location(&code)?;
    let mut others: Vec<(f64, Location)> = plane
        .list_locations()?
        .into_iter()
        .filter(|other| other.code != code)
        .filter_map(|other| Some((distance(&location, &other)?, other)))
        .collect();
    others.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let closest: Vec<Value> = others
        .iter()
        .take(CLOSEST)
        .map(|(_, other)| json!({ "code": other.code, "description": other.description }))
        .collect();
    let mut value = to_json(&location)?;
    value["closest"] = json!(closest);
    Ok(ApiReply::Json(json!({ "location": value })))
}

/// In kilometres; none if a location has no coordinates.
fn distance(from: &Location, to: &Location) -> Option<f64> {
    Some(builtin_locations::distance_km(from.lat?, from.lon?, to.lat?, to.lon?))
}
