//! How a user hands over a token: from stdin, a file, or typed where nobody sees it. Never on the command line, where other
//! users of the machine could read it.

use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use std::io::Read as _;
use std::path::PathBuf;

/// The most that is read for a token.
const LONGEST: u64 = 64 << 10;

/// Where the token comes from.
#[derive(clap::Args, Default)]
pub(super) struct TokenInput {
    /// Read the token from standard input
    #[arg(long, conflicts_with = "token_file")]
    token_stdin: bool,
    /// Read the token from a file
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
}

impl TokenInput {
    /// Whether the user said where to find one.
    #[cfg(feature = "server")]
    pub fn has_source(&self) -> bool {
        self.token_stdin || self.token_file.is_some()
    }

    /// The token, if the user said where to find one.
    pub fn read(&self) -> Result<Option<Secret>> {
        let mut text = String::new();
        match (&self.token_file, self.token_stdin) {
            (Some(path), _) => {
                let doing = |error| {
                    Error::io(error, format!("cannot read the token from {}", path.display()))
                        .hint("name a file that holds nothing but the token, or pass it with --token-stdin")
                };
                let file = std::fs::File::open(path).map_err(doing)?;
                file.take(LONGEST).read_to_string(&mut text).map_err(doing)?;
                return check(&text, &path.display().to_string()).map(Some);
            }
            (None, true) => {
                let stdin = std::io::stdin().lock();
                stdin
                    .take(LONGEST)
                    .read_to_string(&mut text)
                    .map_err(|error| Error::io(error, "cannot read the token from stdin"))?;
            }
            (None, false) => return Ok(None),
        }
        check(&text, "stdin").map(Some)
    }
}

/// A token as it was typed or read: one word. `from` is where it comes from.
pub(super) fn check(text: &str, from: &str) -> Result<Secret> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let why = if text.is_empty() {
            "it is empty"
        } else {
            "it is more than one word"
        };
        return Err(Error::new(
            Code::InvalidValue,
            format!("what comes from {from} is not a token: {why}"),
        )
        .hint("a token is one word, such as torso auth api-tokens mint prints"));
    }
    Ok(Secret::new(text.to_owned()))
}

/// Has the user type or paste a token, unseen.
pub(super) fn ask(ctx: &Context, address: &str) -> Result<Secret> {
    if let Some(why) = ctx.ui.why_silent() {
        return Err(
            Error::new(Code::Usage, format!("no token for {address} is given, and {why}"))
                .hint("pass one with --token-stdin or --token-file"),
        );
    }
    let text = rpassword::prompt_password(format!("Token for {address} (it is not shown): "))
        .map_err(|error| Error::io(error, "cannot ask for the token"))?;
    check(&text, "the terminal")
}
