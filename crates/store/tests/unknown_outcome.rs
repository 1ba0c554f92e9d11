//! A transaction whose answer never comes: the change is there once, and its receipt tells.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod relay;

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use allmende_domain::{
    cluster::Cluster,
    ids::{ClusterId, RequestId},
    resources::Resources,
};
use allmende_store::{Store, StoreConfig, StoreError, TransactError, Txn, keys};
use allmende_testkit::etcd::TestEtcd;
use jiff::Timestamp;
use relay::Relay;
use tokio::sync::Notify;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
/// Longest wait for a condition.
const LIMIT: Duration = Duration::from_secs(60);

fn id() -> ClusterId {
    "a".parse().unwrap()
}

fn request() -> RequestId {
    "00000000-0000-4000-8000-000000000001".parse().unwrap()
}

async fn open(endpoint: String, timeout: Duration) -> Store {
    Store::connect(&StoreConfig { timeout, ..StoreConfig::new(vec![endpoint]) }).await.unwrap()
}

async fn put_zero(store: &Store) {
    let cluster = Cluster {
        id: id(),
        display_name: "a".to_owned(),
        capacity: Resources::ZERO,
        carved: Resources::ZERO,
        overcommit: allmende_domain::quota::rule::Overcommit::default(),
        create_time: NOW,
    };
    store.commit(Txn::new().put(&keys::cluster(&id()), &cluster)).await.unwrap();
}

async fn amount(store: &Store) -> i64 {
    store.find(&keys::cluster(&id())).await.unwrap().unwrap().value.capacity.cpu_milli
}

/// Adds one under the request id. `decided` runs each time after the read and before the transaction is sent.
async fn increment(store: &Store, decided: impl Fn()) -> Result<i64, TransactError<&'static str>> {
    let key = keys::cluster(&id());
    let (key, decided) = (&key, &decided);
    store
        .transact("test", &request(), "body", NOW, |_| async move {
            let found = store.find(key).await.map_err(|_| "read failed")?.ok_or("no such cluster")?;
            let mut next = found.value.clone();
            next.capacity.cpu_milli += 1;
            decided();
            Ok((Txn::new().expect_unchanged(&found).put(key, &next), next.capacity.cpu_milli))
        })
        .await
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_known_by_its_receipt_and_not_decided_again() {
    let etcd = TestEtcd::start().await;
    let direct = open(etcd.endpoint(), LIMIT).await;
    put_zero(&direct).await;
    let relay = Relay::to(&etcd.endpoint()).await;
    let store = open(relay.endpoint(), Duration::from_secs(10)).await;
    let decided = AtomicU32::new(0);
    let change = increment(&store, || {
        decided.fetch_add(1, Ordering::SeqCst);
        relay.lose_answers();
    });
    let applied = async {
        while amount(&direct).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        relay.heal();
    };
    let (answer, ()) =
        tokio::time::timeout(LIMIT, async { tokio::join!(change, applied) }).await.expect("an end in time");
    assert_eq!(answer.unwrap(), 1);
    assert_eq!(amount(&direct).await, 1);
    assert_eq!(decided.load(Ordering::SeqCst), 1, "the receipt was found, nothing was decided twice");
}

#[tokio::test]
async fn while_no_answer_comes_the_outcome_is_called_unknown_and_the_same_request_then_tells_it() {
    let etcd = TestEtcd::start().await;
    let direct = open(etcd.endpoint(), LIMIT).await;
    put_zero(&direct).await;
    let relay = Relay::to(&etcd.endpoint()).await;
    let store = open(relay.endpoint(), Duration::from_millis(400)).await;
    let outcome = increment(&store, || relay.lose_answers()).await;
    assert!(
        matches!(outcome, Err(TransactError::Store(StoreError::UnknownOutcome(_)))),
        "neither done nor not done may be said: {outcome:?}"
    );
    assert_eq!(amount(&direct).await, 1, "it was applied, once, and the fence did not undo it");
    let again = increment(&direct, || panic!("the receipt answers")).await;
    assert_eq!(again.unwrap(), 1);
}

/// Stops etcd between the read and the transaction, so that the transaction is sent to a process that does not answer.
async fn increment_while_etcd_stops(
    store: &Store,
    pid: u32,
    stopped: &Notify,
) -> Result<i64, TransactError<&'static str>> {
    let first = AtomicU32::new(0);
    increment(store, || {
        if first.fetch_add(1, Ordering::SeqCst) == 0 {
            let status = Command::new("kill").args(["-s", "STOP", &pid.to_string()]).status().unwrap();
            assert!(status.success());
            stopped.notify_one();
        }
    })
    .await
}

#[tokio::test]
async fn a_change_sent_to_a_stopped_etcd_is_there_once_when_it_goes_on() {
    let etcd = TestEtcd::start().await;
    let store = open(etcd.endpoint(), Duration::from_secs(2)).await;
    put_zero(&store).await;
    let stopped = Notify::new();
    let goes_on = async {
        stopped.notified().await;
        etcd.signal("CONT");
    };
    let change = increment_while_etcd_stops(&store, etcd.pid().unwrap(), &stopped);
    let (answer, ()) =
        tokio::time::timeout(LIMIT, async { tokio::join!(change, goes_on) }).await.expect("an end in time");
    assert_eq!(answer.unwrap(), 1);
    assert_eq!(amount(&store).await, 1);
}

#[tokio::test]
async fn a_change_sent_to_an_etcd_that_is_killed_is_there_once_when_it_was_sent_again_under_its_id() {
    let mut etcd = TestEtcd::start().await;
    let store = open(etcd.endpoint(), Duration::from_secs(2)).await;
    put_zero(&store).await;
    let stopped = Notify::new();
    let pid = etcd.pid().unwrap();
    let restart = async {
        stopped.notified().await;
        etcd.kill();
        etcd.resume_from_disk().await;
    };
    let change = increment_while_etcd_stops(&store, pid, &stopped);
    let (first, ()) =
        tokio::time::timeout(LIMIT, async { tokio::join!(change, restart) }).await.expect("an end in time");
    // On a slow machine etcd may come back later than the last sending: then the outcome is unknown, never wrong.
    if let Err(error) = first {
        assert!(matches!(error, TransactError::Store(_)), "{error:?}");
    }
    let store = open(etcd.endpoint(), Duration::from_secs(5)).await;
    assert_eq!(increment(&store, || {}).await.unwrap(), 1, "the same answer, or the change made now");
    assert_eq!(amount(&store).await, 1);
}
