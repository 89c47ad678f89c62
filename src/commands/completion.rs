//! `torso completion SHELL`: a small script that calls torso back on every Tab, so that it knows your databases.

use super::Cli;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::settings::env;
use clap::CommandFactory as _;
use clap_complete::env::{CompleteEnv, Shells};
use std::ffi::OsString;

/// Print the completion script of a shell
///
/// The script calls torso, so it completes the names of your databases, groups, locations and contexts, and stays current.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bash        source <(torso completion bash)
  zsh         source <(torso completion zsh)
  fish        torso completion fish | source
  PowerShell  torso completion powershell | Out-String | Invoke-Expression
  elvish      eval (torso completion elvish | slurp)")]
pub(super) struct Args {
    /// Your shell
    #[arg(value_name = "SHELL", value_parser = ["bash", "zsh", "fish", "powershell", "elvish"])]
    shell: String,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    ctx.ui.page(&script(&args.shell)?)
}

/// The script for a shell; the same text is kept in `completions/`.
fn script(shell: &str) -> Result<String> {
    let doing = || Error::new(Code::Internal, format!("no completion script for {shell}"));
    let shells = Shells::builtins();
    let completer = shells.completer(shell).ok_or_else(doing)?;
    let mut text = Vec::new();
    completer
        .write_registration(env::COMPLETE, "torso", "torso", "torso", &mut text)
        .map_err(|error| doing().caused_by(error))?;
    let text = String::from_utf8(text).map_err(|error| doing().caused_by(error))?;
    Ok(if shell == "bash" { for_bash(&text) } else { text })
}

/// bash parts words at `=`, so `--option=value` is put together again, and only what follows the `=` is offered. It puts an offer
/// into the command line as it is, so names with blanks and the like are quoted before.
fn for_bash(script: &str) -> String {
    const WORDS: &str = r#"    local words=("${COMP_WORDS[@]}")
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        words[COMP_CWORD]="$2"
    fi
"#;
    const JOINED: &str = r#"    local words=() word n i joins=no
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        n=${#words[@]}
        if [[ $i -eq $COMP_CWORD && "$word" != = ]]; then
            word="$2"
        fi
        if [[ "$word" == = && $n -gt 0 && "${words[n-1]}" == --* ]]; then
            words[n-1]+="="
            joins=yes
        elif [[ $joins == yes ]]; then
            words[n-1]+="$word"
            joins=no
        else
            words+=("$word")
        fi
    done
    _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1))
    local joined=""
    if [[ "$2" != --* && "${words[_CLAP_COMPLETE_INDEX]}" == --*=* ]]; then
        joined="${words[_CLAP_COMPLETE_INDEX]%%=*}="
    fi
"#;
    const QUOTING: &str = r#"    if [[ -n "$joined" && ${#COMPREPLY[@]} -gt 0 ]]; then
        COMPREPLY=("${COMPREPLY[@]#"$joined"}")
    fi
    if [[ "$2" != [\"\']* ]]; then
        local i
        for i in "${!COMPREPLY[@]}"; do
            if [[ "${COMPREPLY[i]}" == *[[:blank:]\&\;\(\)\<\>\|\'\"\$\`\\*?]* ]]; then
                COMPREPLY[i]=$(printf '%q' "${COMPREPLY[i]}")
            fi
        done
    fi
}
"#;
    script
        .replacen(WORDS, JOINED, 1)
        .replacen("\n}\n", &format!("\n{QUOTING}"), 1)
}

/// Answers a completion request and returns the exit code. Errors are silent: they would land in the user's prompt.
pub(super) fn answer(args: Vec<OsString>) -> u8 {
    let here = std::env::current_dir().ok();
    match CompleteEnv::with_factory(Cli::command)
        .var(env::COMPLETE)
        .try_complete(args, here.as_deref())
    {
        Ok(_) => 0,
        Err(_) => Code::Usage.kind().exit_code(),
    }
}

// The scripts are those of the whole program.
#[cfg(all(test, feature = "server"))]
mod tests {
    use super::*;
    use crate::commands::manual::same_as_file;

    #[test]
    fn completion_scripts_in_the_tree_are_current() {
        for (shell, file) in [
            ("bash", "torso.bash"),
            ("zsh", "_torso"),
            ("fish", "torso.fish"),
            ("powershell", "torso.ps1"),
            ("elvish", "torso.elv"),
        ] {
            same_as_file(&format!("completions/{file}"), &script(shell).unwrap());
        }
    }
}
