//! The table of output modes.

use super::{Mode, Style};

/// A name that a mode can be chosen by, and what comes with it.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    pub name: &'static str,
    /// `.mode` takes any beginning of this; none where the name must be typed in full.
    pub long_name: Option<&'static str>,
    pub mode: Mode,
    pub column_separator: Option<&'static str>,
    pub row_separator: Option<&'static str>,
    /// There is a flag of this name on the command line.
    pub is_flag: bool,
    /// It is named in lists for people.
    pub listed: bool,
}

const fn row(
    name: &'static str,
    long_name: Option<&'static str>,
    mode: Mode,
    column_separator: Option<&'static str>,
    row_separator: Option<&'static str>,
) -> Preset {
    Preset {
        name,
        long_name,
        mode,
        column_separator,
        row_separator,
        is_flag: true,
        listed: true,
    }
}

const fn without_flag(preset: Preset) -> Preset {
    Preset {
        is_flag: false,
        ..preset
    }
}

/// For tests of scripts: it shows nothing, or only a number.
const fn unlisted(preset: Preset) -> Preset {
    Preset {
        listed: false,
        ..without_flag(preset)
    }
}

/// In the order in which `.mode` looks for what was typed; those that classic does not shorten come last.
pub const PRESETS: [Preset; 19] = [
    row("line", Some("lines"), Mode::Line, None, Some("\n")),
    row("column", Some("columns"), Mode::Column, None, Some("\n")),
    row("list", Some("list"), Mode::List, Some("|"), Some("\n")),
    row("html", Some("html"), Mode::Html, None, None),
    without_flag(row("tcl", Some("tcl"), Mode::Tcl, Some(" "), Some("\n"))),
    row("csv", Some("csv"), Mode::Csv, Some(","), Some("\r\n")),
    row("tabs", Some("tabs"), Mode::List, Some("\t"), Some("\n")),
    row("insert", Some("insert"), Mode::Insert, None, None),
    row("quote", Some("quote"), Mode::Quote, Some(","), Some("\n")),
    row("ascii", Some("ascii"), Mode::Ascii, Some("\x1f"), Some("\x1e")),
    row("markdown", Some("markdown"), Mode::Markdown, None, None),
    row("table", Some("table"), Mode::Table, None, None),
    row("box", Some("box"), Mode::Box, None, None),
    unlisted(row("count", Some("count"), Mode::Count, None, None)),
    unlisted(row("off", Some("off"), Mode::Off, None, None)),
    row("json", Some("json"), Mode::Json, None, None),
    row("jsonl", None, Mode::Jsonl, None, None),
    row("vertical", None, Mode::Vertical, None, None),
    row("qbox", None, Mode::Box, None, None),
];

/// The preset of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// The preset that `.mode` takes `typed` for.
#[must_use]
pub fn by_beginning(typed: &str) -> Option<&'static Preset> {
    let begins = |preset: &&Preset| preset.long_name.is_some_and(|name| name.starts_with(typed));
    PRESETS
        .iter()
        .find(begins)
        .or_else(|| by_name(typed).filter(|preset| preset.long_name.is_none()))
}

/// The names for lists that people read, sorted.
#[must_use]
pub fn listed() -> Vec<&'static str> {
    let mut names: Vec<_> = PRESETS
        .iter()
        .filter(|preset| preset.listed)
        .map(|preset| preset.name)
        .collect();
    names.sort_unstable();
    names
}

impl Mode {
    /// The word that `.mode` prints.
    #[must_use]
    pub fn name(self) -> &'static str {
        PRESETS
            .iter()
            .find(|preset| preset.mode == self)
            .map_or("", |preset| preset.name)
    }
}

impl Style {
    /// Chooses a mode by name, with the separators, wrapping and quoting that come with it. Headers are left alone.
    /// False if there is no such mode.
    pub fn preset(&mut self, name: &str) -> bool {
        by_name(name).map(|preset| self.apply(preset)).is_some()
    }

    /// Chooses a mode with the separators, wrapping and quoting that come with it. Headers are left alone.
    pub fn apply(&mut self, preset: &Preset) {
        self.mode = preset.mode;
        if let Some(separator) = preset.column_separator {
            self.column_separator = separator.into();
        }
        if let Some(separator) = preset.row_separator {
            self.row_separator = separator.into();
        }
        if preset.mode.holds_rows() {
            self.quote = preset.name == "qbox";
            self.wrap = 60;
            self.word_wrap = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_beginnings_mean_what_sqlite3_takes_them_for() {
        for (typed, name) in [
            ("col", Some("column")),
            ("c", Some("column")),
            ("l", Some("line")),
            ("lis", Some("list")),
            ("t", Some("tcl")),
            ("tab", Some("tabs")),
            ("m", Some("markdown")),
            ("json", Some("json")),
            ("jsonl", Some("jsonl")),
            ("q", Some("quote")),
            ("qbox", Some("qbox")),
            ("qb", None),
            ("vert", None),
            ("lines", Some("line")),
        ] {
            assert_eq!(by_beginning(typed).map(|preset| preset.name), name, "{typed}");
        }
    }

    #[test]
    fn mode_names_are_those_of_their_presets() {
        for preset in PRESETS {
            let name = preset.mode.name();
            assert_eq!(by_name(name).map(|preset| preset.mode), Some(preset.mode), "{name}");
        }
    }
}
