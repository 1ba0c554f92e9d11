//! Members whose names begin alike never see or move anything of each other, in any list, with any page token, at any freshness.

use std::collections::BTreeSet;

use allmende_proto::v1::{
    self, member_service_client::MemberServiceClient, operation_service_client::OperationServiceClient,
    quota_service_client::QuotaServiceClient, tenant_service_client::TenantServiceClient,
};
use tonic::{Code, Request};

use crate::support::{Api, OPERATOR, amounts, member_request, set_entitlement};

const ALIKE: [&str; 4] = ["aaa", "aaa-b", "aaa0", "aaab"];

async fn furnished() -> Api {
    let api = Api::start().await;
    api.furnished().await;
    let mut members = MemberServiceClient::new(api.channel(OPERATOR));
    for id in ALIKE {
        let mut request = member_request("", "05766044-KST4711-12");
        let member = request.member.as_mut().unwrap();
        member.display_name = format!("Werk {id} (Muster)");
        member.r#type = v1::MemberType::Association.into();
        request.member_id = id.to_owned();
        members.create_member(request).await.unwrap();
        set_entitlement(&api, id, 4).await.unwrap();
        let mut tenants = TenantServiceClient::new(api.channel(&format!("allmende://member/{id}")));
        for tenant in ["a", "ab", "a0"] {
            let request = v1::CreateTenantRequest {
                parent: format!("members/{id}"),
                tenant_id: tenant.to_owned(),
                tenant: Some(v1::Tenant {
                    cluster: "clusters/local-1".to_owned(),
                    workspace_quota: Some(amounts(1)),
                    ..Default::default()
                }),
                ..Default::default()
            };
            tenants.create_tenant(request).await.unwrap();
        }
    }
    api
}

fn asking<T>(message: T, freshness: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("allmende-read", freshness.parse().unwrap());
    request
}

/// All names of a member's tenants, page by page, and the page tokens.
async fn tenants(api: &Api, id: &str, freshness: &str) -> (BTreeSet<String>, Vec<String>) {
    let mut client = TenantServiceClient::new(api.channel(&format!("allmende://member/{id}")));
    let (mut names, mut tokens, mut page_token) = (BTreeSet::new(), Vec::new(), String::new());
    loop {
        let request = v1::ListTenantsRequest { parent: format!("members/{id}"), page_size: 2, page_token };
        let page = client.list_tenants(asking(request, freshness)).await.unwrap().into_inner();
        names.extend(page.tenants.into_iter().map(|tenant| tenant.name));
        if page.next_page_token.is_empty() {
            return (names, tokens);
        }
        page_token = page.next_page_token;
        tokens.push(page_token.clone());
    }
}

#[tokio::test]
async fn members_with_similar_names_never_touch_each_others_ranges() {
    let api = furnished().await;
    for id in ALIKE {
        let own = format!("members/{id}/");
        let identity = format!("allmende://member/{id}");
        for freshness in ["strong", "session"] {
            let (names, _) = tenants(&api, id, freshness).await;
            assert_eq!(names.len(), 3, "{names:?}");
            assert!(names.iter().all(|name| name.starts_with(&own)), "{names:?}");
            let mut quota = QuotaServiceClient::new(api.channel(&identity));
            let request =
                v1::ListReservationsRequest { parent: format!("members/{id}"), ..Default::default() };
            let held = quota.list_reservations(asking(request, freshness)).await.unwrap().into_inner();
            let held: BTreeSet<String> = held.reservations.into_iter().map(|one| one.holder).collect();
            assert_eq!(held, names);
            let request =
                v1::ListEntitlementsRequest { parent: format!("members/{id}"), ..Default::default() };
            let entitled = quota.list_entitlements(asking(request, freshness)).await.unwrap().into_inner();
            assert_eq!(entitled.entitlements.len(), 1);
            assert!(entitled.entitlements[0].name.starts_with(&own));
            let mut operations = OperationServiceClient::new(api.channel(&identity));
            let request = v1::ListOperationsRequest { parent: format!("members/{id}"), ..Default::default() };
            let begun = operations.list_operations(asking(request, freshness)).await.unwrap().into_inner();
            assert_eq!(begun.operations.len(), 3);
            assert!(begun.operations.iter().all(|operation| operation.target.starts_with(&own)));
        }
    }
}

#[tokio::test]
async fn a_neighbours_name_and_page_token_open_nothing() {
    let api = furnished().await;
    for id in ALIKE {
        let mut client = TenantServiceClient::new(api.channel(&format!("allmende://member/{id}")));
        for other in ALIKE.into_iter().filter(|other| *other != id) {
            let request = v1::ListTenantsRequest { parent: format!("members/{other}"), ..Default::default() };
            assert_eq!(
                client.list_tenants(request).await.unwrap_err().code(),
                Code::NotFound,
                "{id} {other}"
            );
            let (_, tokens) = tenants(&api, other, "strong").await;
            for page_token in tokens {
                let request =
                    v1::ListTenantsRequest { parent: format!("members/{id}"), page_size: 2, page_token };
                if let Ok(page) = client.list_tenants(request).await {
                    let own = format!("members/{id}/");
                    assert!(page.into_inner().tenants.iter().all(|tenant| tenant.name.starts_with(&own)));
                }
            }
        }
    }
}
