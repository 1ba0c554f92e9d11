//! The API, the operator, Helm and the billing worker, each killed once in the middle of its work: after the restart the work goes on, the
//! end is that of an undisturbed story, and nothing is there twice.
//!
//! `ALLMENDE_SEED` chooses the moments (printed first), `ALLMENDE_SEEDS` how many are tried for each victim.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and tells its seed")]

use std::time::{Duration, Instant};

use allmende_tests::{
    fault::{Fault, Work, strike},
    month::Month,
    scenario::play,
    seed::seeds,
    state::State,
    wait::until,
    world::World,
};
use tokio::sync::{Mutex, OnceCell};

/// What the undisturbed story comes to, and how much work it is.
static UNDISTURBED: OnceCell<(State, Work, Month)> = OnceCell::const_new();
/// One world at a time: each has a dozen processes.
static ALONE: Mutex<()> = Mutex::const_new(());
/// The operator tells facts every five seconds: what is the same for longer will stay.
const QUIET: Duration = Duration::from_secs(7);

async fn undisturbed() -> &'static (State, Work, Month) {
    UNDISTURBED
        .get_or_init(|| async {
            let (begun, month) = (Instant::now(), Month::last());
            let world = World::start(None).await;
            let work = play(&world, month).await;
            let state = quiet(&world).await;
            println!("undisturbed: {work:?}, {} things, {:?}", state.lines.len(), begun.elapsed());
            nothing_is_there_twice(&state);
            (state, work, month)
        })
        .await
}

/// The state when all operations have ended and nothing has changed for a while.
async fn quiet(world: &World) -> State {
    let mut last: Option<(State, Instant)> = None;
    until("the story's end is quiet", async || {
        let state = State::read(world).await;
        match &last {
            Some((same, since)) if *same == state && state.open == 0 && since.elapsed() > QUIET => {
                Some(state)
            }
            Some((same, _)) if *same == state => None,
            _ => {
                last = Some((state, Instant::now()));
                None
            }
        }
    })
    .await
}

fn nothing_is_there_twice(state: &State) {
    for (change, entries) in &state.audited {
        assert_eq!(*entries, 1, "audit entries of `{change}`");
    }
    let mut numbers = state.numbers.clone();
    numbers.dedup();
    assert_eq!(numbers, state.numbers, "a number was given twice");
    assert_eq!(state.numbers.len(), 3, "one invoice for each member");
    assert_eq!(state.deployed.len(), 1, "one release is left: {:?}", state.deployed);
    assert!(state.deployed.values().all(|revisions| *revisions == 1), "{:?}", state.deployed);
    assert_eq!(state.open, 0, "operations that have not ended");
}

/// Tells the story with a victim for each seed.
async fn story(draw: impl Fn(u64, Work) -> Fault) {
    let _alone = ALONE.lock().await;
    let (expected, work, month) = undisturbed().await;
    for seed in seeds() {
        let (begun, fault) = (Instant::now(), draw(seed, *work));
        println!("ALLMENDE_SEED={seed}: kills {fault}");
        let world = World::start(Some(fault)).await;
        let mut told = Box::pin(play(&world, *month));
        let hit = tokio::select! {
            hit = strike(&world, fault) => hit,
            _ = &mut told => panic!("ALLMENDE_SEED={seed}: the story ended before the moment came"),
        };
        println!("ALLMENDE_SEED={seed}: {hit}");
        told.await;
        let state = quiet(&world).await;
        nothing_is_there_twice(&state);
        state.must_equal(expected);
        println!("ALLMENDE_SEED={seed}: the same end, {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_api_does_every_change_once() {
    story(Fault::api).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_operator_brings_the_cluster_to_the_same_end() {
    story(Fault::operator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_helm_leaves_one_release_in_force() {
    story(Fault::helm).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_billing_worker_gives_each_number_once() {
    story(Fault::billing).await;
}
