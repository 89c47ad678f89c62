//! `torso server`, the real one: what it answers, held against the API's document and the official SDK; who it lets in; how
//! it starts and ends.

mod access;
mod audit;
mod certificates;
mod document;
mod error_text;
mod fairness;
mod files;
mod former_addresses;
mod idempotency;
mod in_use;
mod leaving;
mod matrix;
mod network;
mod operations;
mod process;
mod schema;
mod sdk;
mod secrets;
mod storage;
mod turso_cli;
mod verbs;
