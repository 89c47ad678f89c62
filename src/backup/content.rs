//! The content of a backup: a file, compressed and perhaps encrypted, as one object that is written and checked in pieces.

use super::cipher::{DecryptingReader, EncryptingWriter};
use super::objects::{ObjectReader, ObjectUpload};
use crate::checksum::hex;
use crate::error::{Code, Error, Result};
use ring::digest::{Context, SHA256, digest};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// The least bytes of a piece: enough for a part of an upload to object storage, of which there may be 10,000.
const PIECE: u64 = 8 << 20;
/// More pieces than this are not made of a file: larger ones are.
const PIECES: u64 = 9_000;
/// The fastest level that compresses well.
const LEVEL: i32 = 3;
/// Bytes that are read at once.
const BUFFER: usize = 1 << 16;

/// How a file is stored, and the sums by which each part of it is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredContent {
    /// The last part of the object's name.
    pub(super) name: String,
    /// Bytes of the file, and its SHA-256.
    pub bytes: u64,
    pub sha256: String,
    /// Bytes of the object, and its SHA-256.
    pub stored_bytes: u64,
    pub stored_sha256: String,
    /// The SHA-256 of each piece of the object; all but the last have `piece_bytes`.
    piece_bytes: u64,
    pieces: Vec<String>,
}

/// The key of a content, and what it is bound to.
pub(super) struct ContentKey {
    pub key: [u8; 32],
    pub context: String,
}

/// Called with the bytes done and the total; may stop the work with an error.
pub type TransferProgress<'a> = dyn FnMut(u64, u64) -> Result<()> + 'a;

/// Counts and sums what passes.
struct Sum {
    bytes: u64,
    context: Context,
}

impl Sum {
    fn new() -> Self {
        Self {
            bytes: 0,
            context: Context::new(&SHA256),
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.context.update(bytes);
    }

    fn hex(self) -> String {
        hex(self.context.finish().as_ref())
    }
}

/// Bytes of each piece of a file of some size but the last.
fn bytes_of_a_piece(size: u64) -> u64 {
    PIECE.max((size / PIECES).next_multiple_of(1 << 20))
}

/// Stores a file of `size` bytes. What fails leaves nothing that could be taken for a backup.
pub(super) fn store(
    name: &str,
    from: &mut dyn Read,
    size: u64,
    key: Option<&ContentKey>,
    upload: ObjectUpload<'_>,
    progress: &mut TransferProgress<'_>,
) -> Result<StoredContent> {
    let piece_bytes = bytes_of_a_piece(size);
    let mut writer = PieceWriter {
        upload,
        piece_bytes: usize::try_from(piece_bytes).unwrap_or(usize::MAX),
        piece: Vec::new(),
        pieces: Vec::new(),
        sum: Sum::new(),
        failure: None,
    };
    let sum = match write(from, size, key, &mut writer, progress).and_then(|sum| writer.end_piece().map(|()| sum)) {
        Ok(sum) => sum,
        Err(error) => {
            writer.upload.abort();
            return Err(error);
        }
    };
    writer.upload.complete()?;
    Ok(StoredContent {
        name: name.to_owned(),
        bytes: sum.bytes,
        sha256: sum.hex(),
        stored_bytes: writer.sum.bytes,
        stored_sha256: writer.sum.hex(),
        piece_bytes,
        pieces: writer.pieces,
    })
}

fn write(
    from: &mut dyn Read,
    size: u64,
    key: Option<&ContentKey>,
    writer: &mut PieceWriter<'_>,
    progress: &mut TransferProgress<'_>,
) -> Result<Sum> {
    let compressed = match key {
        None => compress(from, size, &mut *writer, progress).map(|(sum, _)| sum),
        Some(key) => EncryptingWriter::begin(&key.key, &key.context, &mut *writer)
            .map_err(Interrupted::Io)
            .and_then(|encrypting| compress(from, size, encrypting, progress))
            .and_then(|(sum, encrypting)| encrypting.finish().map(|_| sum).map_err(Interrupted::Io)),
    };
    compressed.map_err(|interrupted| match interrupted {
        Interrupted::Error(error) => error,
        Interrupted::Io(error) => writer
            .failure
            .take()
            .unwrap_or_else(|| Error::io(error, "cannot read what is to be backed up")),
    })
}

/// Why work on a stream ended early.
enum Interrupted {
    Io(io::Error),
    Error(Error),
}

impl From<io::Error> for Interrupted {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn compress<W: Write>(
    from: &mut dyn Read,
    size: u64,
    to: W,
    progress: &mut TransferProgress<'_>,
) -> std::result::Result<(Sum, W), Interrupted> {
    let mut encoder = zstd::stream::write::Encoder::new(to, LEVEL)?;
    let mut sum = Sum::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        sum.add(&buffer[..read]);
        encoder.write_all(&buffer[..read])?;
        progress(sum.bytes, size).map_err(Interrupted::Error)?;
    }
    Ok((sum, encoder.finish()?))
}

/// Cuts what is written into pieces, and uploads each once it is whole.
struct PieceWriter<'a> {
    upload: ObjectUpload<'a>,
    piece_bytes: usize,
    piece: Vec<u8>,
    pieces: Vec<String>,
    sum: Sum,
    /// The error of the upload, which streams cannot carry.
    failure: Option<Error>,
}

impl PieceWriter<'_> {
    fn end_piece(&mut self) -> Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.piece);
        self.sum.add(&piece);
        self.pieces.push(hex(digest(&SHA256, &piece).as_ref()));
        self.upload.put_part(piece)
    }
}

impl Write for PieceWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.piece_bytes - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == self.piece_bytes
            && let Err(error) = self.end_piece()
        {
            self.failure = Some(error);
            return Err(io::Error::other("the upload failed"));
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a stored file back, and writes it to `to`: every sum is compared on the way. What fails has written nothing to be used.
///
/// # Errors
///
/// `backup_damaged` if anything is not as it was written.
pub(super) fn load(
    content: &StoredContent,
    key: Option<&ContentKey>,
    from: ObjectReader<'_>,
    to: &mut dyn Write,
    progress: &mut TransferProgress<'_>,
) -> Result<()> {
    // A piece is held in memory, so its length is not for whoever can write a manifest to choose.
    if content.piece_bytes != bytes_of_a_piece(content.bytes) {
        return Err(damaged("its pieces have a wrong length"));
    }
    let mut pieces = PieceReader::new(content, from);
    let loaded = match key {
        None => decompress(content, &mut pieces, to, progress),
        Some(key) => DecryptingReader::begin(&key.key, &key.context, &mut pieces)
            .map_err(Interrupted::Io)
            .and_then(|decrypting| decompress(content, decrypting, to, progress)),
    };
    match loaded {
        Ok(()) => pieces.end(),
        Err(Interrupted::Error(error)) => Err(error),
        Err(Interrupted::Io(error)) => Err(pieces
            .failure
            .take()
            .unwrap_or_else(|| damaged("it cannot be unpacked").caused_by(error))),
    }
}

fn decompress(
    content: &StoredContent,
    from: impl Read,
    to: &mut dyn Write,
    progress: &mut TransferProgress<'_>,
) -> std::result::Result<(), Interrupted> {
    let mut decoder = zstd::stream::read::Decoder::new(from)?;
    let mut sum = Sum::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = decoder.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        sum.add(&buffer[..read]);
        if sum.bytes > content.bytes {
            return Err(Interrupted::Error(damaged("it has more in it than it says")));
        }
        to.write_all(&buffer[..read])
            .map_err(|error| Interrupted::Error(Error::io(error, "cannot write what is restored")))?;
        progress(sum.bytes, content.bytes).map_err(Interrupted::Error)?;
    }
    if sum.bytes != content.bytes || sum.hex() != content.sha256 {
        return Err(Interrupted::Error(damaged("what is in it is not what was backed up")));
    }
    Ok(())
}

/// Gives out an object piece by piece, each once its sum is known to be right.
struct PieceReader<'a> {
    content: &'a StoredContent,
    from: ObjectReader<'a>,
    next: usize,
    piece: Vec<u8>,
    taken: usize,
    sum: Sum,
    /// The error that streams cannot carry.
    failure: Option<Error>,
}

impl<'a> PieceReader<'a> {
    fn new(content: &'a StoredContent, from: ObjectReader<'a>) -> Self {
        Self {
            content,
            from,
            next: 0,
            piece: Vec::new(),
            taken: 0,
            sum: Sum::new(),
            failure: None,
        }
    }

    /// Reads the next piece. At the end there is none.
    fn read_piece(&mut self) -> Result<()> {
        self.piece.clear();
        self.taken = 0;
        let Some(expected) = self.content.pieces.get(self.next) else {
            return Ok(());
        };
        self.from.read_up_to(self.content.piece_bytes, &mut self.piece)?;
        if hex(digest(&SHA256, &self.piece).as_ref()) != *expected {
            let (piece, all) = (self.next + 1, self.content.pieces.len());
            return Err(damaged(&format!("piece {piece} of {all} is not what was written")));
        }
        self.sum.add(&self.piece);
        self.next += 1;
        Ok(())
    }

    /// Fails unless all of the object was read, and there is no more of it.
    fn end(mut self) -> Result<()> {
        while self.next < self.content.pieces.len() {
            self.read_piece()?;
        }
        let mut more = Vec::new();
        self.from.read_up_to(1, &mut more)?;
        if !more.is_empty()
            || self.sum.bytes != self.content.stored_bytes
            || self.sum.hex() != self.content.stored_sha256
        {
            return Err(damaged("it does not have the length that was written"));
        }
        Ok(())
    }
}

impl Read for PieceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len()
            && let Err(error) = self.read_piece()
        {
            self.failure = Some(error);
            return Err(io::Error::other("the object is not what was written"));
        }
        let read = (&self.piece[self.taken..]).read(buffer)?;
        self.taken += read;
        Ok(read)
    }
}

fn damaged(why: &str) -> Error {
    Error::new(Code::BackupDamaged, format!("the backup is damaged: {why}"))
        .hint("choose another backup: torso db backups")
}
