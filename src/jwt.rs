//! JSON Web Tokens signed with Ed25519 (RFC 8037): one key signs them and checks them.
//!
//! The format is `jsonwebtoken`'s business and the cryptography is ring's, the library that TLS uses already; this file
//! connects the two, so that no second implementation of the curve is in the program. What claims mean, when tokens end
//! and where a key is stored is left to the callers.

use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of a private key, from which the public one follows.
pub const SEED_LENGTH: usize = 32;

/// A key that signs tokens.
pub struct JwtKey {
    encoding: EncodingKey,
    public: PublicKey,
}

/// A key that checks the signatures of another one.
#[derive(Clone)]
pub struct PublicKey(DecodingKey);

impl PublicKey {
    /// Returns the key of 32 bytes.
    #[must_use]
    pub fn new(bytes: &[u8; SEED_LENGTH]) -> Self {
        // The only call is harmless when somebody else has made it: this is the one provider of the program.
        let _ = RING.install_default();
        Self(DecodingKey::from_ed_der(bytes))
    }

    /// Returns its 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.try_get_as_bytes().unwrap_or_default()
    }

    /// Returns the claims of a token that the other key has signed for `issuer`; none for every other text. The expiry is left
    /// to the caller, who may keep the claims longer than the check takes.
    #[must_use]
    pub fn verify<T: DeserializeOwned + Clone>(&self, token: &str, issuer: &str) -> Option<T> {
        let mut wanted = Validation::new(Algorithm::EdDSA);
        wanted.set_issuer(&[issuer]);
        wanted.set_required_spec_claims(&["iss"]);
        wanted.validate_exp = false;
        // The library's error is dropped, because it may quote the token.
        let data = jsonwebtoken::decode::<T>(token, &self.0, &wanted).ok()?;
        Some(data.claims)
    }
}

impl JwtKey {
    /// Returns a new random key. Fails when the system has no random numbers.
    pub fn generate() -> Result<Self> {
        Self::from_seed(&random_bytes()?)
    }

    /// Returns the key of a private key's 32 bytes.
    pub fn from_seed(seed: &[u8; SEED_LENGTH]) -> Result<Self> {
        // The only call is harmless when somebody else has made it: this is the one provider of the program.
        let _ = RING.install_default();
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|error| Error::new(Code::Internal, "cannot use a key").caused_by(error.to_string()))?;
        Ok(Self {
            encoding: EncodingKey::from_ed_der(seed),
            public: PublicKey(DecodingKey::from_ed_der(pair.public_key().as_ref())),
        })
    }

    /// Returns the 32 bytes of the public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        self.public.bytes()
    }

    /// Returns the public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public.clone()
    }

    /// Returns a token with these claims.
    pub fn sign(&self, claims: &impl Serialize) -> Result<Secret> {
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), claims, &self.encoding)
            .map(Secret::new)
            .map_err(|error| Error::new(Code::Internal, "cannot sign a token").caused_by(error))
    }
}

/// Returns random bytes from the system.
pub fn random_bytes() -> Result<[u8; SEED_LENGTH]> {
    let mut bytes = [0; SEED_LENGTH];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::new(Code::Internal, "cannot get random numbers from the operating system"))?;
    Ok(bytes)
}

/// ring as the cryptography of `jsonwebtoken`, for EdDSA alone: every other algorithm is an error.
static RING: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        only_eddsa(*algorithm)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(key.as_bytes()).map_err(|_| ErrorKind::InvalidEddsaKey)?;
        Ok(Box::new(RingSigner(pair)))
    },
    verifier_factory: |algorithm, key| {
        only_eddsa(*algorithm)?;
        Ok(Box::new(RingVerifier(key.try_get_as_bytes()?.to_vec())))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

fn only_eddsa(algorithm: Algorithm) -> std::result::Result<(), JwtError> {
    if algorithm == Algorithm::EdDSA {
        Ok(())
    } else {
        Err(ErrorKind::InvalidAlgorithm.into())
    }
}

struct RingSigner(Ed25519KeyPair);

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, SignatureError> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct RingVerifier(Vec<u8>);

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), SignatureError> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(message, signature)
            .map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    fn claims() -> Value {
        json!({ "iss": "torso", "id": "a1" })
    }

    #[test]
    fn jwt_of_the_same_key_and_issuer_is_verified() {
        let key = JwtKey::generate().unwrap();
        let token = key.sign(&claims()).unwrap();
        assert_eq!(key.public.verify::<Value>(token.expose(), "torso"), Some(claims()));
        assert_eq!(key.public.verify::<Value>(token.expose(), "somebody"), None);
        assert_eq!(
            JwtKey::generate()
                .unwrap()
                .public
                .verify::<Value>(token.expose(), "torso"),
            None
        );
    }

    /// The first example of RFC 8037 (appendix A): its private key, its public key and its signature.
    #[test]
    fn jwt_signature_is_that_of_the_rfc() {
        let seed = URL_SAFE_NO_PAD
            .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
            .unwrap();
        let key = JwtKey::from_seed(&seed.try_into().unwrap()).unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(key.public_key()),
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        );
        let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key.encoding, Algorithm::EdDSA).unwrap();
        assert_eq!(
            signature,
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
    }

    #[test]
    fn jwt_with_a_changed_part_or_another_algorithm_is_refused() {
        let key = JwtKey::generate().unwrap();
        let token = key.sign(&claims()).unwrap().expose().to_owned();
        let parts: Vec<&str> = token.split('.').collect();
        let none = URL_SAFE_NO_PAD.encode(json!({ "alg": "none", "typ": "JWT" }).to_string());
        let hs256 = URL_SAFE_NO_PAD.encode(json!({ "alg": "HS256", "typ": "JWT" }).to_string());
        let other = URL_SAFE_NO_PAD.encode(json!({ "iss": "torso", "id": "b2" }).to_string());
        for forged in [
            String::new(),
            token.replace('.', ""),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{hs256}.{}.{}", parts[1], parts[2]),
            format!("{}.{other}.{}", parts[0], parts[2]),
            format!("{token}A"),
        ] {
            assert_eq!(key.public.verify::<Value>(&forged, "torso"), None, "{forged}");
        }
    }
}
