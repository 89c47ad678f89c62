//! Lines from files, pipes and strings, read as the `sqlite3` shell reads them.

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
}

/// How a dump begins, with the line end of those who write dumps.
const DUMP: &[u8] = b"PRAGMA foreign_keys=OFF;\n";

/// Lines of a file or a pipe.
pub struct Reader<R> {
    reader: BufReader<R>,
    /// The first line is still to come.
    begins: bool,
    /// It is a dump: a carriage return at the end of a line is part of what was dumped.
    is_dump: bool,
}

impl<R: Read> Reader<R> {
    pub fn new(reader: R) -> Self {
        Self {
            reader: BufReader::with_capacity(64 * 1024, reader),
            begins: true,
            is_dump: false,
        }
    }
}

impl<R: Read> Lines for Reader<R> {
    fn next(&mut self, _continuation: bool) -> io::Result<Input> {
        let mut line = Vec::new();
        loop {
            let start = line.len();
            let read = self.reader.read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(if line.is_empty() { Input::End } else { Input::Text(line) });
            }
            if std::mem::take(&mut self.begins) {
                self.is_dump = line == DUMP;
            }
            // What follows a NUL is lost, its line end too: the next line continues this one.
            if let Some(nul) = line[start..].iter().position(|&byte| byte == 0) {
                line.truncate(start + nul);
                continue;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
                if line.last() == Some(&b'\r') && !self.is_dump {
                    line.pop();
                }
                return Ok(Input::Text(line));
            }
        }
    }

    fn may_wait(&self) -> bool {
        self.reader.buffer().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_ends_and_what_follows_a_nul() {
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
}
