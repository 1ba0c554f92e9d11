//! The way of a preflight's report: from its ConfigMap through the operator's sync to the API.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod played;

use std::sync::atomic::Ordering;

use allmende_operator::preflight::{
    keep,
    report::{NETWORK, OIDC, Report, Verdict},
};
use allmende_proto::v1::preflight_check::State;
use played::{World, snapshot, tenant, until};

fn report(time: &str, verdict: Verdict) -> Report {
    Report {
        time: time.parse().unwrap(),
        program_version: "0.1.0".into(),
        kubernetes_version: "v1.36.0".into(),
        checks: vec![NETWORK.found(verdict), OIDC.found(Verdict::not_proven("é".repeat(5000), "say so"))],
    }
}

#[tokio::test]
async fn a_report_is_told_once_again_when_it_changes_and_after_a_reconnect() {
    let whole = || snapshot(1, &[tenant("prod", 1, false)], false);
    let world = World::with(vec![whole(), whole()]).await;
    let told = || world.played.preflights.lock().unwrap().len();
    world.played.away.store(true, Ordering::SeqCst);
    let first = report("2026-11-24T10:00:00Z", Verdict::failed("reached", "install another plugin"));
    keep::save(&world.client, "allmende-system", &first).await.unwrap();
    world.played.away.store(false, Ordering::SeqCst);
    until("the report is told", || async { told() == 1 }).await;

    let second = report("2026-11-24T11:00:00Z", Verdict::passed("blocked"));
    keep::save(&world.client, "allmende-system", &second).await.unwrap();
    until("the next one is told", || async { told() == 2 }).await;
    world.played.open.lock().unwrap().clear();
    until("after a reconnect it is told again", || async { told() == 3 }).await;

    let told = world.played.preflights.lock().unwrap().clone();
    assert_eq!(told[0].checks[0].state(), State::Failed);
    assert_eq!(told[0].checks[0].remedy, "install another plugin");
    assert_eq!(told[0].checks[1].detail.chars().count(), 1000, "what the API would not keep is not sent");
    assert_eq!(told[1].checks[0].state(), State::Passed);
    assert_eq!(told[1], told[2]);
    assert_eq!(told[1].check_time.unwrap().seconds, 1_795_518_000);
}
