//! What stands in the place of `torso server`, `torso node`, `torso dev` and `torso engine` in a torso that was built without its server.

use crate::error::{Code, Error};
use clap::Subcommand;
use std::ffi::OsString;

/// The commands that are left out. They are not in the help, and take whatever words they had.
#[derive(Subcommand)]
pub(super) enum LeftOut {
    #[command(hide = true, disable_help_flag = true)]
    Server(Words),
    #[command(hide = true, disable_help_flag = true)]
    Engine(Words),
    #[command(hide = true, disable_help_flag = true)]
    Dev(Words),
    #[command(hide = true, disable_help_flag = true)]
    Node(Words),
}

/// The words of a command line.
#[derive(clap::Args)]
pub(super) struct Words {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _words: Vec<OsString>,
}

impl LeftOut {
    /// Returns the error that says what to install.
    pub fn to_error(&self) -> Error {
        let name = match self {
            Self::Server(_) => "server",
            Self::Engine(_) => "engine",
            Self::Dev(_) => "dev",
            Self::Node(_) => "node",
        };
        Error::new(
            Code::Unsupported,
            format!("this torso was built without its server, so it has no torso {name}"),
        )
        .hint("build it with the server: cargo install --path . in a clone of the repository, on Linux or macOS")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use super::*;
    use clap::Parser as _;

    #[test]
    fn server_that_is_left_out_is_refused_with_what_to_install() {
        for words in [
            ["torso", "server", "--listen"],
            ["torso", "engine", "install"],
            ["torso", "dev", "--auth"],
            ["torso", "node", "--join"],
            ["torso", "server", "-h"],
        ] {
            let Some(Command::LeftOut(command)) = Cli::try_parse_from(words).unwrap().command else {
                panic!("{words:?} is another command");
            };
            let error = command.to_error();
            assert_eq!(error.code(), Code::Unsupported);
            assert!(error.message().contains(words[1]), "{error}");
        }
    }
}
