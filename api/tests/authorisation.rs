//! Who may call: every RPC of the contract, from its descriptors, over real mTLS.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

mod support;

use allmende_proto::v1;
use prost::Message;
use support::{Api, CLUSTER, LEMGO, OPERATOR, WIEHL, raw, reason};
use tonic::{Code, transport::Channel};

fn methods() -> Vec<(String, bool)> {
    let set = prost_types::FileDescriptorSet::decode(allmende_proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut all = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                all.push((path, method.client_streaming()));
            }
        }
    }
    all
}

/// Calls a method with a message whose first field (name or parent in most) is `resource`.
async fn call(channel: Channel, path: &str, resource: &str) -> tonic::Status {
    let mut body = vec![0x0a, u8::try_from(resource.len()).unwrap()];
    body.extend_from_slice(resource.as_bytes());
    raw::call(channel, path, body).await
}

#[tokio::test]
async fn without_a_certificate_every_rpc_and_reflection_is_refused() {
    let api = Api::start().await;
    let reflection = ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".to_owned(), true);
    for (path, _) in methods().into_iter().chain([reflection]) {
        let status = call(api.channel(""), &path, "members/m-05766044").await;
        assert_eq!(status.code(), Code::Unauthenticated, "{path}: {status}");
        assert_eq!(reason(&status), "UNAUTHENTICATED", "{path}");
    }
}

#[tokio::test]
async fn a_components_certificate_grants_nothing() {
    let api = Api::start().await;
    let channel = api.channel("allmende://component/portal");
    for (path, _) in methods() {
        let Some(row) = allmende_api::authz::policy::row(path.trim_start_matches('/')) else {
            panic!("{path}")
        };
        if row.allow.contains(&allmende_api::authz::policy::Allow::Known) {
            continue;
        }
        let status = call(channel.clone(), &path, "members/m-05766044").await;
        assert_ne!(status.code(), Code::Ok, "{path}");
        // The probe's one field does not fit every message: such a one is refused before it reaches a use case.
        let malformed = status.message().starts_with("failed to decode");
        assert!(malformed || !matches!(status.code(), Code::Internal | Code::Unknown), "{path}: {status}");
    }
}

#[tokio::test]
async fn what_is_not_of_the_contract_is_denied() {
    let api = Api::start().await;
    let status = call(api.channel(OPERATOR), "/allmende.v1.MemberService/DropEverything", "x").await;
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn another_members_object_answers_byte_for_byte_like_one_that_does_not_exist() {
    let api = Api::start().await;
    api.furnished().await;
    let lemgo = api.channel(LEMGO);
    let mut tenants = v1::tenant_service_client::TenantServiceClient::new(lemgo.clone());
    tenants.create_tenant(support::tenant_request(2)).await.unwrap();
    let mut instances = v1::instance_service_client::InstanceServiceClient::new(lemgo);
    instances.create_instance(support::instance_request("db")).await.unwrap();
    let wiehl = api.channel(WIEHL);
    let suffixes =
        ["", "/tenants/prod", "/tenants/prod/instances/db", "/entitlements/local-1", "/billTos/main"];
    for (path, streaming) in methods() {
        let row = allmende_api::authz::policy::row(path.trim_start_matches('/')).unwrap();
        let by_member = row.allow.iter().any(|allow| {
            matches!(
                allow,
                allmende_api::authz::policy::Allow::Member(_) | allmende_api::authz::policy::Allow::Person(_)
            )
        });
        if !by_member || streaming {
            continue;
        }
        for suffix in suffixes {
            let real = call(wiehl.clone(), &path, &format!("members/m-05766044{suffix}")).await;
            let none = call(wiehl.clone(), &path, &format!("members/m-99999999{suffix}")).await;
            assert_eq!(real.code(), none.code(), "{path} {suffix}: {real} / {none}");
            assert_ne!(real.code(), Code::Ok, "{path} {suffix}");
            let same = |status: &tonic::Status| {
                let details = String::from_utf8_lossy(status.details()).replace("m-99999999", "m-05766044");
                (status.message().replace("m-99999999", "m-05766044"), details)
            };
            assert_eq!(same(&real), same(&none), "{path} {suffix}");
        }
    }
}

#[tokio::test]
async fn a_cluster_speaks_for_itself_only() {
    let api = Api::start().await;
    api.furnished().await;
    let path = "/allmende.v1.ClusterService/ReportObservations";
    let own = call(api.channel(CLUSTER), path, "clusters/local-1").await;
    assert_eq!(own.code(), Code::FailedPrecondition, "known, but the report names another store: {own}");
    let other = call(api.channel(CLUSTER), path, "clusters/local-2").await;
    assert_eq!(other.code(), Code::NotFound);
    let member = call(api.channel(LEMGO), path, "clusters/local-1").await;
    assert_eq!(member.code(), Code::PermissionDenied);
    let order =
        call(api.channel(CLUSTER), "/allmende.v1.TenantService/CreateTenant", "members/m-05766044").await;
    assert_eq!(order.code(), Code::NotFound);
}

#[tokio::test]
async fn a_grant_lets_another_act_for_a_member_until_it_is_revoked() {
    let api = Api::start().await;
    api.furnished().await;
    let mut members = v1::member_service_client::MemberServiceClient::new(api.channel(LEMGO));
    let bookkeeper = "allmende://principal/kasse-amt-nord";
    let grant =
        v1::Grant { principal: bookkeeper.into(), role: v1::Role::Viewer.into(), ..Default::default() };
    let request = v1::CreateGrantRequest {
        parent: "members/m-05766044".into(),
        grant: Some(grant),
        ..Default::default()
    };
    let grant = members.create_grant(request).await.unwrap().into_inner();
    let get = v1::GetMemberRequest { name: "members/m-05766044".into() };
    let mut theirs = v1::member_service_client::MemberServiceClient::new(api.channel(bookkeeper));
    assert_eq!(theirs.get_member(get.clone()).await.unwrap().into_inner().display_name, "Lemgo, Stadt");
    let mut orders = v1::tenant_service_client::TenantServiceClient::new(api.channel(bookkeeper));
    let refused = orders.create_tenant(support::tenant_request(1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "a viewer knows that it exists, and may not order");
    members.revoke_grant(v1::RevokeGrantRequest { name: grant.name, ..Default::default() }).await.unwrap();
    assert_eq!(theirs.get_member(get).await.unwrap_err().code(), Code::NotFound);
}
