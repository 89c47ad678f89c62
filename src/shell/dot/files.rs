//! Dot-commands that read, write and run things outside the database.

use super::Call;
use crate::shell::input::Reader;
use crate::shell::output::{Refused, shell_command};
use crate::shell::render::Mode;
use crate::shell::state::{End, Ran, Shell, ToOpen};
use crate::shell::{import, interrupt};
use crate::sql::{Failure, trailer};
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::process::Stdio;

/// Where `.testcase` collects what `.check` compares.
const TESTCASE_FILE: &str = "testcase-out.txt";

pub fn cd(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.needs_trust(format_args!("cannot run .cd in safe mode"))?;
    match call.texts()[..] {
        [directory] => match std::env::set_current_dir(directory) {
            Ok(()) => Ok(()),
            Err(_) => shell.fail(format_args!("Cannot change to directory \"{directory}\"")),
        },
        _ => shell.fail(format_args!("Usage: .cd DIRECTORY")),
    }
}

pub fn print(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let line = call.raw.join(&b' ');
    shell.out.write_all(&line)?;
    shell.out.write_all(b"\n")?;
    Ok(())
}

pub fn dump(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let options = match crate::shell::dump::Options::parse(call.texts()) {
        Ok(options) => options,
        Err(word) => return shell.fail(format_args!("Unknown option \"{word}\" on \".dump\"")),
    };
    shell.session()?;
    let slot = &mut shell.slots[shell.active];
    let Some(session) = &mut slot.session else {
        return Ok(());
    };
    match crate::shell::dump::dump(session.as_mut(), &options, &mut shell.out) {
        Ok(_) => Ok(()),
        Err(Failure::Sink(error)) => Err(error.into()),
        Err(error) => shell.fail(format_args!("Error: {error}")),
    }
}

pub fn import(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.needs_trust(format_args!("cannot run .import in safe mode"))?;
    let options = match import::Options::parse(&call.texts(), &shell.settings.style) {
        Ok(options) => options,
        Err(import::Refusal::Usage(problem)) => {
            shell.out.write_all(problem.as_bytes())?;
            super::help::print(shell, "import")?;
            return Err(End::Failed(1));
        }
        Err(import::Refusal::Message(message)) => return shell.fail(format_args!("{message}")),
    };
    if options.line_feed_rows {
        shell.settings.style.row_separator = "\n".to_owned();
    }
    shell.session()?;
    shell.out.flush()?;
    interrupt::clear();
    let slot = &mut shell.slots[shell.active];
    let Some(session) = &mut slot.session else {
        return Ok(());
    };
    let mut streams = import::Streams {
        out: &mut shell.out,
        err: &mut std::io::stderr(),
        terminal: std::io::stderr().is_terminal(),
    };
    match import::import(session.as_mut(), &options, &mut streams, &interrupt::pressed) {
        Ok(0) => Ok(()),
        Ok(code) => Err(End::Failed(code)),
        Err(Failure::Sink(error)) => Err(error.into()),
        Err(error) => shell.fail(format_args!("Error: {error}")),
    }
}

pub fn read(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.needs_trust(format_args!("cannot run .read in safe mode"))?;
    let [place] = call.texts()[..] else {
        return shell.fail(format_args!("Usage: .read FILE"));
    };
    let line = shell.line;
    let failed = if let Some(command) = place.strip_prefix('|') {
        shell.out.flush()?;
        let Ok(mut child) = shell_command(command).stdout(Stdio::piped()).spawn() else {
            return shell.fail(format_args!("Error: cannot open \"{place}\""));
        };
        let failed = match child.stdout.take() {
            Some(stdout) => shell.read_lines(&mut Reader::new(stdout)),
            None => Ok(true),
        };
        // What the program says of itself is not ours to judge.
        let _ = child.wait();
        failed?
    } else {
        match File::open(place) {
            Ok(mut file) if file.metadata().is_ok_and(|metadata| !metadata.is_dir()) => {
                if let Err(error) = trailer::verify(&mut file, place) {
                    return shell.fail(format_args!("Error: {}", error.message()));
                }
                shell.read_lines(&mut Reader::new(file))?
            }
            _ => return shell.fail(format_args!("Error: cannot open \"{place}\"")),
        }
    };
    shell.line = line;
    if failed { Err(End::Failed(1)) } else { Ok(()) }
}

pub fn system(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.needs_trust(format_args!("cannot run .{} in safe mode", call.name))?;
    if call.args.is_empty() {
        return shell.fail(format_args!("Usage: .system COMMAND"));
    }
    let words: Vec<String> = call
        .args
        .iter()
        .map(|word| {
            if word.contains(' ') {
                format!("\"{word}\"")
            } else {
                word.clone()
            }
        })
        .collect();
    shell.out.flush()?;
    let status = shell_command(&words.join(" ")).status();
    let raw = status.map_or(-1, std::os::unix::process::ExitStatusExt::into_raw);
    if raw != 0 {
        shell.say(format_args!("System command returns {raw}"))?;
    }
    Ok(())
}

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
fn usage(shell: &mut Shell<'_>, call: &Call, problem: &str) -> Ran<Destination> {
    shell.show(format_args!("ERROR: {problem}.  Usage:"))?;
    super::help::print(shell, &call.name)?;
    Err(End::Failed(1))
}

fn destination(shell: &mut Shell<'_>, call: &Call, program: Option<Program>) -> Ran<Destination> {
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

fn redirect(shell: &mut Shell<'_>, call: &Call, once: bool, program: Option<Program>) -> Ran {
    shell.needs_trust(format_args!("cannot run .{} in safe mode", call.name))?;
    let wanted = destination(shell, call, program)?;
    shell.redirected_for = if once { 2 } else { 0 };
    shell.reset_output()?;
    let place = if let Some(program) = wanted.program {
        let Ok(file) = tempfile::Builder::new().suffix(program.suffix()).tempfile() else {
            return shell.fail(format_args!("Error: cannot create a temporary file"));
        };
        let path = file.into_temp_path();
        let place = path.to_string_lossy().into_owned();
        let settings = &mut shell.settings;
        shell.to_open = Some(ToOpen {
            file: path,
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
        wanted.place.unwrap_or_else(|| "stdout".to_owned())
    };
    match shell.out.redirect(&place) {
        Ok(()) => {}
        Err(Refused::Off) => return Err(End::Failed(1)),
        Err(Refused::CannotOpen) if place.starts_with('|') => {
            return shell.fail(format_args!("Error: cannot open pipe \"{}\"", &place[1..]));
        }
        Err(Refused::CannotOpen) => {
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

pub fn output(shell: &mut Shell<'_>, call: &Call) -> Ran {
    // What both names begin with means `.once`, as in classic.
    redirect(shell, call, "once".starts_with(&call.name), None)
}

pub fn once(shell: &mut Shell<'_>, call: &Call) -> Ran {
    redirect(shell, call, true, None)
}

pub fn excel(shell: &mut Shell<'_>, call: &Call) -> Ran {
    redirect(shell, call, true, Some(Program::Spreadsheet))
}

pub fn www(shell: &mut Shell<'_>, call: &Call) -> Ran {
    redirect(shell, call, true, Some(Program::Browser))
}

pub fn testcase(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.reset_output()?;
    if shell.out.redirect(TESTCASE_FILE).is_err() {
        shell.say(format_args!("Error: cannot open '{TESTCASE_FILE}'"))?;
    }
    shell.testcase = call.args.first().cloned().unwrap_or_else(|| "?".to_owned());
    Ok(())
}

pub fn check(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.reset_output()?;
    let [pattern] = call.texts()[..] else {
        shell.say(format_args!("Usage: .check GLOB-PATTERN"))?;
        return Err(End::Quit);
    };
    // An empty file counts as one that cannot be read, in classic too.
    let Some(got) = std::fs::read(TESTCASE_FILE).ok().filter(|got| !got.is_empty()) else {
        shell.say(format_args!("Error: cannot read '{TESTCASE_FILE}'"))?;
        return Err(End::Quit);
    };
    let name = shell.testcase.clone();
    if glob(pattern.as_bytes(), &got) {
        return shell.show(format_args!("testcase-{name} ok"));
    }
    let got = String::from_utf8_lossy(&got).into_owned();
    shell.fail(format_args!(
        "testcase-{name} FAILED\n Expected: [{pattern}]\n      Got: [{got}]"
    ))
}

/// Whether `text` matches `pattern`: `*`, `?` and `[…]` as in GLOB, `#` for digits, white space for any white space.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let space = crate::sql::split::is_space;
    let Some((&first, rest)) = pattern.split_first() else {
        return text.iter().all(|&byte| space(byte));
    };
    match first {
        byte if space(byte) => {
            if !text.first().copied().is_some_and(space) {
                return false;
            }
            let skip = |text: &[u8]| text.iter().take_while(|&&byte| space(byte)).count();
            glob(&pattern[skip(pattern)..], &text[skip(text)..])
        }
        b'*' => (0..=text.len()).any(|at| glob(rest, &text[at..])),
        b'?' => !text.is_empty() && glob(rest, &text[1..]),
        b'[' => {
            let Some(&byte) = text.first() else { return false };
            let (inside, after) = class(rest, byte);
            inside && glob(after, &text[1..])
        }
        b'#' => {
            let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
            let digits = text[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            digits > 0 && glob(rest, &text[sign + digits..])
        }
        byte => text.first() == Some(&byte) && glob(rest, &text[1..]),
    }
}

/// Whether `byte` is in the class that `pattern` (after its `[`) describes, and what follows the class.
fn class(pattern: &[u8], byte: u8) -> (bool, &[u8]) {
    let (inverted, pattern) = match pattern.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let start = usize::from(pattern.first() == Some(&b']'));
    let Some(end) = pattern.iter().skip(start).position(|&byte| byte == b']') else {
        return (false, &[]);
    };
    let (members, after) = (&pattern[..start + end], &pattern[start + end + 1..]);
    let mut seen = false;
    let mut at = 0;
    while at < members.len() {
        if members.get(at + 1) == Some(&b'-') && at + 2 < members.len() {
            seen |= (members[at]..=members[at + 2]).contains(&byte);
            at += 3;
        } else {
            seen |= members[at] == byte;
            at += 1;
        }
    }
    (seen != inverted, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn testcases_are_compared_by_pattern() {
        for (pattern, text, matches) in [
            ("1 2", "1\n2\n", true),
            ("*b*", "abc", true),
            ("a[b-d]e", "ace", true),
            ("a[^b-d]e", "ace", false),
            ("x#y", "x-12y", true),
            ("ab", "abc", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), matches, "{pattern}");
        }
    }
}
