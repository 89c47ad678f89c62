//! Where results go: standard output, a file, or another program.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

const BUFFER: usize = 64 * 1024;

/// Why a destination could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Asked for: results go nowhere else than standard output.
    Off,
    CannotOpen,
}

/// The shell's writer.
pub struct Output {
    writer: BufWriter<Box<dyn Write>>,
    /// As the user named it; none for standard output.
    name: Option<String>,
    child: Option<Child>,
}

/// Standard output without the line buffering of `std`.
fn stdout() -> Box<dyn Write> {
    match io::stdout().as_fd().try_clone_to_owned() {
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

impl Output {
    #[must_use]
    pub fn stdout() -> Self {
        Self {
            writer: BufWriter::with_capacity(BUFFER, stdout()),
            name: None,
            child: None,
        }
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

    /// Ends what is open and goes back to standard output. Waits for a program that results were piped to.
    pub fn reset(&mut self) -> io::Result<()> {
        let flushed = self.writer.flush();
        if self.name.is_none() {
            return flushed;
        }
        self.writer = BufWriter::with_capacity(BUFFER, stdout());
        self.name = None;
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
    pub fn redirect(&mut self, place: &str) -> Result<(), Refused> {
        let (writer, child): (Box<dyn Write>, _) = match place {
            "stdout" => {
                self.name = Some(place.to_owned());
                return Ok(());
            }
            "stderr" => (Box::new(io::stderr()), None),
            "off" => return Err(Refused::Off),
            _ => match place.strip_prefix('|') {
                Some(command) => {
                    let mut child = shell_command(command)
                        .stdin(Stdio::piped())
                        .spawn()
                        .map_err(|_| Refused::CannotOpen)?;
                    let stdin = child.stdin.take().ok_or(Refused::CannotOpen)?;
                    (Box::new(stdin), Some(child))
                }
                None => (Box::new(File::create(place).map_err(|_| Refused::CannotOpen)?), None),
            },
        };
        self.writer = BufWriter::with_capacity(BUFFER, writer);
        self.child = child;
        self.name = Some(place.to_owned());
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
