//! A server as it is shipped, and clients that do as the test wants.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "each test binary uses a part of this"
)]

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use allmende_identity::{
    Acceptor, AcceptorLimits, Connection, Identity, ServerTls, ServerTlsPaths, install_crypto_provider,
};
use allmende_testkit::ca::{Leaf, TestCa};
use rustls::{
    ClientConfig, RootCertStore, SignatureAlgorithm, SignatureScheme, SupportedProtocolVersion,
    client::ResolvesClientCert,
    sign::{CertifiedKey, Signer, SigningKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_stream::StreamExt;
use tonic::transport::server::Connected;

/// Longest wait for anything.
pub const LIMIT: Duration = Duration::from_secs(10);
/// How often the server looks for changed files.
pub const LOOK: Duration = Duration::from_millis(50);

pub struct Server {
    pub acceptor: Acceptor,
    pub address: SocketAddr,
    pub tls: ServerTls,
}

pub fn paths(ca: &TestCa, crl: Option<PathBuf>) -> ServerTlsPaths {
    let leaf = ca.server("server");
    ServerTlsPaths { cert: leaf.cert, key: leaf.key, client_ca: ca.cert(), crl }
}

impl Server {
    pub async fn start(paths: ServerTlsPaths, limits: AcceptorLimits) -> Self {
        install_crypto_provider();
        let tls = ServerTls::load(paths).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { acceptor: Acceptor::spawn(listener, tls.clone(), limits), address, tls }
    }

    pub async fn of(ca: &TestCa) -> Self {
        Self::start(paths(ca, None), AcceptorLimits::default()).await
    }

    pub async fn with_list(ca: &TestCa, list: PathBuf) -> Self {
        Self::start(paths(ca, Some(list)), AcceptorLimits::default()).await
    }

    pub async fn accepted(&mut self) -> Connection {
        let next = tokio::time::timeout(LIMIT, self.acceptor.next()).await;
        next.expect("a connection in time").unwrap().unwrap()
    }

    pub async fn identity_seen(&mut self) -> Option<Identity> {
        self.accepted().await.connect_info().identity
    }
}

pub fn config(
    ca: &TestCa,
    own: Option<&Leaf>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca.cert()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(leaf) => builder.with_client_cert_resolver(shows(chain(leaf), &key(leaf))),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// Shows a chain and signs with a key, whether they are sound and fit or not.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

pub fn shows(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'_>) -> Arc<dyn ResolvesClientCert> {
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(key).unwrap();
    Arc::new(Shows(Arc::new(CertifiedKey::new(chain, Arc::new(Stubborn(key))))))
}

/// Signs in its own way, whatever the server offers to take. A polite client would show nothing then.
#[derive(Debug)]
struct Stubborn(Arc<dyn SigningKey>);

impl SigningKey for Stubborn {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        self.0.choose_scheme(&[
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
        ])
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

pub fn chain(leaf: &Leaf) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(&leaf.cert).unwrap().map(Result::unwrap).collect()
}

pub fn key(leaf: &Leaf) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(&leaf.key).unwrap()
}

pub const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

pub async fn connect_with(
    address: SocketAddr,
    config: ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), socket).await
}

pub async fn connect(
    server: &Server,
    ca: &TestCa,
    own: Option<&Leaf>,
) -> std::io::Result<TlsStream<TcpStream>> {
    connect_with(server.address, config(ca, own, TLS13)).await
}

/// How a connection ended that the server did not want: the alert that came, or `closed`. None: it stands after a while.
///
/// In TLS 1.3 the client ends its handshake before the server has judged its certificate: the refusal comes with the first read.
pub async fn refusal(outcome: std::io::Result<TlsStream<TcpStream>>) -> Option<String> {
    let error = match outcome {
        Err(error) => error,
        Ok(mut stream) => match tokio::time::timeout(LIMIT, stream.read(&mut [0; 1])).await {
            Err(_) | Ok(Ok(1..)) => return None,
            Ok(Ok(0)) => return Some("closed".to_owned()),
            Ok(Err(error)) => error,
        },
    };
    let alert = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    Some(match alert {
        Some(rustls::Error::AlertReceived(alert)) => format!("alert {alert:?}"),
        Some(other) => format!("{other}"),
        None => "closed".to_owned(),
    })
}
