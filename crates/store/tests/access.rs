//! The store on a real etcd that speaks TLS alone, asks for certificates and knows users.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::PathBuf, time::Duration};

use allmende_domain::{cluster::Cluster, resources::Resources};
use allmende_store::{Commit, EtcdAccess, Store, StoreError, Txn, WatchEvent, keys};
use allmende_testkit::{
    ca::{Leaf, TestCa},
    etcd::TestEtcd,
};
use jiff::Timestamp;

/// A connection that breaks before its reason is read is tried again until then.
const WITHIN: Duration = Duration::from_secs(60);

/// Of the users that etcd knows.
const PASSWORD: &str = "correct horse battery staple";

fn access(etcd: &TestEtcd, ca: &TestCa, own: Option<&Leaf>) -> EtcdAccess {
    EtcdAccess {
        endpoints: vec![etcd.endpoint()],
        ca: Some(ca.cert()),
        cert: own.map(|leaf| leaf.cert.clone()),
        key: own.map(|leaf| leaf.key.clone()),
        ..EtcdAccess::default()
    }
}

fn password(ca: &TestCa, text: &str) -> Option<PathBuf> {
    let path = ca.folder().join("password");
    std::fs::write(&path, format!("{text}\n")).unwrap();
    Some(path)
}

async fn open(access: EtcdAccess) -> Result<Store, StoreError> {
    Store::connect_within(&access.load().unwrap(), WITHIN).await
}

/// The text of a refusal, which names no secret.
async fn refusal(access: EtcdAccess) -> String {
    let key = access.key.as_ref().map(|path| std::fs::read_to_string(path).unwrap());
    let error = open(access).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(PASSWORD) && !shown.contains("guessed"), "{shown}");
    assert!(key.is_none_or(|key| key.lines().all(|line| !shown.contains(line))), "{shown}");
    shown
}

fn cluster(id: &str) -> Cluster {
    Cluster {
        id: id.parse().unwrap(),
        display_name: id.to_owned(),
        capacity: Resources::ZERO,
        carved: Resources::ZERO,
        overcommit: allmende_domain::quota::rule::Overcommit::default(),
        create_time: Timestamp::UNIX_EPOCH,
    }
}

async fn writes_and_reads(store: &Store, id: &str) {
    let (value, key) = (cluster(id), keys::cluster(&id.parse().unwrap()));
    let written = store.commit(Txn::new().expect_absent(&key).put(&key, &value)).await.unwrap();
    assert!(matches!(written, Commit::Committed(_)), "{written:?}");
    assert_eq!(store.find(&key).await.unwrap().unwrap().value, value);
}

#[tokio::test]
async fn under_mutual_tls_the_store_writes_and_reads_and_comes_back_after_a_restart_of_etcd() {
    let ca = TestCa::new();
    let mut etcd = TestEtcd::start_with_tls(&ca).await;
    let own = ca.client("allmende", &[]);
    let store = open(access(&etcd, &ca, Some(&own))).await.unwrap();
    writes_and_reads(&store, "before").await;
    etcd.kill();
    etcd.resume_from_disk().await;
    let again = open(access(&etcd, &ca, Some(&own))).await.unwrap();
    assert_eq!(again.identity(), store.identity());
    writes_and_reads(&again, "after").await;
}

#[tokio::test]
async fn without_a_certificate_of_etcds_authority_nobody_gets_in() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let etcd = TestEtcd::start_with_tls(&ca).await;
    let none = refusal(access(&etcd, &ca, None)).await;
    assert!(none.contains("CertificateRequired"), "{none}");
    let foreign = refusal(access(&etcd, &ca, Some(&other.client("allmende", &[])))).await;
    assert!(foreign.contains("alert"), "{foreign}");
    let expired = refusal(access(&etcd, &ca, Some(&ca.expired_client("expired", "allmende://x/y")))).await;
    assert!(expired.contains("alert"), "{expired}");
}

#[tokio::test]
async fn an_etcd_of_another_authority_gets_no_request() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let etcd = TestEtcd::start_with_tls(&ca).await;
    let text = refusal(access(&etcd, &other, Some(&ca.client("allmende", &[])))).await;
    assert!(text.contains("invalid peer certificate"), "{text}");
}

#[tokio::test]
async fn a_user_gets_in_with_its_password_or_its_certificate_and_reaches_its_keys_alone() {
    let ca = TestCa::new();
    let etcd = TestEtcd::start_with_tls(&ca).await;
    etcd.require_users(&[("allmende", PASSWORD, "/allmende/"), ("backup", PASSWORD, "/elsewhere/")]).await;
    let nameless = ca.client("nameless", &[]);
    let with = |name: &str, text: &str| EtcdAccess {
        user: Some(name.to_owned()),
        password_file: password(&ca, text),
        ..access(&etcd, &ca, Some(&nameless))
    };
    writes_and_reads(&open(with("allmende", PASSWORD)).await.unwrap(), "by-password").await;
    let by_name = open(access(&etcd, &ca, Some(&ca.client("allmende", &[])))).await.unwrap();
    writes_and_reads(&by_name, "by-certificate").await;

    let wrong = refusal(with("allmende", "guessed")).await;
    assert!(wrong.contains("invalid user ID or password"), "{wrong}");
    let unknown = refusal(with("nobody", PASSWORD)).await;
    assert!(unknown.contains("invalid user ID or password"), "{unknown}");
    let others = refusal(with("backup", PASSWORD)).await;
    assert!(others.contains("permission denied"), "{others}");
    let stranger = refusal(access(&etcd, &ca, Some(&nameless))).await;
    assert!(stranger.contains("permission denied"), "{stranger}");
}

#[tokio::test]
async fn a_watch_of_a_user_goes_on_after_its_token_has_ended() {
    let ca = TestCa::new();
    let mut etcd = TestEtcd::start_with_tls(&ca).await;
    etcd.require_users(&[("allmende", PASSWORD, "/allmende/")]).await;
    let own = ca.client("nameless", &[]);
    let user = || EtcdAccess {
        user: Some("allmende".to_owned()),
        password_file: password(&ca, PASSWORD),
        ..access(&etcd, &ca, Some(&own))
    };
    let store = open(user()).await.unwrap();
    let (_, seen) = store.snapshot(&keys::clusters()).await.unwrap();
    let mut watch = store.watch(&keys::clusters(), seen.next());
    let again = user();
    // A new password ends the user's tokens, and the restart ends the watch.
    etcd.set_password("allmende", PASSWORD).await;
    etcd.kill();
    etcd.resume_from_disk().await;
    writes_and_reads(&open(again).await.unwrap(), "later").await;
    let arrival = async {
        loop {
            match watch.next().await.unwrap() {
                WatchEvent::Put(row) => return row.value,
                WatchEvent::Progress(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(tokio::time::timeout(WITHIN, arrival).await.unwrap(), cluster("later"));
}

/// Puts the certificate and key of a leaf where those of another one were, as a mounted secret changes.
fn renew(at: &Leaf, with: &Leaf) {
    for (old, new) in [(&at.cert, &with.cert), (&at.key, &with.key)] {
        std::fs::copy(new, old.with_extension("new")).unwrap();
        std::fs::rename(old.with_extension("new"), old).unwrap();
    }
}

#[tokio::test]
async fn renewed_certificates_are_taken_over_while_a_watch_goes_on_and_refused_ones_are_not() {
    let ca = TestCa::new();
    let etcd = TestEtcd::start_with_tls(&ca).await;
    etcd.require_users(&[("first", PASSWORD, "/allmende/"), ("second", PASSWORD, "/allmende/")]).await;
    let own = ca.client("own", &[]);
    renew(&own, &ca.client("first", &[]));
    let given = access(&etcd, &ca, Some(&own));
    let config = given.clone().load().unwrap();
    let store = Store::connect_within(&config, WITHIN).await.unwrap();
    let (_, seen) = store.snapshot(&keys::clusters()).await.unwrap();
    let mut watch = store.watch(&keys::clusters(), seen.next());

    // Of nobody whom etcd knows, and of another authority: the store goes on with what it has. In TLS 1.3 a client learns only after the
    // handshake that its certificate is not taken: by the alert, or, when that is late, by the end of the connection.
    let nameless = access(&etcd, &ca, Some(&ca.client("nameless", &[])));
    let other = TestCa::new();
    let foreign = access(&etcd, &ca, Some(&other.client("first", &[])));
    let refused = store.take_over(&nameless.load().unwrap()).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    writes_and_reads(&store, "nameless").await;
    let refused = store.take_over(&foreign.load().unwrap()).await;
    assert!(matches!(refused, Err(StoreError::Refused(_) | StoreError::Unavailable(_))), "{refused:?}");
    writes_and_reads(&store, "foreign").await;

    let follower = tokio::spawn(store.clone().follow_certificates(given, config, Duration::from_millis(50)));
    renew(&own, &ca.client("second", &[]));
    // From now on only who uses the new one is let in.
    etcd.remove_user("first").await;
    let let_in = async {
        while store.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WITHIN, let_in).await.unwrap();
    writes_and_reads(&store, "last").await;
    let arrival = async {
        loop {
            match watch.next().await.unwrap() {
                WatchEvent::Put(row) if row.value.id.as_str() == "last" => return,
                WatchEvent::Put(_) | WatchEvent::Progress(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(WITHIN, arrival).await.unwrap();
    follower.abort();
}
