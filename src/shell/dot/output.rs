//! `.output`, `.once`, `.excel` and `.www`: where results go.

use super::CommandCall;
use crate::shell::output::RedirectError;
use crate::shell::render::Mode;
use crate::shell::state::{Interrupt, Shell, ShellResult, ToOpen};
use crate::temporary_files::TemporaryFile;
use std::io::Write;

/// Where `.output` and its kin are to send results.
#[derive(Default)]
struct Destination {
    place: Option<String>,
    byte_order_mark: bool,
    /// To be opened afterwards, and in what.
    program: Option<Program>,
}

/// What a result can be opened in when it is complete.
#[derive(Clone, Copy, PartialEq)]
enum Program {
    Spreadsheet,
    Editor,
    Browser,
}

impl Program {
    /// How the name of its file ends.
    fn suffix(self) -> &'static str {
        match self {
            Self::Spreadsheet => ".csv",
            Self::Editor => ".txt",
            Self::Browser => ".html",
        }
    }
}

/// What a page has around the rows of its table.
const PAGE: (&str, &str) = (
    "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>torso</title>\n<table border=\"1\" cellspacing=\"0\" cellpadding=\"2\">\n",
    "</table>\n",
);

/// Says what is wrong with the words of `.output`, on standard output as classic does.
fn usage(shell: &mut Shell<'_>, call: &CommandCall, problem: &str) -> ShellResult<Destination> {
    shell.show(format_args!("ERROR: {problem}.  Usage:"))?;
    super::help::print(shell, &call.name)?;
    Err(Interrupt::Failed(1))
}

fn destination(shell: &mut Shell<'_>, call: &CommandCall, program: Option<Program>) -> ShellResult<Destination> {
    let mut wanted = Destination {
        program,
        ..Destination::default()
    };
    let mut words = call.args.iter();
    while let Some(word) = words.next() {
        if let Some(option) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) {
            match option {
                "bom" => wanted.byte_order_mark = true,
                "x" if program.is_none() => wanted.program = Some(Program::Spreadsheet),
                "e" if program.is_none() => wanted.program = Some(Program::Editor),
                "w" if program.is_none() => wanted.program = Some(Program::Browser),
                _ => return usage(shell, call, &format!("unknown option: \"{word}\"")),
            }
        } else if wanted.place.is_none() && wanted.program.is_none() {
            if word.starts_with('|') {
                let rest: Vec<&str> = words.by_ref().map(String::as_str).collect();
                wanted.place = Some(std::iter::once(word.as_str()).chain(rest).collect::<Vec<_>>().join(" "));
            } else {
                wanted.place = Some(word.clone());
            }
        } else {
            return usage(shell, call, &format!("extra parameter: \"{word}\""));
        }
    }
    Ok(wanted)
}

fn redirect(shell: &mut Shell<'_>, call: &CommandCall, once: bool, program: Option<Program>) -> ShellResult {
    let wanted = destination(shell, call, program)?;
    shell.redirection.remaining = if once { 2 } else { 0 };
    shell.reset_output()?;
    let place = if let Some(program) = wanted.program {
        let Ok(file) = TemporaryFile::create(".tmp", program.suffix()) else {
            return shell.fail(format_args!("Error: cannot create a temporary file"));
        };
        let place = file.path().to_string_lossy().into_owned();
        let settings = &mut shell.settings;
        shell.redirection.to_open = Some(ToOpen {
            file,
            ending: if program == Program::Browser { PAGE.1 } else { "" },
            style: settings.style.clone(),
            echo: settings.echo,
        });
        match program {
            Program::Spreadsheet => {
                settings.echo = false;
                settings.style.mode = Mode::Csv;
                settings.style.column_separator = ",".to_owned();
                settings.style.row_separator = "\r\n".to_owned();
            }
            Program::Browser => {
                settings.echo = false;
                settings.style.mode = Mode::Html;
                settings.style.headers = true;
            }
            Program::Editor => {}
        }
        place
    } else {
        let place = wanted.place.unwrap_or_else(|| "stdout".to_owned());
        if !place.starts_with('|') {
            shell.check_output_file(&place)?;
        }
        place
    };
    match shell.out.redirect(&place) {
        Ok(()) => {}
        Err(RedirectError::Off) => return Err(Interrupt::Failed(1)),
        Err(RedirectError::CannotOpen) if place.starts_with('|') => {
            return shell.fail(format_args!("Error: cannot open pipe \"{}\"", &place[1..]));
        }
        Err(RedirectError::CannotOpen) => {
            return shell.fail(format_args!(
                "Error: cannot open \"{place}\"\nError: cannot write to \"{place}\""
            ));
        }
    }
    if wanted.byte_order_mark {
        shell.out.write_all(b"\xef\xbb\xbf")?;
    }
    if wanted.program == Some(Program::Browser) {
        shell.out.write_all(PAGE.0.as_bytes())?;
    }
    Ok(())
}

pub fn output(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    // What both names begin with means `.once`, as in classic.
    redirect(shell, call, "once".starts_with(&call.name), None)
}

pub fn once(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    redirect(shell, call, true, None)
}

pub fn excel(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    redirect(shell, call, true, Some(Program::Spreadsheet))
}

pub fn www(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    redirect(shell, call, true, Some(Program::Browser))
}
