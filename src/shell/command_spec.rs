//! What is known of a dot-command besides the function that runs it: its name, its help, its arguments, its place in safe
//! mode. Help, completion and `docs/shell.md` are made from this; the table itself is `dot::table`.

use super::render::preset;

/// What stands at a place among a command's arguments, for completion.
#[derive(Debug, Clone, Copy)]
pub enum Argument {
    /// One of these words.
    Words(&'static [&'static str]),
    /// An output mode.
    Mode,
    Table,
    Path,
    /// One of these words, or a path.
    PathOr(&'static [&'static str]),
    Directory,
    /// A logical database, or a file.
    Database,
    /// A dot-command.
    Command,
}

/// `on` or `off`.
pub const SWITCH: Argument = Argument::Words(&["on", "off"]);

/// Whether a command may run in safe mode, in which nothing outside the database is read, written, run or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SafeMode {
    /// It is refused, whatever its arguments.
    Refused,
    /// The command refuses those of its arguments that reach outside.
    Checked,
    /// It reaches nothing outside, whatever its arguments.
    Harmless,
}

/// What a command is for: a row of the table in `docs/shell.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandGroup {
    Output,
    Destination,
    Schema,
    Transfer,
    Connection,
    Statements,
    Cost,
    Health,
    Engine,
    Shell,
}

impl CommandGroup {
    /// All groups, with their titles.
    pub const TITLES: [(Self, &'static str); 10] = [
        (Self::Output, "output format"),
        (Self::Destination, "destination of results"),
        (Self::Schema, "schema and content"),
        (Self::Transfer, "import, export, copy"),
        (Self::Connection, "choose a database"),
        (Self::Statements, "run statements"),
        (Self::Cost, "cost of statements"),
        (Self::Health, "checks"),
        (Self::Engine, "the engine (files only)"),
        (Self::Shell, "the shell itself"),
    ];
}

/// A dot-command, without its function.
#[derive(Debug, Clone, Copy)]
pub struct CommandSpec {
    pub name: &'static str,
    /// How many letters of the name must be typed.
    pub shortest: usize,
    pub group: CommandGroup,
    pub safe_mode: SafeMode,
    /// For SQLite's own tests, or another name of the same: not completed.
    pub hidden: bool,
    /// Arguments in order, without options; the last one repeats if it is a table.
    pub arguments: &'static [Argument],
    /// The arguments as help shows them.
    pub usage: &'static str,
    pub summary: &'static str,
    /// Lines of help; one that begins with a dash is about options.
    pub details: &'static [&'static str],
    pub example: &'static str,
}

/// The column where summaries begin.
const SUMMARY: usize = 25;

/// Stands for the names of the output modes in `details`.
const MODES: &str = "{modes}";

impl CommandSpec {
    /// The options that the help names.
    #[must_use]
    pub fn options(&self) -> Vec<&'static str> {
        let described = self
            .details
            .iter()
            .filter(|line| line.starts_with('-'))
            .map(|line| line.split("  ").next().unwrap_or_default());
        described
            .chain([self.usage])
            .flat_map(|text| text.split([' ', ',', '?']))
            .filter(|word| word.len() > 1 && word.starts_with('-'))
            .collect()
    }

    /// Whether there is a path among its arguments.
    #[must_use]
    pub fn takes_path(&self) -> bool {
        self.arguments.iter().any(|argument| {
            matches!(
                argument,
                Argument::Path | Argument::PathOr(_) | Argument::Directory | Argument::Database
            )
        })
    }

    /// The line of the list of commands.
    #[must_use]
    pub fn help_line(&self) -> String {
        let call = format!(".{} {}", self.name, self.usage);
        let call = call.trim_end();
        let gap = SUMMARY.saturating_sub(call.chars().count()).max(1);
        format!("{call}{:gap$}{}", "", self.summary)
    }

    /// All of the help: the line of the list, the details, an example.
    #[must_use]
    pub fn help(&self) -> Vec<String> {
        let mut lines = vec![self.help_line()];
        for detail in self.details {
            match detail.split_once(MODES) {
                Some(_) => lines.extend(words_in_lines(&preset::listed())),
                None => lines.push(format!("   {detail}")),
            }
        }
        lines.push(format!("   Example:  {}", self.example));
        lines
    }
}

/// Words in indented lines that fit a terminal of 80 columns.
fn words_in_lines(words: &[&str]) -> Vec<String> {
    let mut lines = vec![String::from("  ")];
    for word in words {
        if lines.last().is_some_and(|line| line.len() + 1 + word.len() > 80) {
            lines.push(String::from("  "));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines
}
