//! A cluster with two members behind the walls: Wiehl, from whose place people try to get out, and Lemgo, where they try to get in.

use std::collections::BTreeMap;

use allmende_crds::Tenant;
use allmende_testkit::kubernetes::TestKubernetes;
use http::Request;
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use super::{
    ask::{Answer, Ask, Who},
    chart,
    objects::{account, binding, claim, named, pod, service},
};
use crate::cluster::{Operator, admin, eventually, install_definitions, tenant, until_condition};

/// Wiehl's workspace.
pub const OWN: &str = "m-05374048-prod";
/// Wiehl's services.
pub const OWN_SERVICES: &str = "m-05374048-prod-svc";
/// Lemgo's workspace.
pub const OTHER: &str = "m-05766044-prod";
/// Lemgo's services.
pub const OTHER_SERVICES: &str = "m-05766044-prod-svc";
/// Namespaces of the cluster itself.
pub const SYSTEM: [&str; 3] = [chart::NAMESPACE, "default", "kube-system"];

/// The namespace of the preflight's probes.
pub const PREFLIGHT: &str = "allmende-preflight";

/// The cluster and who may ask it.
pub struct Yard {
    pub kubernetes: TestKubernetes,
    pub administrator: Client,
    callers: BTreeMap<Who, (String, Client)>,
    pub operator: Operator,
}

impl Yard {
    pub async fn open() -> Self {
        let kubernetes = TestKubernetes::start().await;
        install_definitions(&kubernetes, |_| {}).await;
        let values = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/walls/values.yaml");
        chart::install(&kubernetes, &values).await;
        let operator = Operator::start_in(&kubernetes, chart::OPERATOR, "system:serviceaccounts").await;
        let administrator = admin(&kubernetes).await;
        let mut yard = Self { kubernetes, administrator, callers: BTreeMap::new(), operator };
        yard.place_storage().await;
        yard.place_tenants().await;
        yard.place_people().await;
        yard.place_content().await;
        yard
    }

    /// Name of a caller as the audit log has it.
    pub fn name(&self, who: Who) -> &str {
        &self.callers[&who].0
    }

    pub fn client(&self, who: Who) -> &Client {
        &self.callers[&who].1
    }

    /// Sends one request under an id of the caller's choice.
    pub async fn send(&self, ask: &Ask, id: &str) -> Answer {
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(&ask.path)
            .header(http::header::CONTENT_TYPE, ask.kind)
            .header("Audit-ID", id);
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        let request = request.body(ask.body.clone().into_bytes()).unwrap();
        match self.client(ask.who).request_text(request).await {
            Ok(text) => Answer { code: 200, text },
            Err(kube::Error::Api(status)) => Answer { code: status.code, text: status.message.clone() },
            Err(error) => panic!("{}: {error}", ask.line()),
        }
    }

    /// Sends what must be let through.
    pub async fn allowed(&self, ask: &Ask) -> Value {
        let answer = self.send(ask, "allowed").await;
        assert_eq!(answer.code, 200, "{}: {}", ask.line(), answer.text);
        serde_json::from_str(&answer.text).unwrap_or_default()
    }

    /// What is there now, as an administrator sees it.
    pub async fn read(&self, path: &str) -> Value {
        let request = Request::get(path).body(Vec::new()).unwrap();
        self.administrator.request(request).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn place_storage(&self) {
        for name in ["standard", "gold"] {
            let class =
                named("storage.k8s.io/v1", "StorageClass", name, json!({"provisioner": "example.org/none"}));
            self.post_as_cluster("/apis/storage.k8s.io/v1/storageclasses", &class).await;
        }
    }

    async fn place_tenants(&self) {
        let api: Api<Tenant> = Api::all(self.operator.client.clone());
        for name in [OWN, OTHER] {
            let ordered = tenant(name, |object| {
                let member = object["spec"]["member"].clone();
                let group = |role: &str| format!("allmende:{}:{role}", member.as_str().unwrap());
                object["spec"]["services"] = json!(true);
                object["spec"]["groupBindings"] = json!([
                    {"group": group("admin"), "role": "admin"}, {"group": group("viewer"), "role": "viewer"},
                ]);
            });
            api.create(&PostParams::default(), &ordered).await.unwrap();
        }
        for name in [OWN, OTHER] {
            until_condition(&api, name, "Ready", "True", "Converged").await;
        }
    }

    async fn place_people(&mut self) {
        let people = [
            (Who::Admin, "m-05374048-admin", "allmende:m-05374048:admin"),
            (Who::Viewer, "m-05374048-viewer", "allmende:m-05374048:viewer"),
            (Who::Neighbour, "m-05766044-admin", "allmende:m-05766044:admin"),
            (Who::Cluster, "cluster-administrator", "system:masters"),
            (Who::Kubernetes, "system:serviceaccount:kube-system:namespace-controller", "system:masters"),
        ];
        for (who, user, group) in people {
            let client = Client::try_from(self.kubernetes.config_for(user, group).await).unwrap();
            self.callers.insert(who, (user.to_owned(), client));
        }
        self.callers.insert(Who::Operator, (chart::OPERATOR.to_owned(), self.operator.client.clone()));
        self.callers.insert(Who::Nobody, ("system:anonymous".to_owned(), self.with_user(json!({})).await));
        // The widest role that an admin can give to an account, given by the admin.
        let app = named("v1", "ServiceAccount", "app", json!({}));
        self.allowed(&Ask::post(Who::Admin, core(OWN, "serviceaccounts"), &app)).await;
        let widest = binding("app", "ClusterRole", "allmende:workspace-admin", json!([account("app", OWN)]));
        self.allowed(&Ask::post(Who::Admin, rights(OWN, "rolebindings"), &widest)).await;
        for (who, namespace, name) in
            [(Who::Account, OWN, "app"), (Who::Release, OWN_SERVICES, "allmende-release")]
        {
            let client = self.with_token(namespace, name).await;
            self.callers.insert(who, (format!("system:serviceaccount:{namespace}:{name}"), client));
        }
    }

    /// Tokens are minted by the operator for releases and by a node for pods; here the operator's client and the administrator stand in.
    async fn with_token(&self, namespace: &str, name: &str) -> Client {
        let request = named(
            "authentication.k8s.io/v1",
            "TokenRequest",
            "",
            json!({"spec": {"expirationSeconds": 3600}}),
        );
        let path = core(namespace, &format!("serviceaccounts/{name}/token"));
        let minter = if name == "app" { &self.administrator } else { &self.operator.client };
        let request = Request::post(path).body(request.to_string().into_bytes()).unwrap();
        let answer: Value = minter.request(request).await.unwrap();
        self.with_user(json!({"token": answer["status"]["token"]})).await
    }

    async fn with_user(&self, user: Value) -> Client {
        let text = std::fs::read_to_string(self.kubernetes.kubeconfig()).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config["users"][0]["user"] = user;
        let kubeconfig = Kubeconfig::from_yaml(&config.to_string()).unwrap();
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        config.default_retry = false;
        Client::try_from(config).unwrap()
    }

    /// What there is to steal and to change, in both places.
    async fn place_content(&self) {
        for (who, namespace) in [(Who::Admin, OWN), (Who::Neighbour, OTHER)] {
            self.allowed(&Ask::post(who, core(namespace, "pods"), &pod("web", |_| {}))).await;
            self.allowed(&Ask::post(who, core(namespace, "services"), &service("web", json!({})))).await;
            for name in ["db-secret", "second"] {
                let secret =
                    named("v1", "Secret", name, json!({"stringData": {"password": "known to one member"}}));
                self.allowed(&Ask::post(who, core(namespace, "secrets"), &secret)).await;
                let map = named("v1", "ConfigMap", name, json!({"data": {"a": "b"}}));
                self.allowed(&Ask::post(who, core(namespace, "configmaps"), &map)).await;
            }
            let data = claim("data", json!({}));
            self.allowed(&Ask::post(who, core(namespace, "persistentvolumeclaims"), &data)).await;
            self.place_instance(namespace).await;
        }
        let volume = named(
            "v1",
            "PersistentVolume",
            "of-lemgo",
            json!({"spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "standard",
                "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/var/lib/of-lemgo"},
                "claimRef": {"namespace": OTHER, "name": "gone", "uid": "0190b0a0-0000-7000-8000-000000000009"},
            }}),
        );
        self.post_as_cluster("/api/v1/persistentvolumes", &volume).await;
        self.place_foreign_secrets().await;
        self.post_as_cluster(
            "/apis/coordination.k8s.io/v1/namespaces/allmende-system/leases",
            &named(
                "coordination.k8s.io/v1",
                "Lease",
                "allmende-operator",
                json!({"spec": {"holderIdentity": "operator-0"}}),
            ),
        )
        .await;
        self.until_at_rest().await;
    }

    /// What the operator's account would like to read: one secret of a known name in each namespace that is no tenant's.
    async fn place_foreign_secrets(&self) {
        let preflight = named("v1", "Namespace", PREFLIGHT, json!({}));
        self.post_as_cluster("/api/v1/namespaces", &preflight).await;
        let foreign = named("v1", "Secret", "foreign", json!({"stringData": {"token": "known to others"}}));
        for namespace in SYSTEM.into_iter().chain([PREFLIGHT]) {
            self.post_as_cluster(&core(namespace, "secrets"), &foreign).await;
        }
    }

    async fn place_instance(&self, namespace: &str) {
        let (member, tenant) = namespace.rsplit_once('-').unwrap();
        let instance = json!({
            "apiVersion": "allmende.eu/v1alpha1", "kind": "ServiceInstance", "metadata": {"name": "db"},
            "spec": {
                "member": member, "tenant": tenant, "instance": "db", "namespace": namespace,
                "offering": "postgresql", "version": "1.0.0", "plan": "small",
                "chart": format!("oci://registry.example.org/charts/postgresql@sha256:{}", "0".repeat(64)),
                "valuesJson": "{}", "timeoutSeconds": 60, "bindingSecret": "db-binding",
                "footprint": {"cpuMilli": 100, "memoryBytes": 1, "storageBytes": 1, "pods": 1},
                "desired": {
                    "storeId": "store", "epoch": 1, "generation": 1, "uid": format!("uid-{namespace}-db"), "deleting": false,
                    "name": format!("members/{member}/tenants/{tenant}/instances/db"),
                },
            },
        });
        let services = format!("{namespace}-svc");
        self.post_as_operator(
            &format!("/apis/allmende.eu/v1alpha1/namespaces/{services}/serviceinstances"),
            &instance,
        )
        .await;
        let managed = json!({"metadata": {"labels": {"allmende.eu/managed-by": "allmende-operator"}}, "stringData": {"password": "x"}});
        self.post_as_operator(&core(namespace, "secrets"), &named("v1", "Secret", "db-binding", managed))
            .await;
    }

    async fn post_as_cluster(&self, path: &str, object: &Value) {
        post(&self.administrator, path, object).await;
    }

    async fn post_as_operator(&self, path: &str, object: &Value) {
        post(&self.operator.client, path, object).await;
    }

    /// The controllers have seen everything: endpoints are there and quotas count the pods.
    async fn until_at_rest(&self) {
        for namespace in [OWN, OTHER] {
            for path in [
                format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"),
                format!("/api/v1/namespaces/{namespace}/endpoints"),
            ] {
                eventually("the service leads somewhere", async || {
                    let request = Request::get(&path).body(Vec::new()).unwrap();
                    let list: Value = self.administrator.request(request).await.unwrap();
                    list["items"].as_array().is_some_and(|items| !items.is_empty())
                })
                .await;
            }
            eventually("the quota counts the pod and the claim", async || {
                let request =
                    Request::get(core(namespace, "resourcequotas/allmende")).body(Vec::new()).unwrap();
                let quota: Value = self.administrator.request(request).await.unwrap();
                quota["status"]["used"]["pods"] == "1" && quota["status"]["used"]["requests.storage"] == "1Mi"
            })
            .await;
        }
    }
}

async fn post(client: &Client, path: &str, object: &Value) {
    let request = Request::post(path).body(object.to_string().into_bytes()).unwrap();
    let answer: Result<Value, _> = client.request(request).await;
    answer.unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// Path of a resource of the core group in a namespace.
pub fn core(namespace: &str, rest: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/{rest}")
}

/// Path of a resource of RBAC in a namespace.
pub fn rights(namespace: &str, rest: &str) -> String {
    format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{rest}")
}

/// Path of a resource of the network in a namespace.
pub fn network(namespace: &str, rest: &str) -> String {
    format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/{rest}")
}
