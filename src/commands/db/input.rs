//! A file to be imported as its readers want it: text in UTF-8, or a SQLite file, that can be read more than once.
//!
//! What gzip compressed, what is in UTF-16 and what comes from standard input is first written to a temporary file, piece by
//! piece, so that memory stays flat. What the file holds is told by `sniff`.

use crate::error::{Code, Error, Result};
use crate::temporary_files::TemporaryFile;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes read at once.
const PIECE: usize = 1 << 17;

/// How many bytes at the beginning tell an encoding.
const BEGINNING: usize = 512;

/// How what gzip compressed begins.
const GZIP: &[u8] = b"\x1f\x8b";

/// The path that stands for standard input.
const STDIN: &str = "-";

/// A file to be imported.
#[derive(Debug)]
pub(crate) struct Input {
    /// What the user called it, for messages.
    label: PathBuf,
    /// Its name without the extension of a compressed file.
    name: PathBuf,
    decoded: Option<TemporaryFile>,
}

impl Input {
    /// Opens the file at `path`; `-` is standard input.
    pub fn open(path: &Path) -> Result<Self> {
        let is_stdin = path == Path::new(STDIN);
        let unreadable = |error: io::Error| {
            let unreadable = Error::io(error, format!("cannot read {}", path.display()));
            match path.to_string_lossy().contains("://") {
                true => unreadable.hint("torso reads files: download it first, or pipe it in and name the file -"),
                false => unreadable,
            }
        };
        let source: Box<dyn Read> = if is_stdin {
            Box::new(io::stdin().lock())
        } else {
            let file = File::open(path).map_err(unreadable)?;
            let metadata = file.metadata().map_err(unreadable)?;
            if metadata.is_dir() {
                let what = format!("cannot read {}: it is a directory", path.display());
                return Err(Error::new(Code::InvalidFile, what));
            }
            Box::new(file)
        };
        let is_file = !is_stdin && std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
        let mut source = BufReader::with_capacity(PIECE, source);
        let is_gzip = source.fill_buf().map_err(unreadable)?.starts_with(GZIP);
        let damaged = |error: io::Error| damaged(path, is_gzip, error);
        let (mut text, encoded) = decode(source).map_err(damaged)?;
        let decoded = match encoded || !is_file {
            true => Some(spool(&mut text).map_err(damaged)?),
            false => None,
        };
        let is_compressed = path.extension().is_some_and(|extension| extension == "gz");
        Ok(Self {
            label: path.to_owned(),
            name: if is_compressed && encoded {
                path.with_extension("")
            } else {
                path.to_owned()
            },
            decoded,
        })
    }

    /// What the user called it.
    pub fn label(&self) -> &Path {
        &self.label
    }

    /// Its name, from which a table or a database may get theirs; none for standard input.
    pub fn name(&self) -> Option<&Path> {
        Some(self.name.as_path()).filter(|name| *name != Path::new(STDIN))
    }

    /// Where it is to be read.
    pub fn path(&self) -> &Path {
        self.decoded.as_ref().map_or(&self.label, |file| file.path())
    }
}

impl Input {
    /// An error about the file, with what the user called it instead of where it was decoded to.
    pub fn name_in(&self, error: Error) -> Error {
        let Some(decoded) = &self.decoded else { return error };
        error.map_text(|text| text.replace(&*decoded.path().to_string_lossy(), &self.label.to_string_lossy()))
    }
}

/// The error of a file that cannot be read to its end as what it begins as.
fn damaged(path: &Path, is_gzip: bool, error: io::Error) -> Error {
    let name = path.display();
    match error.kind() {
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof => {
            let what = if is_gzip {
                "compressed by gzip"
            } else {
                "text in UTF-16"
            };
            Error::new(Code::InvalidFile, format!("{name} begins as {what} and is damaged"))
                .caused_by(error)
                .hint("get the file once more, or decode it with another program")
        }
        _ => Error::io(error, format!("cannot read {name}")),
    }
}

/// Writes everything into a temporary file.
fn spool(text: &mut dyn BufRead) -> io::Result<TemporaryFile> {
    let mut file = TemporaryFile::create("torso-import-", "")?;
    io::copy(text, &mut file)?;
    file.flush()?;
    Ok(file)
}

/// What is left when gzip and UTF-16 are taken away, and whether there was any. One may be within the other.
pub(super) fn decode<'a>(mut input: impl BufRead + 'a) -> io::Result<(Box<dyn BufRead + 'a>, bool)> {
    if input.fill_buf()?.starts_with(GZIP) {
        let (text, _) = decode_text(BufReader::with_capacity(PIECE, MultiGzDecoder::new(input)))?;
        return Ok((text, true));
    }
    decode_text(input)
}

fn decode_text<'a>(mut input: impl BufRead + 'a) -> io::Result<(Box<dyn BufRead + 'a>, bool)> {
    let Some(little) = utf16_order(input.fill_buf()?) else {
        return Ok((Box::new(input), false));
    };
    let text = Utf16 {
        input,
        little,
        begun: false,
        text: String::new(),
        taken: 0,
    };
    Ok((Box::new(text), true))
}

/// Whether what begins so is UTF-16 with the less significant byte first; none where it is no UTF-16. Without a mark it is told
/// by letters of ASCII, of which every other byte is 0.
fn utf16_order(beginning: &[u8]) -> Option<bool> {
    match beginning {
        [0xff, 0xfe, ..] => return Some(true),
        [0xfe, 0xff, ..] => return Some(false),
        _ => {}
    }
    let pairs = beginning[..beginning.len().min(BEGINNING)].chunks_exact(2);
    let count = pairs.len();
    let zeros = |at: usize| pairs.clone().filter(|pair| pair[at] == 0).count();
    let (first, second) = (zeros(0), zeros(1));
    let mostly = |zeros: usize| zeros * 10 >= count * 7;
    match (first, second) {
        _ if count < 4 => None,
        (0, second) if mostly(second) => Some(true),
        (first, 0) if mostly(first) => Some(false),
        _ => None,
    }
}

/// Reads UTF-16 as UTF-8. Fails with [`ErrorKind::InvalidData`] where it is none.
struct Utf16<R> {
    input: R,
    little: bool,
    begun: bool,
    /// What was decoded, and how much of it was taken.
    text: String,
    taken: usize,
}

impl<R: BufRead> Utf16<R> {
    /// The next unit; none at the end.
    fn unit(&mut self) -> io::Result<Option<u16>> {
        let mut bytes = [0; 2];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let Some(&next) = self.input.fill_buf()?.first() else {
                return match index {
                    0 => Ok(None),
                    _ => Err(invalid()),
                };
            };
            *byte = next;
            self.input.consume(1);
        }
        Ok(Some(if self.little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        }))
    }

    /// The next character; none at the end.
    fn character(&mut self) -> io::Result<Option<char>> {
        let Some(first) = self.unit()? else { return Ok(None) };
        let second = match first {
            0xd800..=0xdbff => self.unit()?,
            _ => None,
        };
        let mut decoded = char::decode_utf16([Some(first), second].into_iter().flatten());
        match decoded.next() {
            Some(Ok(character)) => Ok(Some(character)),
            _ => Err(invalid()),
        }
    }
}

fn invalid() -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        "it begins as UTF-16, but is not valid UTF-16 later on",
    )
}

impl<R: BufRead> BufRead for Utf16<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.text.len() {
            self.text.clear();
            self.taken = 0;
            while self.text.len() < PIECE {
                let Some(character) = self.character()? else { break };
                let is_mark = !std::mem::replace(&mut self.begun, true) && character == '\u{feff}';
                if !is_mark {
                    self.text.push(character);
                }
            }
        }
        Ok(&self.text.as_bytes()[self.taken..])
    }

    fn consume(&mut self, amount: usize) {
        self.taken += amount;
    }
}

impl<R: BufRead> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn utf16(text: &str, little: bool) -> Vec<u8> {
        let order = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
        text.encode_utf16().flat_map(order).collect()
    }

    fn decoded(bytes: &[u8]) -> io::Result<(Vec<u8>, bool)> {
        let (mut text, encoded) = decode(bytes)?;
        let mut all = Vec::new();
        text.read_to_end(&mut all)?;
        Ok((all, encoded))
    }

    #[test]
    fn import_input_of_gzip_and_utf16_is_decoded_and_others_are_unchanged() {
        let text = "id,name\n1,Zürich ☃ 𝄞\n";
        let marked = format!("\u{feff}{text}");
        for bytes in [
            gzip(text.as_bytes()),
            utf16(&marked, true),
            utf16(&marked, false),
            utf16(text, true),
            utf16(text, false),
            gzip(&utf16(&marked, true)),
            [gzip(b"id,name\n"), gzip("1,Zürich ☃ 𝄞\n".as_bytes())].concat(),
        ] {
            assert_eq!(decoded(&bytes).unwrap(), (text.as_bytes().to_vec(), true), "{bytes:?}");
        }
        for bytes in [
            text.as_bytes(),
            b"",
            b"a",
            b"a\0b\0",
            b"SQLite format 3\0\0\0",
            "日本語,値\n".as_bytes(),
        ] {
            assert_eq!(decoded(bytes).unwrap(), (bytes.to_vec(), false));
        }
    }

    #[test]
    fn import_input_longer_than_a_buffer_is_decoded_whole() {
        let text = "a☃𝄞ü".repeat(PIECE / 3);
        let marked = format!("\u{feff}{text}");
        assert!(decoded(&utf16(&marked, true)).unwrap().0 == text.as_bytes());
    }

    #[test]
    fn import_input_that_only_begins_as_gzip_or_utf16_is_damaged() {
        let whole = gzip(&b"some text, ".repeat(1000));
        let odd = [&b"\xff\xfea\0b\0"[..], b"c"].concat();
        let halved = [&b"\xff\xfea\0"[..], b"\x00\xd8", b"b\0"].concat();
        let begun = b"\xff\xfea\0\x00\xd8".to_vec();
        for bytes in [
            &whole[..whole.len() / 2],
            &b"\x1f\x8bnothing"[..],
            &odd,
            &halved,
            &begun,
        ] {
            let error = decoded(bytes).unwrap_err();
            let named = damaged(Path::new("a.csv"), bytes.starts_with(GZIP), error);
            assert_eq!(named.code(), Code::InvalidFile, "{named}");
            assert!(named.message().contains("a.csv"), "{named}");
        }
    }
}
