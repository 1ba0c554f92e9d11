//! The preflight against a real API server: what it finds with the rights of its chart, and that it leaves nothing behind. There is no
//! kubelet, so the network cannot be tried: that must end as not proven, in time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "walls/chart.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of it is used here")]
mod chart;
mod cluster;

use std::{
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use allmende_operator::{
    clock::{Clock, SystemClock},
    preflight::{
        self, keep,
        report::{Report, State},
        settings::PreflightSettings,
    },
};
use allmende_testkit::{etcd::tool, kubernetes::TestKubernetes};
use clap::Parser;
use cluster::{admin, eventually, install_definitions};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingAdmissionPolicyBinding},
    core::v1::{ConfigMap, Namespace, Pod},
    networking::v1::NetworkPolicy,
    storage::v1::StorageClass,
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

const ROOM: &str = "allmende-preflight";
const ACCOUNT: &str = "system:serviceaccount:allmende-preflight:allmende-operator-preflight";

fn settings(arguments: &[&str]) -> PreflightSettings {
    PreflightSettings::parse_from([&["preflight"], arguments].concat())
}

/// With pods that are given up after two seconds.
fn with_pods() -> PreflightSettings {
    settings(&["--image", "registry.example.org/allmende/operator:0.1.0", "--pods-within", "2"])
}

async fn look(client: &Client, settings: &PreflightSettings) -> Report {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    preflight::look(client, settings, &clock, std::future::pending()).await.unwrap()
}

fn found(report: &Report, id: &str) -> (State, String) {
    let check = report.checks.iter().find(|check| check.id == id).unwrap();
    (check.state, check.detail.clone())
}

/// Whether a probe's pods and policies are gone.
async fn nothing_is_left(client: &Client) -> bool {
    let all = ListParams::default();
    let pods = Api::<Pod>::namespaced(client.clone(), ROOM).list(&all).await.unwrap().items;
    let policies = Api::<NetworkPolicy>::namespaced(client.clone(), ROOM).list(&all).await.unwrap().items;
    // The chart's own Job waits there for a kubelet.
    pods.iter().all(|pod| pod.metadata.generate_name.is_some()) && policies.is_empty()
}

/// Everything of the chart that the preflight has.
fn install_preflight(kubernetes: &TestKubernetes) {
    let chart = chart::chart();
    let rendered = Command::new(tool("helm"))
        .args(["template", "allmende-operator"])
        .arg(&chart)
        .args(["--namespace", chart::NAMESPACE, "-s", "templates/preflight.yaml", "--values"])
        .arg(chart.join("tests/default.yaml"))
        .output()
        .unwrap();
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    let file = kubernetes.folder().join("preflight.yaml");
    std::fs::write(&file, rendered.stdout).unwrap();
    let applied = Command::new(tool("kubectl"))
        .arg("--kubeconfig")
        .arg(kubernetes.kubeconfig())
        .args(["apply", "-f"])
        .arg(&file)
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
}

#[tokio::test]
async fn the_charts_account_may_do_what_the_preflight_does_and_nothing_more() {
    let kubernetes = TestKubernetes::start().await;
    install_definitions(&kubernetes, |_| {}).await;
    chart::install(&kubernetes, &chart::chart().join("tests/default.yaml")).await;
    install_preflight(&kubernetes);
    let client = Client::try_from(kubernetes.config_for(ACCOUNT, "system:serviceaccounts").await).unwrap();

    let report = look(&client, &with_pods()).await;
    let (state, detail) = found(&report, "admission-policy");
    assert_eq!(state, State::Passed, "{detail}");
    let (state, detail) = found(&report, "network-policy");
    assert_eq!(state, State::NotProven);
    assert!(detail.contains("did not run within 2 s"), "{detail}");
    assert_eq!(found(&report, "kubernetes-version").0, State::Passed);
    assert_eq!(found(&report, "clock").0, State::Passed);
    assert_eq!(found(&report, "webhooks"), (State::Passed, "there are none".to_owned()));
    assert_eq!(found(&report, "storage-class").0, State::Failed);
    let admin = admin(&kubernetes).await;
    eventually("the probe's pods are gone", async || nothing_is_left(&admin).await).await;

    keep::save(&client, chart::NAMESPACE, &report).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), chart::NAMESPACE);
    assert_eq!(keep::read(&maps.get(preflight::NAME).await.unwrap()), Some(report));
    let allowed: Vec<_> = kubernetes
        .audit()
        .into_iter()
        .filter(|entry| entry.user == ACCOUNT && entry.code == 403)
        .map(|entry| (entry.verb, entry.name))
        .collect();
    let canary = ("patch".to_owned(), "allmende-preflight-canary".to_owned());
    assert_eq!(allowed, [canary], "nothing but the canary is refused, and that by the policy");

    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "allmende-sync"}, "data": {"epoch": "9"}});
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), chart::NAMESPACE);
    let refused =
        maps.patch("allmende-sync", &PatchParams::apply("x"), &Patch::Apply(other)).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 403));
    let pods: Api<Pod> = Api::namespaced(client, chart::NAMESPACE);
    let pod = serde_json::from_value(
        json!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "image": "x"}]}}),
    )
    .unwrap();
    let refused = pods.create(&PostParams::default(), &pod).await.unwrap_err();
    assert!(
        matches!(refused, kube::Error::Api(status) if status.code == 403),
        "no pod beside the operator's account"
    );
}

#[tokio::test]
async fn a_bare_cluster_is_looked_at_by_hand_and_left_as_it_was() {
    let kubernetes = TestKubernetes::start().await;
    let client = admin(&kubernetes).await;
    let report = look(&client, &with_pods()).await;
    assert_eq!(found(&report, "admission-policy").0, State::NotProven);
    assert_eq!(found(&report, "network-policy").0, State::NotProven);
    let namespaces: Api<Namespace> = Api::all(client.clone());
    eventually("its namespace is gone", async || namespaces.get_opt(ROOM).await.unwrap().is_none()).await;

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let patient = PreflightSettings { pods_within: 600, ..with_pods() };
    let stop = async {
        let pods: Api<Pod> = Api::namespaced(client.clone(), ROOM);
        eventually("a pod waits", async || {
            !pods.list(&ListParams::default()).await.unwrap().items.is_empty()
        })
        .await;
    };
    let stopped = preflight::look(&client, &patient, &clock, stop).await.unwrap();
    assert!(found(&stopped, "network-policy").1.contains("it was stopped"));
    eventually("its namespace is gone", async || namespaces.get_opt(ROOM).await.unwrap().is_none()).await;
}

#[tokio::test]
async fn what_somebody_changed_for_the_worse_is_found() {
    let kubernetes = TestKubernetes::start_without_controllers().await;
    install_definitions(&kubernetes, |_| {}).await;
    chart::install(&kubernetes, &chart::chart().join("tests/default.yaml")).await;
    let client = admin(&kubernetes).await;
    let quick = settings(&[]);
    let report = look(&client, &quick).await;
    assert_eq!(found(&report, "admission-policy").0, State::Passed);
    assert_eq!(found(&report, "network-policy").0, State::NotProven, "without an image it is not tried");

    let classes: Api<StorageClass> = Api::all(client.clone());
    let class = json!({"metadata": {"name": "disks", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "rbd.csi.ceph.com", "parameters": {"encrypted": "true"}});
    classes.create(&PostParams::default(), &serde_json::from_value(class).unwrap()).await.unwrap();
    let hooks: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let hook = json!({"metadata": {"name": "rewriter"}, "webhooks": [{"name": "rewriter.example.org", "admissionReviewVersions": ["v1"],
        "sideEffects": "None", "failurePolicy": "Ignore", "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [{"apiGroups": ["networking.k8s.io"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]}]});
    hooks.create(&PostParams::default(), &serde_json::from_value(hook).unwrap()).await.unwrap();
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let audit = json!({"spec": {"validationActions": ["Audit"]}});
    let name = "allmende-operator-namespace-labels";
    bindings.patch(name, &PatchParams::default(), &Patch::Merge(audit)).await.unwrap();

    let report = look(&client, &quick).await;
    assert_eq!(found(&report, "storage-class"), (State::Passed, "disks".to_owned()));
    assert_eq!(found(&report, "storage-encryption").0, State::Passed);
    let (state, detail) = found(&report, "webhooks");
    assert!(state == State::Failed && detail.contains("rewriter.example.org"), "{detail}");
    let (state, detail) = found(&report, "admission-policy");
    assert!(state == State::Failed && detail.contains(name), "{detail}");
}

#[tokio::test]
async fn the_program_prints_its_report_and_its_exit_code_says_what_it_means() {
    let kubernetes = TestKubernetes::start_without_controllers().await;
    let program = |kubeconfig: std::path::PathBuf, arguments: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_allmende-operator"));
        command.args(arguments).env_clear().env("KUBECONFIG", kubeconfig).kill_on_drop(true);
        async move { tokio::time::timeout(Duration::from_secs(120), command.output()).await.unwrap().unwrap() }
    };
    let output = program(kubernetes.kubeconfig(), &["preflight", "-o", "json"]).await;
    assert_eq!(output.status.code(), Some(1), "there is no storage class");
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report.has_failed() && report.checks.len() == 9, "{report:?}");
    let job = program(kubernetes.kubeconfig(), &["preflight", "--always-succeed"]).await;
    assert_eq!(job.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&job.stdout).contains("✗ failed      Default storage class"));

    let nowhere = kubernetes.folder().join("nowhere");
    let text = std::fs::read_to_string(kubernetes.kubeconfig()).unwrap();
    let start = text.find("https://127.0.0.1:").unwrap() + "https://127.0.0.1:".len();
    let port: String = text[start..].chars().take_while(char::is_ascii_digit).collect();
    std::fs::write(&nowhere, text.replace(&format!(":{port}\""), ":1\"")).unwrap();
    let unreached = program(nowhere, &["preflight"]).await;
    assert_eq!(unreached.status.code(), Some(2));
    assert!(unreached.stdout.is_empty());
    let usage = program(kubernetes.kubeconfig(), &["--cluster", "local-1"]).await;
    assert_eq!(usage.status.code(), Some(2), "the operator itself still needs its settings");
}
