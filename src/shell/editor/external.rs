//! Text in the user's own editor.

use crate::error::{Code, Error, Result};
use crate::temporary_files::TemporaryFile;
use std::io::Write;
use std::process::Command;

/// Opens `text` in `$VISUAL`, `$EDITOR` or `vi` and returns what was saved, or none if the editor ended with an error (the
/// usual way to say "never mind").
///
/// # Errors
/// If no editor can be started or the temporary file fails.
pub fn edit(text: &str) -> Result<Option<String>> {
    let failed = |error: std::io::Error| Error::new(Code::Io, "the text could not be edited").caused_by(error);
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
        .unwrap_or_else(|| "vi".to_owned());
    // Made 0600, and removed when dropped. The ending lets editors choose their highlighting.
    let mut file = TemporaryFile::create("torso-", ".sql").map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    if !text.is_empty() && !text.ends_with('\n') {
        file.write_all(b"\n").map_err(failed)?;
    }
    file.flush().map_err(failed)?;
    // Through the shell, because the variable may hold arguments; the path is passed beside it, so nothing in it is parsed.
    let status = Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(file.path())
        .status()
        .map_err(|error| {
            Error::new(Code::Io, format!("the editor `{editor}` could not be started")).caused_by(error)
        })?;
    if status.code() == Some(127) {
        return Err(Error::new(Code::Io, format!("the editor `{editor}` was not found"))
            .hint("set EDITOR to the editor you use"));
    }
    if !status.success() {
        return Ok(None);
    }
    let saved = std::fs::read(file.path()).map_err(failed)?;
    let saved = String::from_utf8(saved)
        .map_err(|error| Error::new(Code::InvalidValue, "the edited text is not UTF-8").caused_by(error))?;
    Ok(Some(saved.trim_end().to_owned()))
}
