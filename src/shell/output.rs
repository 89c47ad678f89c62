//! The destination of results: standard output, a file, or another program.

use super::render::Escape;
use super::render::text::visible;
use crate::change_outcome::note_lasting_change;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::{Child, Command, Stdio};

const BUFFER: usize = 64 * 1024;

/// Why a destination could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectError {
    /// Asked for: results go nowhere else than standard output.
    Off,
    CannotOpen,
}

/// The writer for results.
pub struct Output {
    writer: BufWriter<Box<dyn Write>>,
    /// As the user named it; none for standard output.
    name: Option<String>,
    child: Option<Child>,
    /// The program has ended before everything was written to it. It need not read all it is given: the rest is left out.
    is_cut: bool,
    /// Whether standard output is a terminal, which results must not be able to control.
    guards: bool,
}

/// Standard output without the line buffering of `std`.
fn stdout() -> Box<dyn Write> {
    #[cfg(unix)]
    let cloned = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned();
    #[cfg(windows)]
    let cloned = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned();
    match cloned {
        Ok(descriptor) => Box::new(File::from(descriptor)),
        Err(_) => Box::new(io::stdout()),
    }
}

/// What `sh -c` does with `command`.
pub fn shell_command(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command);
    shell
}

/// How a program failed whose output was read to the end; none if it did not.
pub fn failure_of_program(ended: &io::Result<std::process::ExitStatus>) -> Option<String> {
    match ended {
        Ok(status) if status.success() => None,
        Ok(status) => Some(match status.code() {
            Some(code) => format!("ended with exit code {code}"),
            None => "was ended by a signal".to_owned(),
        }),
        Err(error) => Some(format!("could not be waited for: {error}")),
    }
}

impl Output {
    #[must_use]
    pub fn stdout() -> Self {
        Self {
            writer: BufWriter::with_capacity(BUFFER, stdout()),
            name: None,
            child: None,
            is_cut: false,
            guards: false,
        }
    }

    /// From now on control characters are made visible on standard output, whatever shows them: names and statements may
    /// hold them as well as values. Only what the shell itself puts around NULL is let through.
    pub fn guard(&mut self) {
        self.guards = true;
    }

    /// Writes a sequence of the shell's own that moves the cursor.
    pub fn control(&mut self, sequence: &[u8]) -> io::Result<()> {
        self.writer.write_all(sequence)
    }

    /// What is to be written for `bytes`.
    fn guarded<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let harmless = |byte: &u8| (b' '..0x7f).contains(byte) || matches!(byte, b'\n' | b'\t');
        if !self.guards || !self.is_standard() || bytes.iter().all(harmless) {
            return Cow::Borrowed(bytes);
        }
        let (mut printable, mut scratch) = (Vec::with_capacity(bytes.len()), Vec::new());
        let mut rest = bytes;
        while !rest.is_empty() {
            let next = memchr::memchr_iter(0x1b, rest).find(|&at| dimming(&rest[at..]).is_some());
            let (before, after) = rest.split_at(next.unwrap_or(rest.len()));
            printable.extend_from_slice(visible(before, Escape::Symbol, &mut scratch));
            let own = dimming(after).unwrap_or_default();
            printable.extend_from_slice(own);
            rest = &after[own.len()..];
        }
        Cow::Owned(printable)
    }

    /// As the user named the place; none for standard output.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether results go where the shell's own standard output goes.
    #[must_use]
    pub fn is_standard(&self) -> bool {
        matches!(self.name.as_deref(), None | Some("stdout"))
    }

    /// Writes to standard output, wherever results go.
    pub fn write_standard(&mut self, text: &[u8]) -> io::Result<()> {
        if self.is_standard() {
            self.write_all(text)
        } else {
            stdout().write_all(text)
        }
    }

    /// What became of writing, where the end of a program that results are piped to is no failure.
    fn pass_cut(&mut self, written: io::Result<()>) -> io::Result<()> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.child.is_some() => {
                self.is_cut = true;
                // What is left in the buffer would be written when that is dropped.
                self.writer = BufWriter::with_capacity(BUFFER, Box::new(io::sink()));
                Ok(())
            }
            other => other,
        }
    }

    /// Ends what is open and goes back to standard output. Waits for a program that results were piped to.
    pub fn reset(&mut self) -> io::Result<()> {
        let flushed = self.writer.flush();
        if self.name.is_none() {
            return flushed;
        }
        self.writer = BufWriter::with_capacity(BUFFER, stdout());
        self.name = None;
        self.is_cut = false;
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        match flushed {
            // A program need not read all it is given.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Sends results to a file, `|program`, `stdout`, `stderr` or (`off`) nowhere.
    pub fn redirect(&mut self, place: &str) -> Result<(), RedirectError> {
        if !matches!(place, "stdout" | "stderr" | "off") {
            note_lasting_change();
        }
        let (writer, child): (Box<dyn Write>, _) = match place {
            "stdout" => {
                self.name = Some(place.to_owned());
                return Ok(());
            }
            "stderr" => (Box::new(io::stderr()), None),
            "off" => return Err(RedirectError::Off),
            _ => match place.strip_prefix('|') {
                Some(command) => {
                    let mut child = shell_command(command)
                        .stdin(Stdio::piped())
                        .spawn()
                        .map_err(|_| RedirectError::CannotOpen)?;
                    let stdin = child.stdin.take().ok_or(RedirectError::CannotOpen)?;
                    (Box::new(stdin), Some(child))
                }
                None => (
                    Box::new(File::create(place).map_err(|_| RedirectError::CannotOpen)?),
                    None,
                ),
            },
        };
        self.writer = BufWriter::with_capacity(BUFFER, writer);
        self.child = child;
        self.name = Some(place.to_owned());
        Ok(())
    }
}

/// The sequence that begins or ends a dimmed NULL, if `bytes` begin with one.
fn dimming(bytes: &[u8]) -> Option<&[u8]> {
    [&b"\x1b[2m"[..], b"\x1b[0m"]
        .into_iter()
        .find(|own| bytes.starts_with(own))
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_cut {
            return Ok(());
        }
        let printable = self.guarded(bytes);
        let written = self.writer.write_all(&printable);
        self.pass_cut(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_cut {
            return Ok(());
        }
        let flushed = self.writer.flush();
        self.pass_cut(flushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_output_escapes_all_but_a_dimmed_null() {
        let mut out = Output::stdout();
        let text = b"a\x1b[31mb \x1b[2mNULL\x1b[0m \x1b[2J\xe2\x80\xae\r\n".as_slice();
        assert_eq!(out.guarded(text), text);
        out.guard();
        let printable = "a␛[31mb \x1b[2mNULL\x1b[0m ␛[2J<U+202E>\r\n".as_bytes();
        assert_eq!(out.guarded(text), printable);
        let folder = tempfile::tempdir().unwrap();
        out.redirect(folder.path().join("out").to_str().unwrap()).unwrap();
        assert_eq!(out.guarded(text), text);
    }

    #[test]
    fn output_to_a_program_that_ends_early_goes_on_without_it() {
        let mut out = Output::stdout();
        out.redirect("|true").unwrap();
        for _ in 0..64 {
            out.write_all(&[b'x'; BUFFER]).unwrap();
        }
        out.flush().unwrap();
        out.reset().unwrap();
        assert!(out.is_standard());
    }
}
