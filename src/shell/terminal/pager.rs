//! What is taller than the screen goes through the user's pager.

use crate::shell::interrupt;
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

/// Holds back up to a screenful; what is taller goes through the user's pager.
pub struct Pager<'a> {
    out: &'a mut dyn Write,
    held: Vec<u8>,
    lines: usize,
    rows: usize,
    pager: Option<Child>,
    /// What the pager was given, as long as it is not more than [`REPLAYED`].
    buffered: Vec<u8>,
    /// The pager could not be started, or the user left it.
    closed: Closed,
}

/// A pager that ends with an error before it was given more than this never showed anything: all of it is printed instead.
const REPLAYED: usize = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    No,
    /// Everything goes straight out.
    NoPager,
    /// Nothing more is wanted.
    Left,
}

/// `$PAGER`, else `less` so that it ends by itself where all fits, keeps colours and does not wrap. None if the variable is
/// set to nothing.
fn command() -> Option<String> {
    match std::env::var("PAGER") {
        Ok(pager) if pager.trim().is_empty() => None,
        Ok(pager) => Some(pager),
        Err(_) => Some("less".to_owned()),
    }
}

/// Prints a text on standard output; on a terminal that it does not fit on, through the user's pager.
///
/// # Errors
/// Where standard output cannot be written.
pub fn page(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Some((_, rows)) = crate::ui::terminal_size() else {
        out.write_all(text.as_bytes())?;
        return out.flush();
    };
    let mut pager = Pager::new(&mut out, rows);
    match pager.write_all(text.as_bytes()) {
        Err(_) if pager.left() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => pager.finish(),
    }
}

impl<'a> Pager<'a> {
    /// `rows` is the terminal's height.
    pub fn new(out: &'a mut dyn Write, rows: usize) -> Self {
        Self {
            out,
            held: Vec::new(),
            lines: 0,
            rows,
            pager: None,
            buffered: Vec::new(),
            closed: Closed::No,
        }
    }

    /// Whether the user left the pager before the end. From then on nothing can be written: there is no use in going on.
    pub fn left(&self) -> bool {
        self.closed == Closed::Left
    }

    /// Writes what is held back, or waits until the user leaves the pager.
    ///
    /// # Errors
    /// Where the terminal cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        if self.closed != Closed::Left {
            let held = std::mem::take(&mut self.held);
            self.out.write_all(&held)?;
        }
        self.out.flush()?;
        self.wait()
    }

    /// Until the user leaves the pager. What a pager that failed did not show is printed.
    fn wait(&mut self) -> io::Result<()> {
        let Some(mut pager) = self.pager.take() else {
            return Ok(());
        };
        drop(pager.stdin.take());
        let waited = pager.wait();
        interrupt::paging(false);
        let failed = waited?.code().is_some_and(|code| code != 0);
        if failed && self.buffered.len() <= REPLAYED {
            self.closed = Closed::NoPager;
            let buffered = std::mem::take(&mut self.buffered);
            self.out.write_all(&buffered)?;
            self.out.flush()?;
        }
        Ok(())
    }

    fn start(&mut self) -> io::Result<()> {
        let Some(command) = command() else {
            self.closed = Closed::NoPager;
            return Ok(());
        };
        self.out.flush()?;
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).stdin(Stdio::piped());
        if std::env::var_os("LESS").is_none() {
            shell.env("LESS", "FRSX");
        }
        match shell.spawn() {
            Ok(pager) => {
                interrupt::paging(true);
                self.pager = Some(pager);
            }
            Err(_) => self.closed = Closed::NoPager,
        }
        Ok(())
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        let Some(stdin) = self.pager.as_mut().and_then(|pager| pager.stdin.as_mut()) else {
            return self.out.write_all(&held);
        };
        // One byte more tells that it is not all there is.
        let room = (REPLAYED + 1).saturating_sub(self.buffered.len());
        self.buffered.extend_from_slice(&held[..held.len().min(room)]);
        match stdin.write_all(&held) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = Closed::Left;
                self.wait()?;
                if self.closed == Closed::NoPager {
                    return Ok(());
                }
                Err(error)
            }
            other => other,
        }
    }
}

impl Write for Pager<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed == Closed::Left {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.held.extend_from_slice(bytes);
        self.lines += bytes.iter().filter(|byte| **byte == b'\n').count();
        // The prompt takes a line as well.
        if self.lines >= self.rows && self.pager.is_none() && self.closed == Closed::No {
            self.start()?;
        }
        if self.pager.is_some() || self.closed == Closed::NoPager {
            self.hand_on()?;
        }
        Ok(bytes.len())
    }

    /// What is held back stays: whether it needs a pager is not known yet.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pager_is_not_started_for_a_short_result() {
        let mut out = Vec::new();
        let mut pager = Pager::new(&mut out, 24);
        pager.write_all(b"a\nb\n").unwrap();
        pager.flush().unwrap();
        pager.finish().unwrap();
        assert_eq!(out, b"a\nb\n");
    }
}
