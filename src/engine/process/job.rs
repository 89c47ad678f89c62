//! What the owner of a supervised program defines: how it is started, and what is to be done around its start and end.

use super::ProgramEnd;
use crate::error::Result;
use std::ffi::OsString;
use std::path::PathBuf;

/// How to start a program.
#[derive(Debug, Clone)]
pub struct Launch {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub environment: Vec<(OsString, OsString)>,
}

/// A supervised program, as its owner defines it.
pub trait Job: Send + Sync + 'static {
    /// Called before each start; the program is not running. An error counts as a start that failed.
    fn prepare(&self) -> Result<Launch>;
    /// Whether the running program can be used. Called repeatedly until it can.
    fn is_ready(&self, pid: u32) -> bool;
    /// Called each time the program has become ready, before waiters are woken.
    fn became_ready(&self);
    /// Called each time the program has ended. Returns what it was doing, as the end of a sentence about its end, if that is known.
    fn ended(&self, end: &ProgramEnd) -> Option<String>;
    /// Why a start that has just failed would succeed if it were repeated at once; none if that is not known. It does not count as a
    /// failure then.
    fn may_start_at_once(&self) -> Option<String>;
}
