//! The reconcile of an instance on a real API server. The release backend is played, since what counts here is when it is called; the real
//! Helm has its own tests.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use allmende_crds::{LifecycleKind, ServiceInstance, ServiceInstanceStatus, Tenant, names};
use allmende_operator::{
    clock::SystemClock,
    context::Context,
    helm::{ReleaseBackend, ReleaseError, Revision, Target, Wanted, failure::translate, measured::Measured},
    instance::{Tools, controller},
    metrics::{self, Metrics, Verb},
    settings::Policy,
};
use allmende_testkit::{kubernetes::TestKubernetes, log::Log};
use async_trait::async_trait;
use k8s_openapi::{
    api::core::v1::{Namespace, Secret, ServiceAccount},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, CustomResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

const SERVICES: &str = "m-05766044-prod-svc";
const WORKSPACE: &str = "m-05766044-prod";

/// Notes each call; fails or hangs when told to.
#[derive(Clone, Default)]
struct Played {
    calls: Arc<Mutex<Vec<String>>>,
    failure: Arc<Mutex<Option<String>>>,
    /// When there is one, a run ends only with a permit of it.
    gate: Arc<Mutex<Option<Arc<Semaphore>>>>,
}

impl Played {
    fn note(&self, call: &str) {
        self.calls.lock().unwrap().push(call.to_owned());
    }

    fn count(&self, call: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|noted| *noted == call).count()
    }
}

#[async_trait]
impl ReleaseBackend for Played {
    async fn history(&self, _: &Target) -> Result<Vec<Revision>, ReleaseError> {
        Ok(Vec::new())
    }

    async fn install(&self, _: &Target, wanted: &Wanted) -> Result<(), ReleaseError> {
        let values: serde_json::Value = serde_json::from_str(&wanted.values).unwrap();
        assert_eq!(values["fullnameOverride"], "db", "platform values have the last word");
        assert_eq!(values["platform"]["workspaceNamespace"], WORKSPACE);
        self.note("install");
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        let failure = self.failure.lock().unwrap().clone();
        failure.map_or(Ok(()), |output| Err(translate(&output)))
    }

    async fn upgrade(&self, _: &Target, _: &Wanted) -> Result<(), ReleaseError> {
        self.note("upgrade");
        Ok(())
    }

    async fn rollback(&self, _: &Target, _: i64) -> Result<(), ReleaseError> {
        self.note("rollback");
        Ok(())
    }

    async fn uninstall(&self, _: &Target) -> Result<(), ReleaseError> {
        self.note("uninstall");
        let failure = self.failure.lock().unwrap().clone();
        failure.map_or(Ok(()), |output| Err(translate(&output)))
    }
}

struct World {
    _kubernetes: TestKubernetes,
    client: Client,
    played: Played,
    metrics: Metrics,
    shutdown: CancellationToken,
    _leader: watch::Sender<bool>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl World {
    async fn new() -> Self {
        allmende_identity::install_crypto_provider();
        let kubernetes = TestKubernetes::start_without_controllers().await;
        let client = Client::try_from(kubernetes.admin().await).unwrap();
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        for crd in [Tenant::crd(), ServiceInstance::crd()] {
            crds.create(&PostParams::default(), &crd).await.unwrap();
        }
        let namespaces: Api<Namespace> = Api::all(client.clone());
        for name in [SERVICES, WORKSPACE] {
            let namespace = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
            namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), SERVICES);
        let account =
            serde_json::from_value(json!({ "metadata": { "name": names::RELEASE_ACCOUNT } })).unwrap();
        accounts.create(&PostParams::default(), &account).await.unwrap();
        let instances = Api::<ServiceInstance>::all(client.clone());
        until("the kind is served", || async { instances.list(&Default::default()).await.is_ok() }).await;
        let (played, shutdown) = (Played::default(), CancellationToken::new());
        let (leader, leads) = watch::channel(true);
        let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
        let clock = Arc::new(SystemClock);
        // What others did to a secret is found by looking again.
        let policy = Policy { resync_seconds: 1, ..Policy::default() };
        let context = Context::new(client.clone(), "test", policy, metrics.clone(), clock, leads);
        let backend = Measured { backend: Arc::new(played.clone()), metrics: metrics.helm.clone() };
        let tools = Tools { context, backend: Arc::new(backend) };
        tokio::spawn(controller::run(tools, shutdown.clone()));
        Self { _kubernetes: kubernetes, client, played, metrics, shutdown, _leader: leader }
    }

    fn instances(&self) -> Api<ServiceInstance> {
        Api::namespaced(self.client.clone(), SERVICES)
    }

    async fn order(&self) {
        let spec = json!({
            "member": "m-05766044", "tenant": "prod", "instance": "db", "namespace": WORKSPACE,
            "offering": "postgresql", "version": "1.0.0", "plan": "small",
            "chart": format!("oci://127.0.0.1:5000/charts/x@sha256:{}", "a".repeat(64)),
            "valuesJson": "{\"fullnameOverride\":\"mine\"}",
            "footprint": { "cpuMilli": 1, "memoryBytes": 1, "storageBytes": 1, "pods": 1 },
            "timeoutSeconds": 60,
            "secretFields": [{ "key": "password", "bound": true }, { "key": "root", "bound": false }],
            "bindingSecret": "db-binding",
            "bindingFields": { "host": "{service}.{services_namespace}.svc" },
            "desired": { "storeId": "s", "epoch": 1, "generation": 1, "uid": "u", "deleting": false,
                         "name": "members/m-05766044/tenants/prod/instances/db" },
        });
        let mut instance = ServiceInstance::new("db", serde_json::from_value(spec).unwrap());
        instance.metadata.finalizers = Some(vec![names::FINALIZER.to_owned()]);
        self.instances().create(&PostParams::default(), &instance).await.unwrap();
    }

    async fn is_ready(&self, wanted: &str) -> bool {
        let status = self.instances().get("db").await.unwrap().status.unwrap_or_default();
        status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == wanted)
    }

    async fn secret(&self, namespace: &str, name: &str) -> Option<Secret> {
        Api::<Secret>::namespaced(self.client.clone(), namespace).get_opt(name).await.unwrap()
    }

    async fn status(&self) -> ServiceInstanceStatus {
        self.instances().get("db").await.unwrap().status.unwrap_or_default()
    }

    async fn change(&self, spec: serde_json::Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.instances().patch("db", &PatchParams::default(), &patch).await.unwrap();
    }

    async fn say_deleting(&self) {
        let patch = json!({ "spec": { "desired": { "deleting": true, "generation": 2 } } });
        self.instances().patch("db", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    async fn is_gone(&self) -> bool {
        self.instances().get_opt("db").await.unwrap().is_none()
    }
}

async fn until<F, Fut>(what: &str, condition: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let asked = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(40), asked).await.is_ok(), "not in time: {what}");
}

#[tokio::test]
async fn an_order_becomes_ready_by_one_run_and_a_lost_binding_is_made_again_without_one() {
    let world = World::new().await;
    world.order().await;
    until("ready", || async { world.is_ready("True").await }).await;
    let binding = world.secret(WORKSPACE, "db-binding").await.unwrap().data.unwrap();
    let keys: Vec<&str> = binding.keys().map(String::as_str).collect();
    assert_eq!(keys, ["host", "password"], "what is not bound stays where it is");
    let credentials = world.secret(SERVICES, "db-credentials").await.unwrap().data.unwrap();
    assert_eq!(credentials["password"], binding["password"]);
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), WORKSPACE);
    secrets.delete("db-binding", &DeleteParams::default()).await.unwrap();
    until("the binding is back", || async { world.secret(WORKSPACE, "db-binding").await.is_some() }).await;
    assert_eq!(
        world.secret(WORKSPACE, "db-binding").await.unwrap().data.unwrap(),
        binding,
        "the same password"
    );
    assert_eq!((world.played.count("install"), world.played.count("upgrade")), (1, 0));
    let status = world.instances().get("db").await.unwrap().status.unwrap();
    assert_eq!(status.lifecycle.len(), 1, "ready counts once");
}

#[tokio::test]
async fn a_generated_password_is_in_its_secrets_and_in_nothing_that_anybody_else_reads() {
    let world = World::new().await;
    let log = Log::set("debug,allmende_operator=trace,allmende_crds=trace");
    *world.played.failure.lock().unwrap() = Some("Error: exceeded quota: allmende".to_owned());
    world.order().await;
    until("a failure is told", || async { world.status().await.release.attempts == 1 }).await;
    *world.played.failure.lock().unwrap() = None;
    world.change(json!({ "retryNonce": 1, "desired": { "generation": 2 } })).await;
    until("ready", || async { world.is_ready("True").await }).await;
    let data = world.secret(SERVICES, "db-credentials").await.unwrap().data.unwrap();
    let secrets: Vec<String> =
        ["password", "root"].map(|key| String::from_utf8(data[key].0.clone()).unwrap()).into();
    assert_ne!(secrets[0], secrets[1]);

    let instance = serde_json::to_string(&world.instances().get("db").await.unwrap()).unwrap();
    let events = Api::<k8s_openapi::api::events::v1::Event>::all(world.client.clone());
    until("events are told", || async { !events.list(&Default::default()).await.unwrap().items.is_empty() })
        .await;
    let events = serde_json::to_string(&events.list(&Default::default()).await.unwrap().items).unwrap();
    let log = log.text();
    assert!(log.contains("run failed") && log.contains("DEBUG"), "the log is whole: {log}");
    for (place, text) in [("object", &instance), ("events", &events), ("log", &log)] {
        for secret in &secrets {
            let piece = |at: usize| text.contains(&secret[at..at + 12]);
            assert!(!(0..secret.len() - 12).any(piece), "a password is in the {place}");
        }
    }
}

#[tokio::test]
async fn a_failed_run_is_told_in_words_and_a_retry_does_not_wait_for_the_pause() {
    let world = World::new().await;
    *world.played.failure.lock().unwrap() = Some("Error: exceeded quota: allmende".to_owned());
    world.order().await;
    until("the failure is told", || async {
        let status = world.instances().get("db").await.unwrap().status.unwrap_or_default();
        status.release.attempts == 1
            && status.message.contains("Kontingent")
            && status.release.next_retry_time.is_some()
    })
    .await;
    *world.played.failure.lock().unwrap() = None;
    let patch = json!({ "spec": { "retryNonce": 1, "desired": { "generation": 2 } } });
    world.instances().patch("db", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    until("ready", || async { world.is_ready("True").await }).await;
    let status = world.instances().get("db").await.unwrap().status.unwrap();
    assert_eq!((status.release.attempts, status.observed_desired_generation), (0, 2));
}

#[tokio::test]
async fn only_a_deleting_record_ends_an_instance_and_it_ends_a_run_under_way() {
    let world = World::new().await;
    *world.played.gate.lock().unwrap() = Some(Arc::new(Semaphore::new(0)));
    world.order().await;
    until("the run is under way", || async { world.played.count("install") == 1 }).await;
    world.instances().delete("db", &DeleteParams::default()).await.unwrap();
    until("it waits for the record", || async {
        let instance = world.instances().get("db").await.unwrap();
        instance.status.unwrap_or_default().conditions.iter().any(|c| c.reason == "DeletionNotAllowed")
    })
    .await;
    assert_eq!(world.played.count("uninstall"), 0);
    world.say_deleting().await;
    until("it is gone", || async { world.is_gone().await }).await;
    assert_eq!(world.played.count("uninstall"), 1);
    assert!(world.secret(SERVICES, "db-credentials").await.is_none());
}

#[tokio::test]
async fn a_spec_that_changes_during_a_run_is_not_called_ready_before_its_own_run() {
    let (world, gate) = (World::new().await, Arc::new(Semaphore::new(0)));
    *world.played.gate.lock().unwrap() = Some(gate.clone());
    world.order().await;
    until("the first run is under way", || async { world.played.count("install") == 1 }).await;
    let footprint = json!({ "cpuMilli": 2, "memoryBytes": 1, "storageBytes": 1, "pods": 1 });
    world
        .change(json!({ "valuesJson": "{\"a\":1}", "footprint": footprint, "desired": { "generation": 2 } }))
        .await;
    gate.add_permits(1);
    until("the second run is under way", || async { world.played.count("install") == 2 }).await;
    let status = world.status().await;
    assert_eq!(status.observed_desired_generation, 1, "the second generation is only on its way");
    assert_eq!(status.lifecycle.len(), 1);
    gate.add_permits(1);
    until("all is as asked", || async { world.status().await.observed_desired_generation == 2 }).await;
    let status = world.status().await;
    let told: Vec<_> = status.lifecycle.iter().map(|entry| (entry.kind, entry.generation)).collect();
    assert_eq!(told, [(LifecycleKind::Ready, 1), (LifecycleKind::Resized, 2)]);
    assert_eq!(status.footprint.unwrap().cpu_milli, 2);
}

#[tokio::test]
async fn a_key_that_somebody_added_or_that_the_plan_no_longer_has_leaves_the_binding() {
    let world = World::new().await;
    world.order().await;
    until("ready", || async { world.is_ready("True").await }).await;
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), WORKSPACE);
    let more = json!({ "stringData": { "host": "elsewhere", "foreign": "x" }, "metadata": { "labels": { "of": "others" } } });
    secrets.patch("db-binding", &PatchParams::default(), &Patch::Merge(more)).await.unwrap();
    let keys = || async {
        let data = world.secret(WORKSPACE, "db-binding").await.unwrap().data.unwrap();
        data.into_iter().map(|(key, value)| format!("{key}={}", value.0.len())).collect::<Vec<_>>()
    };
    let host = "db.m-05766044-prod-svc.svc".len();
    let whole = [format!("host={host}"), "password=64".to_owned()];
    until("the foreign key is gone", || async { keys().await == whole }).await;
    world.change(json!({ "bindingFields": { "host": null }, "desired": { "generation": 2 } })).await;
    until("the plan's key is gone", || async { keys().await == whole[1..] }).await;
    let labels = world.secret(WORKSPACE, "db-binding").await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels["of"], "others", "what else stands on it stays");
}

#[tokio::test]
async fn a_removal_that_fails_is_told_in_words_and_tried_again_after_its_pause() {
    let world = World::new().await;
    world.order().await;
    until("ready", || async { world.is_ready("True").await }).await;
    *world.played.failure.lock().unwrap() = Some("Error: timed out waiting".to_owned());
    world.say_deleting().await;
    world.instances().delete("db", &DeleteParams::default()).await.unwrap();
    until("the failure is told", || async {
        let status = world.status().await;
        let deleting = status.conditions.iter().find(|condition| condition.type_ == "Deleting");
        deleting.is_some_and(|condition| condition.status == "True" && condition.reason == "ReleaseFailed")
            && status.message.contains("das Löschen gelingt noch nicht")
            && status.release.attempts == 1
            && status.release.next_retry_time.is_some()
    })
    .await;
    assert_eq!(world.played.count("uninstall"), 1);
    *world.played.failure.lock().unwrap() = None;
    until("it is gone", || async { world.is_gone().await }).await;
    assert_eq!(world.played.count("uninstall"), 2, "not every few seconds");
    let of = |failure| world.metrics.helm.runs(Verb::Uninstall, failure);
    assert_eq!((of(None), of(Some(allmende_operator::helm::Class::Failed))), (1, 1));
    let failed = metrics::Outcome::Failed(metrics::Failure::Release);
    assert_eq!(world.metrics.reconciles(metrics::Controller::Instance, failed), 1);
}
