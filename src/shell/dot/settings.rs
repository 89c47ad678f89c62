//! Dot-commands that change or show the shell's own settings, and those that end it.

use super::Call;
use crate::shell::render::Mode;
use crate::shell::state::{End, ExplainLayout, Ran, Settings, Shell, ShowPlan};
use crate::shell::words::{c_literal, integer, is_option};
use crate::sql::{Target, Value};
use std::io::Write;

pub fn nothing(_: &mut Shell<'_>, _: &Call) -> Ran {
    Ok(())
}

/// The switch that is the command's only word.
fn only_switch(shell: &mut Shell<'_>, call: &Call, usage: &str) -> Ran<i32> {
    match call.texts()[..] {
        [word] => shell.switch(word),
        _ => shell.fail(format_args!("Usage: {usage}")),
    }
}

pub fn bail(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.settings.bail = only_switch(shell, call, ".bail on|off")? != 0;
    Ok(())
}

/// Line ends are never translated here, so there is nothing to choose.
pub fn binary(shell: &mut Shell<'_>, call: &Call) -> Ran {
    only_switch(shell, call, ".binary on|off").map(drop)
}

pub fn changes(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.settings.changes = only_switch(shell, call, ".changes on|off")? != 0;
    Ok(())
}

pub fn echo(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.settings.echo = only_switch(shell, call, ".echo on|off")? != 0;
    Ok(())
}

pub fn timer(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.settings.timer = only_switch(shell, call, ".timer on|off")? != 0;
    Ok(())
}

pub fn headers(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.settings.style.headers = only_switch(shell, call, ".headers on|off")? != 0;
    shell.settings.headers_chosen = true;
    Ok(())
}

pub fn scanstats(shell: &mut Shell<'_>, call: &Call) -> Ran {
    only_switch(shell, call, ".scanstats on|off")?;
    shell.say(format_args!("Warning: .scanstats not available in this build."))
}

pub fn eqp(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let show = match call.texts()[..] {
        ["full"] => ShowPlan::Full,
        ["trigger"] => ShowPlan::Trigger,
        [word] => match shell.switch(word)? {
            0 => ShowPlan::Off,
            1 => ShowPlan::On,
            2 => ShowPlan::Trigger,
            _ => ShowPlan::Full,
        },
        _ => return shell.fail(format_args!("Usage: .eqp off|on|trace|trigger|full")),
    };
    shell.settings.show_plan = show;
    if let Some(session) = &mut shell.slot().session
        && let Some(connection) = session.local()
    {
        // Without it the plans of triggers are not shown; nothing else depends on it.
        let _ = connection.set_db_config(
            rusqlite::config::DbConfig::SQLITE_DBCONFIG_TRIGGER_EQP,
            show >= ShowPlan::Trigger,
        );
    }
    Ok(())
}

pub fn explain(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.settings.explain = match call.args.first().map(String::as_str) {
        None => ExplainLayout::On,
        Some("auto") => ExplainLayout::Auto,
        Some(word) => match shell.switch(word)? {
            0 => ExplainLayout::Off,
            1 => ExplainLayout::On,
            _ => return Ok(()),
        },
    };
    Ok(())
}

pub fn nullvalue(shell: &mut Shell<'_>, call: &Call) -> Ran {
    match call.texts()[..] {
        [text] => {
            shell.settings.style.null = cut(text);
            Ok(())
        }
        _ => shell.fail(format_args!("Usage: .nullvalue STRING")),
    }
}

/// The bytes of a separator, or of a text for NULL, that classic keeps.
const LONGEST: usize = 19;

/// Texts longer than classic keeps are cut as it cuts them.
pub(in crate::shell) fn cut(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

pub fn separator(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let style = &mut shell.settings.style;
    if let Some(columns) = call.args.first() {
        style.column_separator = cut(columns);
    }
    if let Some(rows) = call.args.get(1) {
        style.row_separator = cut(rows);
    }
    if call.args.is_empty() || call.args.len() > 2 {
        return shell.fail(format_args!("Usage: .separator COL ?ROW?"));
    }
    Ok(())
}

pub fn width(shell: &mut Shell<'_>, call: &Call) -> Ran {
    #[allow(clippy::cast_possible_truncation)] // as classic does
    let widths = call.args.iter().map(|word| integer(word) as i32).collect();
    shell.settings.style.widths = widths;
    Ok(())
}

pub fn prompt(shell: &mut Shell<'_>, call: &Call) -> Ran {
    if let Some(main) = call.args.first() {
        shell.settings.prompt = Some((main.clone(), call.args.get(1).cloned()));
    }
    Ok(())
}

pub fn nonce(shell: &mut Shell<'_>, call: &Call) -> Ran {
    match call.texts()[..] {
        [word] if shell.settings.nonce.as_deref() == Some(word) => {
            shell.trust(true);
            Ok(())
        }
        [word] => {
            let line = shell.line;
            shell.say(format_args!("line {line}: incorrect nonce: \"{word}\""))?;
            Err(End::Exit(1))
        }
        _ => shell.fail(format_args!("Usage: .nonce NONCE")),
    }
}

pub fn quit(_: &mut Shell<'_>, _: &Call) -> Ran {
    Err(End::Quit)
}

pub fn exit(_: &mut Shell<'_>, call: &Call) -> Ran {
    match call.args.first().map_or(0, |word| integer(word)) {
        0 => Err(End::Quit),
        #[allow(clippy::cast_possible_truncation)] // only the low byte reaches the caller anyway
        code => Err(End::Exit(code as i32)),
    }
}

/// Modes as `.mode` finds them: the first that begins with what was typed, and the preset that it stands for.
const MODES: [(&str, &str); 16] = [
    ("lines", "line"),
    ("columns", "column"),
    ("list", "list"),
    ("html", "html"),
    ("tcl", "tcl"),
    ("csv", "csv"),
    ("tabs", "tabs"),
    ("insert", "insert"),
    ("quote", "quote"),
    ("ascii", "ascii"),
    ("markdown", "markdown"),
    ("table", "table"),
    ("box", "box"),
    ("count", "count"),
    ("off", "off"),
    ("json", "json"),
];

/// Modes that must be typed in full: those that classic does not have, and its `qbox`.
const WHOLE_MODES: [(&str, &str); 3] = [("jsonl", "jsonl"), ("vertical", "vertical"), ("qbox", "box")];

/// Options of the modes that lay rows out in columns.
#[derive(Default)]
struct Layout {
    wrap: i32,
    word_wrap: bool,
    quote: bool,
}

/// The mode, with its options where it has any.
fn described(settings: &Settings) -> String {
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

pub fn mode(shell: &mut Shell<'_>, call: &Call) -> Ran {
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
            "Error: mode should be one of: ascii box column csv html insert json line list markdown qbox quote table \
             tabs tcl"
        ))
    }
}

/// Sets the mode that `typed` begins. False if there is none.
fn choose(shell: &mut Shell<'_>, typed: &str, layout: &Layout, table: Option<&str>) -> bool {
    let shortened = MODES.iter().find(|(name, _)| name.starts_with(typed));
    let Some((_, preset)) = shortened.or_else(|| WHOLE_MODES.iter().find(|(name, _)| *name == typed)) else {
        return false;
    };
    let settings = &mut shell.settings;
    if settings.explain == ExplainLayout::On {
        settings.explain = ExplainLayout::Off;
    }
    let rows = settings.style.row_separator.clone();
    settings.style.preset(preset);
    match settings.style.mode {
        Mode::Column if !settings.headers_chosen => settings.style.headers = true,
        Mode::Insert => table.unwrap_or("table").clone_into(&mut settings.style.insert_table),
        Mode::List if *preset == "tabs" => settings.style.row_separator = rows,
        _ => {}
    }
    if settings.style.mode.holds_rows() {
        settings.style.wrap = layout.wrap;
        settings.style.word_wrap = layout.word_wrap;
        settings.style.quote = layout.quote;
    }
    true
}

pub fn show(shell: &mut Shell<'_>, call: &Call) -> Ran {
    if !call.args.is_empty() {
        return shell.fail(format_args!("Usage: .show"));
    }
    let on = |on: bool| if on { "on" } else { "off" };
    let settings = &shell.settings;
    let widths: String = settings.style.widths.iter().map(|width| format!("{width} ")).collect();
    let rows = [
        ("echo", on(settings.echo).to_owned()),
        (
            "eqp",
            match settings.show_plan {
                ShowPlan::Off => "off",
                ShowPlan::On => "on",
                ShowPlan::Trigger => "trigger",
                ShowPlan::Full => "full",
            }
            .to_owned(),
        ),
        (
            "explain",
            match settings.explain {
                ExplainLayout::Auto => "auto",
                ExplainLayout::On => "on",
                ExplainLayout::Off => "off",
            }
            .to_owned(),
        ),
        ("headers", on(settings.style.headers).to_owned()),
        ("mode", described(settings)),
        ("nullvalue", c_literal(&settings.style.null)),
        ("output", shell.out.name().unwrap_or("stdout").to_owned()),
        ("colseparator", c_literal(&settings.style.column_separator)),
        ("rowseparator", c_literal(&settings.style.row_separator)),
        (
            "stats",
            ["off", "on", "stmt", "vmstep"][usize::from(settings.stats.min(3))].to_owned(),
        ),
        ("width", widths),
        ("filename", shell.slots[shell.active].file.clone().unwrap_or_default()),
    ];
    for (label, value) in rows {
        writeln!(shell.out, "{label:>12}: {value}")?;
    }
    show_foreign_keys(shell)
}

/// The one setting of a session that a server begins with differently, told where there is a server or a person.
fn show_foreign_keys(shell: &mut Shell<'_>) -> Ran {
    let remote = matches!(shell.slot().target, Some(Target::Remote { .. }));
    if !remote && shell.terminal.is_none() {
        return Ok(());
    }
    // A server that cannot be asked is told of by the next statement.
    let Ok(rows) = shell.query("PRAGMA foreign_keys", &[])? else {
        return Ok(());
    };
    let on = rows.first().and_then(|row| row.first()) == Some(&Value::Integer(1));
    let usual = if remote {
        "servers begin with on, files with off"
    } else {
        "files begin with off, servers with on"
    };
    shell.show(format_args!(
        "foreign_keys: {} ({usual})",
        if on { "on" } else { "off" }
    ))
}
