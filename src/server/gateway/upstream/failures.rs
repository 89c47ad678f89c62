//! What is said where a process did not answer, or not any more.

use crate::control::gateway_plane::Route;
use crate::error::{Code, Error};
use crate::server::gateway::error::GatewayError;
use axum::http::StatusCode;
use std::time::Duration;

/// The error of what is only done where the primary is.
pub fn primary_elsewhere(route: &Route) -> Error {
    let (database, location, primary) = (&route.database, &route.location, &route.primary_location);
    Error::new(
        Code::Unsupported,
        format!("{location} has a replica of {database}, and this is only done at the primary in {primary}"),
    )
    .hint(format!("use the database's own address: torso db show {database}"))
}

/// The error for a write that would have had to wait for longer while its database's primary is moved.
pub fn being_moved() -> GatewayError {
    GatewayError::unavailable("the database's primary is being moved; nothing was written: try again")
}

/// The error for what builds on a stream that another primary had.
pub fn left_behind() -> GatewayError {
    GatewayError::new(
        StatusCode::BAD_REQUEST,
        "STREAM_EXPIRED",
        "the stream and its transaction have ended, because the database's primary was moved or its process started again; what \
         was not committed is not done: begin the transaction again",
    )
}

/// The error for a statement that nobody waits for any longer; with its connection, it ends.
pub fn took_too_long(limit: Duration) -> GatewayError {
    GatewayError::new(
        StatusCode::GATEWAY_TIMEOUT,
        "TIMEOUT",
        format!(
            "the statement took longer than {} seconds and was ended; the server's --statement-timeout says how long one may take",
            limit.as_secs_f64()
        ),
    )
}

/// A write through a replica was perhaps passed on before the primary went away.
pub fn no_primary() -> GatewayError {
    GatewayError::unavailable(
        "the database's primary does not answer; whether what was written took effect is not known",
    )
}

/// It is started again by whoever supervises it.
pub fn hangs(is_query: bool) -> GatewayError {
    GatewayError::unavailable(match is_query {
        true => "the database's process does not answer",
        false => "the database's process does not answer; whether what was written took effect is not known",
    })
}

pub fn lost() -> GatewayError {
    GatewayError::new(
        StatusCode::BAD_GATEWAY,
        "DATABASE_LOST",
        "the database's process ended before it answered; whether the statements took effect is not known",
    )
}

pub fn lost_twice() -> GatewayError {
    GatewayError::new(
        StatusCode::BAD_GATEWAY,
        "DATABASE_LOST",
        "the database's process ended before it answered, and so did the next one; the request changed nothing",
    )
}

pub fn no_database(label: &str) -> GatewayError {
    GatewayError::new(
        StatusCode::NOT_FOUND,
        "DATABASE_NOT_FOUND",
        format!("there is no database at {label:?}"),
    )
}
