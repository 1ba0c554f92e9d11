//! The rules of the definitions, as the API server applies them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cluster;

use allmende_crds::{CrdFile, ServiceInstance, Tenant, crd_files};
use cluster::{create, shared, tenant, tenants};
use kube::{
    Api, CustomResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

#[test]
fn the_chart_holds_the_current_definitions() {
    let chart = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/allmende-crds/templates");
    for CrdFile { name, text } in crd_files().unwrap() {
        let found = std::fs::read_to_string(chart.join(name)).unwrap_or_default();
        assert!(found == text, "{name} is not current: run `make gen`");
        assert!(!text.contains("{{"), "{name}: Helm would read a template");
    }
}

#[test]
fn every_text_and_every_list_of_a_spec_has_a_limit() {
    for definition in [Tenant::crd(), ServiceInstance::crd()] {
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        let mut without = Vec::new();
        collect("spec", &schema["openAPIV3Schema"]["properties"]["spec"], &mut without);
        assert!(without.is_empty(), "without a limit: {without:?}");
    }
}

fn collect(path: &str, schema: &Value, without: &mut Vec<String>) {
    let limited = match schema["type"].as_str() {
        Some("string") => schema.get("maxLength").is_some() || schema.get("enum").is_some(),
        Some("array") => schema.get("maxItems").is_some(),
        _ => true,
    };
    if !limited {
        without.push(path.to_owned());
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        collect(&format!("{path}.{name}"), property, without);
    }
    if let Some(items) = schema.get("items") {
        collect(&format!("{path}[]"), items, without);
    }
}

/// The message of the refusal.
async fn refused(api: &Api<Tenant>, name: &str, spec: Value) -> String {
    let patch = Patch::Merge(json!({ "spec": spec }));
    match api.patch(name, &PatchParams::default(), &patch).await {
        Ok(_) => panic!("{spec} was accepted"),
        Err(kube::Error::Api(status)) => status.message,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn an_older_record_never_replaces_a_newer_one() {
    let kubernetes = shared().await;
    let start = |object: &mut Value| object["spec"]["desired"]["generation"] = json!(5);
    let api = create(kubernetes, &tenant("m-rule-prod", start)).await;
    let older = refused(&api, "m-rule-prod", json!({"desired": {"generation": 4}})).await;
    assert!(older.contains("must not fall"), "{older}");
    let other_store = refused(&api, "m-rule-prod", json!({"desired": {"storeId": "another"}})).await;
    assert!(other_store.contains("higher epoch"), "{other_store}");
    // A restored store has lost its newest changes and says so by its epoch.
    let restored = json!({"spec": {"desired": {"epoch": 2, "generation": 3}}});
    api.patch("m-rule-prod", &PatchParams::default(), &Patch::Merge(restored)).await.unwrap();
    let back = refused(&api, "m-rule-prod", json!({"desired": {"epoch": 1, "generation": 9}})).await;
    assert!(back.contains("epoch must not fall"), "{back}");
}

#[tokio::test]
async fn who_pays_never_changes_and_amounts_are_never_negative() {
    let kubernetes = shared().await;
    let api = create(kubernetes, &tenant("m-pays-prod", |_| {})).await;
    for (field, value) in [("member", json!("m-other")), ("tenant", json!("test"))] {
        let message = refused(&api, "m-pays-prod", json!({ field: value })).await;
        assert!(message.contains("immutable"), "{message}");
    }
    let message = refused(&api, "m-pays-prod", json!({"workspaceQuota": {"cpuMilli": -1}})).await;
    assert!(message.contains("cpuMilli"), "{message}");
    let misnamed = tenant("m-name-prod", |object| object["metadata"]["name"] = json!("something-else"));
    let answer = tenants(kubernetes).await.create(&PostParams::default(), &misnamed).await;
    assert!(answer.unwrap_err().to_string().contains("{member}-{tenant}"));
}
