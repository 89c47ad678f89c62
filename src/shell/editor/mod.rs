//! Reading from a person at a terminal: whole statements, with history, highlighting and completion.
//!
//! [`Editor::read`] gives one submission: a dot-command, or text that ends in a complete statement, of however many lines
//! (a paste may hold several statements: the shell splits what it gets as it splits any input). Running it, and everything
//! that is printed, is the shell's.

pub mod complete;
pub mod diagnose;
pub mod external;
pub mod foreign;
mod helper;
mod highlight;
pub mod history;
mod keys;
pub mod lex;
mod lines;
mod plain;
pub mod prompt;
pub mod schema;
mod secrets;

pub use prompt::Prompt;
pub use schema::Schema;

use crate::error::{Code, Error, Result};
use crate::shell::command_spec::CommandSpec;
use crate::sqltext::split::{Accumulator, LineOutcome};
use helper::Helper;
use history::History;
use keys::{Handler, KeyBindings};
use plain::PlainReader;
use rustyline::config::{BellStyle, Configurer};
use rustyline::error::ReadlineError;
use rustyline::{ColorMode, CompletionType, Event, EventHandler};
use std::path::PathBuf;
use std::rc::Rc;

/// How to read.
pub struct EditorConfig<'s> {
    /// Colours and highlighting.
    pub colour: bool,
    /// Where this database's history is kept; none keeps it for the session only.
    pub history: Option<PathBuf>,
    /// The dot-commands, for completion.
    pub commands: Vec<&'static CommandSpec>,
    /// What completion knows of the database.
    pub schema: Rc<dyn Schema + 's>,
}

/// What came from the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditorInput {
    /// A dot-command, or text that ends in a complete statement.
    Statement(String),
    /// Ctrl-D on an empty line, or `exit` or `quit` as a word.
    Eof,
    /// Ctrl-C: what was typed is dropped. `empty` if there was nothing.
    Interrupt { empty: bool },
    /// Bytes that are not UTF-8: what was typed is dropped.
    NotText,
}

/// The line editor with its history.
pub struct Editor<'s> {
    line: rustyline::Editor<Helper<'s>, History>,
    keys: KeyBindings,
    /// For a terminal without cursor movement, which is read without the line editor.
    plain: Option<PlainReader>,
    /// Text to begin the next reading with.
    next: String,
}

impl<'s> Editor<'s> {
    /// Prepares the terminal's editor. Nothing is drawn yet.
    ///
    /// # Errors
    /// Where the terminal cannot be used.
    pub fn open(config: EditorConfig<'s>) -> Result<Self> {
        let settings = rustyline::Config::builder()
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            .bell_style(BellStyle::None)
            // The highlighter draws the continuation prompts, with or without colours.
            .color_mode(ColorMode::Forced)
            .build();
        let keys = KeyBindings::default();
        let mut line = rustyline::Editor::with_history(settings, History::open(config.history)).map_err(unusable)?;
        line.set_helper(Some(Helper::new(
            keys.clone(),
            config.commands,
            config.schema,
            config.colour,
        )));
        line.bind_sequence(
            Event::Any,
            EventHandler::Conditional(Box::new(Handler {
                keys: keys.clone(),
                complete: is_complete,
            })),
        );
        Ok(Self {
            line,
            keys,
            plain: PlainReader::open().map_err(|error| unusable(error.into()))?,
            next: String::new(),
        })
    }

    /// Reads one submission.
    ///
    /// # Errors
    /// Where the terminal fails.
    pub fn read(&mut self, prompt: &Prompt) -> Result<EditorInput> {
        self.line.set_tab_stop(prompt.continuation_width());
        let columns = self.line.dimensions().map_or(0, |(columns, _)| usize::from(columns));
        if let Some(helper) = self.line.helper_mut() {
            helper.begin(prompt.clone(), columns);
        }
        loop {
            let begun = std::mem::take(&mut self.next);
            let answer = match &mut self.plain {
                Some(plain) => plain.read(prompt, &begun),
                None => self
                    .edit(prompt, &lines::fold(&begun))
                    .map(|buffer| lines::unfold(&buffer)),
            };
            match answer {
                Ok(text) => {
                    if text.trim().is_empty() {
                        continue;
                    }
                    if is_farewell(&text) {
                        return Ok(EditorInput::Eof);
                    }
                    self.line.history_mut().add(&text);
                    return Ok(EditorInput::Statement(text));
                }
                Err(ReadlineError::Eof) => return Ok(EditorInput::Eof),
                Err(ReadlineError::Interrupted) => match self.keys.external() {
                    Some(text) => self.next = external::edit(&text)?.unwrap_or(text),
                    None => {
                        return Ok(EditorInput::Interrupt {
                            empty: self.is_line_empty(),
                        });
                    }
                },
                Err(ReadlineError::Signal(_)) => {}
                Err(ReadlineError::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                    return Ok(EditorInput::NotText);
                }
                Err(other) => return Err(unusable(other)),
            }
        }
    }

    /// Reads one submission with the line editor, whose buffer is `begun` at first.
    fn edit(&mut self, prompt: &Prompt, begun: &str) -> rustyline::Result<String> {
        if begun.is_empty() {
            self.line.readline(prompt.main())
        } else {
            self.line.readline_with_initial(prompt.main(), (begun, ""))
        }
    }

    /// The next reading begins with `text` in the buffer, ready to be changed or sent.
    pub fn preload(&mut self, text: &str) {
        text.clone_into(&mut self.next);
    }

    /// Another database: from now on its history is read and written.
    pub fn switch_history(&mut self, file: Option<PathBuf>) {
        *self.line.history_mut() = History::open(file);
    }

    /// Adds an entry that was not typed here, such as a statement that came from `.edit`.
    pub fn remember(&mut self, text: &str) {
        self.line.history_mut().add(text);
    }

    fn is_line_empty(&self) -> bool {
        match &self.plain {
            Some(plain) => plain.is_empty(),
            None => self.line.helper().is_none_or(Helper::is_line_empty),
        }
    }
}

fn unusable(error: ReadlineError) -> Error {
    Error::new(Code::Io, "the terminal could not be read").caused_by(error)
}

/// Whether a text can be run as it stands: a dot-command, complete statements, or a word that ends the session.
#[must_use]
pub fn is_complete(text: &str) -> bool {
    if is_farewell(text) || foreign::translate(text).is_some() {
        return true;
    }
    // A blank before a dot is a slip of the hand; at the start no SQL begins with a dot.
    let text = if text.trim_start().starts_with('.') {
        text.trim_start()
    } else {
        text
    };
    if forgotten_end(text).is_some() {
        return true;
    }
    let mut lines = Accumulator::default();
    for (number, line) in (1..).zip(text.split('\n')) {
        if lines.feed(line.as_bytes(), number) == LineOutcome::Ready {
            lines.take();
        }
    }
    !lines.is_pending()
}

/// The command on the last line of `text` that stands behind a statement without its `;`, where SQLite would take it for a part
/// of that statement: a dot-command, a farewell or a command of another shell. None inside quotes, comments and parentheses,
/// where a line may begin with a dot.
#[must_use]
pub fn forgotten_end(text: &str) -> Option<&str> {
    let (before, last) = text.rsplit_once('\n')?;
    let command = last.trim();
    let is_dot_command = command
        .strip_prefix('.')
        .is_some_and(|name| name.starts_with(|letter: char| letter.is_ascii_lowercase()));
    // A name may be any word, so a word with the statement's end behind it is taken for one.
    let is_foreign = !command.ends_with(';')
        && (is_farewell(command)
            || command.starts_with('\\')
            || (!command.to_ascii_lowercase().starts_with("desc ") && foreign::translate(command).is_some()));
    let open = lex::open_at_lines(&format!("{before}\n")).pop()?;
    ((is_dot_command || is_foreign) && open == lex::OpenState::default() && !is_complete(before)).then_some(command)
}

/// `exit` and `quit` are what hands type; as SQL they would never be complete.
fn is_farewell(text: &str) -> bool {
    let word = text.trim().trim_end_matches(';').trim_end();
    ["exit", "quit", "\\q"]
        .iter()
        .any(|farewell| word.eq_ignore_ascii_case(farewell))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editor_text_is_complete_when_it_can_be_run() {
        let complete = [
            "",
            ".tables",
            "select 1;",
            "select 1; -- done",
            "select ';' ;",
            "exit",
            "QUIT;",
            "\\q",
            "select 1\n/",
            " .tables",
            "show tables",
            "select 1\n.tables",
            "select 1;\nselect 2;",
            ".mode box\nselect 1;",
            "create trigger t after insert on u begin select 1; end;",
        ];
        for text in complete {
            assert!(is_complete(text), "{text:?}");
        }
        assert_eq!(forgotten_end("select 1\n.tables"), Some(".tables"));
        for command in ["exit", "\\q", "help", "show tables", "\\d t"] {
            assert_eq!(forgotten_end(&format!("select 1\n{command}")), Some(command));
        }
        for name in ["exit;", "exit from t", "desc t", "helper"] {
            assert_eq!(forgotten_end(&format!("select 1\n{name}")), None);
        }
        assert_eq!(forgotten_end("select 1;\n.tables"), None);
        assert_eq!(forgotten_end("select 'a\n.tables"), None);
        assert_eq!(forgotten_end("select (1\n.tables"), None);
        let open = [
            "select 1",
            "select ';",
            "select 1; select 2",
            "/* ",
            "exit now",
            "create trigger t after insert on u begin select 1;",
        ];
        for text in open {
            assert!(!is_complete(text), "{text:?}");
        }
    }
}
