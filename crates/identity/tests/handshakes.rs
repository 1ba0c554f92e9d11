//! Real handshakes over loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in what sets it up")]

mod parties;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use allmende_identity::{AcceptorLimits, Identity};
use allmende_testkit::ca::TestCa;
use parties::{LIMIT, LOOK, Server, config, connect, connect_with, paths, refusal};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

#[tokio::test]
async fn the_identity_is_that_of_the_verified_certificate_and_none_without_one() {
    let ca = TestCa::new();
    let mut server = Server::of(&ca).await;
    let lemgo = ca.client("lemgo", &["allmende://member/m-05766044"]);
    let _one = connect(&server, &ca, Some(&lemgo)).await.unwrap();
    assert_eq!(server.identity_seen().await, Some(Identity::Member("m-05766044".into())));
    let _two = connect(&server, &ca, None).await.unwrap();
    assert_eq!(server.identity_seen().await, None);
    let both = ca.client("both", &["allmende://member/m-05766044", "allmende://cooperative/operator"]);
    let refused = refusal(connect(&server, &ca, Some(&both)).await).await;
    assert!(refused.is_some(), "two identities are none, and a certificate that names nobody is refused");
}

#[tokio::test]
async fn a_foreign_or_expired_certificate_and_an_old_version_are_refused() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let server = Server::of(&ca).await;
    let foreign = other.client("foreign", &["allmende://member/m-05766044"]);
    let expired = ca.expired_client("expired", "allmende://member/m-05766044");
    assert!(refusal(connect(&server, &ca, Some(&foreign)).await).await.is_some());
    assert!(refusal(connect(&server, &ca, Some(&expired)).await).await.is_some());
    assert!(
        refusal(connect_with(server.address, config(&ca, None, &[&rustls::version::TLS12])).await)
            .await
            .is_some()
    );
}

#[tokio::test]
async fn a_silent_peer_is_dropped_and_holds_up_nobody() {
    let ca = TestCa::new();
    let limits = AcceptorLimits { handshake: Duration::from_millis(300), handshakes: 4 };
    let mut server = Server::start(paths(&ca, None), limits).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let _served = connect(&server, &ca, None).await.unwrap();
    assert_eq!(server.identity_seen().await, None, "served while the silent one waits");
    let end = tokio::time::timeout(LIMIT, silent.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "the silent one is cut off");
    assert_eq!(server.acceptor.counts().timed_out.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_as_soon_as_the_list_is_read() {
    let ca = TestCa::new();
    let list = ca.revocation_list(&[], true);
    let mut server = Server::with_list(&ca, list).await;
    let lemgo = ca.client("lemgo", &["allmende://member/m-05766044"]);
    let other = ca.client("other", &["allmende://member/m-05766008"]);
    let _before = connect(&server, &ca, Some(&lemgo)).await.unwrap();
    assert!(server.identity_seen().await.is_some());
    ca.revocation_list(&[&lemgo], true);
    server.tls.reload().unwrap();
    assert!(refusal(connect(&server, &ca, Some(&lemgo)).await).await.is_some());
    let _other = connect(&server, &ca, Some(&other)).await.unwrap();
    assert_eq!(server.identity_seen().await, Some(Identity::Member("m-05766008".into())));
    ca.revocation_list(&[], false);
    server.tls.reload().unwrap();
    assert!(
        refusal(connect(&server, &ca, Some(&other)).await).await.is_some(),
        "an outdated list says nothing"
    );
}

#[tokio::test]
async fn a_changed_file_is_noticed_and_a_connection_under_way_lives_on() {
    let ca = TestCa::new();
    let mut server = Server::of(&ca).await;
    let mut before = connect(&server, &ca, None).await.unwrap();
    let mut theirs = server.accepted().await;
    let watcher = tokio::spawn(server.tls.clone().watch_files(LOOK));
    let old = server.tls.current();
    ca.server("server");
    let changed = async {
        while Arc::ptr_eq(&old, &server.tls.current()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, changed).await.expect("the change is noticed");
    before.write_all(b"still here").await.unwrap();
    before.flush().await.unwrap();
    let mut heard = [0; 10];
    tokio::time::timeout(LIMIT, theirs.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(&heard, b"still here");
    watcher.abort();
}

#[tokio::test]
async fn new_connections_get_the_new_certificate_and_broken_files_change_nothing() {
    let ca = TestCa::new();
    let server = Server::of(&ca).await;
    let served = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let before = connect(&server, &ca, None).await.unwrap();
    ca.server("server");
    server.tls.reload().unwrap();
    let after = connect(&server, &ca, None).await.unwrap();
    assert_ne!(served(&before), served(&after));
    std::fs::write(ca.folder().join("server.key"), "broken").unwrap();
    assert!(server.tls.reload().is_err());
    let still = connect(&server, &ca, None).await.unwrap();
    assert_eq!(served(&after), served(&still));
}
