//! Bad input: the right code, all wrong fields at once, nothing changed.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

mod support;

use allmende_proto::v1::{self, member_service_client::MemberServiceClient};
use support::{Api, LEMGO, OPERATOR, TREASURER, create_member, member_request, reason, wrong_fields};
use tonic::Code;
use tonic_types::StatusExt;

#[tokio::test]
async fn the_register_is_imported_whole_and_a_member_takes_name_and_population_from_it() {
    let api = Api::start().await;
    let edition = support::import_register(&api).await;
    assert_eq!((edition.municipalities, edition.counties), (10_981, 400));
    let again = support::import_register(&api).await;
    assert_eq!(again.digest, edition.digest, "the same edition again is the same edition");
    let lemgo = create_member(&api, "05766044", "05766044-KST4711-12").await.unwrap();
    assert_eq!(lemgo.name, "members/m-05766044");
    assert_eq!(lemgo.display_name, "Lemgo, Stadt");
    assert_eq!(lemgo.population.unwrap().inhabitants, 40_594);
    let friesland = create_member(&api, "03455", "03455-15").await.unwrap();
    assert_eq!(friesland.name, "members/k-03455");
}

#[tokio::test]
async fn all_wrong_fields_of_a_member_are_told_at_once_and_nothing_is_stored() {
    let api = Api::start().await;
    support::import_register(&api).await;
    let before = api.dump().await;
    let mut request = member_request("05999999", "05766044-KST4711-13");
    request.member.as_mut().unwrap().shares[0].count = -1;
    request.bill_to.as_mut().unwrap().postal_code = "1".into();
    let mut members = MemberServiceClient::new(api.channel(OPERATOR));
    let status = members.create_member(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(
        wrong_fields(&status),
        ["bill_to.leitweg_id", "bill_to.postal_code", "member.register_key", "member.shares[0].count"]
    );
    let status = create_member(&api, "05999999", "05766044-KST4711-12").await.unwrap_err();
    assert_eq!(reason(&status), "REGISTER_KEY_UNKNOWN");
    let status = create_member(&api, "05766044", "05766044-KST4711-13").await.unwrap_err();
    assert_eq!(reason(&status), "LEITWEG_ID_INVALID");
    assert_eq!(api.dump().await, before);
    let mut reasoned = member_request("05999999", "05766044-KST4711-12");
    reasoned.member.as_mut().unwrap().display_name = "Neustadt (Muster)".into();
    reasoned.register_override_reason = "Neugründung, Edition folgt".into();
    assert_eq!(members.create_member(reasoned).await.unwrap().into_inner().name, "members/m-05999999");
}

#[tokio::test]
async fn a_request_id_counts_once_and_another_body_under_it_is_refused() {
    let api = Api::start().await;
    support::import_register(&api).await;
    let mut members = MemberServiceClient::new(api.channel(OPERATOR));
    let mut request = member_request("05766044", "05766044-KST4711-12");
    request.request_id = "0192f0c1-2345-7abc-8def-0123456789ab".into();
    let first = members.create_member(request.clone()).await.unwrap().into_inner();
    assert_eq!(members.create_member(request.clone()).await.unwrap().into_inner(), first);
    let before = api.dump().await;
    request.member.as_mut().unwrap().shares[0].count = 5;
    let status = members.create_member(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
    assert_eq!(api.dump().await, before);
}

#[tokio::test]
async fn page_tokens_belong_to_their_list_and_filter() {
    let api = Api::start().await;
    api.furnished().await;
    let mut members = MemberServiceClient::new(api.channel(OPERATOR));
    let list = |land: &str, token: &str| v1::ListMembersRequest {
        page_size: 1,
        land: land.into(),
        page_token: token.into(),
    };
    let first = members.list_members(list("", "")).await.unwrap().into_inner();
    assert!(!first.next_page_token.is_empty());
    let second = members.list_members(list("", &first.next_page_token)).await.unwrap().into_inner();
    assert_ne!(first.members[0].name, second.members[0].name);
    assert_eq!(second.next_page_token, "");
    let status = members.list_members(list("Bremen", &first.next_page_token)).await.unwrap_err();
    assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
    let negative = v1::ListMembersRequest { page_size: -1, ..Default::default() };
    assert_eq!(members.list_members(negative).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_stale_etag_changes_nothing() {
    let api = Api::start().await;
    api.furnished().await;
    let mut tenants = v1::tenant_service_client::TenantServiceClient::new(api.channel(LEMGO));
    tenants.create_tenant(support::tenant_request(2)).await.unwrap();
    let name = "members/m-05766044/tenants/prod";
    let tenant = tenants.get_tenant(v1::GetTenantRequest { name: name.into() }).await.unwrap().into_inner();
    let resize = |etag: &str, cpus| v1::UpdateTenantRequest {
        tenant: Some(v1::Tenant {
            name: name.into(),
            etag: etag.into(),
            workspace_quota: Some(support::amounts(cpus)),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["workspace_quota".into()] }),
        ..Default::default()
    };
    tenants.update_tenant(resize(&tenant.etag, 3)).await.unwrap();
    let before = api.dump().await;
    let status = tenants.update_tenant(resize(&tenant.etag, 4)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "STALE_ETAG"));
    assert_eq!(api.dump().await, before);
}

#[tokio::test]
async fn an_order_over_quota_is_refused_with_the_numbers() {
    let api = Api::start().await;
    api.furnished().await;
    let mut tenants = v1::tenant_service_client::TenantServiceClient::new(api.channel(LEMGO));
    let before = api.dump().await;
    let status = tenants.create_tenant(support::tenant_request(11)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "QUOTA_EXCEEDED"));
    let quota = status.get_details_quota_failure().unwrap().violations;
    assert_eq!(quota[0].subject, "members/m-05766044/entitlements/local-1/requests.cpu");
    assert_eq!(quota[0].description, "requests.cpu limit 10000, used 0, asked 11000");
    for wrong in [-1, i64::MAX / 1000] {
        let mut request = support::tenant_request(1);
        request.tenant.as_mut().unwrap().workspace_quota.as_mut().unwrap().cpu_milli = wrong;
        let status = tenants.create_tenant(request).await.unwrap_err();
        assert!(matches!(status.code(), Code::InvalidArgument | Code::ResourceExhausted), "{status}");
    }
    assert_eq!(api.dump().await, before);
}

#[tokio::test]
async fn an_order_is_checked_against_catalogue_and_schema() {
    let api = Api::start().await;
    api.furnished().await;
    let lemgo = api.channel(LEMGO);
    v1::tenant_service_client::TenantServiceClient::new(lemgo.clone())
        .create_tenant(support::tenant_request(2))
        .await
        .unwrap();
    let mut instances = v1::instance_service_client::InstanceServiceClient::new(lemgo);
    let before = api.dump().await;
    let mut wrong = support::instance_request("Db");
    wrong.instance.as_mut().unwrap().plan = String::new();
    let status = instances.create_instance(wrong).await.unwrap_err();
    assert_eq!(wrong_fields(&status), ["instance.plan", "instance_id"]);
    let mut unknown = support::instance_request("db");
    unknown.instance.as_mut().unwrap().offering = "offerings/oracle".into();
    assert_eq!(wrong_fields(&instances.create_instance(unknown).await.unwrap_err()), ["instance.offering"]);
    let mut parameters = support::instance_request("db");
    parameters.instance.as_mut().unwrap().parameters_json =
        r#"{"database":"A","maxConnections":5,"x":1}"#.into();
    let status = instances.create_instance(parameters).await.unwrap_err();
    assert_eq!(reason(&status), "PARAMETERS_INVALID");
    assert_eq!(wrong_fields(&status).len(), 3);
    assert_eq!(api.dump().await, before);
}

#[tokio::test]
async fn usage_is_imported_once_and_a_wrong_segment_stops_all() {
    let api = Api::start().await;
    api.furnished().await;
    let mut usage = v1::usage_service_client::UsageServiceClient::new(api.channel(TREASURER));
    let time = |second| prost_types::Timestamp { seconds: second, nanos: 0 };
    let segment = |id: &str, member: &str| v1::UsageSegment {
        id: id.into(),
        member: format!("members/{member}"),
        meter: "vcpu".into(),
        amount_milli: 8000,
        interval: Some(v1::Interval {
            start_time: Some(time(1_788_213_600)),
            end_time: Some(time(1_790_805_600)),
        }),
        ..Default::default()
    };
    let import = |segments| {
        tokio_stream::once(v1::ImportUsageRequest {
            source: "Messwerte (Muster)".into(),
            segments,
            ..Default::default()
        })
    };
    let before = api.dump().await;
    let mut wrong = segment("b", "m-05766044");
    wrong.amount_milli = -5;
    wrong.meter = "petaflops".into();
    let status = usage.import_usage(import(vec![segment("a", "m-05766044"), wrong])).await.unwrap_err();
    assert_eq!(wrong_fields(&status), ["segments[1].amount_milli", "segments[1].meter"]);
    let status = usage.import_usage(import(vec![segment("a", "m-11111111")])).await.unwrap_err();
    assert_eq!(wrong_fields(&status), ["segments[0].member"]);
    assert_eq!(api.dump().await, before);
    let first = usage.import_usage(import(vec![segment("a", "m-05766044")])).await.unwrap().into_inner();
    let second = usage.import_usage(import(vec![segment("a", "m-05766044")])).await.unwrap().into_inner();
    assert_eq!((first.imported, first.already_counted), (1, 0));
    assert_eq!((second.imported, second.already_counted), (0, 1));
}
