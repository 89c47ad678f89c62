//! The terminal, and what stands in for it: the answer on stdout, the conversation on stderr.
//!
//! [`Ui`] owns both streams for every command but the shell, which writes its own results. It decides once, from flags,
//! the environment and the streams, about colour, borders, prompts and notices. `report` prints errors and returns the
//! exit code; `view` draws answers; `text` makes text from elsewhere safe to show.

pub mod markdown;
pub mod output_file;
mod pages;
mod progress;
pub mod report;
mod stream;
pub mod text;
mod view;

pub use pages::PagedList;
pub use progress::ProgressDisplay;
use progress::Unit;
pub use stream::{ItemStream, StreamColumn};
pub use view::{Card, Cell, Layout, Table, View};

use crate::error::{Code, Error, Result};
use std::io::{self, BufWriter, IsTerminal, Write};
use view::Drawing;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum OutputFormat {
    /// For people; may change
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON value per line
    Jsonl,
    /// A header and rows
    Csv,
    /// Bare names, one per line
    Name,
}

impl OutputFormat {
    /// Whether a program reads the answer, and so wants errors as documents too.
    #[must_use]
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    Always,
    Never,
}

/// What the user asked for; [`Ui::new`] decides what that means on these streams.
#[derive(Debug, Clone, Copy, Default)]
pub struct UiOptions {
    pub format: OutputFormat,
    pub color: Color,
    pub quiet: bool,
    /// Never prompt.
    pub no_input: bool,
    /// Show control characters as they are.
    pub raw: bool,
}

/// The streams.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    format: OutputFormat,
    quiet: bool,
    /// Why nobody can be asked, if so.
    silence: Option<&'static str>,
    raw: bool,
    out_terminal: bool,
    out_color: bool,
    err_terminal: bool,
    err_color: bool,
}

impl Ui {
    #[must_use]
    pub fn new(options: UiOptions) -> Self {
        let out_terminal = io::stdout().is_terminal();
        let err_terminal = io::stderr().is_terminal();
        let color = |terminal: bool| match options.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => color_by_environment(terminal),
        };
        Self {
            format: options.format,
            quiet: options.quiet,
            silence: silence(options.no_input, err_terminal),
            raw: options.raw,
            out_terminal,
            out_color: color(out_terminal),
            err_terminal,
            err_color: color(err_terminal),
        }
    }

    #[must_use]
    pub fn format(&self) -> OutputFormat {
        self.format
    }

    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Why prompts are not possible; none where they are.
    #[must_use]
    pub fn why_silent(&self) -> Option<&'static str> {
        self.silence
    }

    #[must_use]
    pub fn raw(&self) -> bool {
        self.raw
    }

    /// Whether the answer may be coloured.
    #[must_use]
    pub fn colors_answer(&self) -> bool {
        self.out_color
    }

    /// Prints an answer in the format asked for.
    pub fn show<V: View>(&self, view: &V) -> Result<()> {
        self.answer(|out| match self.format {
            OutputFormat::Table => self.show_human(view, out),
            OutputFormat::Json => {
                serde_json::to_writer_pretty(&mut *out, view)?;
                out.write_all(b"\n")
            }
            OutputFormat::Jsonl => match serde_json::to_value(view)? {
                serde_json::Value::Array(items) => items.iter().try_for_each(|item| writeln!(out, "{item}")),
                item => writeln!(out, "{item}"),
            },
            OutputFormat::Csv => match view.layout() {
                Layout::Table(table) => write_csv(out, table.records()),
                Layout::Card(card) => write_csv(out, card.records()),
                Layout::Said(_) => write_csv(out, view::object_records(&serde_json::to_value(view)?)),
            },
            OutputFormat::Name => view.names().iter().try_for_each(|name| writeln!(out, "{name}")),
        })
    }

    /// Prints the answer of a command that goes on running: with JSON on one line, for which a program can wait.
    pub fn show_ready<V: View>(&self, view: &V) -> Result<()> {
        let format = match self.format {
            OutputFormat::Json => OutputFormat::Jsonl,
            format => format,
        };
        Self { format, ..*self }.show(view)
    }

    fn show_human<V: View>(&self, view: &V, out: &mut dyn Write) -> io::Result<()> {
        let how = self.drawing();
        match view.layout() {
            Layout::Table(table) => {
                if let Some(note) = table.empty_note() {
                    self.notice(note);
                }
                out.write_all(table.draw(how).as_bytes())
            }
            Layout::Card(card) => out.write_all(card.draw(how).as_bytes()),
            Layout::Said(text) => writeln!(out, "{text}"),
        }
    }

    fn drawing(&self) -> Drawing {
        Drawing {
            terminal: self.out_terminal,
            color: self.out_color,
            raw: self.raw || !self.out_terminal,
            width: terminal_size()
                .filter(|_| self.out_terminal)
                .and_then(|(columns, _)| columns.try_into().ok()),
        }
    }

    /// Clears the terminal before an answer that is shown repeatedly. Does nothing elsewhere.
    pub fn clear(&self) -> Result<()> {
        if !self.out_terminal || self.format != OutputFormat::Table {
            return Ok(());
        }
        self.answer(|out| out.write_all(b"\x1b[H\x1b[2J"))
    }

    /// Prints an answer that is one bare value, such as a URL or a path. In JSON it is a string.
    pub fn value(&self, text: &str) -> Result<()> {
        self.answer(|out| {
            if self.format.is_json() {
                writeln!(out, "{}", serde_json::Value::from(text))
            } else if self.out_terminal && !self.raw {
                writeln!(out, "{}", text::visible(text))
            } else {
                writeln!(out, "{text}")
            }
        })
    }

    /// Prints only a path, which need not be UTF-8.
    pub fn path(&self, path: &std::path::Path) -> Result<()> {
        if self.format.is_json() || self.out_terminal || path.to_str().is_some() {
            return self.value(&path.to_string_lossy());
        }
        self.answer(|out| {
            out.write_all(path.as_os_str().as_encoded_bytes())?;
            writeln!(out)
        })
    }

    /// Prints a text of several lines that came from a database. On a terminal its control characters are made visible.
    pub fn script(&self, text: &str) -> Result<()> {
        if self.out_terminal && !self.raw {
            return self.page(&text::visible_lines(text));
        }
        self.page(text)
    }

    /// Prints a text unchanged: help, a page, a generated file.
    pub fn page(&self, text: &str) -> Result<()> {
        self.answer(|out| out.write_all(text.as_bytes()))
    }

    /// Calls `write` with buffered stdout, and flushes it.
    pub fn answer(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
        write(&mut out)
            .and_then(|()| out.flush())
            .map_err(|error| Error::io(error, "cannot write the answer"))
    }

    /// Prints a notice on stderr. Silent with `--quiet`.
    pub fn notice(&self, text: impl AsRef<str>) {
        if !self.quiet {
            self.say(None, text.as_ref());
        }
    }

    /// Prints a warning on stderr. Silent with `--quiet`.
    pub fn warn(&self, text: impl AsRef<str>) {
        if !self.quiet {
            self.say(Some(("warning", anstyle::AnsiColor::Yellow)), text.as_ref());
        }
    }

    /// A progress bar over bytes that appears only on a terminal, and only if the work takes long.
    #[must_use]
    pub fn progress(&self, label: impl Into<String>) -> ProgressDisplay {
        ProgressDisplay::new(self.err_terminal && !self.quiet, label.into(), Unit::Bytes)
    }

    /// The same, over rows.
    #[must_use]
    pub fn progress_of_rows(&self, label: impl Into<String>) -> ProgressDisplay {
        ProgressDisplay::new(self.err_terminal && !self.quiet, label.into(), Unit::Rows)
    }

    /// Has the user type `name` before something that cannot be undone. `assumed` is `--yes`.
    pub fn confirm(&self, assumed: bool, doing: &str, name: &str) -> Result<()> {
        if assumed {
            return Ok(());
        }
        let refused = |why: &str| {
            Error::new(Code::Unconfirmed, format!("cannot {doing} without confirmation: {why}"))
                .hint("add --yes to go ahead")
        };
        if let Some(why) = self.silence {
            return Err(refused(why));
        }
        self.say(None, &format!("About to {doing}. This cannot be undone."));
        // Not locked while the person thinks: what Ctrl-C says goes there too.
        let mut err = io::stderr();
        let mut answer = String::new();
        write!(err, "Type {name} to go ahead: ")
            .and_then(|()| err.flush())
            .and_then(|()| io::stdin().read_line(&mut answer))
            .map_err(|error| Error::io(error, "cannot ask"))?;
        if answer.trim() == name {
            Ok(())
        } else {
            Err(refused("the name did not match"))
        }
    }

    fn say(&self, label: Option<(&str, anstyle::AnsiColor)>, text: &str) {
        let text = if self.err_terminal && !self.raw {
            text::visible_lines(text)
        } else {
            text.to_owned()
        };
        let mut err = io::stderr().lock();
        // If stderr is closed, there is nobody to tell.
        let _ = match label {
            Some((label, color)) => writeln!(err, "{}: {text}", self.paint(label, color)),
            None => writeln!(err, "{text}"),
        };
    }

    fn paint(&self, text: &str, color: anstyle::AnsiColor) -> String {
        if self.err_color {
            let style = anstyle::Style::new().bold().fg_color(Some(color.into()));
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

fn write_csv(out: &mut dyn Write, records: impl IntoIterator<Item = Vec<String>>) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    for record in records {
        writer.write_record(&record).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => error,
            kind => io::Error::other(format!("{kind:?}")),
        })?;
    }
    writer.flush()
}

/// `NO_COLOR` and `CLICOLOR_FORCE` hold when they are set and not empty; `TERM=dumb` means no colour on a terminal.
fn color_by_environment(terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("NO_COLOR") {
        false
    } else if std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0") {
        true
    } else {
        terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }
}

/// Why nobody can be asked, if so.
fn silence(no_input: bool, err_terminal: bool) -> Option<&'static str> {
    if no_input {
        Some("--no-input forbids questions")
    } else if !io::stdin().is_terminal() || !err_terminal {
        Some("this is not a terminal")
    } else if in_ci() {
        Some("the variable CI is set, and nobody is asked there")
    } else {
        None
    }
}

/// Whether `CI` is set to anything but a word that denies it.
fn in_ci() -> bool {
    let denies = |value: &str| ["", "0", "false", "no", "off"].contains(&value.to_ascii_lowercase().as_str());
    std::env::var_os("CI").is_some_and(|value| !denies(value.to_string_lossy().trim()))
}

/// The columns that a page of help may have: the terminal's, else those that `COLUMNS` says, else 80; from 40 to 100, beyond
/// which lines are hard to read.
#[must_use]
pub fn page_width() -> usize {
    let by_environment = || std::env::var("COLUMNS").ok()?.parse().ok();
    let width = terminal_size().map(|(columns, _)| columns).or_else(by_environment);
    width.unwrap_or(80).clamp(40, 100)
}

/// The terminal's size in cells: columns, then rows. None if stdout is no terminal.
#[must_use]
pub fn terminal_size() -> Option<(usize, usize)> {
    let size = terminal_size::terminal_size_of(io::stdout());
    let cells = size.map(|(columns, rows)| (usize::from(columns.0), usize::from(rows.0)));
    // A serial line knows no size.
    cells.or_else(|| io::stdout().is_terminal().then_some((80, 24)))
}
