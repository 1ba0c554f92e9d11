//! Access tokens of configured issuers (OpenID Connect), as identities beside certificates.
//!
//! * [`IssuerSettings`] says whom we trust and for what: issuer, audience, algorithms. Nothing of that is ever taken from a token.
//! * [`TokenVerifier`] checks one token: signature by a key of the issuer's JWKS, then every claim by its type (RFC 9068, RFC 8725).
//! * [`bearer`] finds the one token of a request.

mod bearer;
mod claims;
mod error;
mod keys;
mod settings;
mod verifier;

pub use bearer::bearer;
pub use error::TokenError;
pub use settings::{IssuerSettings, SettingsError, SignatureAlgorithm, TokenKind};
pub use verifier::{TokenIdentity, TokenVerifier};
