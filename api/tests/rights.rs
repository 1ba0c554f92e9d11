//! The report of rights and the rules for grants.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use allmende_api::authn::Issuers;
use allmende_proto::v1::{self, member_service_client::MemberServiceClient};
use support::{Api, LEMGO, OPERATOR, WIEHL, wrong_fields};
use tonic::Code;

/// The tests' clock, 2026-11-24T10:00:00Z.
const NOW: i64 = 1_795_514_400;
const CLERK: &str = "allmende://issuer/lemgo/clerk%40lemgo.example";

async fn furnished() -> Api {
    allmende_identity::install_crypto_provider();
    let file = "[[issuer]]\nalias = \"lemgo\"\nissuer = \"https://id.lemgo.example\"\naudience = \"api\"\nalgorithms = [\"RS256\"]\n\
        [[group]]\nissuer = \"lemgo\"\ngroup = \"Kämmerei\"\nmember = \"m-05766044\"\nrole = \"accountant\"\nsince = \"2026-01-01T00:00:00Z\"\n\
        [[group]]\nissuer = \"lemgo\"\ngroup = \"RZ\"\nrole = \"operator\"\n";
    let api = Api::start_with(Issuers::parse(file).unwrap()).await;
    api.furnished().await;
    api
}

fn time(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

async fn grant(api: &Api, by: &str, member: &str, grant: v1::Grant) -> Result<v1::Grant, tonic::Status> {
    let request = v1::CreateGrantRequest {
        parent: format!("members/{member}"),
        grant: Some(grant),
        ..Default::default()
    };
    MemberServiceClient::new(api.channel(by)).create_grant(request).await.map(tonic::Response::into_inner)
}

async fn rights(
    api: &Api,
    by: &str,
    parent: &str,
    at: Option<prost_types::Timestamp>,
) -> Result<Vec<v1::Right>, tonic::Status> {
    let mut members = MemberServiceClient::new(api.channel(by));
    let mut request =
        v1::ListRightsRequest { parent: parent.into(), page_size: 2, time: at, ..Default::default() };
    let mut all = Vec::new();
    loop {
        let page = members.list_rights(request.clone()).await?.into_inner();
        assert!(page.rights.len() <= 2);
        all.extend(page.rights);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        request.page_token = page.next_page_token;
    }
}

fn lines(rights: &[v1::Right]) -> Vec<String> {
    let line = |right: &v1::Right| {
        let (role, source) = (right.role().as_str_name(), right.source().as_str_name());
        format!("{} {} {} {}", right.member, right.principal, &role[5..], &source[13..])
    };
    rights.iter().map(line).collect()
}

#[tokio::test]
async fn the_report_names_grants_groups_and_certificates_at_any_time_and_nothing_of_others() {
    let api = furnished().await;
    let viewer = v1::Grant { principal: CLERK.into(), role: v1::Role::Viewer.into(), ..Default::default() };
    let given = grant(&api, LEMGO, "m-05766044", viewer.clone()).await.unwrap();
    assert_eq!((given.granted_by.as_str(), given.revoked_by.as_str()), (LEMGO, ""));
    let kasse = v1::Grant {
        principal: WIEHL.into(),
        role: v1::Role::Auditor.into(),
        valid_until: time(NOW + 1000),
        ..Default::default()
    };
    grant(&api, OPERATOR, "m-05766044", kasse).await.unwrap();
    grant(&api, WIEHL, "m-05374048", viewer).await.unwrap();
    let lemgo = rights(&api, LEMGO, "members/m-05766044", None).await.unwrap();
    assert_eq!(
        lines(&lemgo),
        [
            "members/m-05766044 allmende://group/lemgo/K%C3%A4mmerei ACCOUNTANT GROUP".to_owned(),
            format!("members/m-05766044 {CLERK} VIEWER GRANT"),
            format!("members/m-05766044 {WIEHL} AUDITOR GRANT"),
            format!("members/m-05766044 {LEMGO} ADMIN CERTIFICATE"),
        ]
    );
    assert_eq!(lemgo[2].granted_by, OPERATOR, "who gave it");
    assert_eq!(lemgo[1].grant, given.name);
    assert!(lemgo.iter().all(|right| right.valid_from.is_some()), "since when");
    // What ended is no right any more, and was one.
    let mut members = MemberServiceClient::new(api.channel(LEMGO));
    let ended =
        members.revoke_grant(v1::RevokeGrantRequest { name: given.name.clone(), ..Default::default() });
    assert_eq!(ended.await.unwrap().into_inner().revoked_by, LEMGO);
    api.set_clock("2026-11-24T11:00:00Z");
    assert_eq!(rights(&api, LEMGO, "members/m-05766044", None).await.unwrap().len(), 2);
    assert_eq!(rights(&api, LEMGO, "members/m-05766044", time(NOW + 999)).await.unwrap().len(), 3);
    assert!(rights(&api, LEMGO, "members/m-05766044", time(1_000_000_000)).await.unwrap().is_empty());
    // Over all, for the cooperative alone.
    let all = lines(&rights(&api, OPERATOR, "members/-", None).await.unwrap());
    assert!(all.contains(&format!("members/m-05374048 {CLERK} VIEWER GRANT")), "{all:#?}");
    assert!(all.contains(&" allmende://group/lemgo/RZ COOPERATIVE_OPERATOR GROUP".to_owned()), "{all:#?}");
    assert_eq!(
        all.len(),
        3 + 1 + 2 + 1 + 1,
        "roles, their group, members, Lemgo's group, Wiehl's grant: {all:#?}"
    );
    let refused = rights(&api, LEMGO, "members/-", None).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let foreign = rights(&api, LEMGO, "members/m-05374048", None).await.unwrap_err();
    let random = rights(&api, LEMGO, "members/m-99999999", None).await.unwrap_err();
    assert_eq!((foreign.code(), random.code()), (Code::NotFound, Code::NotFound));
}

#[tokio::test]
async fn all_that_is_wrong_with_a_grant_is_said_at_once() {
    let api = furnished().await;
    let wrong = v1::Grant {
        principal: "allmende://cluster/local-1".into(),
        role: v1::Role::CooperativeOperator.into(),
        deputy: true,
        ..Default::default()
    };
    let refused = grant(&api, LEMGO, "m-05766044", wrong).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), ["grant.principal", "grant.role", "grant.valid_until"]);
    for (principal, role, from, until, field) in [
        (CLERK, v1::Role::Auditor, None, None, "grant.valid_until"),
        (CLERK, v1::Role::Viewer, time(NOW - 1), None, "grant.valid_from"),
        (CLERK, v1::Role::Viewer, time(NOW + 10), time(NOW + 10), "grant.valid_until"),
        ("allmende://issuer/detmold/clerk", v1::Role::Viewer, None, None, "grant.principal"),
        ("allmende://issuer/lemgo/%63lerk", v1::Role::Viewer, None, None, "grant.principal"),
        ("allmende://component/portal", v1::Role::Viewer, None, None, "grant.principal"),
        ("allmende://cooperative/operator", v1::Role::Viewer, None, None, "grant.principal"),
    ] {
        let wrong = v1::Grant {
            principal: principal.into(),
            role: role.into(),
            valid_from: from,
            valid_until: until,
            ..Default::default()
        };
        let refused = grant(&api, LEMGO, "m-05766044", wrong).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [field], "{principal}: {refused}");
    }
    let viewer = v1::Grant { principal: CLERK.into(), role: v1::Role::Viewer.into(), ..Default::default() };
    let refused = grant(&api, WIEHL, "m-05766044", viewer).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "nobody grants for another member");
}

#[tokio::test]
async fn a_request_is_repeated_also_after_its_grant_began() {
    let api = furnished().await;
    let grant = v1::Grant {
        principal: CLERK.into(),
        role: v1::Role::Viewer.into(),
        valid_from: time(NOW + 60),
        ..Default::default()
    };
    let request = v1::CreateGrantRequest {
        parent: "members/m-05766044".into(),
        grant: Some(grant),
        request_id: "0190f7a2-1111-7000-8000-000000000001".into(),
        ..Default::default()
    };
    let mut members = MemberServiceClient::new(api.channel(LEMGO));
    let first = members.create_grant(request.clone()).await.unwrap().into_inner();
    api.set_clock("2026-11-24T12:00:00Z");
    assert_eq!(members.create_grant(request).await.unwrap().into_inner(), first);
}

#[tokio::test]
async fn every_caller_can_ask_who_it_is_and_what_it_may() {
    let api = furnished().await;
    let get = |who: &str| {
        let mut members = MemberServiceClient::new(api.channel(who));
        async move { members.get_caller(v1::GetCallerRequest {}).await.map(tonic::Response::into_inner) }
    };
    let viewer = v1::Grant { principal: WIEHL.into(), role: v1::Role::Viewer.into(), ..Default::default() };
    grant(&api, LEMGO, "m-05766044", viewer).await.unwrap();
    let wiehl = get(WIEHL).await.unwrap();
    assert_eq!(wiehl.principal, WIEHL);
    assert_eq!(
        lines(&wiehl.rights),
        [
            format!("members/m-05374048 {WIEHL} ADMIN CERTIFICATE"),
            format!("members/m-05766044 {WIEHL} VIEWER GRANT"),
        ]
    );
    assert_eq!(
        lines(&get(OPERATOR).await.unwrap().rights),
        [format!(" {OPERATOR} COOPERATIVE_OPERATOR CERTIFICATE")]
    );
    assert!(get("allmende://principal/nobody").await.unwrap().rights.is_empty());
    assert_eq!(get("").await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(get("allmende://component/portal").await.unwrap_err().code(), Code::Unauthenticated);
}
