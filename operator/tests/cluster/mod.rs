//! One API server for all tests of a binary, an operator on it whose writes can be counted, and how to wait for a condition.

#![allow(unreachable_pub, missing_docs, dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use allmende_crds::{Tenant, crd_files};
use allmende_operator::{
    clock::SystemClock,
    context::{self, Context},
    metrics::Metrics,
    settings::Policy,
    tenant,
};
use allmende_testkit::kubernetes::{AuditEntry, TestKubernetes};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell, watch};
use tokio_util::sync::CancellationToken;

static SHARED: OnceCell<TestKubernetes> = OnceCell::const_new();
/// Two operators on one API server would do each other's work, and no count of writes would mean anything.
static ALONE: Mutex<()> = Mutex::const_new(());

/// The API server that all tests of this binary share, with our definitions.
pub async fn shared() -> &'static TestKubernetes {
    SHARED
        .get_or_init(|| async {
            let kubernetes = TestKubernetes::start().await;
            install_definitions(&kubernetes, |_| {}).await;
            kubernetes
        })
        .await
}

/// Installs the definitions and waits until they are served.
pub async fn install_definitions(
    kubernetes: &TestKubernetes,
    change: impl Fn(&mut CustomResourceDefinition),
) {
    let client = Client::try_from(kubernetes.admin().await).unwrap();
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for file in crd_files().unwrap() {
        let mut definition: CustomResourceDefinition = serde_saphyr::from_str(&file.text).unwrap();
        change(&mut definition);
        api.create(&PostParams::default(), &definition).await.unwrap();
    }
    for path in ["tenants", "serviceinstances"] {
        eventually("the definitions are served", async || {
            let request = kube::core::Request::new("/apis/allmende.eu/v1alpha1")
                .list(&kube::api::ListParams::default())
                .unwrap();
            client.request_text(request).await.is_ok_and(|text| text.contains(path))
        })
        .await;
    }
}

/// A tenant controller that runs as a user of its own, the only one at its time.
pub struct Operator {
    pub user: String,
    pub client: Client,
    pub metrics: Metrics,
    pub leader: watch::Sender<bool>,
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
    _alone: MutexGuard<'static, ()>,
}

impl Operator {
    /// Starts it; every test takes another user.
    pub async fn start(kubernetes: &TestKubernetes, user: &str) -> Self {
        Self::start_as(kubernetes, user, true).await
    }

    /// Starts it with the lease or without.
    pub async fn start_as(kubernetes: &TestKubernetes, user: &str, leads: bool) -> Self {
        Self::start_with(kubernetes, user, "system:masters", leads, false).await
    }

    /// Starts it in a group of its own: with no more rights than the test gave, and giving none before it has seen the policies refuse.
    pub async fn start_in(kubernetes: &TestKubernetes, user: &str, group: &str) -> Self {
        Self::start_with(kubernetes, user, group, true, true).await
    }

    async fn start_with(
        kubernetes: &TestKubernetes,
        user: &str,
        group: &str,
        leads: bool,
        require_walls: bool,
    ) -> Self {
        let alone = ALONE.lock().await;
        let client = context::client(kubernetes.config_for(user, group).await).unwrap();
        let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
        let (leader, leads) = watch::channel(leads);
        let context = Context::new(
            client.clone(),
            user,
            Policy { require_walls, ..Policy::default() },
            metrics.clone(),
            Arc::new(SystemClock),
            leads,
        );
        let stop = CancellationToken::new();
        let task = Some(tokio::spawn(tenant::controller::run(context, stop.clone())));
        Self { user: user.to_owned(), client, metrics, leader, stop, task, _alone: alone }
    }

    /// Its accepted writes that concern one tenant, in their order.
    pub fn writes(&self, kubernetes: &TestKubernetes, tenant: &str) -> Vec<AuditEntry> {
        let services = format!("{tenant}-svc");
        let concerns = |entry: &AuditEntry| {
            [&entry.namespace, &entry.name].into_iter().any(|text| text == tenant || *text == services)
        };
        kubernetes.writes_of(&self.user).into_iter().filter(concerns).collect()
    }

    /// Ends it and waits for its end.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            task.await.unwrap();
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// A tenant as the sync writes it.
pub fn tenant(name: &str, change: impl FnOnce(&mut Value)) -> Tenant {
    let (member, id) = name.rsplit_once('-').unwrap();
    let mut object = json!({
        "apiVersion": "allmende.eu/v1alpha1",
        "kind": "Tenant",
        "metadata": { "name": name, "finalizers": ["allmende.eu/desired-deleting"] },
        "spec": {
            "member": member,
            "tenant": id,
            "memberDisplayName": "Musterstadt",
            "workspaceQuota": { "cpuMilli": 2000, "memoryBytes": 5_000_000_000_i64, "storageBytes": 10_737_418_240_i64, "pods": 20 },
            "servicesQuota": { "cpuMilli": 1500, "memoryBytes": 1_073_741_824, "storageBytes": 0, "pods": 5 },
            "groupBindings": [{ "group": format!("allmende:{member}:admin"), "role": "admin" }],
            "desired": {
                "storeId": "store", "epoch": 1, "generation": 1, "uid": format!("uid-{name}"), "deleting": false,
                "name": format!("members/{member}/tenants/{id}"),
            },
        },
    });
    change(&mut object);
    serde_json::from_value(object).unwrap()
}

/// Creates a tenant as the administrator.
pub async fn create(kubernetes: &TestKubernetes, tenant: &Tenant) -> Api<Tenant> {
    let api = tenants(kubernetes).await;
    api.create(&PostParams::default(), tenant).await.unwrap();
    api
}

/// Tenants, as the administrator.
pub async fn tenants(kubernetes: &TestKubernetes) -> Api<Tenant> {
    Api::all(admin(kubernetes).await)
}

/// The administrator.
pub async fn admin(kubernetes: &TestKubernetes) -> Client {
    Client::try_from(kubernetes.admin().await).unwrap()
}

/// Status and reason of a condition, `-` when it is not there.
pub fn condition(tenant: &Tenant, kind: &str) -> (String, String) {
    let conditions = tenant.status.iter().flat_map(|status| &status.conditions);
    conditions
        .filter(|condition| condition.type_ == kind)
        .map(|condition| (condition.status.clone(), condition.reason.clone()))
        .next()
        .unwrap_or_else(|| ("-".to_owned(), "-".to_owned()))
}

/// Waits until a tenant's condition has this status and reason, for the generation that it has now.
pub async fn until_condition(
    api: &Api<Tenant>,
    name: &str,
    kind: &str,
    status: &str,
    reason: &str,
) -> Tenant {
    let seen = std::cell::RefCell::new(None);
    let reached = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let tenant = api.get(name).await.unwrap();
            let observed = tenant.status.as_ref().map(|status| status.observed_generation);
            if condition(&tenant, kind) == (status.to_owned(), reason.to_owned())
                && observed == tenant.metadata.generation
            {
                return tenant;
            }
            seen.replace(tenant.status);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    reached
        .await
        .unwrap_or_else(|_| panic!("never {name}: {kind}={status} {reason}; it is {:#?}", seen.take()))
}

/// Waits for a condition, at most a minute.
pub async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait)
        .await
        .unwrap_or_else(|_| panic!("never happened: {what}"));
}
