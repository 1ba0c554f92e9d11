//! What hinders a tenant is said in its status and hinders no other tenant; and a tenant ends only when its record says so.

mod cluster;

use std::collections::BTreeMap;

use allmende_crds::StepState;
use allmende_testkit::kubernetes::TestKubernetes;
use cluster::{
    Operator, admin, condition, create, eventually, install_definitions, shared, tenant, until_condition,
};
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::json;

#[tokio::test]
async fn a_namespace_of_others_is_never_adopted_and_the_status_says_so() {
    let kubernetes = shared().await;
    let operator = Operator::start(kubernetes, "operator-taken").await;
    let client = admin(kubernetes).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let foreign = json!({"metadata": {"name": "m-taken-prod", "labels": {"team": "somebody"}}});
    namespaces.create(&PostParams::default(), &serde_json::from_value(foreign).unwrap()).await.unwrap();
    let api = create(kubernetes, &tenant("m-taken-prod", |_| {})).await;
    let told = until_condition(&api, "m-taken-prod", "Ready", "False", "NamespaceTaken").await;
    let status = told.status.unwrap();
    assert!(status.message.contains("m-taken-prod"), "{}", status.message);
    assert_eq!(status.steps[0].state, StepState::Failed);
    assert_eq!(status.observed_desired_generation, 0);
    let labels = namespaces.get("m-taken-prod").await.unwrap().metadata.labels.unwrap();
    assert!(!labels.contains_key("allmende.eu/managed-by"), "{labels:?}");
    let quotas: Api<ResourceQuota> = Api::namespaced(client, "m-taken-prod");
    assert!(quotas.get_opt("allmende").await.unwrap().is_none());
    let writes = operator.writes(kubernetes, "m-taken-prod");
    assert!(writes.iter().all(|entry| entry.resource == "tenants/status"), "{writes:?}");
}

#[tokio::test]
async fn a_quota_that_is_not_enforced_keeps_the_tenant_unready_and_without_rights() {
    // Without controllers nobody fills the status of a quota.
    let kubernetes = TestKubernetes::start_without_controllers().await;
    install_definitions(&kubernetes, |_| {}).await;
    let operator = Operator::start(&kubernetes, "operator-pending").await;
    let api = create(&kubernetes, &tenant("m-pend-prod", |_| {})).await;
    let pending = until_condition(&api, "m-pend-prod", "Ready", "False", "QuotaPending").await;
    assert_eq!(condition(&pending, "QuotaEnforced").0, "False");
    assert_eq!(pending.status.unwrap().lifecycle, []);
    let rights = |entry: &allmende_testkit::kubernetes::AuditEntry| entry.resource == "rolebindings";
    assert!(!operator.writes(&kubernetes, "m-pend-prod").iter().any(rights));
    // The quota controller comes back.
    let quotas: Api<ResourceQuota> = Api::namespaced(admin(&kubernetes).await, "m-pend-prod");
    let hard = quotas.get("allmende").await.unwrap().spec.unwrap().hard.unwrap();
    // Without a count of what is used, the API server would refuse what the quota counts.
    let used: BTreeMap<&String, &str> = hard.keys().map(|name| (name, "0")).collect();
    let enforced = json!({"status": {"hard": hard, "used": used}});
    quotas.patch_status("allmende", &PatchParams::default(), &Patch::Merge(enforced)).await.unwrap();
    until_condition(&api, "m-pend-prod", "Ready", "True", "Converged").await;
    assert!(operator.writes(&kubernetes, "m-pend-prod").iter().any(rights));
}

#[tokio::test]
async fn a_tenant_that_cannot_be_read_does_not_stop_the_others() {
    let kubernetes = TestKubernetes::start().await;
    // A definition of another release, that lets through what this one cannot read.
    install_definitions(&kubernetes, |definition| {
        let open =
            json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        definition.spec.versions[0].schema = Some(serde_json::from_value(open).unwrap());
    })
    .await;
    let kind = ApiResource::erase::<allmende_crds::Tenant>(&());
    let broken: Api<DynamicObject> = Api::all_with(admin(&kubernetes).await, &kind);
    let object = DynamicObject::new("m-broken-prod", &kind).data(json!({"spec": {"member": 7}}));
    broken.create(&PostParams::default(), &object).await.unwrap();
    let _operator = Operator::start(&kubernetes, "operator-broken").await;
    let api = {
        let object = serde_json::to_value(tenant("m-whole-prod", |_| {})).unwrap();
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        broken.create(&PostParams::default(), &object).await.unwrap();
        cluster::tenants(&kubernetes).await
    };
    until_condition(&api, "m-whole-prod", "Ready", "True", "Converged").await;
}

#[tokio::test]
async fn a_spec_that_our_checks_refuse_says_all_that_is_wrong() {
    let kubernetes = shared().await;
    let _operator = Operator::start(kubernetes, "operator-invalid").await;
    let wrong = tenant("m-wrong-prod", |object| {
        object["spec"]["groupBindings"] = json!([
            {"group": "system:masters", "role": "admin"}, {"group": "system:authenticated", "role": "viewer"},
        ]);
    });
    let api = create(kubernetes, &wrong).await;
    let told = until_condition(&api, "m-wrong-prod", "Ready", "False", "InvalidSpec").await;
    let message = told.status.unwrap().message;
    assert!(message.contains("system:masters") && message.contains("system:authenticated"), "{message}");
}

#[tokio::test]
async fn a_deleted_object_stays_until_its_record_is_being_deleted() {
    let kubernetes = shared().await;
    let operator = Operator::start(kubernetes, "operator-end").await;
    let api =
        create(kubernetes, &tenant("m-end-prod", |object| object["spec"]["services"] = json!(true))).await;
    until_condition(&api, "m-end-prod", "Ready", "True", "Converged").await;
    api.delete("m-end-prod", &DeleteParams::default()).await.unwrap();
    until_condition(&api, "m-end-prod", "Deleting", "False", "DeletionNotAllowed").await;
    let namespaces: Api<Namespace> = Api::all(admin(kubernetes).await);
    for name in ["m-end-prod", "m-end-prod-svc"] {
        assert!(namespaces.get(name).await.unwrap().metadata.deletion_timestamp.is_none(), "{name}");
    }
    let record = json!({"spec": {"desired": {"deleting": true, "generation": 2}}});
    api.patch("m-end-prod", &PatchParams::default(), &Patch::Merge(record)).await.unwrap();
    eventually("the tenant is gone", async || api.get_opt("m-end-prod").await.unwrap().is_none()).await;
    for name in ["m-end-prod", "m-end-prod-svc"] {
        assert!(namespaces.get_opt(name).await.unwrap().is_none(), "{name} went before the object");
    }
    let deleted: Vec<_> = operator
        .writes(kubernetes, "m-end-prod")
        .into_iter()
        .filter(|entry| entry.verb == "delete")
        .map(|entry| entry.name)
        .collect();
    assert_eq!(deleted, ["m-end-prod-svc", "m-end-prod"]);
}

#[tokio::test]
async fn a_service_that_is_not_being_deleted_keeps_its_tenant() {
    let kubernetes = shared().await;
    let _operator = Operator::start(kubernetes, "operator-keep").await;
    let api =
        create(kubernetes, &tenant("m-keep-prod", |object| object["spec"]["services"] = json!(true))).await;
    until_condition(&api, "m-keep-prod", "Ready", "True", "Converged").await;
    let amounts = json!({"cpuMilli": 0, "memoryBytes": 0, "storageBytes": 0, "pods": 0});
    let instance = json!({
        "apiVersion": "allmende.eu/v1alpha1", "kind": "ServiceInstance", "metadata": {"name": "db"},
        "spec": {
            "member": "m-keep", "tenant": "prod", "instance": "db", "namespace": "m-keep-prod", "offering": "postgresql",
            "version": "1", "plan": "small", "chart": "oci://x/y@sha256:0", "valuesJson": "{}", "footprint": amounts,
            "timeoutSeconds": 60, "bindingSecret": "db",
            "desired": {"storeId": "s", "epoch": 1, "generation": 1, "uid": "u", "deleting": false, "name": "n"},
        },
    });
    let instances: Api<allmende_crds::ServiceInstance> =
        Api::namespaced(admin(kubernetes).await, "m-keep-prod-svc");
    instances.create(&PostParams::default(), &serde_json::from_value(instance).unwrap()).await.unwrap();
    let record = json!({"spec": {"desired": {"deleting": true, "generation": 2}}});
    api.patch("m-keep-prod", &PatchParams::default(), &Patch::Merge(record)).await.unwrap();
    api.delete("m-keep-prod", &DeleteParams::default()).await.unwrap();
    let kept = until_condition(&api, "m-keep-prod", "Deleting", "False", "DeletionNotAllowed").await;
    let says =
        kept.status.unwrap().conditions.into_iter().find(|condition| condition.type_ == "Deleting").unwrap();
    assert!(says.message.contains("db"), "{}", says.message);
    let namespaces: Api<Namespace> = Api::all(admin(kubernetes).await);
    assert!(namespaces.get("m-keep-prod-svc").await.unwrap().metadata.deletion_timestamp.is_none());
    let record = json!({"spec": {"desired": {"deleting": true}}});
    instances.patch("db", &PatchParams::default(), &Patch::Merge(record)).await.unwrap();
    eventually("the tenant is gone", async || api.get_opt("m-keep-prod").await.unwrap().is_none()).await;
}

#[tokio::test]
async fn a_namespace_that_somebody_deletes_is_left_alone_and_made_again_when_it_is_gone() {
    let kubernetes = shared().await;
    let operator = Operator::start(kubernetes, "operator-again").await;
    let api = create(kubernetes, &tenant("m-again-prod", |_| {})).await;
    until_condition(&api, "m-again-prod", "Ready", "True", "Converged").await;
    let namespaces: Api<Namespace> = Api::all(admin(kubernetes).await);
    // Holds the namespace in its end until the test lets it go.
    let hold = json!({"metadata": {"finalizers": ["example.org/hold"]}});
    namespaces.patch("m-again-prod", &PatchParams::default(), &Patch::Merge(hold)).await.unwrap();
    let before = namespaces.get("m-again-prod").await.unwrap().metadata.uid;
    let writes = operator.writes(kubernetes, "m-again-prod").len();
    namespaces.delete("m-again-prod", &DeleteParams::default()).await.unwrap();
    until_condition(&api, "m-again-prod", "Ready", "False", "NamespaceTerminating").await;
    let since: Vec<_> = operator.writes(kubernetes, "m-again-prod").into_iter().skip(writes).collect();
    assert!(since.iter().all(|entry| entry.resource == "tenants/status"), "{since:?}");
    let release = json!({"metadata": {"finalizers": null}});
    namespaces.patch("m-again-prod", &PatchParams::default(), &Patch::Merge(release)).await.unwrap();
    until_condition(&api, "m-again-prod", "Ready", "True", "Converged").await;
    assert_ne!(namespaces.get("m-again-prod").await.unwrap().metadata.uid, before);
}
