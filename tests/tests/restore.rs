//! etcd is put back to an older backup while clusters know more: nothing on them is deleted or changed, before and after a person has said
//! that the older state is the valid one. With all programs as they are shipped.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

use std::collections::BTreeMap;

use allmende_proto::v1::{
    self, cluster_service_client::ClusterServiceClient, instance_service_client::InstanceServiceClient,
    tenant_service_client::TenantServiceClient,
};
use allmende_tests::{
    call::OPERATOR,
    month::Month,
    sample::{MEMBERS, Member},
    scenario::{fact, onboard, services},
    wait::until,
    world::World,
};
use kube::{
    Client,
    api::{ListParams, Request},
};
use serde_json::Value;
use tonic::Code;

/// What must stay as it is.
const KINDS: [&str; 5] = [
    "/apis/allmende.eu/v1alpha1/tenants",
    "/apis/allmende.eu/v1alpha1/serviceinstances",
    "/api/v1/namespaces",
    "/api/v1/resourcequotas",
    "/api/v1/secrets",
];

/// An object's identity and what is asked of it.
#[derive(Debug, Clone, PartialEq)]
struct Thing {
    uid: String,
    spec: Value,
    ending: bool,
}

/// Everything of the cluster that could be deleted or changed, by kind, namespace and name.
async fn things(client: &Client) -> BTreeMap<String, Thing> {
    let mut all = BTreeMap::new();
    for path in KINDS {
        let request = Request::new(path).list(&ListParams::default()).unwrap();
        let list: Value = client.request(request).await.unwrap();
        for object in list["items"].as_array().unwrap() {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            let thing = Thing {
                uid: text("uid"),
                spec: object["spec"].clone(),
                ending: object["metadata"]["deletionTimestamp"].is_string(),
            };
            all.insert(format!("{path}/{}/{}", text("namespace"), text("name")), thing);
        }
    }
    all
}

/// The mirrored tenant of a member.
async fn tenant(client: &Client, member: &Member) -> Option<Thing> {
    let name = member.tenant_name().replace("members/", "").replace("/tenants/", "-");
    things(client).await.remove(&format!("{}//{name}", KINDS[0]))
}

async fn order(world: &World, member: &Member, time: &str) {
    let tenants = TenantServiceClient::new(world.caller.channel(&member.identity()));
    let create = async |id| tenants.clone().create_tenant(member.tenant(id)).await;
    world.caller.change(&format!("tenant of {}, {time}", member.city), create).await;
    fact(world, &member.tenant_name(), "ready", 1).await;
    // An earlier life of the same name has told such a fact, too.
    services(world, member, 1).await;
}

async fn delete(world: &World, member: &Member) {
    let tenants = TenantServiceClient::new(world.caller.channel(&member.identity()));
    let name = member.tenant_name();
    let delete = async |request_id| {
        let request = v1::DeleteTenantRequest { name: name.clone(), request_id, ..Default::default() };
        tenants.clone().delete_tenant(request).await
    };
    world.caller.change(&format!("{} deletes its tenant", member.city), delete).await;
    until("it is gone", async || {
        let answer = tenants.clone().get_tenant(v1::GetTenantRequest { name: name.clone() }).await;
        answer.is_err_and(|status| status.code() == Code::NotFound).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_restored_older_etcd_deletes_nothing_and_what_it_does_not_know_is_reported() {
    let mut world = World::start(None).await;
    let client = world.administrator().await;
    let [lemgo, wiehl, heide] = &MEMBERS;
    Box::pin(onboard(&world, Month::last())).await;
    for member in [lemgo, wiehl] {
        order(&world, member, "before").await;
    }
    let instances = InstanceServiceClient::new(world.caller.channel(&lemgo.identity()));
    let create = async |id| instances.clone().create_instance(lemgo.order(id)).await;
    world.caller.change("an instance", create).await;
    fact(&world, &lemgo.instance_name(), "ready", 1).await;
    services(&world, lemgo, 2).await;

    let backup = world.etcd.back_up().await;
    let at_backup = tenant(&client, lemgo).await.unwrap();

    order(&world, heide, "after").await;
    let tenants = TenantServiceClient::new(world.caller.channel(&lemgo.identity()));
    let grow = async |id| tenants.clone().update_tenant(lemgo.growth(id)).await;
    world.caller.change("Lemgo's tenant grows", grow).await;
    fact(&world, &lemgo.tenant_name(), "resized", 3).await;
    delete(&world, wiehl).await;
    order(&world, wiehl, "anew").await;
    let before = things(&client).await;
    let generation = |thing: &Thing| thing.spec["desired"]["generation"].as_i64().unwrap();
    assert!(generation(&tenant(&client, lemgo).await.unwrap()) > generation(&at_backup));

    // The guide: stop, restore, start. Nobody has raised the epoch yet.
    world.api.lock().await.kill();
    world.etcd.restore(&backup).await;
    world.api.lock().await.start_again();
    until("the operator is refused in words", async || {
        let log = world.operator.lock().await.last_lines();
        log.contains("older than what the cluster has seen").then_some(())
    })
    .await;
    let refused = things(&client).await;
    let touched: Vec<_> = refused.iter().filter(|(name, thing)| before.get(*name) != Some(*thing)).collect();
    assert_eq!(touched, [], "everything is untouched");
    assert_eq!(refused.len(), before.len(), "and everything is there");

    let clusters = ClusterServiceClient::new(world.caller.channel(OPERATOR));
    let raise = async |request_id| {
        let reason = "Sicherung eingespielt".to_owned();
        let request = v1::RaiseStoreEpochRequest { reason, request_id, ..Default::default() };
        clusters.clone().raise_store_epoch(request).await
    };
    assert_eq!(world.caller.change("raise the epoch", raise).await.epoch, 2);
    for orphan in [heide, wiehl] {
        until("the orphan is reported", async || {
            let log = world.api.lock().await.last_lines();
            let told = |line: &str| line.contains("orphan") && line.contains(&orphan.tenant_name());
            log.lines().any(told).then_some(())
        })
        .await;
    }
    until("the older state is in force where the store knows the object", async || {
        let now = tenant(&client, lemgo).await?;
        let desired = &now.spec["desired"];
        (desired["epoch"] == 2 && now.spec["workspaceQuota"] == at_backup.spec["workspaceQuota"])
            .then_some(())
    })
    .await;

    let after = things(&client).await;
    for (name, thing) in &before {
        let now = after.get(name).unwrap_or_else(|| panic!("{name} was deleted"));
        assert_eq!((&now.uid, now.ending), (&thing.uid, false), "{name}");
    }
    for orphan in [heide, wiehl] {
        let now = tenant(&client, orphan).await;
        let name = orphan.tenant_name();
        let then = before.values().find(|thing| thing.spec["desired"]["name"] == name.as_str());
        assert_eq!(now.as_ref(), then, "{name} goes on as it was");
    }
}
