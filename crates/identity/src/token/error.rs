//! Why a token was refused. The texts may leave: they never repeat what the token holds.

use thiserror::Error;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The request's header.
    #[error(
        "exactly one authorization header `Bearer <token>` of at most 8 KiB is taken, and this request has another"
    )]
    Header,
    /// Not a signed token in compact form, or with header fields that are never followed.
    #[error(
        "the access token is malformed: it must be a signed JWT in compact form, without crit, jku, x5u, jwk and x5c"
    )]
    Malformed,
    /// `typ` says that it is something else, an ID token for example.
    #[error("this is no access token: send the access token, not the ID token")]
    WrongType,
    /// `iss` is nobody we know.
    #[error("the access token's issuer is not configured here")]
    UnknownIssuer,
    /// Not among the algorithms that are pinned for the issuer.
    #[error("the access token's algorithm is not one of those that are configured for its issuer")]
    Algorithm,
    /// `kid` is missing or not in the issuer's key set.
    #[error("the access token is signed with a key that its issuer does not publish: sign in again")]
    UnknownKey,
    /// The signature is not of that key.
    #[error("the access token's signature is wrong")]
    Signature,
    /// One claim.
    #[error("the access token's claim {claim} {problem}")]
    Claim {
        /// Its name.
        claim: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The issuer's keys were never read, or too long ago.
    #[error("the keys of the access token's issuer cannot be read right now: repeat later")]
    KeysUnavailable,
}

impl TokenError {
    pub(crate) fn claim(claim: &str, problem: &'static str) -> Self {
        Self::Claim { claim: claim.to_owned(), problem }
    }

    /// For metrics: from a closed set.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Malformed => "malformed",
            Self::WrongType => "wrong_type",
            Self::UnknownIssuer => "unknown_issuer",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Claim { .. } => "claim",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }
}
