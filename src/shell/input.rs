//! Lines from files, pipes and strings, read as the `sqlite3` shell reads them.

use crate::sql::trailer::{self, Checksum, MARK};
use std::io::{self, BufRead, BufReader, Read};

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// One line, or several lines edited as one, without the last line end.
    Text(Vec<u8>),
    End,
}

/// A place that text comes from.
pub trait Lines {
    /// The next line. `continuation` tells that a statement has begun.
    fn next(&mut self, continuation: bool) -> io::Result<Input>;

    /// Whether the next line may have to be waited for, so that answers should be shown first.
    fn may_wait(&self) -> bool;

    /// Whether what was read so far began as dumps do.
    fn is_dump(&self) -> bool {
        false
    }
}

/// The first statement of a dump, and the one that ends its transaction. Who writes dumps ends lines with a line feed.
const DUMP: &[u8] = b"PRAGMA foreign_keys=OFF;";
const COMMIT: &[u8] = b"COMMIT;";

/// What some programs begin a text with.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Lines of a file or a pipe.
pub struct Reader<R> {
    reader: BufReader<R>,
    kind: InputKind,
    /// The sum of all bytes so far, of what may be a dump.
    checksum: Option<Checksum>,
    /// What was read ahead.
    ahead: Option<Vec<u8>>,
}

/// What an input is, by its first statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InputKind {
    /// That is still to come.
    Unknown,
    /// A dump as it was written: a carriage return at the end of a line is part of what was dumped.
    Dump,
    /// A dump whose line ends were changed.
    ConvertedDump,
    Other,
}

impl InputKind {
    /// By a line of an input of which nothing was known before.
    fn of(line: &[u8]) -> Self {
        let text = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim_ascii();
        match text {
            DUMP if line.ends_with(b";\n") => Self::Dump,
            DUMP => Self::ConvertedDump,
            b"" => Self::Unknown,
            comment if comment.starts_with(b"--") => Self::Unknown,
            _ => Self::Other,
        }
    }
}

impl<R: Read> Reader<R> {
    pub fn new(reader: R) -> Self {
        Self {
            reader: BufReader::with_capacity(64 * 1024, reader),
            kind: InputKind::Unknown,
            checksum: Some(Checksum::new()),
            ahead: None,
        }
    }

    /// Appends the next line with its end. Of a dump, the end of its transaction is handed out only when a checksum that
    /// follows fits, as long as nothing else was lost.
    fn raw(&mut self, line: &mut Vec<u8>) -> io::Result<usize> {
        if let Some(mut ahead) = self.ahead.take() {
            let length = ahead.len();
            line.append(&mut ahead);
            return Ok(length);
        }
        let start = line.len();
        let read = self.reader.read_until(b'\n', line)?;
        if self.kind == InputKind::Unknown {
            self.kind = InputKind::of(&line[start..]);
        }
        if self.kind == InputKind::Other {
            self.checksum = None;
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&line[start..]);
            if line[start..].trim_ascii_end() == COMMIT {
                let mut next = Vec::new();
                self.reader.read_until(b'\n', &mut next)?;
                if next.starts_with(MARK.trim_end().as_bytes()) {
                    trailer::compare(next.trim_ascii_end(), checksum, "the input")
                        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.message().to_owned()))?;
                }
                checksum.update(&next);
                self.ahead = Some(next).filter(|next| !next.is_empty());
            }
        }
        Ok(read)
    }
}

impl<R: Read> Lines for Reader<R> {
    fn next(&mut self, _continuation: bool) -> io::Result<Input> {
        let mut line = Vec::new();
        loop {
            let start = line.len();
            let read = self.raw(&mut line)?;
            if read == 0 {
                return Ok(if line.is_empty() { Input::End } else { Input::Text(line) });
            }
            // What follows a NUL is lost, its line end too: the next line continues this one.
            if let Some(nul) = line[start..].iter().position(|&byte| byte == 0) {
                line.truncate(start + nul);
                continue;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
                if line.last() == Some(&b'\r') && self.kind != InputKind::Dump {
                    line.pop();
                }
                return Ok(Input::Text(line));
            }
        }
    }

    fn may_wait(&self) -> bool {
        self.ahead.is_none() && self.reader.buffer().is_empty()
    }

    fn is_dump(&self) -> bool {
        matches!(self.kind, InputKind::Dump | InputKind::ConvertedDump)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_lines_lose_their_ends_and_what_follows_a_nul() {
        let mut reader = Reader::new(&b"a\r\nb\0c\nd\n\ne"[..]);
        let mut lines = Vec::new();
        while let Input::Text(line) = reader.next(false).unwrap() {
            lines.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(lines, ["a", "bd", "", "e"]);
        let mut dump = Reader::new(&b"PRAGMA foreign_keys=OFF;\nINSERT INTO t VALUES('a\r\nb');\n"[..]);
        dump.next(false).unwrap();
        assert_eq!(
            dump.next(false).unwrap(),
            Input::Text(b"INSERT INTO t VALUES('a\r".to_vec())
        );
    }

    #[test]
    fn dump_in_a_pipe_with_a_wrong_checksum_is_not_committed() {
        let body = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a);\nCOMMIT;\n";
        let mut checksum = Checksum::new();
        checksum.update(body.as_bytes());
        let trailer = trailer::Trailer {
            rows: 0,
            checksum: checksum.value(),
        };
        let lines = |text: &str| {
            let mut reader = Reader::new(text.as_bytes());
            let mut lines = 0;
            loop {
                match reader.next(false) {
                    Ok(Input::End) => return Ok(lines),
                    Ok(Input::Text(_)) => lines += 1,
                    Err(error) => return Err((lines, error.to_string())),
                }
            }
        };
        assert_eq!(lines(body), Ok(4));
        assert_eq!(lines(&format!("{body}{trailer}\n")), Ok(5));
        let (read, error) = lines(&format!("{body}{trailer}\n").replace("t(a)", "t(b)")).unwrap_err();
        assert_eq!(read, 3);
        assert!(error.contains("altered or damaged"), "{error}");
        let whole = format!("{body}{trailer}\n");
        for changed in [
            whole.replace('\n', "\r\n"),
            format!("\u{feff}{whole}"),
            format!("-- of today\n\n{whole}"),
        ] {
            let error = lines(&changed).unwrap_err().1;
            assert!(error.contains("altered or damaged"), "{changed:?}: {error}");
        }
        let (read, error) = lines(&format!("{body}{}", &trailer.to_string()[..20])).unwrap_err();
        assert_eq!(read, 3);
        assert!(error.contains("cut off"), "{error}");
    }
}
