//! The program: everything is in the library's `run`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(torso::run(std::env::args_os()))
}
