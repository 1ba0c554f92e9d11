//! The HTTP/2 abuse pack: ten ways of wearing a server out, each for a bounded time on loopback, by a member with a sound certificate,
//! while an honest member works on. No honest call may fail, memory stays bounded; its p99 is told, not judged (machines are noisy).
//!
//! `ALLMENDE_ABUSE_SECONDS` says how long each lasts (1 unless told; `make soak`: 20).
#![allow(clippy::unwrap_used, reason = "a test")]

mod abuse_pack;
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use abuse_pack::{ATTACKS, Attacker};
use allmende_proto::v1::{self, member_service_client::MemberServiceClient};
use support::{Api, LEMGO, WIEHL, memory::resident_kib};
use tokio_util::sync::CancellationToken;

/// Growth of the whole process, attacker and client included (scoreboard R14).
const GROWTH_MAX_KIB: u64 = 64 << 10;
/// Between two honest calls.
const PACE: Duration = Duration::from_millis(10);
/// Honest calls that must come through during each attack.
const CALLS_MIN: usize = 10;
/// What ends an attack that lets none through.
const LONGEST: Duration = Duration::from_secs(60);

fn seconds() -> u64 {
    std::env::var("ALLMENDE_ABUSE_SECONDS").map_or(1, |text| text.parse().unwrap())
}

/// Calls until told to stop; how long each took. A failed call ends the test.
async fn honest(
    channel: tonic::transport::Channel,
    stop: CancellationToken,
    served: Arc<AtomicUsize>,
) -> Vec<Duration> {
    let mut client = MemberServiceClient::new(channel);
    let mut pace = tokio::time::interval(PACE);
    let mut took = Vec::new();
    while !stop.is_cancelled() {
        pace.tick().await;
        let begun = Instant::now();
        let request = v1::GetMemberRequest { name: "members/m-05766044".into() };
        client.get_member(request).await.expect("an honest call failed under abuse");
        took.push(begun.elapsed());
        served.fetch_add(1, Ordering::Relaxed);
    }
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_member_is_served_while_another_wears_the_server_out() {
    let api = Api::start().await;
    api.furnished().await;
    let own = api.ca.client("attacker", &[WIEHL]);
    let attacker = Attacker::new(api.address, &api.ca.cert(), (&own.cert, &own.key));
    let mut before = None;
    for attack in ATTACKS {
        let stop = CancellationToken::new();
        let served = Arc::new(AtomicUsize::new(0));
        let client = tokio::spawn(honest(api.channel(LEMGO), stop.clone(), served.clone()));
        let mut sent = attacker.run(attack, Duration::from_secs(seconds())).await;
        // However slow the machine is: the attack goes on until the honest member was served so often.
        let begun = Instant::now();
        while served.load(Ordering::Relaxed) < CALLS_MIN && begun.elapsed() < LONGEST {
            sent = attacker.run(attack, Duration::from_secs(1)).await;
        }
        stop.cancel();
        let mut took = client.await.unwrap();
        took.sort_unstable();
        assert!(sent.units > 0, "{}: the attack never began", attack.name);
        assert!(took.len() >= CALLS_MIN, "{}: only {} honest calls came through", attack.name, took.len());
        println!(
            "{:<16} {:>8} sent, {:>4} connections ended by the server; honest: {} calls, 0 failed, p99 {:?}",
            attack.name,
            sent.units,
            sent.ended,
            took.len(),
            took[took.len() * 99 / 100]
        );
        // The first attack warms every buffer up.
        let baseline = *before.get_or_insert_with(resident_kib);
        let growth = resident_kib().saturating_sub(baseline);
        assert!(growth < GROWTH_MAX_KIB, "{}: memory grew by {growth} KiB", attack.name);
    }
}
