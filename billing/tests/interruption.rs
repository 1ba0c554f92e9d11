//! Whatever interrupts a run, it ends as if nothing had: the same result, each number once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use allmende_billing::Progress;
use allmende_domain::run::RunState;
use allmende_store::{Revision, Txn, WatchEvent, keys};
use allmende_testkit::port::free_port;
use world::{STEPS, World, golden};

/// The result of an undisturbed run.
async fn undisturbed() -> String {
    let world = World::golden().await;
    world.bill(golden::period()).await;
    world.run(golden::period()).await.value.result_digest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_replaced_after_every_step_comes_to_the_same_result() {
    let world = World::golden().await;
    let mut steps = 0;
    loop {
        match world.worker().step(golden::period()).await.unwrap() {
            Progress::Done(_) => steps += 1,
            Progress::Idle if world.run(golden::period()).await.value.state == RunState::Review => {
                world.finalize(golden::period()).await;
            }
            Progress::Idle => break,
            other => panic!("{other:?} after {steps} steps"),
        }
    }
    assert_eq!(steps, STEPS);
    world.assert_golden().await;
    assert_eq!(world.run(golden::period()).await.value.result_digest, undisturbed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_at_once_give_no_number_twice() {
    let world = World::golden().await;
    for pass in 0..2 {
        let (mut one, mut other) = (world.worker(), world.worker());
        let (first, second) = tokio::join!(
            world.work_off(&mut one, golden::period()),
            world.work_off(&mut other, golden::period())
        );
        if pass == 0 {
            assert_eq!(first.len() + second.len(), 4 + 12 + 1, "each step once");
            world.finalize(golden::period()).await;
        } else {
            assert_eq!(first.len() + second.len(), 12 + 1 + 12 + 1, "each step once");
        }
    }
    world.assert_golden().await;
    assert_eq!(world.run(golden::period()).await.value.result_digest, undisturbed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_workers_at_once_never_take_each_others_progress_for_a_contradiction() {
    let world = World::golden().await;
    for pass in 0..2 {
        let mut workers: Vec<_> = (0..6).map(|_| world.worker()).collect();
        // `work_off` ends the test on any error of a worker.
        futures::future::join_all(workers.iter_mut().map(|worker| world.work_off(worker, golden::period())))
            .await;
        if pass == 0 {
            world.finalize(golden::period()).await;
        }
    }
    world.assert_golden().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_periods_that_draw_from_one_number_range_at_once_share_no_number() {
    let world = World::golden().await;
    let october = golden::period().following().unwrap();
    let (stored, _) = world.store.snapshot(&keys::segments_all()).await.unwrap();
    for mut row in stored {
        row.value.segment.id.push_str("-october");
        (row.value.segment.start, row.value.segment.end) = (october.start().unwrap(), october.end().unwrap());
        let key = keys::segment(&row.value.segment.member, &row.value.segment.id);
        world.commit(Txn::new().put(&key, &row.value)).await;
    }
    world.begin(october).await;
    let (mut one, mut other) = (world.worker(), world.worker());
    tokio::join!(world.work_off(&mut one, golden::period()), world.work_off(&mut other, october));
    world.finalize(golden::period()).await;
    world.finalize(october).await;
    tokio::join!(world.work_off(&mut one, golden::period()), world.work_off(&mut other, october));

    let invoices = world.invoices().await;
    let mut numbers: Vec<&str> = invoices.iter().map(|invoice| invoice.number.as_str()).collect();
    numbers.sort_unstable();
    let expected: Vec<String> = (1..=24).map(|number| format!("MPG-2026-{number:06}")).collect();
    assert_eq!(numbers, expected, "each number once, none left out");
    for period in [golden::period(), october] {
        assert_eq!(world.run(period).await.value.state, RunState::Closed);
    }
}

fn start(world: &World) -> Child {
    Command::new(env!("CARGO_BIN_EXE_allmende-billing"))
        .arg(format!("--etcd-endpoints={}", world.etcd.endpoint()))
        .arg(format!("--documents-dir={}", world.folder.path().display()))
        .arg(format!("--metrics-listen=127.0.0.1:{}", free_port()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until the run is changed after `since`, and tells when and to which state.
async fn change(world: &World, since: Revision) -> (Revision, RunState) {
    let mut watch = world.store.watch(&keys::runs(), since.next());
    let waiting = async {
        loop {
            if let Some(WatchEvent::Put(run)) = watch.next().await {
                return (run.revision, run.value.state);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("the run goes on within a minute")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_over_and_over_comes_to_the_same_result() {
    let world = World::golden().await;
    let mut at = world.run(golden::period()).await.revision;
    let mut kills = 0;
    loop {
        let mut process = start(&world);
        let (_, state) = change(&world, at).await;
        // SIGKILL at once: somewhere in the steps that follow.
        process.kill().unwrap();
        process.wait().unwrap();
        kills += 1;
        let run = world.run(golden::period()).await;
        at = run.revision;
        match run.value.state {
            RunState::Closed => break,
            RunState::Review => {
                world.finalize(golden::period()).await;
                at = world.run(golden::period()).await.revision;
            }
            RunState::Failed => panic!("{}", run.value.message),
            _ => assert!(state <= run.value.state),
        }
    }
    assert!(kills >= 2, "killed at least before and after the review: {kills}");
    world.assert_golden().await;
    assert_eq!(world.run(golden::period()).await.value.result_digest, undisturbed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_dies_in_between_is_waited_for() {
    let mut world = World::golden().await;
    let at = world.run(golden::period()).await.revision;
    let mut process = start(&world);
    change(&world, at).await;
    world.etcd.kill();
    world.etcd.resume_from_disk().await;
    let reached = async {
        loop {
            let run = world.run(golden::period()).await;
            match run.value.state {
                RunState::Review => world.finalize(golden::period()).await,
                RunState::Closed => return,
                _ => {
                    change(&world, run.revision).await;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), reached).await.expect("the run ends within two minutes");
    process.kill().unwrap();
    process.wait().unwrap();
    world.assert_golden().await;
}
