//! Encryption of contents: XChaCha20-Poly1305 in the STREAM construction, which also finds frames that are missing, moved or
//! added. A stream begins with its nonce; each frame has a fixed number of bytes, but for the last.

use aead_stream::aead::Payload;
use aead_stream::{DecryptorBE32, EncryptorBE32, Nonce, StreamBE32};
use chacha20poly1305::{Key, XChaCha20Poly1305};
use ring::rand::{SecureRandom, SystemRandom};
use std::io::{self, Read, Write};

type StreamNonce = Nonce<XChaCha20Poly1305, StreamBE32<XChaCha20Poly1305>>;

/// Bytes of a frame before it is encrypted.
const FRAME: usize = 1 << 16;
/// Bytes that each frame has more afterwards.
const TAG: usize = 16;
/// Bytes of the nonce: 24, without the counter and the mark of the last frame.
const NONCE: usize = 19;

/// Encrypts what is written to it.
pub(super) struct EncryptingWriter<W> {
    encryptor: EncryptorBE32<XChaCha20Poly1305>,
    /// What each frame is bound to.
    context: Vec<u8>,
    frame: Vec<u8>,
    to: W,
}

impl<W: Write> EncryptingWriter<W> {
    /// Begins a stream that can only be read with the same key and the same context.
    pub fn begin(key: &[u8; 32], context: &str, mut to: W) -> io::Result<Self> {
        let mut nonce = [0; NONCE];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| io::Error::other("the system gives no random numbers"))?;
        to.write_all(&nonce)?;
        Ok(Self {
            encryptor: EncryptorBE32::new(&Key::from(*key), &StreamNonce::from(nonce)),
            context: context.as_bytes().to_vec(),
            frame: Vec::with_capacity(FRAME),
            to,
        })
    }

    /// Writes the last frame. A stream without it is refused by whoever reads it.
    pub fn finish(mut self) -> io::Result<W> {
        let payload = Payload {
            msg: &self.frame,
            aad: &self.context,
        };
        let last = self.encryptor.encrypt_last(payload).map_err(|_| too_long())?;
        self.to.write_all(&last)?;
        Ok(self.to)
    }
}

fn too_long() -> io::Error {
    io::Error::other("there is more than one key may encrypt")
}

impl<W: Write> Write for EncryptingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full frame stays until it is known not to be the last.
        if self.frame.len() == FRAME && !bytes.is_empty() {
            let payload = Payload {
                msg: &self.frame,
                aad: &self.context,
            };
            let frame = self.encryptor.encrypt_next(payload).map_err(|_| too_long())?;
            self.to.write_all(&frame)?;
            self.frame.clear();
        }
        let taken = bytes.len().min(FRAME - self.frame.len());
        self.frame.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads what an [`EncryptingWriter`] wrote. Fails with [`io::ErrorKind::InvalidData`] where it is anything else.
pub(super) struct DecryptingReader<R> {
    /// None once the last frame has been read.
    decryptor: Option<DecryptorBE32<XChaCha20Poly1305>>,
    context: Vec<u8>,
    /// The bytes that were read beyond the frame: one, if there is another.
    ahead: Vec<u8>,
    frame: Vec<u8>,
    taken: usize,
    from: R,
}

impl<R: Read> DecryptingReader<R> {
    pub fn begin(key: &[u8; 32], context: &str, mut from: R) -> io::Result<Self> {
        let mut nonce = [0; NONCE];
        from.read_exact(&mut nonce).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => not_ours(),
            _ => error,
        })?;
        Ok(Self {
            decryptor: Some(DecryptorBE32::new(&Key::from(*key), &StreamNonce::from(nonce))),
            context: context.as_bytes().to_vec(),
            ahead: Vec::new(),
            frame: Vec::new(),
            taken: 0,
            from,
        })
    }

    fn next_frame(&mut self) -> io::Result<()> {
        let Some(mut decryptor) = self.decryptor.take() else {
            return Ok(());
        };
        let whole = FRAME + TAG;
        let mut sealed = std::mem::take(&mut self.ahead);
        let missing = u64::try_from(whole + 1 - sealed.len()).unwrap_or(0);
        (&mut self.from).take(missing).read_to_end(&mut sealed)?;
        let is_last = sealed.len() <= whole;
        if !is_last {
            self.ahead = sealed.split_off(whole);
        }
        let payload = Payload {
            msg: &sealed,
            aad: &self.context,
        };
        self.frame = if is_last {
            decryptor.decrypt_last(payload).map_err(|_| not_ours())?
        } else {
            let frame = decryptor.decrypt_next(payload).map_err(|_| not_ours())?;
            self.decryptor = Some(decryptor);
            frame
        };
        self.taken = 0;
        Ok(())
    }
}

fn not_ours() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "it was not encrypted with this key, or was changed since",
    )
}

impl<R: Read> Read for DecryptingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.frame.len() {
            self.frame.clear();
            self.taken = 0;
            self.next_frame()?;
        }
        let read = (&self.frame[self.taken..]).read(buffer)?;
        self.taken += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn encrypt(plain: &[u8]) -> Vec<u8> {
        let mut writer = EncryptingWriter::begin(&KEY, "context", Vec::new()).unwrap();
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    fn decrypt(key: &[u8; 32], context: &str, sealed: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        DecryptingReader::begin(key, context, sealed)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn cipher_of_any_length_is_read_back() {
        for length in [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 3 * FRAME + 5] {
            let plain: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let sealed = encrypt(&plain);
            assert!(decrypt(&KEY, "context", &sealed).unwrap() == plain, "{length}");
            assert!(length < 16 || !sealed.windows(16).any(|window| window == &plain[..16]));
        }
    }

    #[test]
    fn cipher_that_was_changed_in_any_way_is_refused() {
        let plain = vec![1; 2 * FRAME + 100];
        let sealed = encrypt(&plain);
        let mut random = fastrand::Rng::with_seed(1);
        let mut changed = vec![
            sealed[..sealed.len() - 1].to_vec(),
            [&sealed[..], &[0]].concat(),
            Vec::new(),
        ];
        // Without its last frame, without its first, with two of them exchanged, and only its beginning.
        let (nonce, frames) = sealed.split_at(NONCE);
        let (first, rest) = frames.split_at(FRAME + TAG);
        let (second, last) = rest.split_at(FRAME + TAG);
        changed.push([nonce, first, second].concat());
        changed.push([nonce, second, last].concat());
        changed.push([nonce, second, first, last].concat());
        changed.push(nonce.to_vec());
        for _ in 0..50 {
            let mut flipped = sealed.clone();
            let at = random.usize(..flipped.len());
            flipped[at] ^= 1 << random.u8(..8);
            changed.push(flipped);
        }
        for one in changed {
            let error = decrypt(&KEY, "context", &one).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        assert!(decrypt(&[8; 32], "context", &sealed).is_err());
        assert!(decrypt(&KEY, "another", &sealed).is_err());
    }
}
