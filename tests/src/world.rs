//! Everything that runs: two etcds, the API server with its controllers, the three programs, the registry, and the gates between them.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use allmende_testkit::{
    ca::TestCa,
    etcd::{TestEtcd, tool},
    kubernetes::TestKubernetes,
    port::free_port,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{ListParams, PostParams, Request},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::{
    admission::{Admission, Writer},
    call::Caller,
    fault::Fault,
    gate::Gate,
    process::Program,
    registry::Registry,
    wait::until,
};

/// Where the operator lives.
const NAMESPACE: &str = "allmende-system";
/// The only cluster.
pub const CLUSTER: &str = "local-1";

/// See the module. Programs end first, then what they use.
#[derive(Debug)]
pub struct World {
    /// `allmende-api`.
    pub api: Mutex<Program>,
    /// `allmende-operator`.
    pub operator: Mutex<Program>,
    /// `allmende-billing`.
    pub billing: Mutex<Program>,
    /// Who will be killed, and when.
    pub fault: Option<Fault>,
    /// Between the API and etcd.
    pub api_gate: Gate,
    /// Between the billing worker and etcd.
    pub billing_gate: Gate,
    /// Counts writes to the cluster.
    pub admission: Admission,
    /// Who calls the API.
    pub caller: Caller,
    /// The chart's reference.
    pub chart: String,
    /// The control plane's store.
    pub etcd: TestEtcd,
    /// The cluster.
    pub kubernetes: TestKubernetes,
    folder: TempDir,
}

impl World {
    /// Starts all of it; the moment of a fault is set before anything can happen.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn start(fault: Option<Fault>) -> Self {
        allmende_identity::install_crypto_provider();
        let (etcd, ca, folder) =
            (TestEtcd::start().await, Arc::new(TestCa::new()), tempfile::tempdir().unwrap());
        let upstream = etcd.endpoint().replace("http://", "");
        let (api_gate, billing_gate) = (Gate::before(&upstream).await, Gate::before(&upstream).await);
        let port = free_port();
        let api = api(&ca, &api_gate, port, folder.path());
        let billing = billing(&billing_gate, folder.path());
        let kubernetes = TestKubernetes::start().await;
        let user = install(&kubernetes).await;
        let admission = Admission::install(&kubernetes, &ca, &user).await;
        match fault {
            Some(Fault::Operator { write, .. }) => admission.arm(Writer::Operator, write),
            Some(Fault::Helm { write, .. }) => admission.arm(Writer::Helm, write),
            Some(Fault::Api(_) | Fault::Billing { .. }) | None => {}
        }
        let registry = Registry::start(folder.path()).await;
        let operator = operator(&kubernetes, &user, (&ca, port), &registry, folder.path());
        let moment = fault.and_then(|fault| if let Fault::Api(moment) = fault { Some(moment) } else { None });
        let caller = Caller::new(ca, port, api_gate.clone(), moment);
        let chart = registry.chart;
        Self {
            api: Mutex::new(api),
            operator: Mutex::new(operator),
            billing: Mutex::new(billing),
            fault,
            api_gate,
            billing_gate,
            admission,
            caller,
            chart,
            etcd,
            kubernetes,
            folder,
        }
    }

    /// A client of the cluster with all rights.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn administrator(&self) -> Client {
        Client::try_from(self.kubernetes.admin().await).unwrap()
    }

    /// Where documents lie.
    pub fn documents(&self) -> std::path::PathBuf {
        self.folder.path().join("documents")
    }
}

fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}

fn listen(name: &str) -> String {
    format!("--{name}=127.0.0.1:{}", free_port())
}

fn api(ca: &TestCa, gate: &Gate, port: u16, folder: &Path) -> Program {
    let leaf = ca.server("api");
    let arguments = vec![
        flag("listen", format!("127.0.0.1:{port}")),
        listen("health-listen"),
        listen("metrics-listen"),
        flag("etcd-endpoints", gate.endpoint()),
        flag("tls-cert", leaf.cert.display()),
        flag("tls-key", leaf.key.display()),
        flag("client-ca", ca.cert().display()),
        flag("documents-dir", folder.join("documents").display()),
    ];
    Program::start("allmende-api", arguments, Vec::new(), folder.join("api.log"))
}

fn billing(gate: &Gate, folder: &Path) -> Program {
    let arguments = vec![
        flag("etcd-endpoints", gate.endpoint()),
        flag("documents-dir", folder.join("documents").display()),
        listen("metrics-listen"),
    ];
    Program::start("allmende-billing", arguments, Vec::new(), folder.join("billing.log"))
}

fn operator(
    kubernetes: &TestKubernetes,
    user: &str,
    (ca, port): (&TestCa, u16),
    registry: &Registry,
    folder: &Path,
) -> Program {
    let leaf = ca.client("cluster", &[&format!("allmende://cluster/{CLUSTER}")]);
    let work = folder.join("helm");
    std::fs::create_dir(&work).unwrap();
    let arguments = vec![
        flag("cluster", CLUSTER),
        flag("api", format!("https://localhost:{port}")),
        flag("api-ca", ca.cert().display()),
        flag("tls-cert", leaf.cert.display()),
        flag("tls-key", leaf.key.display()),
        flag("namespace", NAMESPACE),
        flag("work-dir", work.display()),
        flag("helm", tool("helm").display()),
        flag("plain-http-registries", &registry.host),
        listen("metrics-listen"),
    ];
    let kubeconfig = kubernetes.kubeconfig_for(user, "system:serviceaccounts");
    let environment = vec![("KUBECONFIG".to_owned(), kubeconfig.display().to_string())];
    Program::start("allmende-operator", arguments, environment, folder.join("operator.log"))
}

/// The definitions, roles and policies of our charts; gives the operator's user.
async fn install(kubernetes: &TestKubernetes) -> String {
    let client = Client::try_from(kubernetes.admin().await).unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let own = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } })).unwrap();
    namespaces.create(&PostParams::default(), &own).await.unwrap();
    apply(kubernetes, "allmende-crds");
    for kind in ["tenants", "serviceinstances"] {
        until("our kinds are served", async || {
            let request = Request::new(format!("/apis/allmende.eu/v1alpha1/{kind}"))
                .list(&ListParams::default())
                .unwrap();
            client.request_text(request).await.ok()
        })
        .await;
    }
    apply(kubernetes, "allmende-operator");
    format!("system:serviceaccount:{NAMESPACE}:allmende-operator")
}

/// Applies a chart as Helm renders it, but for the program itself, which the test starts.
fn apply(kubernetes: &TestKubernetes, chart: &str) {
    let charts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts").join(chart);
    let mut render = Command::new(tool("helm"));
    render.args(["template", chart]).arg(&charts).args(["--namespace", NAMESPACE]);
    if charts.join("tests/default.yaml").is_file() {
        render.arg("--values").arg(charts.join("tests/default.yaml"));
    }
    let rendered = render.output().unwrap();
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    let text = String::from_utf8(rendered.stdout).unwrap();
    let objects: Vec<&str> =
        text.split("\n---\n").filter(|object| !object.contains("\nkind: Deployment\n")).collect();
    let file = kubernetes.folder().join(format!("{chart}.yaml"));
    std::fs::write(&file, objects.join("\n---\n")).unwrap();
    // As Helm does: ours is the default, and what names another namespace goes there; `--namespace` would refuse that.
    let context = kubernetes.folder().join(format!("{chart}.kubeconfig"));
    std::fs::copy(kubernetes.kubeconfig(), &context).unwrap();
    let mut default = Command::new(tool("kubectl"));
    default.arg("--kubeconfig").arg(&context);
    default.args(["config", "set-context", "--current", "--namespace", NAMESPACE]);
    assert!(default.stdout(Stdio::null()).status().unwrap().success(), "a default namespace");
    let applied = Command::new(tool("kubectl"))
        .arg("--kubeconfig")
        .arg(&context)
        .args(["apply", "--server-side", "-f"])
        .arg(&file)
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
}
