//! E34 below what a client library would send: a `:path` without its slash, in frames of our own (RFC 9113).

use std::{path::Path, sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{A, Table, World, named};
use crate::support::WIEHL;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PROTOCOL_ERROR: u32 = 1;

pub async fn try_all(world: &World, table: &mut Table) {
    let good = first_answer(world, "/allmende.v1.MemberService/GetMember").await;
    assert_eq!(good, "an answer", "frames of ours are understood");
    for path in ["allmende.v1.MemberService/GetMember", "", "*"] {
        let answer = first_answer(world, path).await;
        assert_ne!(answer, "an answer", "{path}");
        let shown = if path.is_empty() { "empty" } else { path };
        table.row("E34", format!("`:path` {shown}, in frames of our own"), answer);
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// GetMember of A in literal HPACK, with this path.
fn request(path: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x87, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(b"\x01\x09localhost\x0f\x10\x10application/grpc\x00\x02te\x08trailers");
    let body = named(&format!("members/{A}"));
    let mut message = vec![0];
    message.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    message.extend(body);
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.extend(frame(HEADERS, END_HEADERS, 1, &block));
    bytes.extend(frame(DATA, END_STREAM, 1, &message));
    bytes
}

/// What comes first for the stream: an answer, or its end.
async fn first_answer(world: &World, path: &str) -> String {
    let mut stream = connect(world).await;
    stream.write_all(&request(path)).await.unwrap();
    let read = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return "the connection is ended".to_owned();
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut payload).await.unwrap();
            let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            match head[3] {
                // A refusal is headers alone (gRPC over HTTP/2, "Trailers-Only").
                HEADERS if head[4] & END_STREAM != 0 => return "refused with headers alone".to_owned(),
                HEADERS => return "an answer".to_owned(),
                RST_STREAM if code(0) == PROTOCOL_ERROR => {
                    return "the stream is reset: PROTOCOL_ERROR".to_owned();
                }
                GOAWAY if code(4) == PROTOCOL_ERROR => {
                    return "the connection is ended: PROTOCOL_ERROR".to_owned();
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap()
}

async fn connect(world: &World) -> TlsStream<TcpStream> {
    let leaf = world.api.ca.client("frames", &[WIEHL]);
    let chain = |path: &Path| CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap);
    let mut roots = RootCertStore::empty();
    chain(&world.api.ca.cert()).for_each(|root| roots.add(root).unwrap());
    let key = PrivateKeyDer::from_pem_file(&leaf.key).unwrap();
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain(&leaf.cert).collect(), key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let socket = TcpStream::connect(world.api.address).await.unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from("localhost").unwrap(), socket)
        .await
        .unwrap()
}
