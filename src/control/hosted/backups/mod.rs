//! Backups of a whole server: its accounts, keys and catalogs, and all its databases; and of single groups of it. `copy` makes one
//! of the server, `group` one of a group, `databases` what both refer to; `restore` puts a server into an empty directory. `schedule`
//! makes them in the background, by what `settings` says, and `expiry` deletes old ones; `status` is what is known of them.
//!
//! A database is copied where that costs its users least: at a replica that has everything, else at the primary, by a helper
//! process. One that has not changed since its last backup is not copied.

mod copy;
mod databases;
mod expiry;
mod group;
mod restore;
mod schedule;
mod settings;
mod status;

pub use copy::{BackupReport, back_up_server};
pub use databases::FailedCopy;
pub use restore::{RestoredServer, check_restore_target, restore_server};
pub use schedule::BackupPlan;
pub(super) use schedule::SharedBackups;
pub use status::{BackupStatus, ScheduleStatus};
