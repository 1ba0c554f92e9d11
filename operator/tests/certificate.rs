//! The operator keeps its certificate: in a real secret, from an API that the test plays over real TLS with a real signer.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use allmende_identity::{
    Acceptor, AcceptorLimits, Caller, CertificateRequest, Identity, ServerTls, ServerTlsPaths,
    client::ClientTls,
    signer::{FileSigner, Signer, SigningOrder},
};
use allmende_operator::{
    certificate::{keeper::Keeper, metrics::RenewalMetrics},
    clock::Clock,
};
use allmende_proto::v1::{
    self,
    certificate_service_server::{CertificateService, CertificateServiceServer},
};
use allmende_testkit::{ca::TestCa, kubernetes::TestKubernetes};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use rustls_pki_types::UnixTime;
use serde_json::json;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

const LIMIT: Duration = Duration::from_secs(30);

/// Real time and what the test adds.
#[derive(Debug, Clone, Default)]
struct Shifted(Arc<AtomicI64>);

impl Clock for Shifted {
    fn now(&self) -> jiff::Timestamp {
        let now = i64::try_from(UnixTime::now().as_secs()).unwrap() + self.0.load(Ordering::Relaxed);
        jiff::Timestamp::from_second(now).unwrap()
    }
}

/// Signs for whoever comes with the one token, or under a certificate of the cluster.
#[derive(Clone)]
struct Played {
    signer: Arc<FileSigner>,
    token: Arc<Mutex<String>>,
    /// Signs, and loses its answer.
    loses: Arc<AtomicBool>,
    /// Request ids of joins, in order, and serials under which was renewed.
    joins: Arc<Mutex<Vec<String>>>,
    renewals: Arc<Mutex<Vec<String>>>,
}

impl Played {
    async fn sign(&self, pem: &str) -> Result<Response<v1::ClusterCertificate>, Status> {
        let now = i64::try_from(UnixTime::now().as_secs()).unwrap();
        let request =
            CertificateRequest::verified(pem).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let identity = Identity::Cluster("local-1".into());
        let order = SigningOrder { request, identity, not_before: now - 60, not_after: now + 86_400 };
        let signed = self.signer.sign(&order).await.unwrap();
        if self.loses.swap(false, Ordering::Relaxed) {
            return Err(Status::unavailable("lost"));
        }
        Ok(Response::new(v1::ClusterCertificate {
            certificate_chain: signed.chain,
            serial: signed.serial,
            ..Default::default()
        }))
    }
}

#[tonic::async_trait]
impl CertificateService for Played {
    async fn join_cluster(
        &self,
        request: Request<v1::JoinClusterRequest>,
    ) -> Result<Response<v1::ClusterCertificate>, Status> {
        let shown = Caller::from_extensions(request.extensions()).unwrap().certificate.is_some();
        assert!(!shown, "a join shows no certificate: it may be expired");
        let request = request.into_inner();
        self.joins.lock().unwrap().push(request.request_id);
        if request.join_token != *self.token.lock().unwrap() {
            return Err(Status::unauthenticated("no"));
        }
        self.sign(&request.certificate_request).await
    }

    async fn renew_cluster_certificate(
        &self,
        request: Request<v1::RenewClusterCertificateRequest>,
    ) -> Result<Response<v1::ClusterCertificate>, Status> {
        let caller = Caller::from_extensions(request.extensions()).unwrap();
        let serial = caller.certificate.as_ref().unwrap().serial.clone();
        self.renewals.lock().unwrap().push(serial);
        self.sign(&request.into_inner().certificate_request).await
    }

    async fn create_join_token(
        &self,
        _: Request<v1::CreateJoinTokenRequest>,
    ) -> Result<Response<v1::CreateJoinTokenResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn revoke_cluster_certificates(
        &self,
        _: Request<v1::RevokeClusterCertificatesRequest>,
    ) -> Result<Response<v1::RevokeClusterCertificatesResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn revoke_certificates(
        &self,
        _: Request<v1::RevokeCertificatesRequest>,
    ) -> Result<Response<v1::CertificateRevocation>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_certificate_revocations(
        &self,
        _: Request<v1::ListCertificateRevocationsRequest>,
    ) -> Result<Response<v1::ListCertificateRevocationsResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, wait).await.is_ok(), "{what}");
}

fn text(secret: &Secret, key: &str) -> String {
    let bytes = secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.clone());
    String::from_utf8(bytes.unwrap_or_default()).unwrap()
}

#[tokio::test]
async fn it_joins_with_the_token_of_the_secret_renews_at_half_life_and_comes_back_by_a_new_token() {
    allmende_identity::install_crypto_provider();
    let ca = TestCa::new();
    let server = ca.server("server");
    let paths = ServerTlsPaths { cert: server.cert, key: server.key, client_ca: ca.cert(), crl: None };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let tls = ServerTls::load(paths).unwrap();
    let acceptor = Acceptor::spawn(listener, tls.clone(), AcceptorLimits::default());
    let authority = ca.own();
    let played = Played {
        signer: Arc::new(FileSigner { cert: authority.cert, key: authority.key }),
        token: Arc::new(Mutex::new("first".into())),
        loses: Arc::new(AtomicBool::new(true)),
        joins: Arc::default(),
        renewals: Arc::default(),
    };
    let service = CertificateServiceServer::new(played.clone());
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(acceptor));

    let kubernetes = TestKubernetes::start_without_controllers().await;
    let client = Client::try_from(kubernetes.admin().await).unwrap();
    let secrets: Api<Secret> = Api::namespaced(client, "default");
    let metadata = ObjectMeta { name: Some("identity".into()), ..Default::default() };
    let secret = Secret { metadata, ..Default::default() };
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    let give = async |token: &str| {
        let body = json!({"stringData": {"joinToken": token}});
        secrets.patch("identity", &PatchParams::default(), &Patch::Merge(body)).await.unwrap();
    };

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("identity.pem");
    let clock = Shifted::default();
    let (_leads, leader) = watch::channel(true);
    let metrics = RenewalMetrics::default();
    let keeper = Keeper {
        secrets: secrets.clone(),
        name: "identity".into(),
        file: file.clone(),
        cluster: "local-1".into(),
        endpoint: endpoint.clone(),
        tls: ClientTls { ca: ca.cert(), own: Some((file.clone(), file.clone())) },
        leader,
        clock: Arc::new(clock.clone()),
        metrics: metrics.clone(),
        every: Duration::from_millis(100),
    };
    let _task = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(keeper.run()));

    until("without certificate and token it says so", async || metrics.failing.get() == 1).await;
    give("wrong").await;
    until("a wrong token is tried", async || played.joins.lock().unwrap().len() == 1).await;
    give("first").await;
    until("it joins", async || file.exists() && metrics.failing.get() == 0).await;
    let joins = played.joins.lock().unwrap().clone();
    assert_eq!(
        joins.len(),
        3,
        "a refused token is tried once, and the lost answer asked for again: {joins:?}"
    );
    assert!(joins.iter().all(|id| *id == joins[0]), "under one request id: {joins:?}");
    let joined = secrets.get("identity").await.unwrap();
    assert_eq!(text(&joined, "joinToken"), "", "the token is gone");
    assert_eq!(text(&joined, "next.key"), "");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    clock.0.store(43_300, Ordering::Relaxed);
    until("it renews", async || metrics.received.get() >= 2).await;
    clock.0.store(0, Ordering::Relaxed);
    let renewed = secrets.get("identity").await.unwrap();
    assert_ne!(text(&renewed, "tls.crt"), text(&joined, "tls.crt"));
    assert_ne!(text(&renewed, "tls.key"), text(&joined, "tls.key"), "a new key each time");
    let serial = allmende_identity::PeerCertificate::of_pem(&text(&joined, "tls.crt")).unwrap().serial;
    assert_eq!(played.renewals.lock().unwrap()[0], serial, "under the certificate it had");

    clock.0.store(90_000, Ordering::Relaxed);
    until("expired, it says so", async || metrics.failing.get() == 1).await;
    *played.token.lock().unwrap() = "second".into();
    let received = metrics.received.get();
    give("second").await;
    until("it is back", async || metrics.received.get() > received).await;
}
