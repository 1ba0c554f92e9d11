//! Grouped commits on a real etcd: every change counts once, in an order, and nobody pays for a neighbour's conflict.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod relay;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use allmende_domain::{cluster::Cluster, ids::RequestId, resources::Resources};
use allmende_store::{Commit, Freshness, Revision, Store, StoreConfig, StoreError, TransactError, Txn, keys};
use allmende_testkit::etcd::TestEtcd;
use jiff::Timestamp;
use relay::Relay;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const LIMIT: Duration = Duration::from_secs(120);

fn cluster(id: &str, cpu_milli: i64) -> Cluster {
    Cluster {
        id: id.parse().unwrap(),
        display_name: id.to_owned(),
        capacity: Resources { cpu_milli, ..Resources::ZERO },
        carved: Resources::ZERO,
        overcommit: allmende_domain::quota::rule::Overcommit::default(),
        create_time: NOW,
    }
}

fn request(number: u32) -> RequestId {
    format!("00000000-0000-4000-8000-{number:012x}").parse().unwrap()
}

async fn open(endpoint: String) -> Store {
    let config = StoreConfig { timeout: Duration::from_secs(2), ..StoreConfig::new(vec![endpoint]) };
    Store::connect(&config).await.unwrap()
}

async fn grouped(endpoint: String) -> Store {
    let store = open(endpoint).await.indexed();
    store.index_loaded().await;
    store.grouped(128)
}

async fn put(store: &Store, value: &Cluster) -> Revision {
    match store.commit(Txn::new().put(&keys::cluster(&value.id), value)).await.unwrap() {
        Commit::Committed(revision) => revision,
        Commit::Conflict => panic!("nothing was compared"),
    }
}

async fn cpu(store: &Store, id: &str) -> i64 {
    store.find(&keys::cluster(&id.parse().unwrap())).await.unwrap().unwrap().value.capacity.cpu_milli
}

/// Adds one to a cluster's CPU within one call; refuses above `most`.
async fn add_one(store: &Store, id: &str, number: u32, most: i64) -> Result<i64, TransactError<StoreError>> {
    let key = keys::cluster(&id.parse().unwrap());
    let decide = |_| async {
        let found = store.find(&key).await?.unwrap();
        let mut next = found.value.clone();
        next.capacity.cpu_milli += 1;
        if next.capacity.cpu_milli > most {
            return Err(StoreError::Limit("full".to_owned()));
        }
        Ok((Txn::new().expect_unchanged(&found).put(&key, &next), next.capacity.cpu_milli))
    };
    let id = request(number);
    let change = store.transact("test", &id, "b", NOW, decide);
    store.reading(Freshness::Strong, change).await.0
}

/// Many at once, each with a number of its own.
async fn at_once<T>(numbers: std::ops::Range<u32>, work: impl AsyncFn(u32) -> T) -> Vec<T> {
    let all = futures::future::join_all(numbers.map(|n| work(n)));
    tokio::time::timeout(LIMIT, all).await.expect("an end in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_one_value_are_decided_one_after_another_and_go_together() {
    let etcd = TestEtcd::start().await;
    let store = grouped(etcd.endpoint()).await;
    put(&store, &cluster("a", 0)).await;
    let mut answers: Vec<i64> =
        at_once(0..500, async |n| add_one(&store, "a", n, 1_000).await.unwrap()).await;
    answers.sort_unstable();
    assert_eq!(answers, (1..=500).collect::<Vec<i64>>(), "each one saw the one before it");
    assert_eq!(cpu(&store, "a").await, 500);
    let groups = store.group_state().unwrap();
    assert_eq!(groups.changes, 500);
    assert!(groups.groups < 100, "{groups:?}");
    let again = add_one(&store, "a", 7, 1_000).await.unwrap();
    assert!((1..=500).contains(&again), "the first answer again");
    assert_eq!(cpu(&store, "a").await, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_holds_exactly_under_grouped_changes_and_two_replicas() {
    let etcd = TestEtcd::start().await;
    let (one, other) = (grouped(etcd.endpoint()).await, grouped(etcd.endpoint()).await);
    put(&one, &cluster("a", 0)).await;
    let outcomes = at_once(0..300, async |n| {
        let store = if n % 2 == 0 { &one } else { &other };
        // Contention says so and is tried again, as clients do.
        loop {
            match add_one(store, "a", n, 100).await {
                Err(TransactError::Contention) => {}
                outcome => return outcome.is_ok(),
            }
        }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|done| **done).count(), 100);
    assert_eq!(cpu(&one, "a").await, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_parts_the_group_and_the_innocent_are_decided_once() {
    let etcd = TestEtcd::start().await;
    let (store, rival) = (grouped(etcd.endpoint()).await, open(etcd.endpoint()).await);
    for n in 0..40 {
        put(&store, &cluster(&format!("c-{n}"), 0)).await;
    }
    let ready = Arc::new(tokio::sync::Barrier::new(40));
    let decisions: Vec<AtomicU32> = (0..40).map(|_| AtomicU32::new(0)).collect();
    at_once(0..40, async |n| {
        let key = keys::cluster(&format!("c-{n}").parse().unwrap());
        let decide = |_| async {
            let found = store.find(&key).await.unwrap().unwrap();
            if decisions[n as usize].fetch_add(1, Ordering::SeqCst) == 0 {
                ready.wait().await;
                // Every tenth one is overtaken by another process between its reading and its sending.
                if n % 10 == 0 {
                    put(&rival, &cluster(&format!("c-{n}"), 1_000)).await;
                }
                ready.wait().await;
            }
            let mut next = found.value.clone();
            next.capacity.cpu_milli += 1;
            Ok::<_, StoreError>((Txn::new().expect_unchanged(&found).put(&key, &next), 0))
        };
        let id = request(n);
        let change = store.transact("test", &id, "b", NOW, decide);
        store.reading(Freshness::Strong, change).await.0.unwrap();
    })
    .await;
    for (n, decided) in decisions.iter().enumerate() {
        let rivals = n % 10 == 0;
        assert_eq!(cpu(&store, &format!("c-{n}")).await, if rivals { 1_001 } else { 1 });
        assert_eq!(decided.load(Ordering::SeqCst), if rivals { 2 } else { 1 }, "c-{n}");
    }
    assert!(store.group_state().unwrap().groups < 40, "{:?}", store.group_state());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_refused_because_of_a_change_that_is_not_applied_in_the_end() {
    let etcd = TestEtcd::start().await;
    let (store, rival) = (grouped(etcd.endpoint()).await, open(etcd.endpoint()).await);
    put(&store, &cluster("a", 0)).await;
    put(&store, &cluster("b", 0)).await;
    let (a, b) = (keys::cluster(&"a".parse().unwrap()), keys::cluster(&"b".parse().unwrap()));
    let (first, id) = (AtomicU32::new(0), request(1));
    // Fills `a`, but reads `b`, which a rival changes before it is sent.
    let fills = store.reading(
        Freshness::Strong,
        store.transact("test", &id, "b", NOW, |_| async {
            let (found, other) =
                (store.find(&a).await.unwrap().unwrap(), store.find(&b).await.unwrap().unwrap());
            if first.fetch_add(1, Ordering::SeqCst) == 0 {
                put(&rival, &cluster("b", 1)).await;
            } else {
                return Err("decided anew and given up");
            }
            let txn = Txn::new().expect_unchanged(&found).expect_unchanged(&other).put(&a, &cluster("a", 10));
            Ok((txn, 0))
        }),
    );
    let follows = async {
        while first.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        add_one(&store, "a", 2, 10).await
    };
    let ((filled, _), followed) = tokio::join!(fills, follows);
    assert!(matches!(filled, Err(TransactError::Refused(_))), "{filled:?}");
    assert_eq!(followed.unwrap(), 1, "the room was never taken");
    assert_eq!(cpu(&store, "a").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_answer_is_lost_counts_once_for_each_of_its_changes() {
    let etcd = TestEtcd::start().await;
    let relay = Relay::to(&etcd.endpoint()).await;
    let (store, direct) = (grouped(relay.endpoint()).await, open(etcd.endpoint()).await);
    put(&direct, &cluster("a", 0)).await;
    add_one(&store, "a", 1_000, 1_000).await.unwrap();
    let sent = AtomicU32::new(0);
    let lose = async {
        while sent.load(Ordering::SeqCst) < 20 {
            tokio::task::yield_now().await;
        }
        relay.lose_answers();
        tokio::time::sleep(Duration::from_secs(3)).await;
        relay.heal();
    };
    let changes = at_once(0..60, async |n| {
        sent.fetch_add(1, Ordering::SeqCst);
        // A client repeats the same request until it knows.
        loop {
            match add_one(&store, "a", n, 1_000).await {
                Ok(answer) => return answer,
                Err(TransactError::Store(_) | TransactError::Contention | TransactError::Refused(_)) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    });
    let (mut answers, ()) = tokio::join!(changes, lose);
    assert_eq!(cpu(&direct, "a").await, 61);
    answers.sort_unstable();
    assert_eq!(answers, (2..=61).collect::<Vec<i64>>());
}

#[tokio::test]
async fn twins_of_one_request_count_once_and_get_one_answer() {
    let etcd = TestEtcd::start().await;
    let store = grouped(etcd.endpoint()).await;
    put(&store, &cluster("a", 0)).await;
    let answers = at_once(0..20, async |_| add_one(&store, "a", 1, 1_000).await.unwrap()).await;
    assert!(answers.iter().all(|answer| *answer == 1), "{answers:?}");
    assert_eq!(cpu(&store, "a").await, 1);
}

#[tokio::test]
async fn a_group_larger_than_etcd_takes_is_parted_and_refuses_nobody() {
    let etcd = TestEtcd::start().await;
    let store = open(etcd.endpoint()).await.indexed();
    store.index_loaded().await;
    // etcd takes 128.
    let store = store.grouped(100_000);
    for n in 0..300 {
        put(&store, &cluster(&format!("c-{n}"), 0)).await;
    }
    at_once(0..300, async |n| add_one(&store, &format!("c-{n}"), n, 10).await.unwrap()).await;
    assert_eq!(store.group_state().unwrap().changes, 300);
    for n in 0..300 {
        assert_eq!(cpu(&store, &format!("c-{n}")).await, 1);
    }
}
