//! Hrana, the protocol of libSQL servers: its messages in JSON and in protobuf. They are written once, for the session of a
//! client (`sql::hrana`) and for the gateway (`server::gateway`).
//!
//! - `messages`: requests of a client and their results, as JSON; `entry`, `frames`: the answer of a cursor.
//! - `client_message`: a client's message over a socket, as far as a gateway has to know it; `server_message`: what a gateway
//!   says itself.
//! - `proxied_error`: what a primary said to its replica's process, as it says it to its own clients; `sqlite_messages`: the
//!   result codes of SQLite's messages.
//! - `json`, `protobuf`: the encodings.
//!
//! Nothing here opens a connection, knows a token, or decides what somebody may do.

pub mod client_message;
pub mod entry;
pub mod frames;
pub mod json;
pub mod messages;
pub mod protobuf;
pub mod proxied_error;
pub mod server_message;
pub mod sqlite_messages;
