//! Reading from a terminal that cannot move its cursor, as in the shell window of an editor: lines as the terminal gives them,
//! without editing, completion or colours. What ends a statement and what Ctrl-C does is as everywhere.

use super::{Prompt, is_complete, lex};
use crate::shell::interrupt;
use rustyline::error::ReadlineError;
use std::io::{self, Write as _};

/// Kinds of terminals that are read so; the line editor cannot draw on them.
const TERMINALS: [&str; 3] = ["dumb", "cons25", "emacs"];

/// Reads from such a terminal.
pub(super) struct PlainReader {
    /// Standard input, without a buffer: what was typed ahead may be meant for another program.
    #[cfg(unix)]
    input: std::fs::File,
    /// Nothing was typed when the last reading ended.
    is_empty: bool,
}

impl PlainReader {
    /// Returns a reader of standard input; none where the terminal can be drawn on.
    ///
    /// # Errors
    ///
    /// Where standard input cannot be used.
    pub fn open() -> io::Result<Option<Self>> {
        if !std::env::var("TERM").is_ok_and(|term| TERMINALS.contains(&term.as_str())) {
            return Ok(None);
        }
        Ok(Some(Self {
            #[cfg(unix)]
            input: std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?.into(),
            is_empty: true,
        }))
    }

    /// Whether nothing was typed when the last reading ended.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Reads lines until they can be run. They begin with `text`.
    ///
    /// # Errors
    ///
    /// [`ReadlineError::Interrupted`] for Ctrl-C, [`ReadlineError::Eof`] at the end of the input.
    pub fn read(&mut self, prompt: &Prompt, text: &str) -> rustyline::Result<String> {
        interrupt::clear();
        let mut text = text.to_owned();
        print(prompt.main())?;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let before: String = text.split_inclusive('\n').take(number + 1).collect();
            print(line)?;
            print(&prompt.continuation(lex::open_at_lines(&before).pop().unwrap_or_default()))?;
        }
        loop {
            self.is_empty = text.is_empty();
            let line = self.read_line()?;
            text.push_str(line.trim_end_matches(['\n', '\r']));
            if is_complete(&text) {
                return Ok(text);
            }
            text.push('\n');
            print(&prompt.continuation(lex::open_at_lines(&text).pop().unwrap_or_default()))?;
        }
    }

    /// Reads what the terminal gives at once: a line.
    #[cfg(unix)]
    fn read_line(&mut self) -> rustyline::Result<String> {
        use nix::errno::Errno;
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::io::Read as _;
        use std::os::fd::AsFd as _;

        /// How often Ctrl-C is looked for, in milliseconds.
        const PAUSE: u8 = 50;
        /// Bytes of the longest line that a terminal gives.
        const LONGEST: usize = 4096;

        loop {
            if interrupt::pressed() {
                interrupt::clear();
                print("\n")?;
                return Err(ReadlineError::Interrupted);
            }
            let mut input = [PollFd::new(self.input.as_fd(), PollFlags::POLLIN)];
            match poll(&mut input, PollTimeout::from(PAUSE)) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
            let mut line = vec![0; LONGEST];
            match self.input.read(&mut line) {
                Ok(0) => {
                    print("\n")?;
                    return Err(ReadlineError::Eof);
                }
                Ok(length) => return Ok(String::from_utf8_lossy(&line[..length]).into_owned()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads a line. Ctrl-C is the system's affair.
    #[cfg(not(unix))]
    fn read_line(&mut self) -> rustyline::Result<String> {
        let mut line = String::new();
        match io::stdin().read_line(&mut line)? {
            0 => Err(ReadlineError::Eof),
            _ => Ok(line),
        }
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
