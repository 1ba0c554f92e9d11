//! Every decoder, bytes from outside → values, as one function over any bytes: no panic, no endless work, and what is taken can be written
//! and read again as the same.
//!
//! Two runners use the same functions: `make fuzz` (libFuzzer, `fuzz/`, as long as it is told) and a short one with a chosen seed that is
//! part of `make test` (`tests/seeded.rs`).
//!
//! | target | what it reads | who sends it |
//! |---|---|---|
//! | `texts` | ids, periods, identities, Leitweg-IDs, quantities, page tokens | any caller |
//! | `certificates` | certificates, chains, requests for one | whoever connects; a cluster that joins |
//! | `tokens` | access tokens and the header they stand in | any caller |
//! | `messages` | every message of the contract, and those that become values of the domain | any caller |
//! | `records` | values of every kind as they lie in etcd | a store that was restored or written by another release |
//! | `evidence` | exports, heads and keys of the audit | whoever hands an export to an auditor |
//! | `snapshots` | the stream of the desired state | the API, or who poses as it |
//! | `files` | issuers (TOML), register (CSV), what Helm prints | an administrator, a statistical office, a chart |

mod certificates;
mod evidence;
mod files;
pub mod generated;
mod messages;
pub mod mutation;
mod records;
mod snapshots;
mod texts;
mod tokens;

/// One decoder or a family of them.
pub struct Target {
    /// Also the name of its program in `fuzz/`.
    pub name: &'static str,
    /// Reads any bytes; whether any decoder took them. Panics where a promise is broken.
    pub check: fn(&[u8]) -> bool,
    /// Bytes that are taken: what a run begins with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "texts", check: texts::check, seeds: texts::seeds },
    Target { name: "certificates", check: certificates::check, seeds: certificates::seeds },
    Target { name: "tokens", check: tokens::check, seeds: tokens::seeds },
    Target { name: "messages", check: messages::check, seeds: messages::seeds },
    Target { name: "records", check: records::check, seeds: records::seeds },
    Target { name: "evidence", check: evidence::check, seeds: evidence::seeds },
    Target { name: "snapshots", check: snapshots::check, seeds: snapshots::seeds },
    Target { name: "files", check: files::check, seeds: files::seeds },
];

/// Runs the target of this name.
///
/// # Panics
/// Where a decoder breaks a promise, and when there is no such target.
pub fn check(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.unwrap_or_else(|| panic!("there is no target {name}"));
    (target.check)(bytes);
}
