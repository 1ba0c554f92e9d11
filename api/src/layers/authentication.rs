//! Finds out who calls: the connection's certificate and the request's one token. Nothing else that a client can set is looked at.

use std::sync::Arc;

use allmende_identity::{Caller, Identity, token};
use http::HeaderMap;

use super::call::REFLECTION_PREFIX;
use crate::{
    app::audit::Refusals,
    authn::{Authenticated, Issuers, Proof},
    authz::policy::Row,
    clock::Clock,
    error::AppError,
    metrics::ApiMetrics,
};

/// Stands for every method that is not of the contract.
const UNKNOWN_RPC: &str = "unknown";

/// Cheap to clone.
#[derive(Clone)]
pub struct Authentication {
    /// Whose tokens are taken.
    pub issuers: Issuers,
    /// A token's times are checked against it.
    pub clock: Arc<dyn Clock>,
    /// Counts tokens.
    pub metrics: ApiMetrics,
    /// Counts, for the audit, who showed a certificate and was refused.
    pub refusals: Refusals,
}

impl std::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authentication").field("issuers", &self.issuers).finish_non_exhaustive()
    }
}

/// What a request shows, not yet checked but for the certificate.
#[derive(Debug)]
pub(super) struct Shown {
    certificate: Option<Identity>,
    serial: Option<String>,
    token: Result<Option<String>, token::TokenError>,
}

impl Shown {
    pub(super) fn of(headers: &HeaderMap, extensions: &http::Extensions) -> Self {
        let caller = Caller::from_extensions(extensions);
        let certificate = caller.and_then(|caller| caller.certificate.as_ref());
        Self {
            certificate: caller.and_then(|caller| caller.identity.clone()),
            serial: certificate.map(|certificate| certificate.serial.clone()),
            token: token::bearer(headers).map(|token| token.map(str::to_owned)),
        }
    }
}

impl Authentication {
    /// Who calls this path. Whoever shows a certificate and is refused is counted; without one there is nobody to name.
    pub(super) async fn check(
        &self,
        shown: Shown,
        row: Option<&Row>,
        path: &str,
    ) -> Result<Authenticated, AppError> {
        let certificate = shown.certificate.clone();
        let decided = self.decide(shown, row.is_some_and(Row::is_for_clusters)).await;
        match (&decided, certificate) {
            (Ok(who), _) if row.is_none() && !path.starts_with(REFLECTION_PREFIX) => {
                self.note(&who.identity, row, path);
            }
            (Err(_), Some(certificate)) => self.note(&certificate, row, path),
            _ => {}
        }
        decided
    }

    fn note(&self, identity: &Identity, row: Option<&Row>, path: &str) {
        self.refusals.note_call(identity, row.map_or(UNKNOWN_RPC, |row| row.rpc), path, self.clock.now());
    }

    async fn decide(&self, shown: Shown, for_clusters: bool) -> Result<Authenticated, AppError> {
        let proof = match shown.token {
            Ok(None) => None,
            Ok(Some(text)) => Some(self.proof(&text).await),
            Err(error) => Some(Err(error)),
        };
        if let Some(outcome) = &proof {
            let label = outcome.as_ref().map_or_else(token::TokenError::label, |_| "accepted");
            self.metrics.token(label);
        }
        // A bad token is refused also beside a good certificate: who shows one means it.
        let proof = proof.transpose().map_err(AppError::TokenRefused)?;
        let by_token = proof.is_some();
        let mut who = Authenticated::of(shown.certificate.as_ref(), proof, for_clusters)?;
        who.serial = if by_token { None } else { shown.serial };
        tracing::Span::current().record("caller", tracing::field::display(&who.identity));
        Ok(who)
    }

    async fn proof(&self, text: &str) -> Result<Proof, token::TokenError> {
        let now = self.clock.now();
        let token = self.issuers.verify(text, now).await?;
        Ok(Proof { identity: token.identity(), rights: self.issuers.rights_of(&token, now) })
    }
}
