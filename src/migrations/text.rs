//! Reading a file of migrations as text.

use crate::error::{Code, Error, Result};
use crate::sql::script_error::{count_lines, located};
use std::path::Path;

/// A file's text. Fails with `invalid_file`, which names the line, where it is not UTF-8.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|error| Error::io(error, format!("cannot read {}", path.display())))?;
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + count_lines(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        located(
            &path.display().to_string(),
            line,
            "the text is not UTF-8",
            Code::InvalidFile,
        )
    })
}
