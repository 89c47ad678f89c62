//! `torso server`, the real one: what it answers, held against the API's document and the official SDK; who it lets in; how
//! it starts and ends.

mod access;
mod certificates;
mod document;
mod files;
mod process;
mod schema;
mod sdk;
mod turso_cli;
