//! The client of discovery documents and key sets: TLS with the authorities that were given, and no answer beyond its bounds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{net::SocketAddr, sync::Arc};

use allmende_identity::{http_client::HttpClient, install_crypto_provider};
use allmende_testkit::ca::TestCa;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// Answers every request by its path.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, own: SocketAddr) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read_exact(&mut byte).await.is_err() {
            return;
        }
        request.extend(byte);
    }
    let text = String::from_utf8(request).unwrap();
    let (status, extra, body) = match text.split(' ').nth(1).unwrap() {
        "/good" => ("200 OK", String::new(), r#"{"a":1}"#.to_owned()),
        "/elsewhere" => ("302 Found", format!("location: http://{own}/good\r\n"), String::new()),
        "/large" => ("200 OK", String::new(), format!("\"{}\"", "a".repeat(300 << 10))),
        "/words" => ("200 OK", String::new(), "no JSON".to_owned()),
        "/.well-known/openid-configuration" => {
            ("200 OK", String::new(), r#"{"issuer":"https://other.example"}"#.to_owned())
        }
        _ => ("500 Internal Server Error", String::new(), "{}".to_owned()),
    };
    let head =
        format!("HTTP/1.1 {status}\r\n{extra}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn plain() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(socket, own));
        }
    });
    own
}

/// The same behind TLS.
async fn secure(ca: &TestCa) -> SocketAddr {
    let leaf = ca.server("issuer");
    let chain = CertificateDer::pem_file_iter(&leaf.cert).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&leaf.key).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(socket).await {
                    answer(stream, own).await;
                }
            });
        }
    });
    own
}

#[tokio::test]
async fn a_server_of_the_given_authority_is_read_over_tls_and_another_is_not() {
    install_crypto_provider();
    let ca = TestCa::new();
    let address = format!("https://localhost:{}/good", secure(&ca).await.port());
    let client = HttpClient::new(Some(&ca.cert()), false).unwrap();
    assert_eq!(client.get_json(&address).await.unwrap()["a"], 1);
    assert!(HttpClient::new(Some(&TestCa::new().cert()), false).unwrap().get_json(&address).await.is_err());
    assert!(
        HttpClient::new(None, false).unwrap().get_json(&address).await.is_err(),
        "the system does not know it"
    );
}

#[tokio::test]
async fn plain_http_is_for_loopback_and_only_where_it_was_allowed() {
    install_crypto_provider();
    let port = plain().await.port();
    let (strict, loopback) = (HttpClient::new(None, false).unwrap(), HttpClient::new(None, true).unwrap());
    let address = format!("http://127.0.0.1:{port}/good");
    assert!(loopback.get_json(&address).await.is_ok());
    assert!(strict.get_json(&address).await.is_err());
    for address in [
        "http://192.0.2.1/good",
        "http://localhost.example.org/good",
        "ftp://127.0.0.1/good",
        "good",
        "https:///good",
    ] {
        let error = loopback.get_json(address).await.unwrap_err().to_string();
        assert!(!error.contains("did not answer"), "refused before anything is sent: {error}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed_and_answers_are_bounded() {
    install_crypto_provider();
    let base = format!("http://{}", plain().await);
    let client = HttpClient::new(None, true).unwrap();
    for (path, part) in [("/elsewhere", "302"), ("/large", ""), ("/words", "no JSON"), ("/broken", "500")] {
        let error = client.get_json(&format!("{base}{path}")).await.unwrap_err().to_string();
        assert!(error.contains(part), "{path}: {error}");
    }
    let error = client.discover(&base).await.unwrap_err().to_string();
    assert!(error.contains("another issuer"), "{error}");
}
