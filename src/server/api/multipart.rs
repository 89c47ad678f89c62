//! Reads the first part of a multipart body as it arrives. The boundary is taken from the body's first line, so it may
//! be missing in the header.

use crate::error::{Code, Error, Result};
use memchr::memmem::Finder;
use std::io::{self, BufRead as _, BufReader, Read};

/// Longest line in front of the content, in bytes.
const LONGEST_LINE: u64 = 4_096;

/// Most lines in front of the content.
const MOST_LINES: usize = 32;

/// Bytes read at once.
const PIECE: usize = 64 << 10;

/// The content of a part.
pub(super) struct Part<R> {
    body: BufReader<R>,
    /// What ends the content.
    end: Finder<'static>,
    /// Bytes that were read and not returned yet.
    held: Vec<u8>,
    /// How many of them are known to be content.
    content: usize,
    ended: bool,
}

fn malformed(why: &str) -> Error {
    Error::new(Code::InvalidValue, format!("the multipart body is malformed: {why}"))
        .hint("send one part that holds the file")
}

impl<R: Read> Part<R> {
    /// Reads up to the first part's content.
    pub fn first(body: R) -> Result<Self> {
        let mut body = BufReader::with_capacity(PIECE, body);
        let boundary = line(&mut body)?;
        if boundary.len() < 3 || !boundary.starts_with(b"--") {
            return Err(malformed("it does not begin with a boundary"));
        }
        for _ in 0..MOST_LINES {
            if line(&mut body)?.is_empty() {
                let mut end = b"\r\n".to_vec();
                end.extend(boundary);
                return Ok(Self {
                    body,
                    end: Finder::new(&end).into_owned(),
                    held: Vec::new(),
                    content: 0,
                    ended: false,
                });
            }
        }
        Err(malformed("its part has too many headers"))
    }

    /// Reads until more bytes are known to be content, or the end is found.
    fn fill(&mut self) -> io::Result<()> {
        while self.content == 0 && !self.ended {
            let more = self.body.fill_buf()?;
            if more.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the multipart body is incomplete: the connection was closed",
                ));
            }
            let count = more.len();
            self.held.extend_from_slice(more);
            self.body.consume(count);
            match self.end.find(&self.held) {
                Some(at) => {
                    self.held.truncate(at);
                    self.content = at;
                    self.ended = true;
                    // Some clients read the answer only after they have sent everything.
                    io::copy(&mut self.body, &mut io::sink())?;
                }
                // The last bytes may be the beginning of the boundary.
                None => self.content = self.held.len().saturating_sub(self.end.needle().len() - 1),
            }
        }
        Ok(())
    }
}

/// Reads a line, without its line end.
fn line<R: Read>(body: &mut BufReader<R>) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    body.take(LONGEST_LINE)
        .read_until(b'\n', &mut line)
        .map_err(|error| malformed("it is incomplete").caused_by(error))?;
    match line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")) {
        Some(text) => Ok(text.to_vec()),
        None => Err(malformed("a header line of the part does not end")),
    }
}

impl<R: Read> Read for Part<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let count = buffer.len().min(self.content);
        buffer[..count].copy_from_slice(&self.held[..count]);
        self.held.drain(..count);
        self.content -= count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns its bytes in pieces of a size.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(buffer.len()).min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    const HEAD: &str = "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";

    #[test]
    fn multipart_content_is_found_however_it_arrives() {
        for content in [
            "",
            "a",
            "line\r\n--xy\r\n-- comment\r\n",
            "\r\n--x\r\n--xyz!".trim_end_matches("z!"),
            &"é".repeat(70_000),
        ] {
            let body = format!("{HEAD}{content}\r\n--xyz--\r\n");
            for size in [1, 2, 7, 1 << 20] {
                let mut found = String::new();
                let mut part = Part::first(Slowly(body.as_bytes(), size)).unwrap();
                part.read_to_string(&mut found).unwrap();
                assert_eq!(found, content);
            }
        }
    }

    #[test]
    fn multipart_body_that_breaks_off_has_no_content() {
        let body = format!("{HEAD}create table");
        let mut part = Part::first(Slowly(body.as_bytes(), 5)).unwrap();
        assert!(part.read_to_end(&mut Vec::new()).is_err());
        let endless = "x".repeat(10_000);
        for body in [
            "",
            "\r\n",
            "create table t(x);\n",
            "--xyz\r\nno end",
            &endless,
            "--xyz\r\n",
        ] {
            assert!(Part::first(body.as_bytes()).is_err(), "{body:.20}");
        }
    }
}
