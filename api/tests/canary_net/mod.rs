//! The net: the pieces of the secrets, and what is searched for them.
#![allow(unreachable_pub, clippy::unwrap_used, reason = "a part of a test")]

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::STANDARD};

/// Shortest piece of a secret that counts as the secret, in bytes.
const PIECE: usize = 12;
/// Ours as loud as they can, the libraries as loud as anybody runs them.
pub const FILTER: &str = "debug,allmende_api=trace,allmende_identity=trace,allmende_store=trace,allmende_domain=trace,\
                      allmende_evidence=trace,allmende_telemetry=trace,allmende_proto=trace,canary=trace";

/// Secrets by their pieces.
#[derive(Default)]
pub struct Secrets(HashMap<Vec<u8>, String>);

impl Secrets {
    /// A text that is secret as a whole and in each of its pieces.
    pub fn add(&mut self, name: &str, text: &str) {
        assert!(text.len() >= 2 * PIECE, "{name} is too short to tell it from chance");
        for piece in text.as_bytes().windows(PIECE) {
            self.0.insert(piece.to_vec(), name.to_owned());
        }
    }

    /// The secret half of a P-256 key in PEM, as base64 wherever it begins in a group, and as hex.
    pub fn add_key(&mut self, name: &str, pem: &str) {
        const BEFORE_SCALAR: [u8; 5] = [0x02, 0x01, 0x01, 0x04, 0x20];
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(body).unwrap();
        let at = der.windows(5).position(|five| five == BEFORE_SCALAR).expect("an EC private key") + 5;
        let scalar = &der[at..at + 32];
        for begin in 0..3 {
            self.add(name, STANDARD.encode(&scalar[begin..]).trim_end_matches('='));
        }
        self.add(name, &hex::encode(scalar));
        self.add(name, &format!("{scalar:?}"));
    }

    /// The names of the secrets of which a piece is there, with the surroundings of the first.
    pub fn found(&self, text: &str) -> Vec<String> {
        let bytes = text.as_bytes();
        let mut found: Vec<String> = Vec::new();
        for (at, piece) in bytes.windows(PIECE).enumerate() {
            let Some(name) = self.0.get(piece) else { continue };
            if !found.iter().any(|told| told.starts_with(name.as_str())) {
                let around = &bytes[at.saturating_sub(160)..(at + 60).min(bytes.len())];
                found.push(format!("{name}: …{}…", String::from_utf8_lossy(around)));
            }
        }
        found
    }
}
