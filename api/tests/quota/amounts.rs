//! Load balancers and extended resources: given out like all others, and only those that a cluster has.

use allmende_proto::v1::{
    self, cluster_service_client::ClusterServiceClient, quota_service_client::QuotaServiceClient,
    tenant_service_client::TenantServiceClient,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{Api, LEMGO, OPERATOR, amounts, tenant_request, wrong_fields};

fn with(cpus: i64, load_balancers: i64, gpus: i64) -> v1::Resources {
    v1::Resources { load_balancers, extended: [("nvidia.com/gpu".to_owned(), gpus)].into(), ..amounts(cpus) }
}

async fn give(api: &Api, guaranteed: v1::Resources) -> Result<v1::Entitlement, tonic::Status> {
    let request = v1::SetEntitlementRequest {
        name: "members/m-05766044/entitlements/local-1".into(),
        guaranteed: Some(guaranteed),
        resolution: "Muster 2026/02".into(),
        ..Default::default()
    };
    let answer = QuotaServiceClient::new(api.channel(OPERATOR)).set_entitlement(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn order(api: &Api, id: &str, quota: v1::Resources) -> Result<v1::CreateTenantResponse, tonic::Status> {
    let mut request = v1::CreateTenantRequest { tenant_id: id.into(), ..tenant_request(1) };
    request.tenant.as_mut().unwrap().workspace_quota = Some(quota);
    let answer = TenantServiceClient::new(api.channel(LEMGO)).create_tenant(request).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn load_balancers_and_devices_are_reserved_like_everything_else_and_unknown_ones_are_refused_by_name() {
    let api = Api::start().await;
    api.furnished().await;

    // The cluster has none: neither an entitlement nor an order can name them.
    let refused = give(&api, with(10, 0, 1)).await.unwrap_err();
    assert_eq!(
        (refused.code(), wrong_fields(&refused)),
        (Code::InvalidArgument, vec!["guaranteed.extended".into()])
    );
    let refused = order(&api, "prod", with(1, 0, 1)).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), ["tenant.workspace_quota.extended"]);
    assert!(refused.message().contains("nvidia.com/gpu") && refused.message().contains("none"), "{refused}");
    let refused = order(&api, "prod", v1::Resources { load_balancers: 1, ..amounts(1) }).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);

    let request = v1::UpdateClusterCapacityRequest {
        name: "clusters/local-1".into(),
        capacity: Some(with(64, 4, 4)),
        ..Default::default()
    };
    ClusterServiceClient::new(api.channel(OPERATOR)).update_cluster_capacity(request).await.unwrap();
    let refused = give(&api, with(10, 2, 5)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "more than the cluster has");
    assert_eq!(give(&api, with(10, 2, 3)).await.unwrap().guaranteed, Some(with(10, 2, 3)));

    let preview = order(&api, "prod", with(1, 1, 2)).await.unwrap().preview.unwrap();
    assert_eq!(preview.remaining, Some(with(9, 1, 1)));
    let refused = order(&api, "test", with(1, 2, 2)).await.unwrap_err();
    let short: Vec<String> = refused
        .get_details_quota_failure()
        .map(|failure| failure.violations.into_iter().map(|short| short.description).collect())
        .unwrap_or_default();
    assert_eq!(short.len(), 2, "{short:?}");
    assert!(refused.message().contains("requests.nvidia.com/gpu"), "{refused}");

    let mut unknown = with(1, 0, 0);
    unknown.extended = [("amd.com/gpu".to_owned(), 1)].into();
    let refused = order(&api, "test", unknown.clone()).await.unwrap_err();
    assert!(
        refused.message().contains("amd.com/gpu") && refused.message().contains("there: nvidia.com/gpu"),
        "{refused}"
    );
    for name in ["", "gpu", "requests.nvidia.com/gpu", "kubernetes.io/x"] {
        unknown.extended = [(name.to_owned(), 1)].into();
        let refused = order(&api, "test", unknown.clone()).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), ["tenant.workspace_quota.extended"], "{name}");
    }
    unknown.extended = [("nvidia.com/gpu".to_owned(), -1)].into();
    let refused = order(&api, "test", unknown).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), ["tenant.workspace_quota.extended[nvidia.com/gpu]"]);
}
