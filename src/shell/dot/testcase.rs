//! `.testcase` and `.check`: results compared with a pattern.

use super::CommandCall;
use crate::shell::state::{Interrupt, Shell, ShellResult};

/// Where `.testcase` collects what `.check` compares.
const TESTCASE_FILE: &str = "testcase-out.txt";

pub fn testcase(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    shell.reset_output()?;
    if shell.out.redirect(TESTCASE_FILE).is_err() {
        shell.say(format_args!("Error: cannot open '{TESTCASE_FILE}'"))?;
    }
    shell.redirection.testcase = call.args.first().cloned().unwrap_or_else(|| "?".to_owned());
    Ok(())
}

pub fn check(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    shell.reset_output()?;
    let [pattern] = call.texts()[..] else {
        shell.say(format_args!("Usage: .check GLOB-PATTERN"))?;
        return Err(Interrupt::Quit);
    };
    // An empty file counts as one that cannot be read, in classic too.
    let Some(got) = std::fs::read(TESTCASE_FILE).ok().filter(|got| !got.is_empty()) else {
        shell.say(format_args!("Error: cannot read '{TESTCASE_FILE}'"))?;
        return Err(Interrupt::Quit);
    };
    let name = shell.redirection.testcase.clone();
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
    let space = crate::sqltext::token::is_space;
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
    fn testcase_is_compared_by_pattern() {
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
