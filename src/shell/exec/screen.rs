//! What a person at a terminal gets beside what a script gets: layouts that fit, errors that point, notes.
//!
//! Without a terminal nothing here changes anything.

use crate::shell::editor::schema::{Live, Schema};
use crate::shell::editor::{diagnose, foreign};
use crate::shell::options::TerminalOptions;
use crate::shell::render::{Mode, Renderer, Style};
use crate::shell::state::{Shell, ShellResult};
use crate::shell::terminal::layout::{self, Fit, Screen};
use crate::shell::terminal::pager::Pager;
use crate::sql::{Column, Session, Sink};
use crate::sqltext::split;
use crate::ui::terminal_size;
use std::io::{self, Write};

/// How one result is laid out on the terminal.
pub struct ScreenLayout {
    pub style: Style,
    /// Layouts to choose from, where columns are aligned.
    pub fit: Option<Fit>,
    /// The terminal's height, where what is taller goes through the pager.
    pub rows: Option<usize>,
}

/// Lends the session to completion while `work` runs.
pub fn lend_session<'h, T>(shell: &mut Shell<'h>, names: &Live<'h>, work: impl FnOnce() -> T) -> T {
    if let Some(session) = shell.slot().session.take() {
        names.set_session(session);
    }
    let result = work();
    shell.slot().session = names.reclaim();
    result
}

/// What is known of the person and the database, while the active one is that which the shell was started on.
pub fn terminal_options<'s>(shell: &'s Shell<'_>) -> Option<&'s TerminalOptions> {
    let terminal = shell.terminal.as_ref()?;
    (shell.connections.slots[shell.connections.active].file.as_deref() == Some(&terminal.database))
        .then_some(&terminal.options)
}

/// Whether a person works on a database that is protected.
pub fn is_protected(shell: &Shell<'_>) -> bool {
    terminal_options(shell).is_some_and(|options| options.protected)
}

/// How results look now; none where they do not go to the terminal.
pub fn layout(shell: &Shell<'_>) -> Option<ScreenLayout> {
    let terminal = shell.terminal.as_ref()?;
    if !shell.out.is_standard() {
        return None;
    }
    let (columns, rows) = terminal_size()?;
    let mut style = shell.settings.style.clone();
    layout::dress(&mut style, terminal.options.colour, terminal.options.raw);
    let fit = Fit::new(&style, columns);
    let paged = style.mode.holds_rows() || matches!(style.mode, Mode::Line | Mode::Vertical);
    Some(ScreenLayout {
        style,
        fit,
        rows: (paged && !is_dumb()).then_some(rows),
    })
}

/// Shows rows that a command makes itself as results are shown: fitted to the terminal, and paged. None where the person left
/// the pager before the end.
pub fn show_rows<T>(
    shell: &mut Shell<'_>,
    names: &[&str],
    produce: impl FnOnce(&mut dyn Session, &mut dyn Sink) -> T,
) -> ShellResult<Option<T>> {
    shell.session()?;
    let layout = layout(shell);
    let Some(session) = &mut shell.connections.slots[shell.connections.active].session else {
        return Ok(None);
    };
    let style = layout.as_ref().map_or(&shell.settings.style, |layout| &layout.style);
    let fit = layout.as_ref().and_then(|layout| layout.fit.as_ref());
    let Some(rows) = layout.as_ref().and_then(|layout| layout.rows) else {
        return Ok(Some(write_rows(style, fit, &mut shell.out, names, |sink| {
            produce(session.as_mut(), sink)
        })?));
    };
    let mut pager = Pager::new(&mut shell.out, rows);
    let written = write_rows(style, fit, &mut pager, names, |sink| produce(session.as_mut(), sink));
    let left = pager.left();
    pager.finish()?;
    if left { Ok(None) } else { Ok(Some(written?)) }
}

fn write_rows<T>(
    style: &Style,
    fit: Option<&Fit>,
    out: &mut dyn Write,
    names: &[&str],
    produce: impl FnOnce(&mut dyn Sink) -> T,
) -> io::Result<T> {
    let columns: Vec<Column> = names
        .iter()
        .map(|name| Column {
            name: (*name).to_owned(),
            decltype: None,
        })
        .collect();
    match fit {
        Some(fit) => {
            let mut screen = Screen::new(fit, out);
            screen.columns(&columns)?;
            let produced = produce(&mut screen);
            screen.finish()?;
            Ok(produced)
        }
        None => {
            let mut renderer = Renderer::new(style, out);
            renderer.columns(&columns)?;
            let produced = produce(&mut renderer);
            renderer.finish()?;
            Ok(produced)
        }
    }
}

/// Writes lines of a command's own. On a terminal they are wrapped, and go through the pager where they are too many for it.
pub fn show_lines(shell: &mut Shell<'_>, lines: &[String]) -> ShellResult {
    let size = terminal_size().filter(|_| shell.terminal.is_some() && shell.out.is_standard() && !is_dumb());
    let Some((columns, rows)) = size else {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        return Ok(shell.out.write_all(text.as_bytes())?);
    };
    let text: String = join_paragraphs(lines)
        .iter()
        .map(|line| format!("{}\n", wrapped(line, columns)))
        .collect();
    let mut pager = Pager::new(&mut shell.out, rows);
    match pager.write_all(text.as_bytes()) {
        Err(_) if pager.left() => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(pager.finish()?),
    }
}

/// Lines of help with each paragraph on one line, since it is broken where the terminal ends. A paragraph is indented, and has no
/// columns.
fn join_paragraphs(lines: &[String]) -> Vec<String> {
    let paragraph = |line: &str| {
        let text = line.strip_prefix("   ")?;
        let has_columns = text.starts_with([' ', '-']) || text.contains("  ");
        (!has_columns && !text.is_empty()).then(|| text.to_owned())
    };
    let mut joined: Vec<String> = Vec::with_capacity(lines.len());
    for line in lines {
        match (paragraph(line.as_str()), joined.last_mut()) {
            (Some(text), Some(last)) if paragraph(last.as_str()).is_some() => {
                last.push(' ');
                last.push_str(&text);
            }
            _ => joined.push(line.clone()),
        }
    }
    joined
}

/// A line of help, broken between words where it is wider than the terminal. What follows begins below the last column.
fn wrapped(line: &str, columns: usize) -> String {
    let column = line.rfind("  ").map_or(0, |at| at + 2);
    let indent = if column > columns / 2 { 3 } else { column.max(3) };
    let mut text = String::new();
    let mut width = 0;
    for word in line.split_inclusive(' ') {
        let length = word.trim_end().chars().count();
        if length > 0 && width > indent && width + length > columns {
            text.truncate(text.trim_end().len());
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            width = indent;
        }
        text.push_str(word);
        width += word.chars().count();
    }
    text
}

/// Whether the terminal cannot move its cursor, as a pager needs it to.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Says once how to see what was shortened.
pub fn note_shortening(shell: &mut Shell<'_>) -> ShellResult {
    let Some(terminal) = &mut shell.terminal else {
        return Ok(());
    };
    if terminal.shortening_noted || terminal.options.quiet {
        return Ok(());
    }
    terminal.shortening_noted = true;
    shell.say(format_args!(
        "Long values are cut to fit (…): .mode line shows all, .width N sets a width."
    ))
}

/// Says that SQLite knows nothing of a pragma, which it does not say itself: it does nothing.
pub fn note_unknown_pragma(shell: &mut Shell<'_>, sql: &str) -> ShellResult {
    if !shell.input.interactive || shell.input.nesting > 1 {
        return Ok(());
    }
    let (Some(terminal), Some(name)) = (&shell.terminal, diagnose::pragma(sql)) else {
        return Ok(());
    };
    let names = terminal.names.clone();
    let known = lend_session(shell, &names, || names.pragmas());
    if known.is_empty() || known.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    let meant = diagnose::nearest(name, known.iter().map(String::as_str))
        .map(|meant| format!(" (did you mean {meant}?)"))
        .unwrap_or_default();
    shell.say(format_args!(
        "Note: there is no pragma {name}, so nothing was done{meant}"
    ))
}

/// What to add to an error message for a person: what was probably meant, and the place in `sql`. None in scripts.
pub fn explain_error(shell: &mut Shell<'_>, sql: &str, message: &str, offset: Option<usize>) -> Option<String> {
    let names = shell.terminal.as_ref()?.names.clone();
    if !shell.input.interactive || shell.input.nesting > 1 {
        return None;
    }
    let sql = &sql[..split::first_statement(sql.as_bytes())];
    let meant = lend_session(shell, &names, || diagnose::suggest(sql, message, &*names));
    let mut text = match foreign::lookalike(sql) {
        Some(character) => format!(" (the statement contains {character})"),
        None => meant
            .map(|meant| format!(" (did you mean {meant}?)"))
            .unwrap_or_default(),
    };
    if let Some(offset) = offset.or_else(|| diagnose::find_offset(sql, message)) {
        let columns = terminal_size().map_or(80, |(columns, _)| columns);
        text.push('\n');
        text.push_str(&diagnose::point(sql, offset, columns));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::{join_paragraphs, wrapped};

    #[test]
    fn help_paragraph_is_wrapped_as_a_whole() {
        let lines = [
            ".x FILE   Does it",
            "   Without an option, the",
            "   separators are used.",
            "   -a     All",
            "   Example:  .x f",
        ];
        assert_eq!(
            join_paragraphs(&lines.map(str::to_owned)),
            [
                ".x FILE   Does it",
                "   Without an option, the separators are used.",
                "   -a     All",
                "   Example:  .x f",
            ]
        );
    }

    #[test]
    fn help_line_is_wrapped_below_its_last_column() {
        let line = ".bail on|off             Stop at the first error (default off)";
        assert_eq!(wrapped(line, 80), line);
        assert_eq!(
            wrapped(line, 50),
            ".bail on|off             Stop at the first error\n                         (default off)"
        );
        assert_eq!(wrapped("   one two three", 12), "   one two\n   three");
        assert_eq!(wrapped("averylongword and", 8), "averylongword\n   and");
    }
}
