//! The network probe from its first pod to its verdict, on a real API server. The test plays the kubelet: it says how pods ended as a cluster
//! would on which policies are enforced, half enforced or not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;

use std::{sync::Arc, time::Duration};

use allmende_operator::{
    clock::{Clock, SystemClock},
    preflight::{
        network::{self, Experiment},
        probe::UNEXPECTED,
        report::{State, Verdict},
    },
};
use allmende_testkit::kubernetes::TestKubernetes;
use cluster::admin;
use k8s_openapi::api::{core::v1::Pod, networking::v1::NetworkPolicy};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

const ROOM: &str = "allmende-preflight";
const ROLE: &str = "allmende.eu/preflight-role";

/// Runs pods for ever: listeners run, a client of a role in `unexpected` sees what it should not.
async fn play_kubelet(client: Client, unexpected: &'static [&'static str]) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), ROOM);
    let policies: Api<NetworkPolicy> = Api::namespaced(client, ROOM);
    loop {
        for pod in pods.list(&ListParams::default()).await.unwrap().items {
            if pod.status.iter().any(|status| status.container_statuses.is_some()) {
                continue;
            }
            let (name, labels) = (pod.metadata.name.unwrap(), pod.metadata.labels.unwrap());
            let role = labels[ROLE].as_str();
            let sealed = policies.list(&ListParams::default()).await.unwrap().items.len();
            let wanted = if matches!(role, "outside" | "held") { 2 } else { 0 };
            let (phase, state) = match role {
                "open" | "guarded" => ("Running", json!({"running": {}})),
                // Each client comes when the policies are as it needs them.
                _ if sealed != wanted => ("Failed", json!({"terminated": {"exitCode": 99}})),
                role if unexpected.contains(&role) => {
                    ("Failed", json!({"terminated": {"exitCode": UNEXPECTED}}))
                }
                _ => ("Succeeded", json!({"terminated": {"exitCode": 0}})),
            };
            let container = json!({"name": "probe", "image": "x", "imageID": "x", "ready": false, "restartCount": 0, "state": state});
            let status = json!({"status": {"phase": phase, "podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}], "containerStatuses": [container]}});
            // It may be gone meanwhile.
            let _ = pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn verdict(client: &Client, unexpected: &'static [&'static str]) -> Verdict {
    let kubelet = tokio::spawn(play_kubelet(client.clone(), unexpected));
    let experiment = Experiment {
        image: "registry.example.org/allmende/operator:0.1.0".into(),
        pull_secrets: vec!["registry".into()],
        namespace: ROOM.into(),
        pods_within: Duration::from_secs(30),
        enforced_within: Duration::from_secs(1),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let verdict = network::check(client, &experiment, &clock, std::future::pending()).await;
    kubelet.abort();
    let all = ListParams::default();
    let pods = Api::<Pod>::namespaced(client.clone(), ROOM).list(&all).await.unwrap().items;
    let policies = Api::<NetworkPolicy>::namespaced(client.clone(), ROOM).list(&all).await.unwrap().items;
    assert!(pods.is_empty() && policies.is_empty(), "something is left: {}", verdict.detail);
    verdict
}

#[tokio::test]
async fn the_verdict_follows_from_what_the_pods_saw_and_nothing_is_left() {
    let kubernetes = TestKubernetes::start().await;
    let client = admin(&kubernetes).await;
    let room = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ROOM,
        "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    namespaces.patch(ROOM, &PatchParams::apply("test"), &Patch::Apply(room)).await.unwrap();

    let cases: [(&[&str], State, &str); 6] = [
        (&[], State::Passed, "in both directions"),
        (
            &["outside", "held"],
            State::Failed,
            "nobody may reach was reached, and a pod that may reach nobody",
        ),
        (&["outside"], State::Failed, "a pod that nobody may reach was reached"),
        (&["held"], State::Failed, "a pod that may reach nobody reached another"),
        (&["before"], State::NotProven, "even without a policy"),
        (&["after"], State::NotProven, "stayed blocked"),
    ];
    for (unexpected, state, text) in cases {
        let verdict = verdict(&client, unexpected).await;
        assert_eq!(verdict.state, state, "{unexpected:?}: {}", verdict.detail);
        assert!(verdict.detail.contains(text), "{}", verdict.detail);
    }
}
