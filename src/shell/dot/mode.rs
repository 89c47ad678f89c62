//! `.mode`: how results look.

use super::CommandCall;
use crate::shell::render::{Mode, preset};
use crate::shell::state::{ExplainLayout, Shell, ShellResult, ShellSettings};
use crate::shell::words::{integer, is_option};

/// Options of the modes that lay rows out in columns.
#[derive(Default)]
struct Layout {
    wrap: i32,
    word_wrap: bool,
    quote: bool,
}

/// The mode, with its options where it has any.
pub fn described(settings: &ShellSettings) -> String {
    let style = &settings.style;
    if settings.explain == ExplainLayout::On {
        "explain".to_owned()
    } else if style.mode.holds_rows() {
        format!(
            "{} --wrap {} --wordwrap {} --{}quote",
            style.mode.name(),
            style.wrap,
            if style.word_wrap { "on" } else { "off" },
            if style.quote { "" } else { "no" }
        )
    } else {
        style.mode.name().to_owned()
    }
}

pub fn mode(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let mut layout = Layout {
        wrap: 60,
        ..Layout::default()
    };
    let mut name: Option<&str> = None;
    let mut table: Option<&str> = None;
    let mut words = call.args.iter().map(String::as_str);
    while let Some(word) = words.next() {
        if is_option(word, "wrap") && words.len() > 0 {
            let number = words.next().map_or(0, integer);
            #[allow(clippy::cast_possible_truncation)] // as classic does
            {
                layout.wrap = number as i32;
            }
        } else if is_option(word, "ww") {
            layout.word_wrap = true;
        } else if is_option(word, "wordwrap") && words.len() > 0 {
            layout.word_wrap = shell.switch(words.next().unwrap_or_default())? != 0;
        } else if is_option(word, "quote") {
            layout.quote = true;
        } else if is_option(word, "noquote") {
            layout.quote = false;
        } else if name.is_none() {
            name = Some(word);
            if word == "qbox" {
                layout = Layout {
                    wrap: 60,
                    word_wrap: false,
                    quote: true,
                };
            }
        } else if table.is_none() {
            table = Some(word);
        } else if word.starts_with('-') {
            return shell.fail(format_args!(
                "unknown option: {word}\noptions:\n  --noquote\n  --quote\n  --wordwrap on/off\n  --wrap N\n  --ww"
            ));
        } else {
            return shell.fail(format_args!("extra argument: \"{word}\""));
        }
    }
    let name = match name {
        Some(name) => name,
        None => {
            // Without a mode it tells the present one, and sets it anew.
            let line = described(&shell.settings);
            shell.show(format_args!("current output mode: {line}"))?;
            if shell.settings.explain == ExplainLayout::On {
                "explain"
            } else {
                shell.settings.style.mode.name()
            }
        }
    };
    if choose(shell, name, &layout, table) {
        Ok(())
    } else {
        shell.fail(format_args!(
            "Error: mode should be one of: {}",
            preset::listed().join(" ")
        ))
    }
}

/// Sets the mode that `typed` begins. False if there is none.
fn choose(shell: &mut Shell<'_>, typed: &str, layout: &Layout, table: Option<&str>) -> bool {
    let Some(preset) = preset::by_beginning(typed) else {
        return false;
    };
    let settings = &mut shell.settings;
    if settings.explain == ExplainLayout::On {
        settings.explain = ExplainLayout::Off;
    }
    let rows = settings.style.row_separator.clone();
    settings.style.apply(preset);
    match settings.style.mode {
        Mode::Column if !settings.headers_chosen => settings.style.headers = true,
        Mode::Insert => table.unwrap_or("table").clone_into(&mut settings.style.insert_table),
        Mode::List if preset.name == "tabs" => settings.style.row_separator = rows,
        _ => {}
    }
    if settings.style.mode.holds_rows() {
        settings.style.wrap = layout.wrap;
        settings.style.word_wrap = layout.word_wrap;
        settings.style.quote = layout.quote;
    }
    true
}
