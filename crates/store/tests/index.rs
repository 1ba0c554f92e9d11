//! The index on a real etcd: what a call reads from memory is never older than it was promised.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod relay;

use std::{sync::Arc, time::Duration};

use allmende_domain::{
    account::QuotaAccount,
    cluster::Cluster,
    ids::{ClusterId, MemberId},
    resources::Resources,
};
use allmende_store::{Commit, Freshness, IndexState, Revision, Store, StoreConfig, Txn, keys};
use allmende_testkit::etcd::TestEtcd;
use jiff::Timestamp;
use relay::Relay;

const LIMIT: Duration = Duration::from_secs(60);

fn cluster(id: &str, cpu_milli: i64) -> Cluster {
    Cluster {
        id: id.parse().unwrap(),
        display_name: id.to_owned(),
        capacity: Resources { cpu_milli, ..Resources::ZERO },
        carved: Resources::ZERO,
        overcommit: allmende_domain::quota::rule::Overcommit::default(),
        create_time: Timestamp::UNIX_EPOCH,
    }
}

async fn open(endpoint: String) -> Store {
    let config = StoreConfig { timeout: Duration::from_secs(2), ..StoreConfig::new(vec![endpoint]) };
    Store::connect(&config).await.unwrap()
}

async fn indexed(endpoint: String) -> Store {
    let store = open(endpoint).await.indexed();
    tokio::time::timeout(LIMIT, store.index_loaded()).await.expect("the index is loaded in time");
    store
}

async fn put(store: &Store, value: &Cluster) -> Revision {
    match store.commit(Txn::new().put(&keys::cluster(&value.id), value)).await.unwrap() {
        Commit::Committed(revision) => revision,
        Commit::Conflict => panic!("nothing was compared"),
    }
}

async fn cpu(store: &Store, id: &str, freshness: Freshness) -> Option<i64> {
    let key = keys::cluster(&id.parse().unwrap());
    let (found, _) = store.reading(freshness, store.find(&key)).await;
    found.unwrap().map(|found| found.value.capacity.cpu_milli)
}

fn state(store: &Store) -> IndexState {
    store.index_state().unwrap()
}

/// Waits until the state is as wanted.
async fn until(store: &Store, wanted: impl Fn(IndexState) -> bool) {
    let seen = async {
        while !wanted(state(store)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, seen).await.unwrap_or_else(|_| panic!("{:?}", state(store)));
}

#[tokio::test]
async fn a_strong_read_sees_what_another_process_has_acknowledged_and_comes_from_memory() {
    let etcd = TestEtcd::start().await;
    let (reader, writer) = (indexed(etcd.endpoint()).await, open(etcd.endpoint()).await);
    for n in 1..=200 {
        put(&writer, &cluster("a", n)).await;
        assert_eq!(cpu(&reader, "a", Freshness::Strong).await, Some(n));
    }
    assert_eq!(state(&reader).fallbacks, 0, "{:?}", state(&reader));
    assert!(writer.commit(Txn::new().delete(&keys::cluster(&"a".parse().unwrap()))).await.is_ok());
    assert_eq!(cpu(&reader, "a", Freshness::Strong).await, None);
}

#[tokio::test]
async fn a_strong_read_does_not_wait_for_changes_outside_the_store() {
    let etcd = TestEtcd::start().await;
    let reader = indexed(etcd.endpoint()).await;
    let foreign = etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap();
    for _ in 0..20 {
        foreign.kv_client().put("/another/program", "x", None).await.unwrap();
        let read = cpu(&reader, "a", Freshness::Strong);
        assert_eq!(tokio::time::timeout(Duration::from_secs(1), read).await.expect("no wait"), None);
    }
    assert_eq!(state(&reader).fallbacks, 0);
}

#[tokio::test]
async fn a_token_makes_another_replica_wait_for_what_the_first_one_answered() {
    let etcd = TestEtcd::start().await;
    let (one, other) = (indexed(etcd.endpoint()).await, indexed(etcd.endpoint()).await);
    for n in 1..=100 {
        let value = cluster("a", n);
        let (_, token) = one.reading(Freshness::Session(None), put(&one, &value)).await;
        assert_eq!(
            cpu(&one, "a", Freshness::Session(None)).await,
            Some(n),
            "its own writes, without a token"
        );
        assert_eq!(cpu(&other, "a", Freshness::Session(token)).await, Some(n));
    }
    assert_eq!((state(&one).fences, state(&other).fences), (0, 0), "nobody asked etcd for a revision");
}

#[tokio::test]
async fn calls_that_wait_share_one_read_of_the_revision() {
    let etcd = TestEtcd::start().await;
    let store = indexed(etcd.endpoint()).await;
    put(&store, &cluster("a", 1)).await;
    let requests = |text: &str| {
        let line = text.lines().find(|line| {
            line.starts_with("grpc_server_handled_total")
                && line.contains("\"Range\"")
                && line.contains("\"OK\"")
        });
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    let before = requests(&etcd.metrics().await);
    let calls = (0..512).map(|_| {
        let store = store.clone();
        async move { cpu(&store, "a", Freshness::Strong).await }
    });
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| *answer == Some(1)));
    let asked = requests(&etcd.metrics().await) - before;
    assert_eq!(state(&store).fences, 512);
    assert!((1.0..=16.0).contains(&asked), "{asked} requests for 512 calls");
}

#[tokio::test]
async fn an_index_that_hears_nothing_is_not_asked_and_a_read_fails_rather_than_be_old() {
    let etcd = TestEtcd::start().await;
    let relay = Relay::to(&etcd.endpoint()).await;
    let (reader, writer) = (indexed(relay.endpoint()).await, open(etcd.endpoint()).await);
    put(&writer, &cluster("a", 1)).await;
    assert_eq!(cpu(&reader, "a", Freshness::Strong).await, Some(1));
    relay.lose_answers();
    put(&writer, &cluster("a", 2)).await;
    until(&reader, |state| state.silence > Duration::from_secs(2)).await;
    let key = keys::cluster(&"a".parse().unwrap());
    for freshness in [Freshness::Strong, Freshness::Session(None)] {
        let (answer, _) = reader.reading(freshness, reader.find(&key)).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    relay.heal();
    let healed = async {
        while reader.reading(Freshness::Strong, reader.find(&key)).await.0.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, healed).await.expect("reads again");
    assert_eq!(cpu(&reader, "a", Freshness::Session(None)).await, Some(2));
}

#[tokio::test]
async fn a_store_that_was_put_back_is_read_anew() {
    let mut etcd = TestEtcd::start().await;
    let reader = indexed(etcd.endpoint()).await;
    put(&reader, &cluster("a", 1)).await;
    let backup = etcd.back_up().await;
    let again = open(etcd.endpoint()).await;
    put(&again, &cluster("a", 2)).await;
    until(&reader, |state| state.revision >= 3).await;
    assert_eq!(cpu(&reader, "a", Freshness::Strong).await, Some(2));
    etcd.restore(&backup).await;
    // Another life of the store, with the same numbers of revisions.
    let other = open(etcd.endpoint()).await;
    for n in 10..20 {
        put(&other, &cluster("b", n)).await;
    }
    // The call itself has seen nothing yet: it must not be answered from the life that is gone.
    let fresh = async {
        while cpu(&reader, "b", Freshness::Strong).await != Some(19) || !state(&reader).loaded {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, fresh).await.expect("the new life in time");
    until(&reader, |state| state.loaded && state.silence < Duration::from_secs(1)).await;
    assert_eq!(
        cpu(&reader, "a", Freshness::Strong).await,
        Some(1),
        "what was written after the backup is gone"
    );
}

#[tokio::test]
async fn a_store_larger_than_the_room_is_read_from_etcd() {
    let etcd = TestEtcd::start().await;
    let store = open(etcd.endpoint()).await.indexed_within(16 << 10);
    store.index_loaded().await;
    for n in 0..100 {
        put(&store, &cluster(&format!("c-{n}"), n)).await;
    }
    until(&store, |state| !state.loaded).await;
    assert_eq!(cpu(&store, "c-99", Freshness::Strong).await, Some(99));
    assert!(state(&store).fallbacks > 0);
}

#[tokio::test]
async fn all_of_a_large_store_is_loaded() {
    let etcd = TestEtcd::start().await;
    let writer = open(etcd.endpoint()).await;
    let all: Vec<String> = (0..2_500).map(|n| format!("c-{n}")).collect();
    for some in all.chunks(100) {
        // Pages of such values are larger than what a gRPC client takes by itself.
        let large = |id: &str| Cluster { display_name: "x".repeat(10_000), ..cluster(id, 1) };
        let put = |txn: Txn, id: &String| txn.put(&keys::cluster(&id.parse().unwrap()), &large(id));
        writer.commit(some.iter().fold(Txn::new(), put)).await.unwrap();
    }
    assert_eq!(writer.snapshot(&keys::clusters()).await.unwrap().0.len(), all.len());
    let reader = indexed(etcd.endpoint()).await;
    // And the store's own identity.
    assert_eq!(state(&reader).rows, all.len() + 1);
    assert!(state(&reader).bytes > all.len() * 10_000, "{:?}", state(&reader));
    for id in ["c-0", "c-999", "c-1000", "c-2499"] {
        assert_eq!(cpu(&reader, id, Freshness::Session(None)).await, Some(1), "{id}");
    }
    assert_eq!(state(&reader).fallbacks, 0);
}

#[tokio::test]
async fn a_compacted_watch_is_followed_by_a_read_of_everything() {
    let etcd = TestEtcd::start().await;
    let relay = Relay::to(&etcd.endpoint()).await;
    let (reader, writer) = (indexed(relay.endpoint()).await, open(etcd.endpoint()).await);
    put(&writer, &cluster("gone", 1)).await;
    assert_eq!(cpu(&reader, "gone", Freshness::Strong).await, Some(1));
    relay.lose_answers();
    writer.commit(Txn::new().delete(&keys::cluster(&"gone".parse().unwrap()))).await.unwrap();
    let last = put(&writer, &cluster("a", 7)).await;
    let client = etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap();
    client.kv_client().compact(last.0, None).await.unwrap();
    relay.heal();
    until(&reader, |state| state.loaded && state.revision >= last.0).await;
    assert_eq!(cpu(&reader, "gone", Freshness::Session(None)).await, None);
    assert_eq!(cpu(&reader, "a", Freshness::Session(None)).await, Some(7));
}

#[tokio::test]
async fn ranges_of_the_index_are_those_of_etcd_and_members_with_similar_names_never_meet() {
    let etcd = TestEtcd::start().await;
    let (reader, writer) = (indexed(etcd.endpoint()).await, open(etcd.endpoint()).await);
    let members: Vec<MemberId> =
        ["aaa", "aaa-b", "aaa0", "aaab", "aab"].iter().map(|id| id.parse().unwrap()).collect();
    let clusters: Vec<ClusterId> = (0..40).map(|n| format!("c-{n}").parse().unwrap()).collect();
    for (n, member) in members.iter().enumerate() {
        for cluster in clusters.iter().skip(n).step_by(n + 1) {
            let account = QuotaAccount::empty(member.clone(), cluster.clone());
            writer.commit(Txn::new().put(&keys::account(member, cluster), &account)).await.unwrap();
        }
    }
    let reader = Arc::new(reader);
    for member in &members {
        let range = keys::accounts(member);
        for limit in [1, 3, 500] {
            let (mut seen, mut after) = (Vec::new(), None::<String>);
            loop {
                let (page, _) =
                    reader.reading(Freshness::Strong, reader.scan(&range, after.as_deref(), limit)).await;
                let page = page.unwrap();
                let plain = writer.scan(&range, after.as_deref(), limit).await.unwrap();
                assert_eq!(
                    page.iter().map(|row| (row.key.raw(), row.revision)).collect::<Vec<_>>(),
                    plain.iter().map(|row| (row.key.raw(), row.revision)).collect::<Vec<_>>()
                );
                after = page.last().map(|row| row.key.raw().to_owned());
                seen.extend(page.into_iter().map(|row| row.value));
                if after.is_none() {
                    break;
                }
            }
            assert!(!seen.is_empty() && seen.iter().all(|account| account.member == *member));
        }
        // A page token that points into a neighbour's range opens nothing of it.
        let foreign = keys::account(&members[0], &clusters[0]);
        let (page, _) =
            reader.reading(Freshness::Strong, reader.scan(&range, Some(foreign.raw()), 500)).await;
        assert!(page.unwrap().iter().all(|row| row.value.member == *member));
    }
    let (all, _) = reader.reading(Freshness::Strong, reader.snapshot(&keys::accounts_all())).await;
    assert_eq!(all.unwrap().0.len(), writer.snapshot(&keys::accounts_all()).await.unwrap().0.len());
    assert_eq!(state(&reader).fallbacks, 0);
}
