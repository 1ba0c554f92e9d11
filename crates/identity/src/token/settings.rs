//! What is configured of an issuer.

use std::path::PathBuf;

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use thiserror::Error;

use crate::identity::is_name;

/// Asymmetric algorithms only: with a shared secret everybody who checks a token could make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// ECDSA with P-256 and SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl SignatureAlgorithm {
    pub(super) fn jose(self) -> Algorithm {
        match self {
            Self::RS256 => Algorithm::RS256,
            Self::PS256 => Algorithm::PS256,
            Self::ES256 => Algorithm::ES256,
            Self::EdDSA => Algorithm::EdDSA,
        }
    }
}

/// How the issuer marks an access token, so that an ID token is not taken for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenKind {
    /// Header `typ` is `at+jwt` (RFC 9068).
    #[default]
    AtJwt,
    /// Keycloak: header `typ` is `JWT`, claim `typ` is `Bearer` (an ID token has `ID`).
    Keycloak,
}

/// One trusted issuer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// Short name: part of every principal's text, never to be given to another issuer.
    pub alias: String,
    /// `iss`, letter by letter; the discovery document lies below it.
    pub issuer: String,
    /// What `aud` must contain: this API.
    pub audience: String,
    /// Pinned.
    pub algorithms: Vec<SignatureAlgorithm>,
    /// How access tokens are marked.
    #[serde(default)]
    pub token_kind: TokenKind,
    /// The claim with the groups, an array of texts; none: groups are not read.
    #[serde(default)]
    pub groups_claim: Option<String>,
    /// Programs (`client_id`, else `azp`) whose tokens are taken; empty: all of this issuer for this audience.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Refuse tokens without `nbf`. Off only for issuers that cannot send it; then `iat` stands in.
    #[serde(default = "yes")]
    pub require_nbf: bool,
    /// Longest `exp` − `iat` that is taken, seconds.
    #[serde(default = "one_hour")]
    pub longest_life_seconds: i64,
    /// Difference of the clocks that is forgiven, seconds; at most 30.
    #[serde(default = "ten")]
    pub leeway_seconds: i64,
    /// Authorities of the issuer's server, PEM; none: those of the system.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// How often the keys are read again, seconds.
    #[serde(default = "five_minutes")]
    pub refresh_seconds: u64,
    /// Least time between two looks at the key set for keys that nobody knows, seconds: a stream of forged `kid`s must not become a
    /// stream of requests.
    #[serde(default = "ten_seconds")]
    pub unknown_key_seconds: u64,
    /// How long keys serve after they were last read, while the issuer cannot be reached, seconds.
    #[serde(default = "six_hours")]
    pub keys_usable_seconds: u64,
    /// Take `http://` on loopback. For tests and a first look only.
    #[serde(default)]
    pub plain_loopback: bool,
}

fn yes() -> bool {
    true
}

fn ten() -> i64 {
    10
}

fn ten_seconds() -> u64 {
    10
}

fn one_hour() -> i64 {
    3600
}

fn five_minutes() -> u64 {
    300
}

fn six_hours() -> u64 {
    6 * 3600
}

/// The settings do not fit; names everything that is wrong.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct SettingsError(pub(crate) String);

impl IssuerSettings {
    /// Everything that is wrong.
    pub(super) fn violations(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut check = |good: bool, text: &str| {
            if !good {
                wrong.push(format!("issuer {}: {text}", self.alias));
            }
        };
        check(is_name(&self.alias), "alias must have 1 to 63 of a-z, 0-9 and -");
        check(!self.audience.is_empty(), "audience is needed");
        check(!self.algorithms.is_empty(), "algorithms are needed");
        check((0..=30).contains(&self.leeway_seconds), "leeway_seconds must be 0 to 30");
        check((1..=86_400).contains(&self.longest_life_seconds), "longest_life_seconds must be 1 to 86400");
        check((1..=86_400).contains(&self.refresh_seconds), "refresh_seconds must be 1 to 86400");
        check(
            self.keys_usable_seconds >= self.refresh_seconds,
            "keys_usable_seconds must not be below refresh_seconds",
        );
        check(
            self.issuer.starts_with("https://")
                || (self.plain_loopback && self.issuer.starts_with("http://")),
            "issuer must begin with https://",
        );
        wrong
    }
}
