//! The store on a real etcd process.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

use std::sync::atomic::{AtomicU32, Ordering};

use allmende_domain::{
    cluster::Cluster,
    ids::{ClusterId, RequestId},
    resources::Resources,
};
use allmende_store::{
    Commit, OPERATIONS_MAX, Revision, Store, StoreConfig, StoreError, TransactError, Txn, WatchEvent, keys,
};
use allmende_testkit::etcd::TestEtcd;
use jiff::Timestamp;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn cluster(id: &str, cpu: i64) -> Cluster {
    Cluster {
        id: id.parse().unwrap(),
        display_name: id.to_owned(),
        capacity: Resources { cpu_milli: cpu, ..Resources::ZERO },
        carved: Resources::ZERO,
        overcommit: allmende_domain::quota::rule::Overcommit::default(),
        create_time: NOW,
    }
}

fn id(id: &str) -> ClusterId {
    id.parse().unwrap()
}

fn request(number: u8) -> RequestId {
    format!("00000000-0000-4000-8000-0000000000{number:02x}").parse().unwrap()
}

async fn open(etcd: &TestEtcd) -> Store {
    let config =
        StoreConfig { timeout: std::time::Duration::from_secs(2), ..StoreConfig::new(vec![etcd.endpoint()]) };
    Store::connect(&config).await.unwrap()
}

async fn put(store: &Store, value: &Cluster) -> Revision {
    match store.commit(Txn::new().put(&keys::cluster(&value.id), value)).await.unwrap() {
        Commit::Committed(revision) => revision,
        Commit::Conflict => panic!("nothing was compared"),
    }
}

/// Adds one to a cluster's CPU under a request id.
async fn increment(
    store: &Store,
    name: &str,
    number: u8,
    body: &str,
) -> Result<i64, TransactError<&'static str>> {
    let key = keys::cluster(&id(name));
    store
        .transact("test", &request(number), body, NOW, |_| async {
            let found = store.find(&key).await.map_err(|_| "read failed")?.ok_or("no such cluster")?;
            let mut next = found.value.clone();
            next.capacity.cpu_milli += 1;
            Ok((Txn::new().expect_unchanged(&found).put(&key, &next), next.capacity.cpu_milli))
        })
        .await
}

#[tokio::test]
async fn a_store_keeps_its_identity_over_connections_and_refuses_a_newer_schema() {
    let etcd = TestEtcd::start().await;
    let first = open(&etcd).await;
    assert_eq!(open(&etcd).await.identity(), first.identity());
    let mut newer = first.identity().clone();
    newer.schema += 1;
    first.commit(Txn::new().put(&keys::schema(), &newer)).await.unwrap();
    let refused = Store::connect(&StoreConfig::new(vec![etcd.endpoint()])).await;
    assert!(matches!(refused, Err(StoreError::NewerSchema { .. })));
}

#[tokio::test]
async fn a_request_id_counts_once_and_another_body_is_refused() {
    let etcd = TestEtcd::start().await;
    let store = open(&etcd).await;
    put(&store, &cluster("a", 0)).await;
    assert_eq!(increment(&store, "a", 1, "body").await.unwrap(), 1);
    assert_eq!(increment(&store, "a", 1, "body").await.unwrap(), 1, "the first answer again");
    assert!(matches!(increment(&store, "a", 1, "other").await, Err(TransactError::RequestIdReused)));
    assert_eq!(increment(&store, "a", 2, "body").await.unwrap(), 2);
}

#[tokio::test]
async fn many_at_once_lose_no_change() {
    let etcd = TestEtcd::start().await;
    let store = open(&etcd).await;
    put(&store, &cluster("a", 0)).await;
    let rivals = (0..6u8).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { increment(&store, "a", number, "b").await.is_ok() })
    });
    let mut done = 0;
    for rival in rivals {
        done += i64::from(rival.await.unwrap());
    }
    let found = store.find(&keys::cluster(&id("a"))).await.unwrap().unwrap();
    assert_eq!(found.value.capacity.cpu_milli, done);
    assert!(done >= 1);
}

#[tokio::test]
async fn a_refusal_writes_nothing_and_endless_conflicts_end() {
    let etcd = TestEtcd::start().await;
    let store = open(&etcd).await;
    assert!(matches!(
        increment(&store, "none", 1, "b").await,
        Err(TransactError::Refused("no such cluster"))
    ));
    assert!(store.find(&keys::receipt("test", &request(1))).await.unwrap().is_none());
    put(&store, &cluster("a", 0)).await;
    let decided = AtomicU32::new(0);
    let key = keys::cluster(&id("a"));
    let outcome: Result<(), TransactError<()>> = store
        .transact("test", &request(2), "b", NOW, |_| async {
            decided.fetch_add(1, Ordering::SeqCst);
            let stale = Revision(1);
            Ok((Txn::new().expect_revision(&key, stale).put(&key, &cluster("a", 9)), ()))
        })
        .await;
    assert!(matches!(outcome, Err(TransactError::Contention)));
    assert_eq!(decided.load(Ordering::SeqCst), 8);
}

#[tokio::test]
async fn ranges_of_similar_ids_do_not_mix_and_pages_are_complete() {
    let etcd = TestEtcd::start().await;
    let store = open(&etcd).await;
    for name in ["a", "a-b", "a0", "ab"] {
        put(&store, &cluster(name, 1)).await;
    }
    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.scan(&keys::clusters(), after.as_deref(), 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.key.raw().to_owned());
        seen.extend(page.into_iter().map(|row| row.value.id.to_string()));
    }
    assert_eq!(seen, ["a-b", "a", "a0", "ab"], "each once, in key order");
    for number in 0..1200 {
        put(&store, &cluster(&format!("n{number}"), 1)).await;
    }
    let (all, _) = store.snapshot(&keys::clusters()).await.unwrap();
    assert_eq!(all.len(), 1204);
}

#[tokio::test]
async fn a_watch_goes_on_from_its_revision_over_a_restart_and_says_when_it_must_relist() {
    let mut etcd = TestEtcd::start().await;
    let store = open(&etcd).await;
    let first = put(&store, &cluster("a", 1)).await;
    let mut watch = store.watch(&keys::clusters(), first.next());
    put(&store, &cluster("b", 2)).await;
    let WatchEvent::Put(event) = next(&mut watch).await else { panic!("a write was expected") };
    assert_eq!(event.value.id.to_string(), "b");
    etcd.kill();
    etcd.resume_from_disk().await;
    put(&open(&etcd).await, &cluster("c", 3)).await;
    let WatchEvent::Put(event) = next(&mut watch).await else { panic!("a write was expected") };
    assert_eq!(event.value.id.to_string(), "c");
    let client = etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap();
    client.kv_client().compact(event.revision.0, None).await.unwrap();
    let mut late = store.watch(&keys::clusters(), first);
    assert!(matches!(next(&mut late).await, WatchEvent::Compacted));
}

async fn next<T>(watch: &mut allmende_store::WatchStream<T>) -> WatchEvent<T> {
    let limit = std::time::Duration::from_secs(20);
    loop {
        match tokio::time::timeout(limit, watch.next())
            .await
            .expect("an event in time")
            .expect("the stream goes on")
        {
            WatchEvent::Progress(_) => {}
            event => return event,
        }
    }
}

#[tokio::test]
async fn after_a_compaction_a_relist_and_a_watch_from_there_miss_nothing() {
    let etcd = TestEtcd::start().await;
    let store = open(&etcd).await;
    let first = put(&store, &cluster("a", 1)).await;
    let last = put(&store, &cluster("b", 2)).await;
    let client = etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap();
    client.kv_client().compact(last.0, None).await.unwrap();
    let mut late = store.watch(&keys::clusters(), first);
    assert!(matches!(next(&mut late).await, WatchEvent::Compacted));
    assert!(
        late.next().await.is_none(),
        "the stream ends: nothing after a gap is told as if there were none"
    );
    let (listed, revision) = store.snapshot(&keys::clusters()).await.unwrap();
    assert_eq!(listed.len(), 2);
    store.commit(Txn::new().delete(&keys::cluster(&id("a")))).await.unwrap();
    put(&store, &cluster("c", 3)).await;
    let mut anew = store.watch(&keys::clusters(), revision.next());
    let WatchEvent::Delete(raw, _) = next(&mut anew).await else { panic!("a removal was expected") };
    assert_eq!(raw, keys::cluster(&id("a")).raw());
    let WatchEvent::Put(event) = next(&mut anew).await else { panic!("a write was expected") };
    assert_eq!(event.value.id.to_string(), "c");
}

#[tokio::test]
async fn a_value_of_a_newer_format_is_refused_by_reads_and_told_by_a_watch_that_goes_on() {
    let etcd = TestEtcd::start().await;
    let store = open(&etcd).await;
    let first = put(&store, &cluster("a", 1)).await;
    let key = keys::cluster(&id("b"));
    let client = etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap();
    let newer = r#"{"format":99,"kind":"cluster","value":{"secret":"hunter2"}}"#;
    client.kv_client().put(key.raw(), newer, None).await.unwrap();
    put(&store, &cluster("c", 1)).await;
    let refusals = [
        store.find(&key).await.unwrap_err(),
        store.scan(&keys::clusters(), None, 10).await.unwrap_err(),
        store.snapshot(&keys::clusters()).await.unwrap_err(),
    ];
    for error in refusals {
        assert!(matches!(error, StoreError::Corrupt { kind: "cluster", .. }), "{error}");
        assert!(!error.to_string().contains("hunter2"));
    }
    let mut watch = store.watch(&keys::clusters(), first.next());
    assert!(matches!(next(&mut watch).await, WatchEvent::Unreadable(StoreError::Corrupt { .. })));
    let WatchEvent::Put(event) = next(&mut watch).await else { panic!("a write was expected") };
    assert_eq!(event.value.id.to_string(), "c");
}

#[tokio::test]
async fn a_transaction_beyond_etcds_limits_is_refused_before_it_is_sent() {
    let etcd = TestEtcd::start().await;
    let store = open(&etcd).await;
    let many = (0..=OPERATIONS_MAX).fold(Txn::new(), |txn, n| {
        let value = cluster(&format!("n{n}"), 1);
        txn.put(&keys::cluster(&value.id), &value)
    });
    assert!(matches!(store.commit(many).await, Err(StoreError::Limit(_))));
    let mut large = cluster("l", 1);
    large.display_name = "x".repeat(1_500_000);
    let large = Txn::new().put(&keys::cluster(&large.id), &large);
    assert!(matches!(store.commit(large).await, Err(StoreError::Limit(_))));
    assert!(store.scan(&keys::clusters(), None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_start_waits_for_an_etcd_that_comes_later_but_not_for_ever() {
    let mut etcd = TestEtcd::start().await;
    let config = StoreConfig::new(vec![etcd.endpoint()]);
    etcd.kill();
    let refused = Store::connect_within(&config, std::time::Duration::from_millis(600)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let waits =
        tokio::spawn(async move { Store::connect_within(&config, std::time::Duration::from_secs(60)).await });
    etcd.resume_from_disk().await;
    assert_eq!(waits.await.unwrap().unwrap().identity().epoch, 1);
}
