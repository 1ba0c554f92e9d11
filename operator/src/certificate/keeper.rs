//! Keeps the certificate in a secret: joins, renews, and puts what is there into the file that connections read.
//!
//! A new key is written to the secret before it is asked for: a process that dies between the API's answer and the secret asks again with
//! the same key and request id, and gets the same answer.

use std::{
    collections::BTreeMap, io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf, sync::Arc, time::Duration,
};

use allmende_identity::{
    KeyAndRequest, PeerCertificate,
    client::{self, ClientTls},
};
use allmende_proto::v1::{self, certificate_service_client::CertificateServiceClient};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    metrics::RenewalMetrics,
    step::{self, Step},
};
use crate::clock::Clock;

/// How often the secret is looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Longest wait for an answer of the API.
const CALL_LIMIT: Duration = Duration::from_secs(30);

const CERT: &str = "tls.crt";
const KEY: &str = "tls.key";
const TOKEN: &str = "joinToken";
const NEXT_KEY: &str = "next.key";
const NEXT_REQUEST: &str = "next.csr";
const NEXT_ID: &str = "next.id";

/// See the module.
pub struct Keeper {
    /// Of the operator's namespace.
    pub secrets: Api<Secret>,
    /// Which of them.
    pub name: String,
    /// Chain and key, for connections.
    pub file: PathBuf,
    /// Id of the cluster in the API.
    pub cluster: String,
    /// The API.
    pub endpoint: String,
    /// How to reach it.
    pub tls: ClientTls,
    /// Only who leads asks for certificates; every replica uses them.
    pub leader: watch::Receiver<bool>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What becomes of it.
    pub metrics: RenewalMetrics,
    /// How often to look.
    pub every: Duration,
}

/// Why nothing came of it this time.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the cluster: {0}")]
    Cluster(#[from] kube::Error),
    #[error("the API: {}: {}", .0.code(), .0.message())]
    Api(#[from] tonic::Status),
    #[error("the way to the API: {0}")]
    Way(#[from] allmende_identity::TlsError),
    #[error("{0}")]
    Local(String),
}

impl Trouble {
    fn code(&self) -> Option<tonic::Code> {
        if let Self::Api(status) = self { Some(status.code()) } else { None }
    }
}

/// Takes the waiting key away.
fn no_next() -> Value {
    json!({ NEXT_KEY: null, NEXT_REQUEST: null, NEXT_ID: null })
}

/// The secret as it was read.
struct Held {
    data: BTreeMap<String, ByteString>,
}

impl Held {
    fn text(&self, key: &str) -> Option<String> {
        let bytes = &self.data.get(key)?.0;
        let text = String::from_utf8(bytes.clone()).ok()?;
        (!text.trim().is_empty()).then_some(text)
    }

    fn pair(&self) -> Option<(String, String)> {
        self.text(CERT).zip(self.text(KEY))
    }

    fn token(&self) -> Option<String> {
        self.text(TOKEN).map(|token| token.trim().to_owned())
    }

    /// A key that was made and not answered yet.
    fn next(&self) -> Option<Next> {
        let pair = KeyAndRequest { key: self.text(NEXT_KEY)?, request: self.text(NEXT_REQUEST)? };
        Some(Next { pair, id: self.text(NEXT_ID)? })
    }
}

/// A key on its way to a certificate.
struct Next {
    pair: KeyAndRequest,
    id: String,
}

impl Keeper {
    /// Keeps it for ever.
    pub async fn run(mut self) {
        let mut told = String::new();
        // A token that the API refused is not tried again: only another one helps.
        let mut refused = None;
        loop {
            match self.look(&mut refused).await {
                Ok(stranded) => {
                    self.metrics.failing.set(i64::from(stranded));
                    told.clear();
                }
                Err(trouble) => {
                    self.metrics.failing.set(1);
                    let text = trouble.to_string();
                    if text != told {
                        tracing::error!(%trouble, "the cluster's certificate cannot be renewed; tried again");
                        told = text;
                    }
                }
            }
            tokio::time::sleep(self.every).await;
        }
    }

    /// One look; true when only people can help.
    async fn look(&mut self, refused: &mut Option<String>) -> Result<bool, Trouble> {
        let secret = self.secrets.get(&self.name).await?;
        let held = Held { data: secret.data.unwrap_or_default() };
        let pair = held.pair();
        if let Some((chain, key)) = &pair {
            self.put_file(chain, key)?;
        }
        let life = pair.as_ref().and_then(|(chain, _)| PeerCertificate::of_pem(chain));
        let life = life.map(|own| (own.not_before, own.not_after));
        let token = held.token();
        let step = step::next(life, token.is_some(), self.clock.now().as_second());
        if step == Step::Stranded {
            tracing::error!(
                secret = self.name,
                "no certificate that counts: put a fresh `joinToken` into the secret (`allmende cluster join-token`)"
            );
            return Ok(true);
        }
        if step == Step::Wait || !*self.leader.borrow_and_update() {
            return Ok(false);
        }
        if step == Step::Join && *refused == token {
            return Ok(true);
        }
        let next = self.next(&held).await?;
        let asked = match &token {
            Some(token) => self.join(&next, token).await,
            None => self.renew(&next).await,
        };
        let given = match asked {
            Ok(given) => given,
            Err(trouble) => {
                match trouble.code() {
                    Some(tonic::Code::Unauthenticated) => refused.clone_from(&token),
                    // The waiting key was answered for another token or under another certificate: begin with a fresh one.
                    Some(tonic::Code::AlreadyExists) => self.patch(json!({ "data": no_next() })).await?,
                    _ => {}
                }
                return Err(trouble);
            }
        };
        self.save(&given.certificate_chain, &next.pair.key).await?;
        self.put_file(&given.certificate_chain, &next.pair.key)?;
        self.metrics.received.inc();
        tracing::info!(
            serial = given.serial,
            joined = step == Step::Join,
            "the cluster has a new certificate"
        );
        Ok(false)
    }

    /// The key to ask for: the one that waits for its answer, or a fresh one that is saved first.
    async fn next(&self, held: &Held) -> Result<Next, Trouble> {
        if let Some(next) = held.next() {
            return Ok(next);
        }
        let pair = KeyAndRequest::generate().map_err(|error| Trouble::Local(error.to_string()))?;
        let next = Next { pair, id: uuid::Uuid::new_v4().to_string() };
        let data = json!({
            NEXT_KEY: next.pair.key, NEXT_REQUEST: next.pair.request, NEXT_ID: next.id,
        });
        self.patch(json!({ "stringData": data })).await?;
        Ok(next)
    }

    async fn join(&self, next: &Next, token: &str) -> Result<v1::ClusterCertificate, Trouble> {
        // What was held may be expired or revoked, and would be refused in the handshake.
        let anonymous = ClientTls { own: None, ..self.tls.clone() };
        let mut certificates = CertificateServiceClient::new(client::channel(&self.endpoint, anonymous)?);
        let mut request = tonic::Request::new(v1::JoinClusterRequest {
            name: format!("clusters/{}", self.cluster),
            join_token: token.to_owned(),
            certificate_request: next.pair.request.clone(),
            request_id: next.id.clone(),
        });
        request.set_timeout(CALL_LIMIT);
        Ok(certificates.join_cluster(request).await?.into_inner())
    }

    async fn renew(&self, next: &Next) -> Result<v1::ClusterCertificate, Trouble> {
        // A connection of its own: that under which the stream lives may be older than the last renewal.
        let mut certificates =
            CertificateServiceClient::new(client::channel(&self.endpoint, self.tls.clone())?);
        let mut request = tonic::Request::new(v1::RenewClusterCertificateRequest {
            name: format!("clusters/{}", self.cluster),
            certificate_request: next.pair.request.clone(),
            request_id: next.id.clone(),
            validate_only: false,
        });
        request.set_timeout(CALL_LIMIT);
        Ok(certificates.renew_cluster_certificate(request).await?.into_inner())
    }

    /// The new pair in place of the old one; token and waiting key go.
    async fn save(&self, chain: &str, key: &str) -> Result<(), Trouble> {
        let mut gone = no_next();
        gone[TOKEN] = Value::Null;
        self.patch(json!({ "data": gone, "stringData": { CERT: chain, KEY: key } })).await
    }

    async fn patch(&self, body: Value) -> Result<(), Trouble> {
        self.secrets.patch(&self.name, &PatchParams::default(), &Patch::Merge(body)).await?;
        Ok(())
    }

    /// Readable by this program alone; changes at once, and only when there is something new.
    fn put_file(&self, chain: &str, key: &str) -> Result<(), Trouble> {
        let failed = |error: std::io::Error| Trouble::Local(format!("{}: {error}", self.file.display()));
        let text = format!("{chain}{key}");
        if std::fs::read_to_string(&self.file).is_ok_and(|present| present == text) {
            return Ok(());
        }
        let new = self.file.with_extension("new");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&new).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        std::fs::rename(&new, &self.file).map_err(failed)
    }
}
