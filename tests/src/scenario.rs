//! The story: three members are onboarded, get tenants, change one and end one, order two instances and delete one, and a month is closed.
//!
//! Each chapter ends when the cluster's word has arrived, so that the end does not depend on who was quicker.

use allmende_proto::v1::{
    self, billing_service_client::BillingServiceClient, catalog_service_client::CatalogServiceClient,
    cluster_service_client::ClusterServiceClient, instance_service_client::InstanceServiceClient,
    member_service_client::MemberServiceClient, quota_service_client::QuotaServiceClient,
    tenant_service_client::TenantServiceClient, usage_service_client::UsageServiceClient,
};
use tonic::Code;

use crate::{
    call::{OPERATOR, TREASURER, answered},
    fault::{Fault, Work},
    month::Month,
    sample::{self, MEMBERS, Member},
    state::records,
    wait::until,
    world::World,
};

/// Tells the story to its end and how much work it was.
///
/// # Panics
/// When something is refused or never happens.
pub async fn play(world: &World, month: Month) -> Work {
    Box::pin(onboard(world, month)).await;
    Box::pin(tenants(world)).await;
    Box::pin(instances(world)).await;
    let billing_requests = Box::pin(close(world, month)).await;
    Work {
        calls: world.caller.changes().len() as u64,
        operator_writes: world.admission.seen(crate::admission::Writer::Operator),
        helm_writes: world.admission.seen(crate::admission::Writer::Helm),
        billing_requests,
    }
}

/// The cooperative, its members and what they may order.
pub async fn onboard(world: &World, month: Month) {
    let caller = &world.caller;
    let members = MemberServiceClient::new(caller.channel(OPERATOR));
    caller
        .change("import the register", async |_| {
            members.clone().import_register(tokio_stream::iter(sample::register())).await
        })
        .await;
    let clusters = ClusterServiceClient::new(caller.channel(OPERATOR));
    caller
        .change("register the cluster", async |id| clusters.clone().create_cluster(sample::cluster(id)).await)
        .await;
    let quota = QuotaServiceClient::new(caller.channel(OPERATOR));
    for member in &MEMBERS {
        caller
            .change(&format!("onboard {}", member.city), async |id| {
                members.clone().create_member(member.onboarding(id)).await
            })
            .await;
        caller
            .change(&format!("entitle {}", member.city), async |id| {
                quota.clone().set_entitlement(member.entitlement(id)).await
            })
            .await;
    }
    caller
        .change("a second bill-to", async |id| {
            members.clone().create_bill_to(MEMBERS[0].bill_to_it(id)).await
        })
        .await;
    let catalog = CatalogServiceClient::new(caller.channel(OPERATOR));
    caller
        .change("publish the offering", async |id| {
            catalog.clone().publish_offering_version(sample::offering(id, &world.chart)).await
        })
        .await;
    let billing = BillingServiceClient::new(caller.channel(TREASURER));
    caller.change("set the issuer", async |id| billing.clone().set_issuer(sample::issuer(id)).await).await;
    caller.change("set prices", async |id| billing.clone().create_price_list(sample::prices(id)).await).await;
    caller.change("set a key", async |id| billing.clone().create_allocation_key(sample::key(id)).await).await;
    caller.change("set a pot", async |id| billing.clone().create_pot(sample::pot(id, month)).await).await;
}

async fn tenants(world: &World) {
    let caller = &world.caller;
    for member in &MEMBERS {
        let tenants = TenantServiceClient::new(caller.channel(&member.identity()));
        caller
            .change(&format!("tenant of {}", member.city), async |id| {
                tenants.clone().create_tenant(member.tenant(id)).await
            })
            .await;
    }
    for member in &MEMBERS {
        fact(world, &member.tenant_name(), "ready", 1).await;
    }
    let heide = &MEMBERS[2];
    let tenants = TenantServiceClient::new(caller.channel(&heide.identity()));
    caller
        .change("Heide's tenant grows", async |id| tenants.clone().update_tenant(heide.growth(id)).await)
        .await;
    fact(world, &heide.tenant_name(), "resized", 2).await;
    let name = heide.tenant_name();
    caller
        .change("Heide's tenant ends", async |request_id| {
            let request = v1::DeleteTenantRequest { name: name.clone(), request_id, ..Default::default() };
            tenants.clone().delete_tenant(request).await
        })
        .await;
    until("Heide's tenant is gone", async || {
        let request = v1::GetTenantRequest { name: name.clone() };
        tenants
            .clone()
            .get_tenant(request)
            .await
            .is_err_and(|status| status.code() == Code::NotFound)
            .then_some(())
    })
    .await;
}

async fn instances(world: &World) {
    let caller = &world.caller;
    for member in &MEMBERS[..2] {
        let instances = InstanceServiceClient::new(caller.channel(&member.identity()));
        caller
            .change(&format!("{} orders", member.city), async |id| {
                instances.clone().create_instance(member.order(id)).await
            })
            .await;
    }
    for member in &MEMBERS[..2] {
        fact(world, &member.instance_name(), "ready", 1).await;
        services(world, member, 2).await;
    }
    let wiehl = &MEMBERS[1];
    let (name, instances) =
        (wiehl.instance_name(), InstanceServiceClient::new(caller.channel(&wiehl.identity())));
    caller
        .change("Wiehl deletes", async |request_id| {
            let request = v1::DeleteInstanceRequest { name: name.clone(), request_id, ..Default::default() };
            instances.clone().delete_instance(request).await
        })
        .await;
    until("Wiehl's instance is gone", async || {
        let request = v1::GetInstanceRequest { name: name.clone() };
        let answer = instances.clone().get_instance(request).await;
        answer.is_err_and(|status| status.code() == Code::NotFound).then_some(())
    })
    .await;
    services(world, wiehl, 3).await;
}

/// Gives the number of requests that the worker needed.
async fn close(world: &World, month: Month) -> u64 {
    let caller = &world.caller;
    let usage = UsageServiceClient::new(caller.channel(TREASURER));
    for time in ["first", "second"] {
        caller
            .change(&format!("import usage for the {time} time"), async |id| {
                usage.clone().import_usage(tokio_stream::iter(sample::usage(id, month))).await
            })
            .await;
    }
    let billing = BillingServiceClient::new(caller.channel(TREASURER));
    let before = world.billing_gate.seen();
    if let Some(Fault::Billing { request, lost }) = world.fault {
        world.billing_gate.arm(request, lost);
    }
    caller
        .change("close the month", async |id| billing.clone().create_run(sample::run(id, month)).await)
        .await;
    until_run(&billing, month, v1::run::State::Review).await;
    let name = month.run();
    caller
        .change("issue the invoices", async |request_id| {
            let request = v1::FinalizeRunRequest { name: name.clone(), request_id, ..Default::default() };
            billing.clone().finalize_run(request).await
        })
        .await;
    until_run(&billing, month, v1::run::State::Closed).await;
    world.billing_gate.seen() - before
}

async fn until_run(
    billing: &BillingServiceClient<tonic::transport::Channel>,
    month: Month,
    state: v1::run::State,
) {
    until(&format!("the run is {state:?}"), async || {
        let request = v1::GetRunRequest { name: month.run() };
        let run = answered("look at the run", async || billing.clone().get_run(request.clone()).await).await;
        assert_ne!(run.state(), v1::run::State::Failed, "{}", run.message);
        (run.state() == state).then_some(())
    })
    .await;
}

/// Waits until the quota of a tenant's services is as the orders need it: no fact tells that, the workspace has not changed.
pub async fn services(world: &World, member: &Member, generation: u64) {
    let tenants = TenantServiceClient::new(world.caller.channel(&member.identity()));
    let name = member.tenant_name();
    until(&format!("{name} is ready in generation {generation}"), async || {
        let request = v1::GetTenantRequest { name: name.clone() };
        let tenant =
            answered("look at the tenant", async || tenants.clone().get_tenant(request.clone()).await).await;
        (tenant.state() == v1::tenant::State::Ready && tenant.observed_generation == generation).then_some(())
    })
    .await;
}

/// Waits until a fact of the cluster has arrived, and with it all that came before it.
pub async fn fact(world: &World, subject: &str, kind: &str, generation: u64) {
    until(&format!("{subject} is {kind} in generation {generation}"), async || {
        let all = records(&world.etcd).await;
        all.iter()
            .any(|record| {
                let value = &record.value;
                record.kind == "fact"
                    && value["subject"] == subject
                    && value["kind"].as_str().is_some_and(|text| text.eq_ignore_ascii_case(kind))
                    && value["generation"] == generation
            })
            .then_some(())
    })
    .await;
}
