//! Rights, roles and admission policies of the operator's chart, rendered by Helm, on a test's API server.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use allmende_testkit::{etcd::tool, kubernetes::TestKubernetes};
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    core::v1::Namespace,
};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use crate::cluster::{admin, eventually};

/// The operator's own namespace.
pub const NAMESPACE: &str = "allmende-system";
/// The operator's user.
pub const OPERATOR: &str = "system:serviceaccount:allmende-system:allmende-operator";

/// Name of a policy that is made after all others.
const LAST: &str = "the-last";

/// Installs all but what needs a node, with the values of a file beside the chart's tests, and waits until a policy refuses.
pub async fn install(kubernetes: &TestKubernetes, values: &Path) {
    let client = admin(kubernetes).await;
    create_namespace(&client, NAMESPACE).await;
    apply(kubernetes, &render(values));
    until_policies_hold(&client).await;
}

/// Installs the chart's objects again.
pub fn restore(kubernetes: &TestKubernetes, values: &Path) {
    apply(kubernetes, &render(values));
}

/// The chart's folder.
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/allmende-operator")
}

fn render(values: &Path) -> Vec<u8> {
    let chart = chart();
    let policies = std::fs::read_dir(chart.join("templates/policies")).unwrap();
    let policies = policies.map(|file| format!("policies/{}", file.unwrap().file_name().display()));
    let files = ["rbac.yaml".to_owned(), "member-roles.yaml".to_owned()].into_iter().chain(policies);
    let rendered = Command::new(tool("helm"))
        .args(["template", "allmende-operator"])
        .arg(&chart)
        .args(["--namespace", NAMESPACE, "--values"])
        .arg(values)
        .args(files.flat_map(|file| ["-s".to_owned(), format!("templates/{file}")]))
        .output()
        .unwrap();
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    rendered.stdout
}

fn apply(kubernetes: &TestKubernetes, objects: &[u8]) {
    let file = kubernetes.folder().join("rights.yaml");
    std::fs::write(&file, objects).unwrap();
    let applied = Command::new(tool("kubectl"))
        .arg("--kubeconfig")
        .arg(kubernetes.kubeconfig())
        .args(["apply", "--namespace", NAMESPACE, "-f"])
        .arg(&file)
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
}

/// Policies act a moment after they are written, in the order in which they were: when one that comes last acts, all do.
async fn until_policies_hold(client: &Client) {
    let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
        "metadata": {"name": LAST},
        "spec": {
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["namespaces"], "resourceNames": [LAST]},
            ]},
            "validations": [{"expression": "false"}],
        },
    }))
    .unwrap();
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
        "metadata": {"name": LAST}, "spec": {"policyName": LAST, "validationActions": ["Deny"]},
    }))
    .unwrap();
    let (policies, bindings) = (Api::all(client.clone()), Api::all(client.clone()));
    policies.create(&PostParams::default(), &policy).await.unwrap();
    bindings.create(&PostParams::default(), &binding).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let tried = serde_json::from_value(json!({"metadata": {"name": LAST}})).unwrap();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    eventually("the policies hold", async || {
        let answer = namespaces.create(&dry_run, &tried).await;
        matches!(answer, Err(kube::Error::Api(status)) if status.message.contains("ValidatingAdmissionPolicy"))
    })
    .await;
    bindings.delete(LAST, &DeleteParams::default()).await.unwrap();
    policies.delete(LAST, &DeleteParams::default()).await.unwrap();
}

/// Makes a namespace that belongs to nobody.
pub async fn create_namespace(client: &Client, name: &str) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let own = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    namespaces.create(&PostParams::default(), &own).await.unwrap();
}

/// Takes the binding of one policy away, as somebody would who wants it gone.
pub async fn remove_binding(client: &Client, policy: &str) {
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    bindings.delete(policy, &DeleteParams::default()).await.unwrap();
}
