//! Mutated requests over the whole RPC surface: whatever comes in, no call ends as INTERNAL or UNKNOWN, none panics, memory stays
//! bounded. Requests are made from the descriptors, then spoiled on the wire.
//!
//! `ALLMENDE_SEED` repeats a run, `ALLMENDE_MUTATIONS` says how many requests (2,000 unless told; `make soak` sends 10,000).
#![allow(clippy::unwrap_used, reason = "a test")]

mod mutation;
mod support;

use std::collections::BTreeMap;

use mutation::{Requests, Seed, raw_call};
use support::{Api, CLUSTER, LEMGO, OPERATOR, TREASURER, WIEHL};
use tonic::Code;

/// Growth of the whole process, client included (scoreboard R14).
const GROWTH_MAX_KIB: u64 = 64 << 10;

fn asked() -> usize {
    std::env::var("ALLMENDE_MUTATIONS").map_or(2_000, |text| text.parse().unwrap())
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_mutated_request_ends_in_an_internal_error_or_lets_memory_grow() {
    let seed = Seed::from_environment();
    println!("ALLMENDE_SEED={seed}");
    let api = Api::start().await;
    api.furnished().await;
    let callers = [OPERATOR, TREASURER, LEMGO, WIEHL, CLUSTER].map(|identity| api.channel(identity));
    let mut requests = Requests::new(seed);
    let mut codes: BTreeMap<String, usize> = BTreeMap::new();
    let (mut before, total) = (0, asked());
    for number in 0..total {
        if number == total / 10 {
            // After every code path has warmed up.
            before = resident_kib();
        }
        let channel = callers[requests.below(callers.len())].clone();
        let (path, body) = requests.next_request();
        let answer = raw_call(channel, &path, body.clone()).await;
        let code = answer.as_ref().map_or_else(tonic::Status::code, |()| Code::Ok);
        assert!(
            !matches!(code, Code::Internal | Code::Unknown | Code::DataLoss),
            "request {number} of ALLMENDE_SEED={seed}: {path} answered {answer:?} to {}",
            hex::encode(&body)
        );
        *codes.entry(format!("{code:?}")).or_default() += 1;
    }
    let growth = resident_kib().saturating_sub(before);
    println!("{total} requests, {} RPCs, growth {growth} KiB, answers {codes:?}", requests.rpcs());
    assert!(codes.len() >= 4, "the requests reach too little: {codes:?}");
    assert!(growth < GROWTH_MAX_KIB, "memory grew by {growth} KiB");
}
