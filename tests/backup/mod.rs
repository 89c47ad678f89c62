//! Backups: made, listed and restored, through the program itself.

mod files;
mod kills;
#[cfg(target_os = "linux")]
mod large;
mod objects;
mod page;
mod rehearsal;
pub mod server;

/// A key for backups, as a file has it.
const KEY: &str = "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo=\n";
