//! Ed25519 keys in PEM: PKCS #8 for signing, SubjectPublicKeyInfo for verifying (RFC 8410), as `openssl genpkey -algorithm ed25519` and
//! `openssl pkey -pubout` write them.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use thiserror::Error;

use crate::digest::Digest;

/// What stands before the 32 bytes of an Ed25519 key in SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";
/// Characters of a PEM line (RFC 7468).
const PEM_LINE: usize = 64;

/// A file that is no key of the kind asked for. Says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// See text.
    #[error(
        "is no PEM with a PRIVATE KEY (PKCS #8, Ed25519): make one with openssl genpkey -algorithm ed25519"
    )]
    NoPrivateKey,
    /// See text.
    #[error("is no PEM with a PUBLIC KEY (Ed25519)")]
    NoPublicKey,
}

/// Signs heads. The secret is never printed.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: VerifyingKey,
}

/// Verifies heads.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    raw: [u8; 32],
}

impl SigningKey {
    /// Reads a PEM file's text.
    ///
    /// # Errors
    /// When it holds no Ed25519 key.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = pem_content(text, PRIVATE).ok_or(KeyError::NoPrivateKey)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| KeyError::NoPrivateKey)?;
        let raw = pair.public_key().as_ref().try_into().map_err(|_| KeyError::NoPrivateKey)?;
        Ok(Self { pair, public: VerifyingKey { raw } })
    }

    /// The other half.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    pub(crate) fn sign(&self, message: &[u8]) -> String {
        STANDARD.encode(self.pair.sign(message))
    }
}

impl VerifyingKey {
    /// Reads a PEM file's text.
    ///
    /// # Errors
    /// When it holds no Ed25519 key.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = pem_content(text, PUBLIC).ok_or(KeyError::NoPublicKey)?;
        let raw = der.strip_prefix(SPKI_PREFIX.as_slice()).ok_or(KeyError::NoPublicKey)?;
        Ok(Self { raw: raw.try_into().map_err(|_| KeyError::NoPublicKey)? })
    }

    /// As a PEM file's text.
    pub fn to_pem(&self) -> String {
        let text = STANDARD.encode(self.der());
        let mut lines = String::new();
        for (index, character) in text.chars().enumerate() {
            if index > 0 && index.is_multiple_of(PEM_LINE) {
                lines.push('\n');
            }
            lines.push(character);
        }
        format!("-----BEGIN {PUBLIC}-----\n{lines}\n-----END {PUBLIC}-----\n")
    }

    /// SHA-256 of the SubjectPublicKeyInfo: `openssl pkey -pubin -in key.pem -outform DER | sha256sum`.
    pub fn id(&self) -> Digest {
        Digest::of(&self.der())
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, &self.raw).verify(message, &signature).is_ok()
    }

    fn der(&self) -> Vec<u8> {
        SPKI_PREFIX.iter().chain(&self.raw).copied().collect()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.public.id()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyingKey").field("id", &self.id()).finish()
    }
}

/// The bytes of the first block with this label.
fn pem_content(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `openssl genpkey -algorithm ed25519`; signs nothing but this test.
    const SECRET: &str = include_str!("../tests/key.pem");
    const PUBLIC_PEM: &str = include_str!("../tests/key.pub.pem");

    #[test]
    fn keys_of_openssl_are_read_and_written_as_it_writes_them() {
        let key = SigningKey::from_pem(SECRET).unwrap();
        assert_eq!(key.verifying_key().to_pem(), PUBLIC_PEM);
        assert_eq!(&VerifyingKey::from_pem(PUBLIC_PEM).unwrap(), key.verifying_key());
        assert!(key.verifying_key().verifies(b"x", &key.sign(b"x")));
        assert!(!key.verifying_key().verifies(b"y", &key.sign(b"x")));
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_a_secret_is_not_printed() {
        assert_eq!(SigningKey::from_pem(PUBLIC_PEM).unwrap_err(), KeyError::NoPrivateKey);
        assert_eq!(VerifyingKey::from_pem(SECRET).unwrap_err(), KeyError::NoPublicKey);
        assert_eq!(VerifyingKey::from_pem("").unwrap_err(), KeyError::NoPublicKey);
        let printed = format!("{:?}", SigningKey::from_pem(SECRET).unwrap());
        let secret = SECRET.lines().nth(1).unwrap();
        assert!(!printed.contains(&secret[20..40]), "{printed}");
    }
}
