//! 64 clients of quota accounts and two replicas that are killed and paused under way: no revision that the store ever had is oversold,
//! every acknowledged change is there exactly once, and what the clients were told fits into one order.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it checked"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use allmende_proto::v1::{
    self, cluster_service_client::ClusterServiceClient, member_service_client::MemberServiceClient,
    quota_service_client::QuotaServiceClient,
};
use allmende_testkit::history::{LIMIT, Recorder};
use allmende_tests::{
    call::{OPERATOR, answered},
    orderer::{Acknowledged, CLUSTER, Orderer, amounts},
    register,
    replay::Replay,
    replicas::{Faults, Replicas},
    seed::{Draw, seeds},
    state::records,
};
use tonic::transport::Channel;

/// Operations, unless `ALLMENDE_QUOTA_OPERATIONS` says otherwise.
const OPERATIONS: u64 = 5_000;
/// Operations of one account: a history.
const OF_ONE: u64 = 250;
/// Accounts at once, and clients of each.
const ACCOUNTS: u64 = 15;
const CLIENTS: u64 = 4;
/// Clients that move entitlements and capacity.
const CARVERS: u64 = 4;
/// Members whose entitlements they move.
const SPARE: u64 = 8;
/// Longest time of all.
const LIMIT_OF_TIME: Duration = Duration::from_secs(3 * 3600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_oversold_and_nothing_acknowledged_is_lost_while_replicas_die_and_stall() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let operations = number("ALLMENDE_QUOTA_OPERATIONS").unwrap_or(OPERATIONS);
    let seed = seeds()[0];
    println!("seed {seed}: ALLMENDE_SEED={seed} draws the same operations and faults");
    let replicas = Replicas::start().await;
    let rounds = operations.div_ceil(ACCOUNTS * OF_ONE).max(1);
    let members = SPARE + rounds * ACCOUNTS;
    let names = furnish(&replicas, usize::try_from(members).unwrap()).await;
    let (spare, own) = names.split_at(usize::try_from(SPARE).unwrap());
    let store = identity(&replicas).await;
    let (ended, faults) = (Arc::new(AtomicBool::new(false)), Faults::default());
    let (acknowledged, made) = (Acknowledged::default(), AtomicU64::new(0));
    let begun = Instant::now();
    let clients = async {
        let carving = carve(&replicas, spare, room(names.len()), seed, &ended);
        let cluster = replicas.channels(&format!("allmende://cluster/{CLUSTER}"));
        let mut histories = Vec::new();
        for round in own.chunks(usize::try_from(ACCOUNTS).unwrap()) {
            let orderers: Vec<Orderer> = round
                .iter()
                .map(|member| Orderer {
                    member: format!("members/{member}"),
                    own: replicas.channels(&format!("allmende://member/{member}")),
                    cluster: cluster.clone(),
                    store: store.clone(),
                })
                .collect();
            let each = operations / (rounds * ACCOUNTS * CLIENTS);
            histories.extend(round_of(orderers, each, seed, &acknowledged, &made).await);
        }
        ended.store(true, Ordering::SeqCst);
        for carver in carving {
            carver.await.unwrap();
        }
        histories
    };
    let all =
        async { tokio::join!(clients, replicas.disturb(Draw::new(seed, "faults"), ended.clone(), &faults)) };
    let (histories, ()) = tokio::time::timeout(LIMIT_OF_TIME, all).await.expect("an end in time");
    let took = begun.elapsed();
    let replay = Replay::of(&replicas.etcd).await;
    assert!(replay.violations.is_empty(), "{:#?}", &replay.violations[..replay.violations.len().min(20)]);
    let ids = acknowledged.0.lock().unwrap().clone();
    for id in &ids {
        assert_eq!(replay.done.get(id), Some(&1), "{id} was acknowledged");
    }
    let (mut open, count) = (0, histories.len());
    for (member, history) in histories {
        open += history.counts().1;
        assert!(history.is_linearizable(), "{member}, seed {seed}");
    }
    println!(
        "{} revisions checked, none oversold: {} operations, {} acknowledged changes there once each, {open} without answer, \
         {count} histories linearizable, {} kills, {} pauses, {} s",
        replay.revisions,
        made.load(Ordering::SeqCst),
        ids.len(),
        faults.kills.load(Ordering::SeqCst),
        faults.pauses.load(Ordering::SeqCst),
        took.as_secs()
    );
    assert!(
        faults.kills.load(Ordering::SeqCst) + faults.pauses.load(Ordering::SeqCst) > 0,
        "nobody was disturbed"
    );
    assert!(replay.changes > operations / 10 && !ids.is_empty(), "the clients changed something");
}

/// One account each for some clients; gives what they saw.
async fn round_of(
    orderers: Vec<Orderer>,
    each: u64,
    seed: u64,
    acknowledged: &Acknowledged,
    made: &AtomicU64,
) -> Vec<(String, Recorder)> {
    let (mut histories, mut clients) = (Vec::new(), Vec::new());
    for orderer in &orderers {
        let recorder = Arc::<Recorder>::default();
        for client in 0..CLIENTS {
            let (recorder, mut draw) =
                (Arc::clone(&recorder), Draw::new(seed, &format!("{} {client}", orderer.member)));
            clients.push(Box::pin(async move {
                for _ in 0..each.max(1) {
                    orderer.operate(&mut draw, &recorder, acknowledged).await;
                    made.fetch_add(1, Ordering::SeqCst);
                }
            }));
        }
        histories.push((orderer.member.clone(), recorder));
    }
    futures::future::join_all(clients).await;
    histories.into_iter().map(|(member, recorder)| (member, Arc::into_inner(recorder).unwrap())).collect()
}

/// Clients of the cooperative's operator: entitlements of other members, and the capacity, move all the time.
fn carve(
    replicas: &Replicas,
    members: &[String],
    room: i64,
    seed: u64,
    ended: &Arc<AtomicBool>,
) -> Vec<tokio::task::JoinHandle<()>> {
    (0..CARVERS)
        .map(|carver| {
            let channels = replicas.channels(OPERATOR);
            let (members, ended) = (members.to_vec(), Arc::clone(ended));
            let mut draw = Draw::new(seed, &format!("carver {carver}"));
            tokio::spawn(async move {
                while !ended.load(Ordering::SeqCst) {
                    let channel = channels[usize::from(draw.either())].clone();
                    // Refusals, conflicts and lost answers are all the same here: the replay judges.
                    let _ = tokio::time::timeout(
                        Duration::from_secs(5),
                        move_once(channel, &members, room, &mut draw),
                    )
                    .await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            })
        })
        .collect()
}

async fn move_once(channel: Channel, members: &[String], room: i64, draw: &mut Draw) {
    let amount = i64::try_from(draw.from_one_to(20)).unwrap() * 1_000;
    if draw.from_one_to(4) == 1 {
        let request = v1::UpdateClusterCapacityRequest {
            name: format!("clusters/{CLUSTER}"),
            capacity: Some(amounts(room + amount)),
            request_id: uuid::Uuid::new_v4().to_string(),
            ..Default::default()
        };
        let _ = ClusterServiceClient::new(channel).update_cluster_capacity(request).await;
        return;
    }
    let member = &members[usize::try_from(draw.from_one_to(members.len() as u64)).unwrap() - 1];
    let request = v1::SetEntitlementRequest {
        name: format!("members/{member}/entitlements/{CLUSTER}"),
        guaranteed: Some(amounts(amount)),
        resolution: "Muster 2026/01".into(),
        request_id: uuid::Uuid::new_v4().to_string(),
        ..Default::default()
    };
    let _ = QuotaServiceClient::new(channel).set_entitlement(request).await;
}

/// A capacity that fits what every member begins with: what the spare ones are moved to fits now and then.
fn room(members: usize) -> i64 {
    i64::try_from(members).unwrap() * LIMIT
}

/// The cooperative with so many members, each entitled to the same; gives their ids.
async fn furnish(replicas: &Replicas, count: usize) -> Vec<String> {
    let keys = register::keys(count);
    let [operator, _] = replicas.channels(OPERATOR);
    let members = MemberServiceClient::new(operator.clone());
    answered("import the register", async || {
        members.clone().import_register(tokio_stream::iter(register::import(&keys))).await
    })
    .await;
    let room = room(count);
    let clusters = ClusterServiceClient::new(operator.clone());
    answered("register the cluster", async || {
        let cluster = v1::Cluster { capacity: Some(amounts(room)), ..Default::default() };
        let request = v1::CreateClusterRequest {
            cluster_id: CLUSTER.into(),
            cluster: Some(cluster),
            request_id: "5a3c1b1e-0c53-4a55-9a43-31f5a5a0d001".into(),
            ..Default::default()
        };
        clusters.clone().create_cluster(request).await
    })
    .await;
    let quota = QuotaServiceClient::new(operator);
    for key in &keys {
        let request = register::onboarding(key);
        answered("onboard", async || members.clone().create_member(request.clone()).await).await;
        let request = v1::SetEntitlementRequest {
            name: format!("members/m-{key}/entitlements/{CLUSTER}"),
            guaranteed: Some(amounts(LIMIT)),
            resolution: "Muster 2026/01".into(),
            request_id: uuid::Uuid::new_v4().to_string(),
            ..Default::default()
        };
        answered("entitle", async || quota.clone().set_entitlement(request.clone()).await).await;
    }
    keys.into_iter().map(|key| format!("m-{key}")).collect()
}

/// Id and epoch of the store.
async fn identity(replicas: &Replicas) -> (String, u64) {
    let all = records(&replicas.etcd).await;
    let schema = all.into_iter().find(|record| record.kind == "schema").unwrap().value;
    (schema["store_id"].as_str().unwrap().to_owned(), schema["epoch"].as_u64().unwrap())
}
