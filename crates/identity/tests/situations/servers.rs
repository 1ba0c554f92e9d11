//! Servers that a client must not talk to.

use std::sync::Arc;

use allmende_identity::client::ClientTls;
use allmende_testkit::ca::{Leaf, TestCa, rcgen::date_time_ymd};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::Row;
use crate::parties::{chain, key};

/// A server with any certificate and versions; gives its port.
async fn serve(leaf: &Leaf, versions: &[&'static rustls::SupportedProtocolVersion]) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain(leaf), key(leaf))
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((socket, _)) = listener.accept().await {
            let _ = acceptor.accept(socket).await;
        }
    });
    port
}

pub async fn rows() -> Vec<Row> {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let dns = |file: &str, name: &str, client: bool, old: bool| {
        ca.changed_client(file, "allmende://component/api", |params| {
            use allmende_testkit::ca::rcgen::{ExtendedKeyUsagePurpose, SanType};
            params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
            if !client {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }
            if old {
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2021, 1, 1);
            }
        })
    };
    let old: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
    let all: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
    let situations: Vec<(&'static str, Leaf, &[&'static rustls::SupportedProtocolVersion])> = vec![
        ("server: certificate of another authority", other.server("foreign"), all),
        ("server: certificate for another name", dns("other-name", "elsewhere.example", false, false), all),
        ("server: expired certificate", dns("old", "localhost", false, true), all),
        ("server: a client's certificate (EKU clientAuth)", dns("eku", "localhost", true, false), all),
        ("server: TLS 1.2 alone", ca.server("tls12"), old),
    ];
    let mut rows = Vec::new();
    for (situation, leaf, versions) in situations {
        let port = serve(&leaf, versions).await;
        let tls = ClientTls { ca: ca.cert(), own: None };
        let outcome = match tls.dial("localhost", port).await {
            Ok(_) => "ADMITTED".to_owned(),
            Err(_) => "the client does not talk to it".to_owned(),
        };
        rows.push(Row { situation, outcome });
    }
    // The same client does talk to a right one, so that the rows above say something.
    let port = serve(&ca.server("right"), all).await;
    assert!(ClientTls { ca: ca.cert(), own: None }.dial("localhost", port).await.is_ok());
    rows
}
