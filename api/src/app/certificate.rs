//! Certificates of clusters: joined with a token that counts once, renewed under the present one, revoked by the cooperative.

use std::sync::Arc;

use allmende_domain::{
    cluster::Cluster,
    credential::{ClusterCredential, JoinToken},
    ids::ClusterId,
};
use allmende_identity::{
    CertificateRequest, Identity, PeerCertificate,
    signer::{SignedCertificate, Signer, SigningOrder},
};
use allmende_proto::v1;
use allmende_store::{Txn, Versioned, keys};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::{
    authz::{Scope, authorizer::Actor},
    context::Context,
    convert::fields::Fields,
    core::{Change, Core},
    error::AppError,
};

/// Life of a join token when the request does not say.
const TOKEN_TTL: SignedDuration = SignedDuration::from_hours(1);
/// Longest life of a join token.
const TOKEN_TTL_MAX: SignedDuration = SignedDuration::from_hours(24);
/// So that scanners find a token that leaked.
const TOKEN_PREFIX: &str = "allmende-join-";
/// Joins under way at once: callers without an identity share few places.
const JOINS_MAX: usize = 4;

/// Use cases over certificates.
#[derive(Clone)]
pub struct Certificates {
    /// Shared parts.
    pub core: Core,
    /// Who signs; none: certificates come from elsewhere, and joining is refused.
    pub signer: Option<Arc<dyn Signer>>,
    /// Life of a cluster's certificate.
    pub life: SignedDuration,
    joins: Arc<Semaphore>,
}

/// A fresh join token; the receipt keeps its hash alone.
#[derive(Debug, Serialize, Deserialize)]
struct MadeToken {
    hash: String,
    expire_time: Timestamp,
}

/// What a cluster was given; no secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Given {
    /// Leaf first, PEM.
    pub chain: String,
    /// Hex.
    pub serial: String,
    /// Begin.
    pub not_before: Timestamp,
    /// End.
    pub not_after: Timestamp,
}

impl Given {
    fn of(signed: SignedCertificate) -> Result<Self, AppError> {
        let time = |unix| Timestamp::from_second(unix).map_err(AppError::internal);
        let (not_before, not_after) = (time(signed.not_before)?, time(signed.not_after)?);
        Ok(Self { chain: signed.chain, serial: signed.serial, not_before, not_after })
    }

    /// Half of its life.
    pub fn renew_time(&self) -> Timestamp {
        let half = self.not_after.duration_since(self.not_before) / 2;
        self.not_before.checked_add(half).unwrap_or(self.not_after)
    }
}

fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// 256 bits, of more random ones than that.
fn fresh_token() -> String {
    let mut bytes = Vec::with_capacity(48);
    for _ in 0..3 {
        bytes.extend_from_slice(uuid::Uuid::new_v4().as_bytes());
    }
    format!("{TOKEN_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&bytes)))
}

fn identity(cluster: &ClusterId) -> Identity {
    Identity::Cluster(cluster.to_string())
}

impl Certificates {
    /// Without a signer.
    pub fn new(core: Core) -> Self {
        let life = SignedDuration::from_hours(24);
        Self { core, signer: None, life, joins: Arc::new(Semaphore::new(JOINS_MAX)) }
    }

    fn signer(&self, resource: &str) -> Result<&Arc<dyn Signer>, AppError> {
        self.signer.as_ref().ok_or_else(|| AppError::WrongState {
            resource: resource.to_owned(),
            description: "this API has no signer: its clusters get their certificates from elsewhere"
                .to_owned(),
        })
    }

    async fn cluster(&self, id: &ClusterId, name: &str) -> Result<Versioned<Cluster>, AppError> {
        self.core.store.find(&keys::cluster(id)).await?.ok_or_else(|| AppError::not_found(name))
    }

    /// Makes a join token; gives it with its end. It is empty for a preview, and for a repeat: it is shown once.
    ///
    /// # Errors
    /// Refusal; NOT_FOUND; no signer.
    pub async fn create_token(
        &self,
        context: &Context,
        id: &ClusterId,
        request: &v1::CreateJoinTokenRequest,
    ) -> Result<(String, Timestamp), AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        self.signer(&request.parent)?;
        let mut fields = Fields::new();
        let ttl = request.ttl.map_or(TOKEN_TTL, |ttl| SignedDuration::from_secs(ttl.seconds));
        if !(SignedDuration::from_secs(60)..=TOKEN_TTL_MAX).contains(&ttl) {
            fields.wrong("ttl", "must be a minute to a day");
        }
        let expire_time = context.now.checked_add(ttl).ok();
        let expire_time = fields.finish(expire_time)?;
        let token = fresh_token();
        let hash = hash(&token);
        let made = self
            .core
            .commit(&change, || async {
                self.cluster(id, &request.parent).await?;
                let key = keys::join_token(id);
                let record = JoinToken { cluster: id.clone(), hash: hash.clone(), expire_time };
                let summary = format!("Beitrittsschlüssel bis {expire_time}");
                let txn = Txn::new().put(&key, &record).and(change.audit(
                    context.row.rpc,
                    None,
                    &request.parent,
                    summary,
                    "",
                ));
                Ok((txn, MadeToken { hash: hash.clone(), expire_time }))
            })
            .await?;
        // A repeat gets the answer of the first, which was shown then and is kept nowhere.
        let shown = if made.hash == hash && !change.validate_only { token } else { String::new() };
        Ok((shown, made.expire_time))
    }

    /// Exchanges a join token for a certificate. The caller is nobody but the bearer of the token: a wrong one, a used one, one of another
    /// cluster and a cluster that does not exist are all answered alike.
    ///
    /// # Errors
    /// See above; a request that is no proof of its key.
    pub async fn join(
        &self,
        rpc: &str,
        id: Option<ClusterId>,
        request: &v1::JoinClusterRequest,
        now: Timestamp,
    ) -> Result<Given, AppError> {
        let _place = self.joins.try_acquire().map_err(|_| AppError::LimitExceeded {
            description: "too many clusters join at once: repeat in a second".to_owned(),
        })?;
        let id = id.ok_or(AppError::JoinRefused)?;
        let actor = Actor {
            principal: identity(&id).to_string(),
            role: "join token".to_owned(),
            deputy: false,
            eye: None,
            made_by: None,
        };
        let change = Change::new(actor, &request.request_id, request, false, now)?;
        self.core
            .commit(&change, || async {
                let key = keys::join_token(&id);
                let token = self.core.store.find(&key).await?.ok_or(AppError::JoinRefused)?;
                if !token.value.admits(&hash(&request.join_token), now) {
                    return Err(AppError::JoinRefused);
                }
                let order = verified(&request.certificate_request)?;
                self.cluster(&id, &request.name).await.map_err(|_| AppError::JoinRefused)?;
                let credential = self.credential(&id).await?;
                let given = self.sign(&id, &request.name, order, &credential.present, now).await?;
                let next = credential.present.joined(&given.serial);
                let txn = Txn::new()
                    .expect_unchanged(&token)
                    .delete(&key)
                    .and(credential.put(&next))
                    .and(change.audit(rpc, None, &request.name, summary("Beigetreten", &given), ""));
                Ok((txn, given))
            })
            .await
    }

    /// The next certificate of the caller's cluster.
    ///
    /// # Errors
    /// Refusal; a certificate that was renewed already and whose renewal was used; no signer.
    pub async fn renew(
        &self,
        context: &Context,
        certificate: Option<&PeerCertificate>,
        id: &ClusterId,
        request: &v1::RenewClusterCertificateRequest,
    ) -> Result<Given, AppError> {
        let change = self.core.change(context, Scope::Cluster(id, &request.name), request).await?;
        let shown = certificate.ok_or(AppError::Unauthenticated)?;
        let order = verified(&request.certificate_request)?;
        self.core
            .commit(&change, || async {
                self.cluster(id, &request.name).await?;
                let credential = self.credential(id).await?;
                // In the moment between a revocation and the cut.
                if credential.present.barred_before.is_some_and(|bar| shown.not_before < bar.as_second()) {
                    return Err(AppError::WrongState {
                        resource: request.name.clone(),
                        description: "this certificate was revoked: join anew with a new token".to_owned(),
                    });
                }
                credential.present.may_renew(&shown.serial).map_err(|forked| {
                    tracing::error!(cluster = %id, serial = shown.serial, "two hold a certificate of this cluster");
                    AppError::WrongState {
                        resource: request.name.clone(),
                        description: format!("{forked}. Revoke the cluster's certificates, then join anew"),
                    }
                })?;
                let given = self
                    .sign(id, &request.name, order.clone(), &credential.present, context.now)
                    .await?;
                let next = credential.present.renewed(&shown.serial, &given.serial);
                let next = next.map_err(AppError::internal)?;
                let summary = summary("Erneuert", &given);
                let audit = change.audit(context.row.rpc, None, &request.name, summary, "");
                Ok((credential.put(&next).and(audit), given))
            })
            .await
    }

    /// Shuts a cluster out: no certificate that was issued up to now counts any more, anywhere.
    ///
    /// # Errors
    /// Refusal; NOT_FOUND; no reason.
    pub async fn revoke(
        &self,
        context: &Context,
        id: &ClusterId,
        request: &v1::RevokeClusterCertificatesRequest,
    ) -> Result<Timestamp, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let mut fields = Fields::new();
        if request.reason.trim().is_empty() {
            fields.wrong("reason", "say why: it goes into the audit");
        }
        fields.check()?;
        self.core
            .commit(&change, || async {
                self.cluster(id, &request.name).await?;
                let credential = self.credential(id).await?;
                let next = credential.present.barred(context.now);
                let bar = next.barred_before.unwrap_or(context.now);
                let token = self.core.store.find(&keys::join_token(id)).await?;
                let mut txn = credential.put(&next);
                if let Some(token) = token {
                    txn = txn.expect_unchanged(&token).delete(&token.key);
                }
                let summary = "Zertifikate widerrufen".to_owned();
                let audit = change.audit(context.row.rpc, None, &request.name, summary, &request.reason);
                Ok((txn.and(audit), bar))
            })
            .await
    }

    async fn sign(
        &self,
        id: &ClusterId,
        name: &str,
        request: CertificateRequest,
        credential: &ClusterCredential,
        now: Timestamp,
    ) -> Result<Given, AppError> {
        let not_after = now.as_second().saturating_add(self.life.as_secs());
        let not_before = credential.not_before(now);
        let order = SigningOrder { request, identity: identity(id), not_before, not_after };
        let signed = self.signer(name)?.sign(&order).await.map_err(AppError::internal)?;
        Given::of(signed)
    }

    async fn credential(&self, id: &ClusterId) -> Result<Credential, AppError> {
        let found = self.core.store.find(&keys::credential(id)).await?;
        let present = match &found {
            Some(found) => found.value.clone(),
            None => ClusterCredential::none(id.clone()),
        };
        Ok(Credential { found, present })
    }
}

/// A credential as read; `found` is none before the first.
struct Credential {
    found: Option<Versioned<ClusterCredential>>,
    present: ClusterCredential,
}

impl Credential {
    fn put(&self, next: &ClusterCredential) -> Txn {
        let key = keys::credential(&next.cluster);
        Txn::new().expect_as_read(&key, self.found.as_ref()).put(&key, next)
    }
}

fn verified(pem: &str) -> Result<CertificateRequest, AppError> {
    CertificateRequest::verified(pem)
        .map_err(|error| AppError::invalid("certificate_request", error.to_string()))
}

fn summary(what: &str, given: &Given) -> String {
    format!("{what}: Zertifikat {} bis {}", given.serial, given.not_after)
}
