//! A tenant becomes a workspace on a real API server: which writes, in which order, and what the status says.

mod cluster;

use allmende_crds::{LifecycleKind, StepState, Tenant};
use cluster::{Operator, admin, create, eventually, shared, tenant, until_condition};
use k8s_openapi::api::{
    core::v1::{Namespace, ResourceQuota, ServiceAccount},
    rbac::v1::RoleBinding,
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

fn kinds(entries: &[allmende_testkit::kubernetes::AuditEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.resource.as_str()).collect()
}

#[tokio::test]
async fn a_workspace_takes_seven_writes_with_the_rights_after_the_quota_and_the_status_last() {
    let kubernetes = shared().await;
    let operator = Operator::start(kubernetes, "operator-six").await;
    let api = create(kubernetes, &tenant("m-six-prod", |_| {})).await;
    let ready = until_condition(&api, "m-six-prod", "Ready", "True", "Converged").await;
    operator_is_quiet(kubernetes, &operator, "m-six-prod").await;
    let writes = operator.writes(kubernetes, "m-six-prod");
    assert_eq!(
        kinds(&writes),
        [
            "namespaces",
            "resourcequotas",
            "limitranges",
            "networkpolicies",
            "serviceaccounts",
            "rolebindings",
            "tenants/status"
        ],
    );
    // The default account is applied: Kubernetes makes it too.
    let verbs: Vec<&str> = writes.iter().map(|entry| entry.verb.as_str()).collect();
    assert_eq!(verbs, ["create", "create", "create", "create", "patch", "create", "patch"]);
    let status = ready.status.unwrap();
    assert_eq!(status.observed_desired_generation, 1);
    assert_eq!(status.enforced_quota, Some(ready.spec.workspace_quota));
    assert_eq!(status.namespaces, ["m-six-prod"]);
    assert!(status.steps.iter().all(|step| step.state == StepState::Done), "{:?}", status.steps);
    assert_eq!(status.lifecycle.len(), 1);
    assert_eq!((status.lifecycle[0].kind, status.lifecycle[0].generation), (LifecycleKind::Ready, 1));
}

#[tokio::test]
async fn each_role_beyond_the_first_takes_one_write_more() {
    let kubernetes = shared().await;
    let operator = Operator::start(kubernetes, "operator-roles").await;
    let two = tenant("m-roles-prod", |object| {
        object["spec"]["groupBindings"] =
            json!([{"group": "g:admin", "role": "admin"}, {"group": "g:viewer", "role": "viewer"}]);
    });
    let api = create(kubernetes, &two).await;
    until_condition(&api, "m-roles-prod", "Ready", "True", "Converged").await;
    operator_is_quiet(kubernetes, &operator, "m-roles-prod").await;
    assert_eq!(operator.writes(kubernetes, "m-roles-prod").len(), 8);
}

#[tokio::test]
async fn nothing_is_written_when_a_new_operator_finds_everything_in_order() {
    let kubernetes = shared().await;
    let first = Operator::start(kubernetes, "operator-before").await;
    let api =
        create(kubernetes, &tenant("m-still-prod", |object| object["spec"]["services"] = json!(true))).await;
    until_condition(&api, "m-still-prod", "Ready", "True", "Converged").await;
    operator_is_quiet(kubernetes, &first, "m-still-prod").await;
    first.stop().await;
    let second = Operator::start(kubernetes, "operator-after").await;
    // It has looked at this tenant when it has made another that came later.
    create(kubernetes, &tenant("m-later-prod", |_| {})).await;
    until_condition(&api, "m-later-prod", "Ready", "True", "Converged").await;
    eventually("the new operator has looked at the tenant", async || {
        let read = |entry: &allmende_testkit::kubernetes::AuditEntry| {
            entry.user == "operator-after"
                && entry.resource == "resourcequotas"
                && entry.namespace == "m-still-prod-svc"
        };
        kubernetes.audit().iter().any(read)
    })
    .await;
    operator_is_quiet(kubernetes, &second, "m-still-prod").await;
    assert_eq!(second.writes(kubernetes, "m-still-prod"), []);
}

#[tokio::test]
async fn the_services_namespace_appears_when_the_spec_asks_for_it() {
    let kubernetes = shared().await;
    let _operator = Operator::start(kubernetes, "operator-services").await;
    let api = create(kubernetes, &tenant("m-serv-prod", |_| {})).await;
    until_condition(&api, "m-serv-prod", "Ready", "True", "Converged").await;
    let client = admin(kubernetes).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    assert!(namespaces.get_opt("m-serv-prod-svc").await.unwrap().is_none());
    let order = json!({"spec": {"services": true, "desired": {"generation": 2}}});
    api.patch("m-serv-prod", &PatchParams::default(), &Patch::Merge(order)).await.unwrap();
    let tenant: Tenant = until_condition(&api, "m-serv-prod", "Ready", "True", "Converged").await;
    assert_eq!(tenant.status.unwrap().namespaces, ["m-serv-prod", "m-serv-prod-svc"]);
    let namespace = namespaces.get("m-serv-prod-svc").await.unwrap();
    assert_eq!(namespace.metadata.labels.unwrap()["allmende.eu/namespace-kind"], "services");
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "m-serv-prod-svc");
    assert_eq!(accounts.get("allmende-release").await.unwrap().automount_service_account_token, Some(false));
    let bindings: Api<RoleBinding> = Api::namespaced(client, "m-serv-prod-svc");
    let release = bindings.get("allmende:release").await.unwrap();
    assert_eq!(release.subjects.unwrap()[0].name, "allmende-release");
    let groups = bindings.get("allmende:services-viewer").await.unwrap().subjects.unwrap();
    assert_eq!(groups[0].name, "allmende:m-serv:admin");
}

#[tokio::test]
async fn another_quota_is_enforced_and_recorded_once_for_billing() {
    let kubernetes = shared().await;
    let _operator = Operator::start(kubernetes, "operator-resize").await;
    let api = create(kubernetes, &tenant("m-size-prod", |_| {})).await;
    until_condition(&api, "m-size-prod", "Ready", "True", "Converged").await;
    let order =
        json!({"spec": {"workspaceQuota": {"cpuMilli": 500, "pods": 7}, "desired": {"generation": 5}}});
    api.patch("m-size-prod", &PatchParams::default(), &Patch::Merge(order)).await.unwrap();
    eventually("the smaller quota is in the status", async || {
        let status = api.get("m-size-prod").await.unwrap().status.unwrap();
        status.observed_desired_generation == 5
    })
    .await;
    let status = api.get("m-size-prod").await.unwrap().status.unwrap();
    assert_eq!(status.enforced_quota.map(|quota| (quota.cpu_milli, quota.pods)), Some((500, 7)));
    let shown: Vec<_> =
        status.quotas.iter().map(|quota| (quota.namespace.as_str(), quota.hard.pods)).collect();
    assert_eq!(shown, [("m-size-prod", 7)]);
    let entries: Vec<_> = status.lifecycle.iter().map(|entry| (entry.kind, entry.generation)).collect();
    assert_eq!(entries, [(LifecycleKind::Ready, 1), (LifecycleKind::Resized, 5)]);
    let quotas: Api<ResourceQuota> = Api::namespaced(admin(kubernetes).await, "m-size-prod");
    let hard = quotas.get("allmende").await.unwrap().spec.unwrap().hard.unwrap();
    assert_eq!(hard["limits.cpu"].0, "1");
    assert_eq!(hard["services.nodeports"].0, "0");
}

#[tokio::test]
async fn nothing_is_written_before_the_lease_is_held() {
    let kubernetes = shared().await;
    let operator = Operator::start_as(kubernetes, "operator-follower", false).await;
    let api = create(kubernetes, &tenant("m-lease-prod", |_| {})).await;
    eventually("the operator has looked at the tenant", async || {
        let looked = |entry: &allmende_testkit::kubernetes::AuditEntry| {
            entry.user == operator.user && entry.verb == "get" && entry.name == "m-lease-prod"
        };
        kubernetes.audit().iter().any(looked)
    })
    .await;
    assert_eq!(operator.writes(kubernetes, "m-lease-prod"), []);
    operator.leader.send_replace(true);
    until_condition(&api, "m-lease-prod", "Ready", "True", "Converged").await;
}

/// Waits until the operator has answered everything that its own writes started: a second without any request of it about this tenant,
/// ten times longer than its reconciles wait for one another. A write after that would be missed here and is only a write too few seen.
async fn operator_is_quiet(
    kubernetes: &allmende_testkit::kubernetes::TestKubernetes,
    operator: &Operator,
    tenant: &str,
) {
    let requests = || {
        let concerns = |entry: &&allmende_testkit::kubernetes::AuditEntry| {
            entry.user == operator.user
                && (entry.name.starts_with(tenant) || entry.namespace.starts_with(tenant))
        };
        kubernetes.audit().iter().filter(concerns).count()
    };
    let mut last = requests();
    let mut calm = 0;
    while calm < 10 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let now = requests();
        calm = if now == last { calm + 1 } else { 0 };
        last = now;
    }
}
