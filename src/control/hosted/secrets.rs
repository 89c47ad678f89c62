//! Random secrets, their hashes, and the key that signs database tokens.

use crate::checksum::sha256_bytes;
use crate::engine::disk;
use crate::error::{Code, Error, Result};
use crate::jwt::{JwtKey, random_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::path::Path;

/// The bytes before the 32 bytes of an Ed25519 key in PKCS#8.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// A random secret of 256 bits, as text after a prefix that tells its kind.
pub(super) fn secret(prefix: &str) -> Result<String> {
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random_bytes()?)))
}

/// The hash of a secret, which is stored in its place.
pub(super) fn hash(text: &str) -> [u8; 32] {
    sha256_bytes(text.as_bytes())
}

/// Reads the key that signs database tokens from a file, which is made on first use.
pub(super) fn open_signing_key(path: &Path) -> Result<JwtKey> {
    let seed = match std::fs::read_to_string(path) {
        Ok(text) => read(&text).ok_or_else(|| {
            Error::new(
                Code::InvalidFile,
                format!("{} holds no Ed25519 key in PKCS#8", path.display()),
            )
            .hint("restore the former file; without it, no database token is valid any more")
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(path)?,
        Err(error) => return Err(Error::io(error, format!("cannot read {}", path.display()))),
    };
    disk::set_mode(path, disk::PRIVATE)?;
    JwtKey::from_seed(&seed)
}

/// A secret for another purpose, which stays as long as the signing key does. `purpose` keeps secrets apart.
pub(super) fn derive_secret(path: &Path, purpose: &str) -> Result<[u8; 32]> {
    let seed = std::fs::read_to_string(path)
        .ok()
        .and_then(|text| read(&text))
        .ok_or_else(|| {
            Error::new(
                Code::InvalidFile,
                format!("{} holds no Ed25519 key in PKCS#8", path.display()),
            )
        })?;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &seed);
    let mut secret = [0; 32];
    secret.copy_from_slice(ring::hmac::sign(&key, purpose.as_bytes()).as_ref());
    Ok(secret)
}

fn make(path: &Path) -> Result<[u8; 32]> {
    if let Some(dir) = path.parent() {
        disk::private_dir(dir)?;
    }
    let seed = random_bytes()?;
    let text = format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode([&PKCS8[..], &seed].concat()));
    disk::write_durably(path, text.as_bytes())?;
    Ok(seed)
}

fn read(text: &str) -> Option<[u8; 32]> {
    let inner = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let joined: String = inner.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(joined).ok()?;
    bytes.strip_prefix(&PKCS8)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_key_is_created_once_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/key.pem");
        open_signing_key(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(BEGIN) && read(&text).is_some());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        open_signing_key(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        let derived = derive_secret(&path, "streams").unwrap();
        assert_eq!(derived, derive_secret(&path, "streams").unwrap());
        assert_ne!(derived, derive_secret(&path, "others").unwrap());
        std::fs::write(&path, "something else").unwrap();
        assert_eq!(open_signing_key(&path).err().unwrap().code(), Code::InvalidFile);
    }

    #[test]
    fn secrets_are_long_and_different() {
        let one = secret("torso_").unwrap();
        assert_eq!(one.len(), "torso_".len() + 43);
        assert_ne!(one, secret("torso_").unwrap());
        assert_ne!(hash(&one), hash("torso_"));
    }
}
