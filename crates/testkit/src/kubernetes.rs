//! A real Kubernetes API server of its own for tests: etcd, kube-apiserver and, when asked for, kube-controller-manager, on free ports of
//! loopback, with its own certificates and an audit log that a test can count writes in.
//!
//! There is no kubelet and no scheduler: pods are accepted and never run. Start takes some seconds: share one per test binary.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use kube::{
    api::{GetParams, Request},
    config::{KubeConfigOptions, Kubeconfig},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{etcd::tool, port::free_port};

/// Longest wait for the API server to be ready.
const START_LIMIT: Duration = Duration::from_secs(120);
/// What the audit log keeps: the policy of the local cluster, so that tests see what an operator of a cluster would see.
const AUDIT_POLICY: &str = include_str!("../../../deploy/local/audit.yaml");

/// One answered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who asked.
    pub user: String,
    /// `create`, `patch`, `update`, `delete`, `get`, ...
    pub verb: String,
    /// Plural, with the subresource after a slash: `tenants/status`.
    pub resource: String,
    /// Empty for cluster-scoped objects; for a namespace its own name.
    pub namespace: String,
    /// Name of the object; empty where the server chooses it.
    pub name: String,
    /// HTTP status of the answer.
    pub code: u64,
}

impl AuditEntry {
    /// Whether the request changed something: a writing verb that was accepted.
    pub fn is_write(&self) -> bool {
        self.code < 400
            && matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }
}

/// A running API server; its processes end with the value, or with the test process.
#[derive(Debug)]
pub struct TestKubernetes {
    _processes: Vec<Supervised>,
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    port: u16,
}

impl TestKubernetes {
    /// API server and controller manager: namespaces end, quotas are enforced, service accounts exist.
    ///
    /// # Panics
    /// When a tool is missing or does not start.
    pub async fn start() -> Self {
        Self::start_with(true).await
    }

    /// The API server alone: quicker, but nothing reacts to what is written.
    ///
    /// # Panics
    /// When a tool is missing or does not start.
    pub async fn start_without_controllers() -> Self {
        Self::start_with(false).await
    }

    async fn start_with(controllers: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let issuer = write_certificates(folder.path());
        let mut kubernetes = Self { _processes: Vec::new(), folder, issuer, port: free_port() };
        let etcd = format!("http://127.0.0.1:{}", free_port());
        kubernetes.run("etcd", etcd_arguments(kubernetes.path("etcd"), &etcd));
        kubernetes.run("kube-apiserver", kubernetes.api_server_arguments(&etcd));
        std::fs::write(kubernetes.kubeconfig(), kubernetes.kubeconfig_of("admin", "system:masters"))
            .expect("kubeconfig");
        kubernetes.wait_until_ready().await;
        if controllers {
            kubernetes.run("kube-controller-manager", kubernetes.controller_arguments());
            kubernetes.wait_for_controllers().await;
        }
        kubernetes
    }

    /// Kubeconfig of `admin` in `system:masters`, for tools.
    pub fn kubeconfig(&self) -> PathBuf {
        self.path("admin.kubeconfig")
    }

    /// Where logs and certificates lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How `admin` connects.
    pub async fn admin(&self) -> kube::Config {
        self.config_for("admin", "system:masters").await
    }

    /// Kubeconfig of another user of one group, for programs.
    ///
    /// # Panics
    /// When the certificate or the file cannot be made.
    pub fn kubeconfig_for(&self, user: &str, group: &str) -> PathBuf {
        let path = self.path(&format!("{}.kubeconfig", user.replace([':', '/'], "-")));
        std::fs::write(&path, self.kubeconfig_of(user, group)).expect("kubeconfig");
        path
    }

    /// How another user of one group connects: a name of its own makes its writes countable in the audit log.
    ///
    /// # Panics
    /// When the certificate cannot be made.
    pub async fn config_for(&self, user: &str, group: &str) -> kube::Config {
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig_of(user, group)).expect("a kubeconfig");
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .expect("a configuration");
        // A test sees the first answer, not the one after a hidden repetition.
        config.default_retry = false;
        config
    }

    /// What was asked and answered so far, in the order of the answers.
    ///
    /// # Panics
    /// When the log is not what the API server writes.
    pub fn audit(&self) -> Vec<AuditEntry> {
        let text = std::fs::read_to_string(self.path("audit.log")).expect("the audit log");
        // The last line may be half written.
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete
            .lines()
            .map(|line| audit_entry(&serde_json::from_str(line).expect("an audit entry")))
            .collect()
    }

    /// Accepted writes of one user, without its leases and events.
    pub fn writes_of(&self, user: &str) -> Vec<AuditEntry> {
        let counts = |entry: &AuditEntry| {
            entry.user == user && entry.is_write() && !matches!(entry.resource.as_str(), "leases" | "events")
        };
        self.audit().into_iter().filter(counts).collect()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn run(&mut self, name: &str, arguments: Vec<String>) {
        let log = self.path(&format!("{name}.log"));
        self._processes.push(Supervised::spawn(&tool(name), &arguments, &log));
    }

    fn api_server_arguments(&self, etcd: &str) -> Vec<String> {
        let file = |name: &str| self.path(name).display().to_string();
        vec![
            format!("--etcd-servers={etcd}"),
            format!("--secure-port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--tls-cert-file={}", file("server.crt")),
            format!("--tls-private-key-file={}", file("server.key")),
            format!("--client-ca-file={}", file("ca.crt")),
            format!("--service-account-key-file={}", file("accounts.pub")),
            format!("--service-account-signing-key-file={}", file("accounts.key")),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            // As clusters have it: else this flag refuses what Pod Security is there for.
            "--allow-privileged=true".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/24".to_owned(),
            format!("--audit-policy-file={}", file("audit-policy.yaml")),
            format!("--audit-log-path={}", file("audit.log")),
            // An answer that a test has seen is in the log.
            "--audit-log-mode=blocking".to_owned(),
        ]
    }

    fn controller_arguments(&self) -> Vec<String> {
        let file = |name: &str| self.path(name).display().to_string();
        vec![
            format!("--kubeconfig={}", file("admin.kubeconfig")),
            format!("--service-account-private-key-file={}", file("accounts.key")),
            format!("--root-ca-file={}", file("ca.crt")),
            "--use-service-account-credentials=true".to_owned(),
            "--leader-elect=false".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", free_port()),
            "--kube-api-qps=200".to_owned(),
            "--kube-api-burst=400".to_owned(),
        ]
    }

    fn kubeconfig_of(&self, user: &str, group: &str) -> String {
        let (certificate, key) =
            sign(&self.issuer, user, group, ExtendedKeyUsagePurpose::ClientAuth, Vec::new());
        let stem = format!("{user}-{}", file_suffix(&certificate));
        let (certificate_file, key_file) =
            (self.path(&format!("{stem}.crt")), self.path(&format!("{stem}.key")));
        std::fs::write(&certificate_file, certificate).expect("certificate file");
        std::fs::write(&key_file, key).expect("key file");
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.port),
                "certificate-authority": self.path("ca.crt"),
            }}],
            "users": [{"name": user, "user": {"client-certificate": certificate_file, "client-key": key_file}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
        });
        config.to_string()
    }

    async fn wait_until_ready(&self) {
        let client = kube::Client::try_from(self.admin().await).expect("a client");
        self.wait_for("the API server to be ready", async || {
            let request = Request::new("").get("readyz", &GetParams::default()).expect("a request");
            client.request_text(request).await.is_ok_and(|text| text == "ok")
        })
        .await;
    }

    /// The controllers work when the default namespace has its service account.
    async fn wait_for_controllers(&self) {
        let client = kube::Client::try_from(self.admin().await).expect("a client");
        let accounts: kube::Api<k8s_openapi::api::core::v1::ServiceAccount> =
            kube::Api::namespaced(client, "default");
        self.wait_for("the controllers to work", async || {
            matches!(accounts.get_opt("default").await, Ok(Some(_)))
        })
        .await;
    }

    async fn wait_for(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !holds().await {
            assert!(
                begun.elapsed() < START_LIMIT,
                "waited {START_LIMIT:?} for {what}\n{}",
                self.last_log_lines()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn last_log_lines(&self) -> String {
        let mut text = String::new();
        for name in ["etcd", "kube-apiserver", "kube-controller-manager"] {
            let log = std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(8)..];
            text.push_str(&format!("--- {name}\n{}\n", tail.join("\n")));
        }
        text
    }
}

fn etcd_arguments(data: PathBuf, client: &str) -> Vec<String> {
    let peer = format!("http://127.0.0.1:{}", free_port());
    vec![
        "--name=test".to_owned(),
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=test={peer}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

fn audit_entry(line: &Value) -> AuditEntry {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &line["objectRef"];
    let subresource = object["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
    AuditEntry {
        user: text(&line["user"]["username"]),
        verb: text(&line["verb"]),
        resource: format!("{}{subresource}", text(&object["resource"])),
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        code: line["responseStatus"]["code"].as_u64().unwrap_or_default(),
    }
}

/// Part of a file name that differs for every certificate.
fn file_suffix(certificate: &str) -> String {
    certificate.chars().rev().filter(char::is_ascii_alphanumeric).skip(16).take(24).collect()
}

fn write_certificates(folder: &Path) -> Issuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().expect("a key");
    let authority = params.self_signed(&key).expect("a certificate");
    let issuer = Issuer::new(params, key);
    let names = vec![
        SanType::DnsName("localhost".try_into().expect("a name")),
        SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
    ];
    let (server, server_key) =
        sign(&issuer, "kube-apiserver", "", ExtendedKeyUsagePurpose::ServerAuth, names);
    let accounts = KeyPair::generate().expect("a key");
    let files = [
        ("ca.crt", authority.pem()),
        ("server.crt", server),
        ("server.key", server_key),
        ("accounts.key", accounts.serialize_pem()),
        ("accounts.pub", accounts.public_key_pem()),
        ("audit-policy.yaml", AUDIT_POLICY.to_owned()),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("a file of the API server");
    }
    issuer
}

fn sign(
    issuer: &Issuer<'static, KeyPair>,
    name: &str,
    group: &str,
    usage: ExtendedKeyUsagePurpose,
    names: Vec<SanType>,
) -> (String, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    if !group.is_empty() {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.subject_alt_names = names;
    params.extended_key_usages = vec![usage];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

/// A process that ends when this value is dropped and also when the test process ends without dropping it (a shared value is never
/// dropped): a shell reads from our pipe and kills the process when the pipe closes.
#[derive(Debug)]
struct Supervised {
    shell: Child,
}

impl Supervised {
    fn spawn(program: &Path, arguments: &[String], log: &Path) -> Self {
        let log = std::fs::File::create(log).expect("a log file");
        let shell = Command::new("sh")
            .args(["-c", "\"$@\" </dev/null & pid=$!; cat >/dev/null; kill -9 $pid; wait $pid", "supervise"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("the log file again"))
            .stderr(log)
            .spawn()
            .expect("a shell");
        Self { shell }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
