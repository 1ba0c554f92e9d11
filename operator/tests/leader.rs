//! The election on a real API server: one leads, and who cannot renew stops before another may begin.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cluster;

use std::{sync::Arc, time::Duration};

use allmende_operator::{
    clock::SystemClock,
    leader::{Candidate, LeaseLost, Times},
};
use cluster::{admin, eventually, shared};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

const TIMES: Times = Times {
    lease: Duration::from_millis(3000),
    give_up: Duration::from_millis(1500),
    every: Duration::from_millis(200),
};

struct Running {
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), LeaseLost>>,
}

/// Each test has a namespace of its own, and so a lease of its own.
async fn place(name: &str) -> Client {
    let client = admin(shared().await).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    namespaces.patch(name, &PatchParams::apply("test"), &Patch::Apply(namespace)).await.unwrap();
    client
}

fn start(client: &Client, namespace: &str, identity: &str) -> Running {
    let (candidate, leads) =
        Candidate::new(client.clone(), namespace, identity.to_owned(), TIMES, Arc::new(SystemClock));
    let stop = CancellationToken::new();
    Running { leads, stop: stop.clone(), task: tokio::spawn(candidate.run(stop)) }
}

async fn until_leads(running: &mut Running) {
    tokio::time::timeout(Duration::from_secs(30), running.leads.wait_for(|leads| *leads))
        .await
        .expect("leads within the time")
        .expect("the candidate runs");
}

#[tokio::test]
async fn only_one_leads_and_a_lease_that_is_given_back_is_taken_at_once() {
    let client = place("lease-given").await;
    let mut first = start(&client, "lease-given", "first");
    until_leads(&mut first).await;
    let mut second = start(&client, "lease-given", "second");
    // The second has looked several times when the first has renewed.
    let leases: Api<Lease> = Api::namespaced(client.clone(), "lease-given");
    let renewed = leases.get("allmende-operator").await.unwrap().spec.unwrap().renew_time;
    eventually("the first renews", async || {
        leases.get("allmende-operator").await.unwrap().spec.unwrap().renew_time != renewed
    })
    .await;
    assert!(!*second.leads.borrow());
    first.stop.cancel();
    assert!(first.task.await.unwrap().is_ok());
    let given_back = std::time::Instant::now();
    until_leads(&mut second).await;
    assert!(given_back.elapsed() < TIMES.lease, "the second waited for a lease that had been given back");
    second.stop.cancel();
    second.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_lease_that_nobody_renews_is_taken_after_its_time() {
    let client = place("lease-old").await;
    let mut first = start(&client, "lease-old", "first");
    until_leads(&mut first).await;
    first.task.abort();
    let mut second = start(&client, "lease-old", "second");
    until_leads(&mut second).await;
    let leases: Api<Lease> = Api::namespaced(client, "lease-old");
    let holder = leases.get("allmende-operator").await.unwrap().spec.unwrap().holder_identity;
    assert_eq!(holder.as_deref(), Some("second"));
}

#[tokio::test]
async fn a_leader_whose_lease_was_taken_stops_leading_and_says_so() {
    let client = place("lease-taken").await;
    let mut running = start(&client, "lease-taken", "first");
    until_leads(&mut running).await;
    let leases: Api<Lease> = Api::namespaced(client, "lease-taken");
    let taken = json!({"spec": {"holderIdentity": "another"}});
    eventually("the lease is taken", async || {
        let patch = Patch::Merge(&taken);
        leases.patch("allmende-operator", &PatchParams::default(), &patch).await.is_ok()
    })
    .await;
    let ended = tokio::time::timeout(Duration::from_secs(30), running.task).await.unwrap().unwrap();
    assert!(ended.is_err());
    assert!(!*running.leads.borrow());
}

#[tokio::test]
async fn a_leader_that_cannot_reach_the_api_server_stops_before_the_lease_is_free() {
    let kubernetes = allmende_testkit::kubernetes::TestKubernetes::start_without_controllers().await;
    let client = admin(&kubernetes).await;
    let mut running = start(&client, "default", "first");
    until_leads(&mut running).await;
    let away = std::time::Instant::now();
    tokio::task::spawn_blocking(move || drop(kubernetes)).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), running.task).await.unwrap().unwrap();
    assert!(ended.is_err());
    assert!(!*running.leads.borrow());
    assert!(away.elapsed() < TIMES.lease, "it led for {:?}, longer than the lease lasts", away.elapsed());
}
