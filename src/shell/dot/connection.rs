//! `.connection`: several databases side by side.

use super::CommandCall;
use crate::shell::state::{SLOTS, Shell, ShellResult};

pub fn connection(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let number = |word: &str| match word.as_bytes() {
        [digit @ b'0'..=b'9'] => Some(usize::from(digit - b'0')),
        _ => None,
    };
    match call.texts()[..] {
        [] => list_connections(shell),
        [word] if number(word).is_some() => {
            if let Some(index) = number(word).filter(|&index| index < SLOTS) {
                shell.connections.active = index;
            }
            Ok(())
        }
        ["close", word] if number(word).is_some() => match number(word) {
            Some(index) if index == shell.connections.active => {
                shell.fail(format_args!("cannot close the active database connection"))
            }
            Some(index) if index < SLOTS => {
                if let Some(mut session) = shell.connections.slots[index].session.take() {
                    shell.connections.changed += session.total_changes();
                }
                Ok(())
            }
            _ => Ok(()),
        },
        _ => shell.fail(format_args!("Usage: .connection [close] [CONNECTION-NUMBER]")),
    }
}

fn list_connections(shell: &mut Shell<'_>) -> ShellResult {
    for index in 0..SLOTS {
        let slot = &shell.connections.slots[index];
        let file = match slot.file.as_deref() {
            _ if slot.session.is_none() && index != shell.connections.active => continue,
            None => "(memory)",
            Some("") => "(temporary-file)",
            Some(file) => file,
        };
        let label = if index == shell.connections.active {
            "ACTIVE"
        } else {
            "      "
        };
        let line = format!("{label} {index}: {file}\n");
        shell.out.write_standard(line.as_bytes())?;
    }
    Ok(())
}
