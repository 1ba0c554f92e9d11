//! Mutated requests over the whole RPC surface: whatever comes in, no call ends as INTERNAL or UNKNOWN, none panics, memory stays
//! bounded. Requests are made from the descriptors, then spoiled on the wire.
//!
//! `ALLMENDE_SEED` repeats a run, `ALLMENDE_MUTATIONS` says how many requests (2,000 unless told; `make soak` sends 10,000).
#![allow(clippy::unwrap_used, reason = "a test")]

mod mutation;
mod support;

use std::{collections::BTreeMap, time::Duration};

use mutation::{Requests, Seed};
use support::{Api, CLUSTER, LEMGO, OPERATOR, TREASURER, WIEHL, memory::resident_kib, raw};
use tonic::Code;

/// Growth of the whole process, client included (scoreboard R14).
const GROWTH_MAX_KIB: u64 = 64 << 10;

/// How long an answer is waited for.
const QUIET: Duration = Duration::from_secs(20);

fn asked() -> usize {
    std::env::var("ALLMENDE_MUTATIONS").map_or(2_000, |text| text.parse().unwrap())
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
        let call = tokio::time::timeout(QUIET, raw::call(channel, &path, body.clone()));
        // A stream without an end for the operator has begun well when nothing comes for a while.
        let answer = call.await.unwrap_or_else(|_quiet| tonic::Status::ok(""));
        let code = answer.code();
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
