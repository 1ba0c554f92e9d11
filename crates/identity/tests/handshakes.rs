//! Real handshakes over loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in what sets it up")]

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use allmende_identity::{
    Acceptor, AcceptorLimits, Identity, ServerTls, ServerTlsPaths, install_crypto_provider,
};
use allmende_testkit::ca::{Leaf, TestCa};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_stream::StreamExt;
use tonic::transport::server::Connected;

struct Server {
    acceptor: Acceptor,
    address: std::net::SocketAddr,
    tls: ServerTls,
}

async fn server(ca: &TestCa, limits: AcceptorLimits) -> Server {
    server_with_list(ca, limits, None).await
}

async fn server_with_list(ca: &TestCa, limits: AcceptorLimits, crl: Option<PathBuf>) -> Server {
    install_crypto_provider();
    let leaf = ca.server("server");
    let paths = ServerTlsPaths { cert: leaf.cert, key: leaf.key, client_ca: ca.cert(), crl };
    let tls = ServerTls::load(paths).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    Server { acceptor: Acceptor::spawn(listener, tls.clone(), limits), address, tls }
}

async fn connect(
    server: &Server,
    ca: &TestCa,
    own: Option<&Leaf>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca.cert()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(leaf) => {
            let chain = vec![CertificateDer::from_pem_file(&leaf.cert).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&leaf.key).unwrap()).unwrap()
        }
    };
    let socket = TcpStream::connect(server.address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), socket).await
}

const TLS13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

async fn identity_seen(server: &mut Server) -> Option<Identity> {
    let next = tokio::time::timeout(Duration::from_secs(5), server.acceptor.next()).await;
    next.expect("a connection in time").unwrap().unwrap().connect_info().identity
}

/// In TLS 1.3 the client ends its handshake before the server has judged its certificate: the refusal comes with the first read.
async fn is_refused(outcome: std::io::Result<TlsStream<TcpStream>>) -> bool {
    match outcome {
        Err(_) => true,
        Ok(mut stream) => {
            let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 1])).await;
            read.expect("an answer in time").is_err()
        }
    }
}

#[tokio::test]
async fn the_identity_is_that_of_the_verified_certificate_and_none_without_one() {
    let ca = TestCa::new();
    let mut server = server(&ca, AcceptorLimits::default()).await;
    let lemgo = ca.client("lemgo", &["allmende://member/m-05766044"]);
    let _one = connect(&server, &ca, Some(&lemgo), TLS13).await.unwrap();
    assert_eq!(identity_seen(&mut server).await, Some(Identity::Member("m-05766044".into())));
    let _two = connect(&server, &ca, None, TLS13).await.unwrap();
    assert_eq!(identity_seen(&mut server).await, None);
    let both = ca.client("both", &["allmende://member/m-05766044", "allmende://cooperative/operator"]);
    let _three = connect(&server, &ca, Some(&both), TLS13).await.unwrap();
    assert_eq!(identity_seen(&mut server).await, None, "two identities are none");
}

#[tokio::test]
async fn a_foreign_or_expired_certificate_and_an_old_version_are_refused() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let server = server(&ca, AcceptorLimits::default()).await;
    let foreign = other.client("foreign", &["allmende://member/m-05766044"]);
    let expired = ca.expired_client("expired", "allmende://member/m-05766044");
    assert!(is_refused(connect(&server, &ca, Some(&foreign), TLS13).await).await);
    assert!(is_refused(connect(&server, &ca, Some(&expired), TLS13).await).await);
    assert!(is_refused(connect(&server, &ca, None, &[&rustls::version::TLS12]).await).await);
}

#[tokio::test]
async fn a_silent_peer_is_dropped_and_holds_up_nobody() {
    let ca = TestCa::new();
    let limits = AcceptorLimits { handshake: Duration::from_millis(300), handshakes: 4 };
    let mut server = server(&ca, limits).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let _served = connect(&server, &ca, None, TLS13).await.unwrap();
    assert_eq!(identity_seen(&mut server).await, None, "served while the silent one waits");
    let end = tokio::time::timeout(Duration::from_secs(5), silent.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "the silent one is cut off");
    assert_eq!(server.acceptor.counts().timed_out.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_as_soon_as_the_list_is_read() {
    let ca = TestCa::new();
    let list = ca.revocation_list(&[], true);
    let mut server = server_with_list(&ca, AcceptorLimits::default(), Some(list)).await;
    let lemgo = ca.client("lemgo", &["allmende://member/m-05766044"]);
    let other = ca.client("other", &["allmende://member/m-05766008"]);
    let _before = connect(&server, &ca, Some(&lemgo), TLS13).await.unwrap();
    assert!(identity_seen(&mut server).await.is_some());
    ca.revocation_list(&[&lemgo], true);
    server.tls.reload().unwrap();
    assert!(is_refused(connect(&server, &ca, Some(&lemgo), TLS13).await).await);
    let _other = connect(&server, &ca, Some(&other), TLS13).await.unwrap();
    assert_eq!(identity_seen(&mut server).await, Some(Identity::Member("m-05766008".into())));
    ca.revocation_list(&[], false);
    server.tls.reload().unwrap();
    assert!(
        is_refused(connect(&server, &ca, Some(&other), TLS13).await).await,
        "an outdated list says nothing"
    );
}

#[tokio::test]
async fn a_changed_file_is_noticed_and_a_connection_under_way_lives_on() {
    let ca = TestCa::new();
    let mut server = server(&ca, AcceptorLimits::default()).await;
    let mut before = connect(&server, &ca, None, TLS13).await.unwrap();
    let mut theirs =
        tokio::time::timeout(Duration::from_secs(5), server.acceptor.next()).await.unwrap().unwrap().unwrap();
    let watcher = tokio::spawn(server.tls.clone().watch_files(Duration::from_millis(20)));
    let old = server.tls.current();
    ca.server("server");
    let changed = async {
        while Arc::ptr_eq(&old, &server.tls.current()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), changed).await.expect("the change is noticed");
    before.write_all(b"still here").await.unwrap();
    before.flush().await.unwrap();
    let mut heard = [0; 10];
    tokio::time::timeout(Duration::from_secs(5), theirs.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(&heard, b"still here");
    watcher.abort();
}

#[tokio::test]
async fn new_connections_get_the_new_certificate_and_broken_files_change_nothing() {
    let ca = TestCa::new();
    let server = server(&ca, AcceptorLimits::default()).await;
    let served = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let before = connect(&server, &ca, None, TLS13).await.unwrap();
    ca.server("server");
    server.tls.reload().unwrap();
    let after = connect(&server, &ca, None, TLS13).await.unwrap();
    assert_ne!(served(&before), served(&after));
    std::fs::write(ca.folder().join("server.key"), "broken").unwrap();
    assert!(server.tls.reload().is_err());
    let still = connect(&server, &ca, None, TLS13).await.unwrap();
    assert_eq!(served(&after), served(&still));
}
