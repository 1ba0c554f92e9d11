//! Below the certificate: versions, protocols, keys that do not fit, and peers that do not get on.

use std::time::Duration;

use allmende_identity::AcceptorLimits;
use allmende_testkit::ca::TestCa;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{LEMGO, Row, row};
use crate::parties::{LIMIT, Server, TLS13, chain, config, connect_with, key, paths, refusal, shows};

pub async fn rows() -> Vec<Row> {
    let ca = TestCa::new();
    let server = Server::of(&ca).await;
    let (lemgo, thief) =
        (ca.client("lemgo", &[LEMGO]), ca.client("thief", &["allmende://member/m-05374048"]));
    let mut rows = Vec::new();

    let old = config(&ca, Some(&lemgo), &[&rustls::version::TLS12]);
    rows.push(row("TLS 1.2", refusal(connect_with(server.address, old).await).await));
    for (situation, protocols) in [("ALPN http/1.1", vec![b"http/1.1".to_vec()]), ("no ALPN", Vec::new())] {
        let mut other = config(&ca, Some(&lemgo), TLS13);
        other.alpn_protocols = protocols;
        rows.push(row(situation, refusal(connect_with(server.address, other).await).await));
    }
    let mut mismatched = config(&ca, None, TLS13);
    mismatched.client_auth_cert_resolver = shows(chain(&lemgo), &key(&thief));
    let stolen = refusal(connect_with(server.address, mismatched).await).await;
    rows.push(row("a certificate without its key", stolen));

    let plain = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    rows.push(row("HTTP/2 without TLS", ended(&server, plain).await));
    rows.push(row("bytes that are no TLS", ended(&server, &[0xff; 64]).await));
    rows.extend(slow(&ca).await);
    rows
}

/// What becomes of a connection that begins with these bytes.
async fn ended(server: &Server, bytes: &[u8]) -> Option<String> {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    // An alert in the clear may come first.
    let read = tokio::time::timeout(LIMIT, socket.read_to_end(&mut Vec::new())).await;
    read.ok().map(|_| "closed".to_owned())
}

async fn slow(ca: &TestCa) -> Vec<Row> {
    let limits = AcceptorLimits { handshake: Duration::from_millis(300), handshakes: 4 };
    let server = Server::start(paths(ca, None), limits).await;
    let silent = ended(&server, &[]).await;
    // A hello that goes on for ever, a byte at a time.
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let drip = async {
        let mut hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01].into_iter().chain(std::iter::repeat(0));
        while socket.write_all(&[hello.next().unwrap()]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let dripped =
        tokio::time::timeout(LIMIT, drip).await.ok().map(|()| "closed at the time limit".to_owned());
    let silent = silent.map(|how| format!("{how} at the time limit"));
    vec![row("silent after connecting", silent), row("handshake a byte at a time", dripped)]
}
