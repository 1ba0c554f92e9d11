//! Proof that a record was not changed afterwards: entries chained by digest, and signed heads. Values in, verdicts out; no I/O.
//!
//! Who seals and who verifies use the same few lines here, so an auditor can check everything offline with an export, a head and a public
//! key, and can read this crate in half an hour.
//!
//! * A [`Link`] holds one entry as text. Its digest is SHA-256 over the format, the sequence number, the digest before, and the entry's bytes.
//! * A [`Head`] names the last link of a chain and is signed (Ed25519). Whoever keeps a head can prove later that nothing before it changed.
//! * [`export`] reads a chain of JSON lines and finds any change, deletion, swap, renumbering and cut-off tail.

mod digest;
pub mod export;
mod head;
mod key;
mod link;

pub use digest::Digest;
pub use head::{Head, HeadError};
pub use key::{KeyError, SigningKey, VerifyingKey};
pub use link::{Link, genesis};
