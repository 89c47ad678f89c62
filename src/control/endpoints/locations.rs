//! Locations: where databases can be.

use crate::control::location_status::LocationStatus;
use crate::control::names::{GroupName, LocationCode};
use crate::control::types::{Location, NewLocation};
use crate::error::Result;

/// The locations of a control plane.
pub trait LocationOperations {
    /// Every known location, ordered by code.
    fn list_locations(&self) -> Result<Vec<Location>>;
    fn get_location(&self, code: &LocationCode) -> Result<Location>;
    /// Fails with `location_not_found` where there is no such location. Costs less than getting it.
    fn check_location(&self, code: &LocationCode) -> Result<()> {
        self.get_location(code).map(drop)
    }
    /// How the instances of databases are, of all groups or one, at each location that has any, ordered by code.
    fn location_status(&self, group: Option<&GroupName>) -> Result<Vec<LocationStatus>>;
    /// Fails as [`Self::add_location`] does where there cannot be such a location; changes nothing. Nobody asks a server over HTTP.
    fn check_new_location(&self, _new: &NewLocation) -> Result<()> {
        Ok(())
    }
    /// Fails as [`Self::remove_location`] does where it cannot be removed; changes nothing.
    fn check_removable_location(&self, _code: &LocationCode) -> Result<()> {
        Ok(())
    }
    /// Adds a location of the user's own, or gives a built-in one a directory.
    fn add_location(&self, new: &NewLocation) -> Result<Location>;
    /// Refused while there are instances. Of a built-in location, only what the user added is removed.
    fn remove_location(&self, code: &LocationCode) -> Result<Location>;
}

/// The endpoints of locations, as rows of the table in [`endpoints`](crate::control::endpoints).
macro_rules! location_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            ListLocations, Call(locations::list): global Get "/v1/locations";
            GetLocation, Call(locations::get): global Get "/v1/locations/{location}";
            LocationStatus, Call(locations::status): scoped Get "/location-status";
            /// In the form of version 2.
            ListLocationsByPlatform, Call(locations::list_by_platform):
                global Get "/v2/locations",
                global Get "/v2/organizations/{organizationSlug}/locations";
        }
    };
}
pub(crate) use location_endpoints;
