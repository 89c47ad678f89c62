//! torso: logical SQLite databases in named locations, an SQL shell on them, and their replicas.
//!
//! The crate's map, from the outside in:
//!
//! - `commands`: what a user can type, a file per noun.
//! - `context`, `settings`, `ui`: what every command receives; contexts and directories; streams, tables and prompts.
//! - `ephemeral`: databases that live as long as one command.
//! - `declared`: a file that says which databases there are to be, and the plan that makes it so.
//! - `migrations`: SQL files that are applied in order, each once; `fleet`: the same work on many databases.
//! - `backup`: backups of databases, in directories and object storage.
//! - `control`: the control plane (what is wanted, and the rules): `embedded` on this machine, `hosted` for many
//!   organizations, `client` over HTTP.
//! - `engine`: where databases run: files, or libSQL server processes.
//! - `server`: a hosted control plane behind HTTP, and the gateway to its databases.
//! - `link`: requests and byte streams between machines.
//! - `hrana`: the protocol of libSQL servers: its messages, in both encodings.
//! - `sqltext`: SQL as text: tokens, statements, quoting, and what a hosted database may do.
//! - `sql`: a SQL connection to a file or a server; `shell`: the shell over it.
//! - `served_file`: a file that a server process has for a while, and its way back.
//! - `jwt`: signed tokens; `sqlite_header`: what a SQLite file's header says; `damage_check`: signs of damage in an open database;
//!   `checksum`, `error`, `net`, `panics`, `private_files`, `secret`, `sync`, `termination`: used by all.
//! - `change_outcome`, `temporary_files`: what a command that ends in the middle has changed, and what it removes.
//!
//! Without the feature `server`, the crate has the embedded control plane, the client and the shell. `server`, `control::hosted`,
//! `engine::sqld`, `link` and what only they need are left out.
//!
//! Who may import whom is held by a test (`tests/layering.rs`); `docs/design.md` says why.

#[cfg(all(feature = "server", not(unix)))]
compile_error!("a server needs Unix: build with --no-default-features");

pub mod backup;
pub mod change_outcome;
pub mod checksum;
pub mod commands;
pub mod context;
pub mod control;
mod damage_check;
pub mod declared;
pub mod engine;
#[cfg(unix)]
pub mod ephemeral;
pub mod error;
pub mod fleet;
#[cfg(test)]
pub(crate) mod fuzz;
pub mod hrana;
#[cfg(feature = "server")]
pub mod jwt;
#[cfg(feature = "server")]
pub mod link;
mod migrations;
pub mod net;
pub mod panics;
pub mod private_files;
pub mod secret;
#[cfg(unix)]
pub mod served_file;
#[cfg(feature = "server")]
pub mod server;
pub mod settings;
pub mod shell;
pub mod sql;
pub mod sqlite_header;
pub mod sqltext;
pub mod sync;
pub mod temporary_files;
#[cfg(unix)]
mod termination;
pub mod ui;

use std::ffi::OsString;

/// Runs the program. `args` is the command line with the program's name first; returns the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    sql::log::install();
    let args: Vec<OsString> = args.into_iter().collect();
    #[cfg(feature = "server")]
    if let Some(code) = engine::child::run(&args) {
        return code;
    }
    commands::run(args)
}
