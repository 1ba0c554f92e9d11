//! The public keys of one issuer: read from its JWKS, kept, read again in the background and, at most every few seconds, for an
//! unknown key.

use std::{
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde_json::Value;

use super::{IssuerSettings, TokenError};
use crate::http_client::{HttpClient, HttpError};

/// Most keys of a set that are kept.
const KEYS_MAX: usize = 64;

/// One key and what it may verify.
#[derive(Debug, Clone)]
struct PublicKey {
    kid: String,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

#[derive(Debug, Default)]
struct State {
    keys: Arc<Vec<PublicKey>>,
    /// When they were last read.
    read: Option<Instant>,
    /// When it was last tried.
    tried: Option<Instant>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct KeyCache {
    issuer: String,
    usable: Duration,
    every: Duration,
    least_between: Duration,
    http: HttpClient,
    state: RwLock<State>,
    /// One reader at a time.
    reading: tokio::sync::Mutex<()>,
}

impl KeyCache {
    pub(super) fn new(settings: &IssuerSettings, http: HttpClient) -> Self {
        Self {
            issuer: settings.issuer.clone(),
            usable: Duration::from_secs(settings.keys_usable_seconds),
            every: Duration::from_secs(settings.refresh_seconds),
            least_between: Duration::from_secs(settings.unknown_key_seconds),
            http,
            state: RwLock::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// The keys with this id that may verify this algorithm.
    pub(super) async fn find(&self, kid: &str, algorithm: Algorithm) -> Result<Vec<DecodingKey>, TokenError> {
        let found = self.known(kid, algorithm);
        if let Some(found) = found.filter(|found| !found.is_empty()) {
            return Ok(found);
        }
        self.read_if_due(self.least_between).await;
        match self.known(kid, algorithm) {
            None => Err(TokenError::KeysUnavailable),
            Some(found) if found.is_empty() => Err(TokenError::UnknownKey),
            Some(found) => Ok(found),
        }
    }

    /// None: there are no keys that may still be used.
    fn known(&self, kid: &str, algorithm: Algorithm) -> Option<Vec<DecodingKey>> {
        let state = self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.read.filter(|read| read.elapsed() < self.usable)?;
        let fits = |one: &&PublicKey| one.kid == kid && one.algorithms.contains(&algorithm);
        Some(state.keys.iter().filter(fits).map(|one| one.key.clone()).collect())
    }

    /// How long ago the keys were read; none: never.
    pub(super) fn age(&self) -> Option<Duration> {
        let state = self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.read.map(|read| read.elapsed())
    }

    /// Reads the keys for ever, as often as configured.
    pub(super) async fn keep_fresh(&self) {
        loop {
            self.read_if_due(self.least_between.min(self.every)).await;
            tokio::time::sleep(self.every).await;
        }
    }

    /// Reads the keys unless somebody tried less than `least` ago. A failure leaves the present ones.
    async fn read_if_due(&self, least: Duration) {
        let _one = self.reading.lock().await;
        {
            let mut state = self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            if state.tried.is_some_and(|tried| tried.elapsed() < least) {
                return;
            }
            state.tried = Some(Instant::now());
        }
        match self.fetch().await {
            Ok(keys) => {
                let mut state = self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner);
                state.keys = Arc::new(keys);
                state.read = Some(Instant::now());
            }
            Err(error) => {
                tracing::warn!(issuer = self.issuer, %error, "the issuer's keys cannot be read; the last ones serve on");
            }
        }
    }

    /// Discovery first, each time: an issuer may move its key set.
    async fn fetch(&self) -> Result<Vec<PublicKey>, HttpError> {
        let discovery = self.http.discover(&self.issuer).await?;
        let address = discovery
            .get("jwks_uri")
            .and_then(Value::as_str)
            .ok_or_else(|| HttpError::content("the discovery document has no jwks_uri"))?;
        let set = self.http.get_json(address).await?;
        let keys = set
            .get("keys")
            .and_then(Value::as_array)
            .ok_or_else(|| HttpError::content("the key set has no array `keys`"))?;
        // One key that we do not understand must not cost the others.
        let keys: Vec<PublicKey> = keys.iter().take(KEYS_MAX).filter_map(public_key).collect();
        if keys.is_empty() {
            return Err(HttpError::content("the key set holds no key that can be used"));
        }
        Ok(keys)
    }
}

/// A key for signatures with an id, of a kind that we take. A shared secret is none.
fn public_key(value: &Value) -> Option<PublicKey> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    let kid = jwk.common.key_id.clone().filter(|kid| !kid.is_empty())?;
    if jwk.common.public_key_use.as_ref().is_some_and(|for_what| *for_what != PublicKeyUse::Signature) {
        return None;
    }
    let possible: &[(KeyAlgorithm, Algorithm)] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => {
            &[(KeyAlgorithm::RS256, Algorithm::RS256), (KeyAlgorithm::PS256, Algorithm::PS256)]
        }
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            &[(KeyAlgorithm::ES256, Algorithm::ES256)]
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            &[(KeyAlgorithm::EdDSA, Algorithm::EdDSA)]
        }
        _ => return None,
    };
    let own = jwk.common.key_algorithm;
    let algorithms: Vec<Algorithm> = possible
        .iter()
        .filter(|(name, _)| own.is_none_or(|own| own == *name))
        .map(|(_, algorithm)| *algorithm)
        .collect();
    if algorithms.is_empty() {
        return None;
    }
    Some(PublicKey { kid, algorithms, key: DecodingKey::from_jwk(&jwk).ok()? })
}
