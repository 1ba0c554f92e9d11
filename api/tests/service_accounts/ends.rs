//! Everything that ends an account's rights: at once for calls, within seconds for what is open.

use std::time::Duration;

use allmende_proto::v1::{
    self, Role, member_service_client::MemberServiceClient, tenant_service_client::TenantServiceClient,
};
use tonic::Code;

use crate::{
    CI, OWNER, Open, accounts, clock, comes_in, create, day, furnished, issue, issue_by, scope,
    support::{Api, LEMGO, OPERATOR, WIEHL, reason},
    who,
};

fn viewer() -> Vec<v1::ServiceAccountScope> {
    vec![scope(Role::Viewer, "", false)]
}

async fn update(api: &Api, path: &str, change: impl FnOnce(&mut v1::ServiceAccount)) {
    let mut account = v1::ServiceAccount { name: CI.into(), ..Default::default() };
    change(&mut account);
    let request = v1::UpdateServiceAccountRequest {
        service_account: Some(account),
        update_mask: Some(prost_types::FieldMask { paths: vec![path.into()] }),
        ..Default::default()
    };
    accounts(api.channel(LEMGO)).update_service_account(request).await.unwrap();
}

#[tokio::test]
async fn a_revoked_credential_loses_its_open_stream_and_the_others_stay() {
    let api = furnished().await;
    create(&api, "ci", viewer()).await;
    let (stolen, kept) = (issue(&api, CI).await, issue(&api, CI).await);
    let stream = Open::by(api.channel_as(Some(&stolen.leaf))).await;
    let mut other = Open::by(api.channel_as(Some(&kept.leaf))).await;
    let request = v1::RevokeServiceAccountCredentialRequest {
        name: stolen.name(),
        reason: "Schlüssel im Protokoll (Muster)".into(),
        ..Default::default()
    };
    let refused = accounts(api.channel(WIEHL)).revoke_service_account_credential(request.clone()).await;
    assert_eq!(refused.unwrap_err().code(), Code::NotFound);
    accounts(api.channel(LEMGO)).revoke_service_account_credential(request.clone()).await.unwrap();
    println!("revocation of a credential to cut: {} ms", stream.until_cut().await);
    assert!(who(api.channel_as(Some(&stolen.leaf))).await.is_err());
    assert!(issue_by(&api, api.channel_as(Some(&stolen.leaf)), CI, None).await.is_err(), "renews nothing");
    other.works().await;
    let again = accounts(api.channel(LEMGO)).revoke_service_account_credential(request).await;
    assert_eq!(again.unwrap_err().code(), Code::NotFound, "it is gone");
}

#[tokio::test]
async fn disabling_ends_calls_streams_and_credentials_and_enabling_brings_none_back() {
    let api = furnished().await;
    create(&api, "ci", viewer()).await;
    let given = issue(&api, CI).await;
    let stream = Open::by(api.channel_as(Some(&given.leaf))).await;
    update(&api, "disabled", |account| account.disabled = true).await;
    println!("disabling to cut: {} ms", stream.until_cut().await);
    assert!(who(api.channel_as(Some(&given.leaf))).await.is_err());
    let refused = issue_by(&api, api.channel(LEMGO), CI, None).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    update(&api, "disabled", |account| account.disabled = false).await;
    assert!(who(api.channel_as(Some(&given.leaf))).await.is_err(), "what was ended stays ended");
    comes_in(&api, &issue(&api, CI).await.leaf).await;
}

#[tokio::test]
async fn an_account_that_is_made_anew_does_not_take_over_what_the_deleted_one_had() {
    let api = furnished().await;
    create(&api, "ci", viewer()).await;
    let given = issue(&api, CI).await;
    let stream = Open::by(api.channel_as(Some(&given.leaf))).await;
    let request = v1::DeleteServiceAccountRequest { name: CI.into(), ..Default::default() };
    accounts(api.channel(OPERATOR)).delete_service_account(request.clone()).await.unwrap();
    println!("deletion to cut: {} ms", stream.until_cut().await);
    let again = accounts(api.channel(LEMGO)).delete_service_account(request).await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);
    create(&api, "ci", viewer()).await;
    assert!(who(api.channel_as(Some(&given.leaf))).await.is_err());
    comes_in(&api, &issue(&api, CI).await.leaf).await;
}

#[tokio::test]
async fn what_a_scope_gave_ends_with_it_and_open_streams_go_on_under_the_new_ones_alone() {
    let api = furnished().await;
    create(&api, "ci", vec![scope(Role::Viewer, "", false), scope(Role::Orderer, "test", false)]).await;
    let given = issue(&api, CI).await;
    let channel = api.channel_as(Some(&given.leaf));
    let stream = Open::by(channel.clone()).await;
    let members = MemberServiceClient::new(channel.clone());
    let get = || {
        let mut members = members.clone();
        async move { members.get_member(v1::GetMemberRequest { name: OWNER.into() }).await }
    };
    get().await.unwrap();
    update(&api, "scopes", |account| account.scopes = vec![scope(Role::Orderer, "test", false)]).await;
    // Whether by the old connection or a new one.
    let refused = async {
        loop {
            match get().await {
                Err(status) if status.code() == Code::PermissionDenied => return,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                Ok(_) => panic!("the scope is gone"),
            }
        }
    };
    tokio::time::timeout(crate::LIMIT, refused).await.unwrap();
    println!("change of scopes to cut: {} ms", stream.until_cut().await);
    // The credential itself is as good as before.
    let request = v1::GetTenantRequest { name: format!("{OWNER}/tenants/test") };
    let again = api.channel_as(Some(&given.leaf));
    TenantServiceClient::new(again).get_tenant(request).await.unwrap();
}

#[tokio::test]
async fn nothing_of_an_account_outlives_the_membership() {
    let api = furnished().await;
    create(&api, "ci", viewer()).await;
    let given = issue(&api, CI).await;
    let exit = |grace: i32, last: String| v1::ExitMemberRequest {
        name: OWNER.into(),
        last_day: last,
        grace_days: Some(grace),
        reason: "Austritt (Muster)".into(),
        ..Default::default()
    };
    let mut operator = MemberServiceClient::new(api.channel(OPERATOR));
    operator.exit_member(exit(0, day(0))).await.unwrap();
    // A credential that would reach beyond is cut to the end.
    let long = issue_by(&api, api.channel(LEMGO), CI, Some(86_400)).await.unwrap();
    assert_eq!(long.given.shortened, "the membership ends");
    who(api.channel_as(Some(&given.leaf))).await.unwrap();
    let revocations = v1::ListCertificateRevocationsRequest::default();
    let mut certificates =
        v1::certificate_service_client::CertificateServiceClient::new(api.channel(OPERATOR));
    let all = certificates.list_certificate_revocations(revocations).await.unwrap().into_inner().revocations;
    let end = all.iter().find(|one| one.principal.ends_with("/serviceaccount/-")).unwrap().end_time.unwrap();
    assert_eq!(end.seconds, long.end(), "connections end then too");
    clock(&api, 86_400);
    let refused = who(api.channel_as(Some(&given.leaf))).await.unwrap_err();
    assert_eq!(reason(&refused), "UNAUTHENTICATED");
}
