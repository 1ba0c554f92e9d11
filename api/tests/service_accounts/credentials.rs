//! How an account gets its credential, renews it, and what else does not speak for it.

use allmende_proto::v1::{self, Role};
use tonic::Code;

use crate::{
    CI, CI_PRINCIPAL, OWNER, accounts, at, clock, create, furnished, issue, issue_by, now, scope,
    support::{LEMGO, OPERATOR, WIEHL, reason, wrong_fields},
    who,
};

fn viewer() -> Vec<v1::ServiceAccountScope> {
    vec![scope(Role::Viewer, "", false)]
}

#[tokio::test]
async fn a_credential_counts_an_hour_a_day_at_most_and_never_longer_than_its_account() {
    let api = furnished().await;
    create(&api, "ci", viewer()).await;
    let hour = issue(&api, CI).await;
    assert!((now() + 3_590..=now() + 3_600).contains(&hour.end()));
    assert_eq!(hour.given.shortened, "");
    assert!((now() + 1_700..=now() + 1_800).contains(&hour.given.renew_time.unwrap().seconds), "half of it");
    let lemgo = || api.channel(LEMGO);
    let long = issue_by(&api, lemgo(), CI, Some(3 * 86_400)).await.unwrap();
    assert!((now() + 86_390..=now() + 86_400).contains(&long.end()));
    assert_eq!(long.given.shortened, "a day is the longest that a credential counts");
    for short in [0, -1, 299] {
        let refused = issue_by(&api, lemgo(), CI, Some(short)).await.map(|_| ()).unwrap_err();
        assert_eq!(wrong_fields(&refused), ["ttl"]);
    }
    // The account's own end.
    let ending =
        v1::ServiceAccount { name: CI.into(), expire_time: Some(at(now() + 1_000)), ..Default::default() };
    let update = v1::UpdateServiceAccountRequest {
        service_account: Some(ending),
        update_mask: Some(prost_types::FieldMask { paths: vec!["expire_time".into()] }),
        ..Default::default()
    };
    accounts(lemgo()).update_service_account(update).await.unwrap();
    let cut = issue_by(&api, lemgo(), CI, None).await.unwrap();
    assert!(cut.end() <= now() + 1_000);
    assert_eq!(cut.given.shortened, "the account ends");
    who(api.channel_as(Some(&hour.leaf))).await.unwrap();
    clock(&api, 1_001);
    for leaf in [&hour.leaf, &cut.leaf] {
        assert_eq!(who(api.channel_as(Some(leaf))).await.unwrap_err().code(), Code::Unauthenticated);
    }
    let refused = issue_by(&api, lemgo(), CI, None).await.map(|_| ()).unwrap_err();
    assert_eq!((refused.code(), refused.message().contains("has ended")), (Code::FailedPrecondition, true));
}

#[tokio::test]
async fn a_certificate_that_is_not_on_the_accounts_list_does_not_speak_for_it() {
    let api = furnished().await;
    // By the right authority, for an account that there is not, and then is.
    let forged = api.leaf(CI_PRINCIPAL);
    let refused = who(api.channel_as(Some(&forged))).await.unwrap_err();
    assert_eq!(reason(&refused), "UNAUTHENTICATED");
    create(&api, "ci", viewer()).await;
    let again = who(api.channel_as(Some(&forged))).await.unwrap_err();
    assert_eq!(again.message(), refused.message(), "whatever the reason");
    let given = issue(&api, CI).await;
    assert_eq!(who(api.channel_as(Some(&given.leaf))).await.unwrap().principal, CI_PRINCIPAL);
    clock(&api, 3_601);
    let late = who(api.channel_as(Some(&given.leaf))).await.unwrap_err();
    assert_eq!(late.message(), refused.message(), "ended");
}

#[tokio::test]
async fn a_credential_is_for_the_key_that_asks_and_is_given_by_the_members_admin() {
    let api = furnished().await;
    create(&api, "ci", viewer()).await;
    let before = api.dump().await;
    for (by, code) in [
        (WIEHL, Code::NotFound),
        (OPERATOR, Code::PermissionDenied),
        ("allmende://principal/stranger", Code::NotFound),
        ("allmende://cluster/local-1", Code::NotFound),
    ] {
        let refused = issue_by(&api, api.channel(by), CI, None).await.map(|_| ()).unwrap_err();
        assert_eq!(refused.code(), code, "{by}: {refused}");
    }
    let mut lemgo = accounts(api.channel(LEMGO));
    let request = v1::IssueServiceAccountCredentialRequest { parent: CI.into(), ..Default::default() };
    for bad in ["", "no PEM", &api.request_on_p384()] {
        let request =
            v1::IssueServiceAccountCredentialRequest { certificate_request: bad.into(), ..request.clone() };
        let refused = lemgo.issue_service_account_credential(request).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), ["certificate_request"]);
    }
    let parent = format!("{OWNER}/serviceAccounts/none");
    let refused = issue_by(&api, api.channel(LEMGO), &parent, None).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    // A request that asks for another name gets its own, and a preview gets nothing.
    let greedy = v1::IssueServiceAccountCredentialRequest {
        certificate_request: api.request_as(OPERATOR).request,
        request_id: uuid::Uuid::new_v4().to_string(),
        ..request
    };
    let preview = v1::IssueServiceAccountCredentialRequest { validate_only: true, ..greedy.clone() };
    let preview = lemgo.issue_service_account_credential(preview).await.unwrap().into_inner();
    assert_eq!(preview.certificate_chain, "");
    assert_eq!(api.dump().await, before, "refusals and previews change nothing");
    let given = lemgo.issue_service_account_credential(greedy.clone()).await.unwrap().into_inner();
    let named = allmende_identity::PeerCertificate::of_pem(&given.certificate_chain).unwrap();
    assert_eq!(named.identity.to_string(), CI_PRINCIPAL);
    let again = lemgo.issue_service_account_credential(greedy).await.unwrap().into_inner();
    assert_eq!(again, given, "a repeat is answered as the first was");
    let request = v1::ListServiceAccountCredentialsRequest { parent: CI.into(), ..Default::default() };
    let all = lemgo.list_service_account_credentials(request).await.unwrap().into_inner().credentials;
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].serial.as_str(), all[0].issued_by.as_str()), (named.serial.as_str(), LEMGO));
}

#[tokio::test]
async fn an_account_renews_its_own_credential_where_it_may_and_a_copy_locks_one_of_the_two_out() {
    let api = furnished().await;
    create(&api, "ci", viewer()).await;
    let first = issue(&api, CI).await;
    let channel = |credential: &crate::Credential| api.channel_as(Some(&credential.leaf));
    let second = issue_by(&api, channel(&first), CI, None).await.unwrap();
    assert_eq!(second.name(), first.name(), "the same credential");
    who(channel(&first)).await.unwrap();
    let third = issue_by(&api, channel(&second), CI, None).await.unwrap();
    assert_eq!(third.given.credential.clone().unwrap().renewals, 2);
    // What was renewed twice counts no more, neither for a call nor for a handshake.
    assert!(who(channel(&first)).await.is_err());
    who(channel(&second)).await.unwrap();
    // Somebody with a copy of the second renews too: the third is out, which its owner notices.
    issue_by(&api, channel(&second), CI, None).await.unwrap();
    assert!(who(channel(&third)).await.is_err());

    let stay = v1::ServiceAccount { name: CI.into(), self_renew: false, ..Default::default() };
    let update = v1::UpdateServiceAccountRequest {
        service_account: Some(stay),
        update_mask: Some(prost_types::FieldMask { paths: vec!["self_renew".into()] }),
        ..Default::default()
    };
    accounts(api.channel(LEMGO)).update_service_account(update).await.unwrap();
    let fresh = issue(&api, CI).await;
    let refused = issue_by(&api, channel(&fresh), CI, None).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
}

#[tokio::test]
async fn an_account_has_a_bounded_number_of_credentials() {
    let api = furnished().await;
    create(&api, "ci", viewer()).await;
    for _ in 0..16 {
        issue(&api, CI).await;
    }
    let refused = issue_by(&api, api.channel(LEMGO), CI, None).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("16 credentials"), "{refused}");
    clock(&api, 3_601);
    issue(&api, CI).await;
}
