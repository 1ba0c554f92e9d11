//! One token, checked: issuer, form, algorithm, key, signature, claims, in this order.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Header;
use serde_json::{Map, Value};

use super::{IssuerSettings, SettingsError, TokenError, TokenKind, claims, keys::KeyCache};
use crate::{http_client::HttpClient, identity::Identity};

/// Who a good token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenIdentity {
    /// Alias of the issuer.
    pub issuer: String,
    /// `sub`, as the issuer writes it.
    pub subject: String,
    /// Its groups, as the issuer writes them; they mean something only together with the issuer.
    pub groups: Vec<String>,
    /// `exp`, seconds since 1970.
    pub expires: i64,
}

impl TokenIdentity {
    /// The principal: `allmende://issuer/{alias}/{subject}`.
    pub fn identity(&self) -> Identity {
        Identity::Subject { issuer: self.issuer.clone(), subject: self.subject.clone() }
    }
}

#[derive(Debug)]
struct Issuer {
    settings: IssuerSettings,
    keys: KeyCache,
}

/// All configured issuers. Clones share their keys.
#[derive(Debug, Clone, Default)]
pub struct TokenVerifier {
    issuers: Arc<Vec<Issuer>>,
}

impl TokenVerifier {
    /// Nothing is read from the net yet: an issuer that is away must not hinder a start.
    ///
    /// # Errors
    /// Names everything that is wrong with the settings.
    pub fn new(settings: Vec<IssuerSettings>) -> Result<Self, SettingsError> {
        let mut wrong: Vec<String> = settings.iter().flat_map(IssuerSettings::violations).collect();
        let aliases: BTreeSet<&str> = settings.iter().map(|one| one.alias.as_str()).collect();
        let issuers: BTreeSet<&str> = settings.iter().map(|one| one.issuer.as_str()).collect();
        if aliases.len() != settings.len() || issuers.len() != settings.len() {
            wrong.push("each alias and each issuer may be there once".to_owned());
        }
        let mut all = Vec::new();
        for settings in settings {
            match HttpClient::new(settings.ca.as_deref(), settings.plain_loopback) {
                Ok(http) => all.push(Issuer { keys: KeyCache::new(&settings, http), settings }),
                Err(error) => wrong.push(format!("issuer {}: {error}", settings.alias)),
            }
        }
        if wrong.is_empty() {
            Ok(Self { issuers: Arc::new(all) })
        } else {
            Err(SettingsError(wrong.join("; ")))
        }
    }

    /// Whether no issuer is configured: then every token is refused.
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Checks a token; `now` in seconds since 1970.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub async fn verify(&self, token: &str, now: i64) -> Result<TokenIdentity, TokenError> {
        let Unverified { header, claims, message, signature } = Unverified::read(token)?;
        let named = claims.get("iss").and_then(Value::as_str);
        let issuer = self
            .issuers
            .iter()
            .find(|one| named == Some(one.settings.issuer.as_str()))
            .ok_or(TokenError::UnknownIssuer)?;
        let settings = &issuer.settings;
        if !settings.algorithms.iter().any(|pinned| pinned.jose() == header.alg) {
            return Err(TokenError::Algorithm);
        }
        check_type(header.typ.as_deref(), settings.token_kind)?;
        let kid = header.kid.as_deref().ok_or(TokenError::UnknownKey)?;
        let keys = issuer.keys.find(kid, header.alg).await?;
        let signed_by = |key| jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, header.alg);
        if !keys.iter().any(|key| signed_by(key).unwrap_or(false)) {
            return Err(TokenError::Signature);
        }
        claims::check(&claims, settings, now)
    }

    /// Reads the keys of all issuers, as often as configured, for ever.
    pub async fn keep_fresh(self) {
        let mut tasks = tokio::task::JoinSet::new();
        for index in 0..self.issuers.len() {
            let issuers = Arc::clone(&self.issuers);
            tasks.spawn(async move {
                if let Some(issuer) = issuers.get(index) {
                    issuer.keys.keep_fresh().await;
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    }

    /// How long ago the keys of each issuer were read; none: never. By alias.
    pub fn key_ages(&self) -> Vec<(String, Option<Duration>)> {
        self.issuers.iter().map(|issuer| (issuer.settings.alias.clone(), issuer.keys.age())).collect()
    }
}

/// The parts of a token that nobody has checked yet. Of its claims only `iss` may be looked at, to find out by whose rules it is to be
/// checked.
struct Unverified<'a> {
    header: Header,
    claims: Map<String, Value>,
    /// What is signed.
    message: &'a str,
    signature: &'a str,
}

impl<'a> Unverified<'a> {
    fn read(token: &'a str) -> Result<Self, TokenError> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        if signature.is_empty() || payload.contains('.') {
            return Err(TokenError::Malformed);
        }
        let fields = object(header)?;
        if NEVER_FOLLOWED.iter().any(|name| fields.contains_key(*name)) {
            return Err(TokenError::Malformed);
        }
        // `alg: none` and algorithms that nobody knows end here.
        let header = serde_json::from_value(Value::Object(fields)).map_err(|_| TokenError::Algorithm)?;
        Ok(Self { header, claims: object(payload)?, message, signature })
    }
}

/// Header fields that name keys or rules of the token's own, or say that it is encrypted.
const NEVER_FOLLOWED: [&str; 7] = ["crit", "jku", "x5u", "jwk", "x5c", "enc", "zip"];

fn object(part: &str) -> Result<Map<String, Value>, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

fn check_type(typ: Option<&str>, kind: TokenKind) -> Result<(), TokenError> {
    let typ = typ.unwrap_or_default().to_ascii_lowercase();
    let good = match kind {
        TokenKind::AtJwt => typ == "at+jwt" || typ == "application/at+jwt",
        // The claim `typ` decides, see `claims`.
        TokenKind::Keycloak => typ == "jwt",
    };
    if good { Ok(()) } else { Err(TokenError::WrongType) }
}
