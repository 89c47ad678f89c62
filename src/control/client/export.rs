//! A database's content as a SQLite file, from a server that can hand one out.

use super::{Client, about_database};
use crate::control::Progress;
use crate::control::endpoints::Operation;
use crate::control::names::{DatabaseName, LocationCode};
use crate::error::{Code, Error, Result};
use crate::sqlite_header;
use std::io::{Read, Write};
use std::time::Duration;

/// The longest that a whole file may take.
const PATIENCE: Duration = Duration::from_secs(6 * 3_600);

/// A file that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    pub size_bytes: u64,
}

impl Client {
    /// Writes a consistent copy of a database, as it is at a location or at its primary. `unsupported` where the server hands
    /// out no files.
    pub fn export(
        &self,
        name: &DatabaseName,
        location: Option<&LocationCode>,
        to: &mut dyn Write,
        progress: &mut Progress<'_>,
    ) -> Result<Exported> {
        let mut call = self.call(
            Operation::ExportDatabase,
            &[name],
            about_database(name).only_here("hand out databases as files"),
        );
        if let Some(location) = location {
            call = call.query("location", location);
        }
        let mut response = self.http.stream(&call, PATIENCE)?;
        let expected = response.content_length();
        let mut done: u64 = 0;
        let mut piece = vec![0; 256 << 10];
        let broken = || {
            Error::new(
                Code::Unavailable,
                format!("{} closed the connection while it sent database {name}", self.address()),
            )
            .hint("try again in a moment; nothing was left behind")
        };
        loop {
            let read = response.read(&mut piece).map_err(|_| broken())?;
            if read == 0 {
                break;
            }
            if done == 0 && !piece[..read].starts_with(&sqlite_header::MAGIC[..read.min(sqlite_header::MAGIC.len())]) {
                return Err(self.http.unknown_answer(&about_database(name)));
            }
            to.write_all(&piece[..read])
                .map_err(|error| Error::io(error, "cannot write the copy"))?;
            done += read as u64;
            progress(done, expected.unwrap_or(0))?;
        }
        if expected.is_some_and(|expected| expected != done) {
            return Err(broken());
        }
        Ok(Exported { size_bytes: done })
    }
}
