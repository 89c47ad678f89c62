//! The Platform API's paths, written once: what a client asks for and what a server answers to.
//!
//! Names are parsed types whose characters need no escaping in a URL, so a path cannot be steered by a name.

use super::names::DatabaseName;

/// Below `/v1` or `/v1/organizations/{slug}`.
#[must_use]
pub fn databases() -> String {
    "/databases".into()
}

#[must_use]
pub fn database(name: &DatabaseName) -> String {
    format!("/databases/{name}")
}
