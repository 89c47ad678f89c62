//! The shell with a person at a terminal: the line editor's loop, prompts, errors that point, results that fit.
//!
//! Everything else is as in scripts. [`Terminal`] exists only where standard input and output are both a terminal; without
//! it nothing here changes anything.

use super::dot;
use super::editor::schema::{Live, Schema};
use super::editor::terminal::Fit;
use super::editor::{Config, Editor, Input, Prompt, diagnose, external, history, terminal};
use super::interrupt;
use super::render::{Mode, Style};
use super::state::{End, Ran, Shell};
use crate::error::Result;
use crate::sql::Target;
use crate::sql::split::{self, Accumulator};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What is known of the person, and of the database for its prompt.
#[derive(Debug, Clone, Default)]
pub struct Person {
    pub colour: bool,
    /// Say less.
    pub quiet: bool,
    /// Show what a terminal is sent as it is.
    pub raw: bool,
    /// Where the database is, if that is known.
    pub location: Option<String>,
    pub replica: bool,
    /// The database is protected: ask before what may destroy much.
    pub protected: bool,
    /// The directory for histories; without one they end with the session.
    pub histories: Option<PathBuf>,
}

/// The terminal and what is remembered for the one at it.
pub struct Terminal<'h> {
    person: Person,
    /// What the shell was started on.
    name: String,
    names: Rc<Live<'h>>,
    /// The last text that was run, for `.edit`.
    last: String,
    /// What the next reading begins with.
    next: Option<String>,
    /// It was said that cells are shortened.
    told: bool,
}

impl<'h> Terminal<'h> {
    /// The terminal, if there is one on both sides.
    pub fn open(person: &Person, name: &str, databases: &'h dyn Fn() -> Vec<String>) -> Option<Self> {
        (io::stdin().is_terminal() && io::stdout().is_terminal()).then(|| Self {
            person: person.clone(),
            name: name.to_owned(),
            names: Rc::new(Live::new(databases)),
            last: String::new(),
            next: None,
            told: false,
        })
    }
}

/// What a program that drives the shell through pipes is told first, as classic tells it.
pub(super) fn greet(quiet: bool) -> Ran {
    if quiet || io::stdin().is_terminal() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "SQLite version {} (torso {})\nEnter \".help\" for usage hints.",
        rusqlite::version(),
        env!("CARGO_PKG_VERSION")
    )?;
    Ok(())
}

/// Ends the line of a prompt that nothing followed.
pub(super) fn leave_without_terminal() {
    if io::stdin().is_terminal() {
        if io::stderr().is_terminal() {
            let _ = io::stderr().lock().write_all(b"\n");
        }
    } else {
        // Nobody is left who could miss it.
        let _ = io::stdout().lock().write_all(b"\n");
    }
}

/// How one result is shown on the terminal.
pub struct Look {
    pub style: Style,
    /// Layouts to choose from, where columns are aligned.
    pub fit: Option<Fit>,
    /// The terminal's height, where what is taller goes through the pager.
    pub rows: Option<usize>,
}

impl<'h> Shell<'h> {
    /// Reads and runs what is typed, until its end.
    pub(super) fn converse(&mut self) -> Ran {
        let Some(terminal) = &self.terminal else { return Ok(()) };
        let names = terminal.names.clone();
        let colour = terminal.person.colour;
        if !terminal.person.quiet {
            self.say(format_args!(
                "torso {}, SQLite {}. Enter \".help\" for help, Ctrl-D to leave.",
                env!("CARGO_PKG_VERSION"),
                rusqlite::version()
            ))?;
        }
        let mut file = self.history_file();
        let opened = Editor::open(Config {
            colour,
            history: file.clone(),
            schema: names.clone(),
        });
        let mut editor = match opened {
            Ok(editor) => editor,
            Err(error) => return self.fail(format_args!("Error: {error}")),
        };
        self.nesting = 1;
        loop {
            self.out.flush()?;
            let now = self.history_file();
            if now != file {
                editor.switch_history(now.clone());
                file = now;
            }
            if let Some(text) = self.terminal.as_mut().and_then(|terminal| terminal.next.take()) {
                editor.preload(&text);
            }
            if let Some(target) = &self.slot().target {
                names.read_ahead(target);
            }
            let prompt = self.prompt();
            let input = self.lending(&names, || editor.read(&prompt));
            match input {
                Ok(Input::Statement(text)) => match self.typed(&text) {
                    Err(End::Quit) => return Ok(()),
                    Ok(()) | Err(End::Failed(_)) => {}
                    Err(end) => return Err(end),
                },
                Ok(Input::Eof) => return Ok(()),
                Ok(Input::Interrupt { empty: true }) => {
                    self.say(format_args!("Ctrl-D or .quit leaves."))?;
                }
                Ok(Input::Interrupt { empty: false }) => {}
                Err(error) => return self.fail(format_args!("Error: {error}")),
            }
        }
    }

    /// Runs what was typed or pasted: lines, as anywhere else.
    fn typed(&mut self, text: &str) -> Ran {
        interrupt::clear();
        self.line = 0;
        if let Some(terminal) = &mut self.terminal
            && !text.starts_with(".edit")
        {
            text.clone_into(&mut terminal.last);
        }
        let lower = text.to_lowercase();
        let may_change = ["create", "drop", "alter", "rollback"]
            .iter()
            .any(|word| lower.contains(word));
        if let Some(terminal) = &self.terminal
            && (may_change || text.starts_with('.'))
        {
            terminal.names.outdate();
        }
        let mut pending = Accumulator::default();
        for line in text.split('\n') {
            match self.read_line(&mut pending, line.as_bytes()) {
                Ok(()) | Err(End::Failed(_)) => {}
                Err(end) => return Err(end),
            }
            // What is left of a paste was meant to stop as well.
            if interrupt::pressed() {
                break;
            }
        }
        Ok(())
    }

    /// Lends the session to completion while `work` runs.
    fn lending<T>(&mut self, names: &Live<'h>, work: impl FnOnce() -> T) -> T {
        if let Some(session) = self.slot().session.take() {
            names.lend(session);
        }
        let result = work();
        self.slot().session = names.reclaim();
        result
    }

    /// Asks for the next line where there is no terminal on both sides. A program that drives the shell through pipes
    /// (`-interactive`) reads classic's prompts in the answers; a person whose answers go elsewhere sees ours beside them.
    pub(super) fn ask_without_terminal(&mut self, more: bool) -> Ran {
        const MORE: &str = "   ...> ";
        if io::stdin().is_terminal() {
            if !io::stderr().is_terminal() {
                return Ok(());
            }
            let prompt = if more {
                MORE.to_owned()
            } else {
                self.prompt().main().to_owned()
            };
            self.out.flush()?;
            let _ = io::stderr().lock().write_all(prompt.as_bytes());
            return Ok(());
        }
        let (main, continuation) = match &self.settings.prompt {
            Some((main, continuation)) => (main.as_str(), continuation.as_deref()),
            None => ("sqlite> ", None),
        };
        let prompt = if more { continuation.unwrap_or(MORE) } else { main }.to_owned();
        self.out.flush()?;
        let mut out = io::stdout().lock();
        out.write_all(prompt.as_bytes()).and_then(|()| out.flush())?;
        Ok(())
    }

    fn prompt(&mut self) -> Prompt {
        if let Some((main, continuation)) = &self.settings.prompt {
            return Prompt::custom(main, continuation.as_deref());
        }
        let in_transaction = self
            .slot()
            .session
            .as_mut()
            .is_some_and(|session| session.in_transaction());
        let (location, replica) = match self.person_here() {
            Some(person) => (person.location.clone(), person.replica),
            None => (None, false),
        };
        let name = self.slot().file.clone().unwrap_or_else(|| ":memory:".to_owned());
        let name = name.split('?').next().unwrap_or_default();
        let shown = Path::new(name)
            .file_name()
            .map_or(name.into(), |name| name.to_string_lossy());
        let read_only = self.slot().target.as_ref().is_some_and(Target::is_read_only);
        let role = if replica {
            Some("replica")
        } else {
            read_only.then_some("read-only")
        };
        Prompt::new(&shown, location.as_deref(), role, in_transaction)
    }

    /// What is known of the person and the database, while the active one is that which the shell was started on.
    fn person_here(&self) -> Option<&Person> {
        let terminal = self.terminal.as_ref()?;
        (self.slots[self.active].file.as_deref() == Some(&terminal.name)).then_some(&terminal.person)
    }

    /// Whether a person works on a database that is protected.
    pub(super) fn on_protected(&self) -> bool {
        self.person_here().is_some_and(|person| person.protected)
    }

    /// Where the active database's history belongs.
    fn history_file(&mut self) -> Option<PathBuf> {
        let directory = self.terminal.as_ref()?.person.histories.clone()?;
        let identity = match self.slot().target.as_ref() {
            None | Some(Target::Memory) => ":memory:".to_owned(),
            Some(Target::File { path, .. }) => std::path::absolute(path)
                .unwrap_or_else(|_| path.clone())
                .to_string_lossy()
                .into_owned(),
            Some(Target::Remote { url, .. }) => format!("{}{}", url.host_str().unwrap_or_default(), url.path()),
        };
        Some(directory.join(history::key(&identity)))
    }

    /// How results look now; none where they do not go to the terminal.
    pub(super) fn look(&self) -> Option<Look> {
        let terminal = self.terminal.as_ref()?;
        if !self.out.is_standard() {
            return None;
        }
        let (columns, rows) = terminal::size()?;
        let mut style = self.settings.style.clone();
        terminal::dress(&mut style, terminal.person.colour, terminal.person.raw);
        let fit = Fit::new(&style, columns);
        let paged = style.mode.holds_rows() || matches!(style.mode, Mode::Line | Mode::Vertical);
        Some(Look {
            style,
            fit,
            rows: paged.then_some(rows),
        })
    }

    /// Says once how to see what was shortened.
    pub(super) fn tell_shortened(&mut self) -> Ran {
        let Some(terminal) = &mut self.terminal else {
            return Ok(());
        };
        if terminal.told || terminal.person.quiet {
            return Ok(());
        }
        terminal.told = true;
        self.say(format_args!(
            "Long values are cut to fit (…): .mode line shows all, .width N sets a width."
        ))
    }

    /// Says that SQLite knows nothing of a pragma, which it does not say itself: it does nothing.
    pub(super) fn tell_unknown_pragma(&mut self, sql: &str) -> Ran {
        let (Some(terminal), Some(name)) = (&self.terminal, diagnose::pragma(sql)) else {
            return Ok(());
        };
        if !self.interactive || self.nesting > 1 {
            return Ok(());
        }
        let names = terminal.names.clone();
        let known = self.lending(&names, || names.pragmas());
        if known.is_empty() || known.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        let meant = diagnose::nearest(name, known.iter().map(String::as_str))
            .map(|meant| format!(" (did you mean {meant}?)"))
            .unwrap_or_default();
        self.say(format_args!(
            "Note: there is no pragma {name}, so nothing was done{meant}"
        ))
    }

    /// What to add to an error message for a person: what was probably meant, and the place in `sql`. None in scripts.
    pub(super) fn explain_error(&mut self, sql: &str, message: &str, offset: Option<usize>) -> Option<String> {
        let names = self.terminal.as_ref()?.names.clone();
        if !self.interactive || self.nesting > 1 {
            return None;
        }
        let sql = &sql[..split::first_statement(sql.as_bytes())];
        let meant = self.lending(&names, || diagnose::suggest(sql, message, &*names));
        let mut text = meant
            .map(|meant| format!(" (did you mean {meant}?)"))
            .unwrap_or_default();
        if let Some(offset) = offset.or_else(|| diagnose::find_offset(sql, message)) {
            let columns = terminal::size().map_or(80, |(columns, _)| columns);
            text.push('\n');
            text.push_str(&diagnose::point(sql, offset, columns));
        }
        Some(text)
    }

    /// What to add to the message on an unknown dot-command: the one that was probably meant.
    pub(super) fn command_meant(&self, name: &str) -> String {
        let meant = self
            .terminal
            .as_ref()
            .and_then(|_| diagnose::nearest(name, dot::names()));
        meant
            .map(|meant| format!(", did you mean .{meant}?"))
            .unwrap_or_default()
    }

    /// Takes `text`, or the last statement, into the user's editor; what is saved comes to the next prompt. False where
    /// there is no terminal.
    pub(super) fn edit_next(&mut self, text: &str) -> Result<bool> {
        let Some(terminal) = &mut self.terminal else {
            return Ok(false);
        };
        let text = if text.is_empty() { terminal.last.as_str() } else { text };
        terminal.next = external::edit(text)?;
        Ok(true)
    }
}
