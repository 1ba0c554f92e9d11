//! The situations, by where they lie: the certificate shown, below the certificate, in an open connection, at the server.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, reason = "parts of one test")]

pub mod lower;
pub mod open;
pub mod servers;
pub mod shown;

use allmende_testkit::ca::{Leaf, TestCa};

use crate::parties::{Server, connect, refusal};

pub const LEMGO: &str = "allmende://member/m-05766044";

pub struct Row {
    pub situation: &'static str,
    pub outcome: String,
}

pub fn row(situation: &'static str, refusal: Option<String>) -> Row {
    let outcome = refusal.map_or_else(|| "ADMITTED".to_owned(), |how| format!("refused: {how}"));
    Row { situation, outcome }
}

/// Shows this certificate to a server that trusts `ca`.
pub async fn shows(server: &Server, ca: &TestCa, own: &Leaf) -> Option<String> {
    refusal(connect(server, ca, Some(own)).await).await
}
