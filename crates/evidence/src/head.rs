//! The signed end of a chain.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    digest::Digest,
    key::{SigningKey, VerifyingKey},
};

/// Begins the signed bytes of every head.
const HEAD_FORMAT: &str = "allmende-audit-head/1";

/// The last link of a chain, signed. Keep it: with it, a later export is proven to have changed nothing before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Which installation: the store's id.
    pub installation: String,
    /// Which chain: `members/m-05766044`, or `cooperative`.
    pub chain: String,
    /// Number of its last link.
    pub sequence: u64,
    /// Digest of its last link.
    pub digest: Digest,
    /// When it was sealed, RFC 3339.
    pub sealed_at: String,
    /// SHA-256 of the public key.
    pub key_id: Digest,
    /// Ed25519, base64.
    pub signature: String,
}

/// Why a head proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeadError {
    /// The file is not as it was written.
    #[error("the head is not in the form in which it is written: it was changed or cut")]
    Malformed,
    /// None of the keys at hand.
    #[error("the head names key {0}, which is none of those given")]
    OtherKey(Digest),
    /// See text.
    #[error("the head's signature is wrong: it was changed, or not signed by this key")]
    Signature,
}

impl Head {
    /// Signs the end of a chain.
    pub fn sign(
        installation: &str,
        chain: &str,
        (sequence, digest): (u64, Digest),
        sealed_at: String,
        key: &SigningKey,
    ) -> Self {
        let mut head = Self {
            installation: installation.to_owned(),
            chain: chain.to_owned(),
            sequence,
            digest,
            sealed_at,
            key_id: key.verifying_key().id(),
            signature: String::new(),
        };
        head.signature = key.sign(&head.signed_bytes());
        head
    }

    /// Checks the signature against the key that it names.
    ///
    /// # Errors
    /// See [`HeadError`].
    pub fn verify(&self, keys: &[VerifyingKey]) -> Result<(), HeadError> {
        let key = keys.iter().find(|key| key.id() == self.key_id).ok_or(HeadError::OtherKey(self.key_id))?;
        if key.verifies(&self.signed_bytes(), &self.signature) { Ok(()) } else { Err(HeadError::Signature) }
    }

    /// As a file: one line of JSON.
    pub fn to_text(&self) -> String {
        // A struct of texts and numbers always has a JSON form.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a file. Anything but the very bytes that [`to_text`](Self::to_text) writes is refused.
    ///
    /// # Errors
    /// [`HeadError::Malformed`].
    pub fn from_text(text: &str) -> Result<Self, HeadError> {
        let head: Self = serde_json::from_str(text).map_err(|_| HeadError::Malformed)?;
        if head.to_text() == text { Ok(head) } else { Err(HeadError::Malformed) }
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let Self { installation, chain, sequence, digest, sealed_at, key_id, signature: _ } = self;
        format!("{HEAD_FORMAT}\n{installation}\n{chain}\n{sequence}\n{digest}\n{sealed_at}\n{key_id}\n")
            .into_bytes()
    }
}
