//! A database as a SQLite file, as `turso db export` of the official CLI asks for it: `/info`, then `/export/1`, then
//! `/sync/1/1/129`, below the database's own host name, or at the server's root whatever the database's address is.
//!
//! Clients of newer protocols of synchronisation ask at the same paths, and would take an answer for a server that speaks
//! those. So only the CLI, which names itself in a header, is answered; the others are told which client works.

use super::Core;
use super::auth::{authorize_label, read_authorization};
use super::error::{ErrorEncoding, GatewayError};
use crate::control::gateway_plane::Route;
use crate::server::file_body;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;
use std::sync::Arc;

/// The header by which the official CLI names its version.
const CLI_VERSION: &str = "tursocliversion";

/// The generation of every database. A copy is made for each request, so that there is only one.
const GENERATION: &str = "1";

/// Copies that are made and sent at the same time; more wait.
pub(super) const COPIES: usize = 8;

/// A request of an export or of a newer protocol of synchronisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum ExportStep<'p> {
    /// Which generation there is.
    Info,
    /// The file of a generation.
    File(&'p str),
    /// What was written since; there is nothing, because the file is complete.
    Frames,
    /// What the CLI never asks.
    Synchronisation,
}

impl<'p> ExportStep<'p> {
    /// The step that a path asks for; none for all other paths.
    pub fn parse(path: &'p str) -> Option<Self> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let step = match (parts.next()?, parts.next()) {
            ("info", None) => Self::Info,
            ("export", Some(generation)) => Self::File(generation),
            ("sync", Some(_)) => return Some(Self::Frames),
            ("pull-updates" | "push-updates", None) => Self::Synchronisation,
            _ => return None,
        };
        parts.next().is_none().then_some(step)
    }
}

/// Whether the official CLI asks.
pub(in crate::server) fn is_official_cli(headers: &HeaderMap) -> bool {
    headers.contains_key(CLI_VERSION)
}

/// Answers a step at a database's address, or, without a label, at the server's root: there the token says which database.
pub(super) async fn answer(
    core: &Arc<Core>,
    label: Option<&str>,
    step: ExportStep<'_>,
    method: &Method,
    headers: &HeaderMap,
) -> Response<Body> {
    let answered = if is_official_cli(headers) {
        export(core, label, step, method, headers).await
    } else {
        Err(no_synchronisation())
    };
    answered.unwrap_or_else(|error| error.into_response(ErrorEncoding::Json))
}

async fn export(
    core: &Arc<Core>,
    label: Option<&str>,
    step: ExportStep<'_>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response<Body>, GatewayError> {
    if *method != Method::GET {
        return Err(GatewayError {
            allow: Some("GET, OPTIONS"),
            ..GatewayError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "METHOD_NOT_ALLOWED",
                "an export takes the method GET only",
            )
        });
    }
    let (route, token) = authorize(core, label, headers)?;
    match step {
        ExportStep::Info => {
            let mut response = Response::new(Body::from(json!({ "current_generation": 1 }).to_string()));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Ok(response)
        }
        ExportStep::File(GENERATION) => copy(core, route, token).await,
        ExportStep::File(other) => Err(GatewayError::new(
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            format!("the database has no generation {other:?}; GET /info shows which it has"),
        )),
        ExportStep::Frames => Err(GatewayError::bad(
            "the exported file is complete: there are no frames after it",
        )),
        ExportStep::Synchronisation => Err(no_synchronisation()),
    }
}

/// The database that the request is for, and the token, which opens it for reading.
fn authorize(core: &Core, label: Option<&str>, headers: &HeaderMap) -> Result<(Arc<Route>, String), GatewayError> {
    let token = read_authorization(core, headers)?.ok_or_else(GatewayError::no_token)?;
    let route = match label {
        Some(label) => authorize_label(core, label, token)?.0,
        None => {
            let route = core.plane.route_of_token(token).ok_or_else(|| {
                GatewayError::unauthorized(
                    "the token is not for a database (torso db tokens create DATABASE makes one that is)",
                )
            })?;
            core.plane.authorize(token, &route)?;
            route
        }
    };
    if route.block_reads {
        return Err(GatewayError::new(
            StatusCode::FORBIDDEN,
            "BLOCKED",
            "reading is blocked (torso db config set NAME block-reads false allows it)",
        ));
    }
    Ok((route, token.to_owned()))
}

async fn copy(core: &Arc<Core>, route: Arc<Route>, token: String) -> Result<Response<Body>, GatewayError> {
    let busy = || GatewayError::unavailable("the server is shutting down");
    let place = core.shares.request(&route.id).await?;
    let permit = Arc::clone(&core.copies).acquire_owned().await.map_err(|_| busy())?;
    let (plane, of) = (Arc::clone(&core.plane), Arc::clone(&route));
    let export = tokio::task::spawn_blocking(move || plane.export_route(&of))
        .await
        .map_err(|_| busy())??;
    core.plane.count(&route, 0);
    let (size, name) = (export.size, export.name.clone());
    let plane = Arc::clone(&core.plane);
    let is_allowed = move || plane.authorize(&token, &route).is_ok();
    let mut response = Response::new(file_body::stream(export, (permit, place), is_allowed));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/vnd.sqlite3"),
    );
    headers.insert(header::CONTENT_LENGTH, size.into());
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// The answer to clients whose protocol libSQL server does not have. The status says so to those that also know the older
/// one, which is served.
fn no_synchronisation() -> GatewayError {
    GatewayError::new(StatusCode::NOT_FOUND, "NOT_FOUND", NO_SYNCHRONISATION)
}

/// What clients of newer protocols are told.
pub(in crate::server) const NO_SYNCHRONISATION: &str = "this server synchronises by the protocol of embedded replicas only: open the database with syncUrl of @libsql/client, \
     with sync_url of Python's libsql 0.1.8, or remotely (docs/clients.md of torso lists what works)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn export_paths_are_parsed_and_others_are_not() {
        for (path, step) in [
            ("/info", ExportStep::Info),
            ("//info/", ExportStep::Info),
            ("/export/1", ExportStep::File("1")),
            ("/sync/1/1/129", ExportStep::Frames),
            ("/sync/anything", ExportStep::Frames),
            ("/pull-updates", ExportStep::Synchronisation),
        ] {
            assert_eq!(ExportStep::parse(path), Some(step), "{path}");
        }
        for path in [
            "/",
            "",
            "/info/x",
            "/export",
            "/export/1/2",
            "/sync",
            "/v2/pipeline",
            "/pull-updates/x",
        ] {
            assert_eq!(ExportStep::parse(path), None, "{path}");
        }
    }
}
