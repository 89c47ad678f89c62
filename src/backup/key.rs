//! The key of encrypted backups: 32 random bytes, from which the keys in use are derived.

use crate::error::{Code, Error, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::hmac;

/// How to make a key.
const MAKE_ONE: &str = "a key is 32 random bytes in base64 or hexadecimal; openssl rand -base64 32 makes one";

/// What the keys are derived with, so that they are of no use elsewhere.
const SALT: &[u8] = b"torso backup 1";

/// The length of the derived keys, in bytes.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// A key. What is written with it can only be read with it.
#[derive(Clone)]
pub struct BackupKey(Prk);

impl std::fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BackupKey(…)")
    }
}

impl BackupKey {
    /// Reads a key as a file or a variable has it: base64 or hexadecimal, with space around it.
    ///
    /// # Errors
    ///
    /// `backup_key` if it is none. The text is not in the message.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let bytes = match text.len() {
            64 => decode_hex(text),
            _ => BASE64_STANDARD.decode(text).ok(),
        };
        match bytes {
            Some(bytes) if bytes.len() == 32 => Ok(Self(Salt::new(HKDF_SHA256, SALT).extract(&bytes))),
            _ => Err(Error::new(Code::BackupKey, "that is no key for backups").hint(MAKE_ONE)),
        }
    }

    fn derive<const N: usize>(&self, purpose: &[u8]) -> [u8; N] {
        let mut derived = [0; N];
        let info = [purpose];
        // Only a length of more than 255 hashes fails.
        if let Ok(material) = self.0.expand(&info, Length(N)) {
            let _ = material.fill(&mut derived);
        }
        derived
    }

    /// The key that contents are encrypted with.
    pub(super) fn of_content(&self) -> [u8; 32] {
        self.derive(b"content")
    }

    /// The key that manifests are sealed with.
    pub(super) fn of_seal(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.derive::<32>(b"manifest"))
    }

    /// What tells one key from another, and is no secret.
    pub(super) fn fingerprint(&self) -> String {
        crate::checksum::hex(&self.derive::<8>(b"fingerprint"))
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok()))
        .collect::<Option<_>>()?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backup_key_is_read_in_both_forms_and_derives_different_keys() {
        let hex = BackupKey::parse(&"0f".repeat(32)).unwrap();
        let base64 = BackupKey::parse(&format!("{}\n", BASE64_STANDARD.encode([0x0f; 32]))).unwrap();
        assert_eq!(hex.of_content(), base64.of_content());
        assert_eq!(hex.fingerprint(), base64.fingerprint());
        assert_ne!(hex.of_content(), hex.derive::<32>(b"manifest"));
        assert_ne!(hex.of_content(), [0; 32]);
        let other = BackupKey::parse(&"10".repeat(32)).unwrap();
        assert_ne!(hex.fingerprint(), other.fingerprint());
        assert_eq!(format!("{hex:?}"), "BackupKey(…)");
    }

    #[test]
    fn backup_key_of_another_form_is_refused_without_showing_it() {
        for wrong in [
            "",
            "secret",
            &"0g".repeat(32),
            &"0f".repeat(31),
            &BASE64_STANDARD.encode([1; 31]),
        ] {
            let error = BackupKey::parse(wrong).unwrap_err();
            assert_eq!(error.code(), Code::BackupKey);
            assert!(wrong.is_empty() || !error.full_message().contains(wrong));
        }
    }
}
