//! E34 below what a client library would send: a `:path` without its slash, in frames of our own (RFC 9113).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{A, Table, World, named};
use crate::support::{
    WIEHL,
    http2::{
        DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, connect, frame, headers, message,
        opening, tls,
    },
};

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

/// GetMember of A, with this path.
fn request(path: &str) -> Vec<u8> {
    let body = message(&named(&format!("members/{A}")));
    [opening(), headers(1, END_HEADERS, path), frame(DATA, END_STREAM, 1, &body)].concat()
}

/// What comes first for the stream: an answer, or its end.
async fn first_answer(world: &World, path: &str) -> String {
    let leaf = world.api.ca.client("frames", &[WIEHL]);
    let tls = tls(&world.api.ca.cert(), (&leaf.cert, &leaf.key));
    let mut stream = connect(world.api.address, &tls).await.unwrap();
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
