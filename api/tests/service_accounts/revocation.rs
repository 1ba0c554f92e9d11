//! Certificates of members, people, services and roles, refused by the API before their time is over.

use std::time::{Duration, UNIX_EPOCH};

use allmende_proto::v1::{
    self, Role, certificate_service_client::CertificateServiceClient,
    member_service_client::MemberServiceClient,
};
use allmende_testkit::ca::Leaf;
use tonic::Code;

use crate::{
    CI, CI_PRINCIPAL, OWNER, Open, accounts, at, comes_in, create, furnished, issue, now, scope,
    support::{Api, LEMGO, OPERATOR, TREASURER, WIEHL, wrong_fields},
    who,
};

const KASSE: &str = "allmende://principal/kasse";

fn request(principal: &str) -> v1::RevokeCertificatesRequest {
    v1::RevokeCertificatesRequest {
        principal: principal.into(),
        reason: "Diebstahl (Muster)".into(),
        ..Default::default()
    }
}

async fn revoke(
    api: &Api,
    by: &str,
    request: v1::RevokeCertificatesRequest,
) -> Result<v1::CertificateRevocation, tonic::Status> {
    let mut certificates = CertificateServiceClient::new(api.channel(by));
    certificates.revoke_certificates(request).await.map(tonic::Response::into_inner)
}

/// One that began a day ago.
fn issued_before(api: &Api, file: &str, identity: &str) -> Leaf {
    api.ca.changed_client(file, identity, |params| {
        params.not_before = (UNIX_EPOCH + Duration::from_secs(now().cast_unsigned() - 86_400)).into();
    })
}

/// One that begins now.
fn fresh(api: &Api, file: &str, identity: &str) -> Leaf {
    let begin = UNIX_EPOCH + Duration::from_secs(now().cast_unsigned() + 2);
    api.ca.changed_client(file, identity, |params| params.not_before = begin.into())
}

#[tokio::test]
async fn all_certificates_of_a_principal_up_to_now_are_refused_and_their_streams_cut() {
    let api = furnished().await;
    for (name, principal) in [("lemgo", LEMGO), ("kasse", KASSE), ("treasurer", TREASURER)] {
        let old = issued_before(&api, name, principal);
        let stream = Open::by(api.channel_as(Some(&old))).await;
        let mut wiehl = Open::by(api.channel(WIEHL)).await;
        let before = api.dump().await;
        let preview = v1::RevokeCertificatesRequest { validate_only: true, ..request(principal) };
        let preview = revoke(&api, OPERATOR, preview).await.unwrap();
        assert_eq!(api.dump().await, before, "a preview changes nothing");
        let done = revoke(&api, OPERATOR, request(principal)).await.unwrap();
        assert!(done.issued_before.unwrap().seconds >= preview.issued_before.unwrap().seconds);
        println!("revocation of {principal} to cut: {} ms", stream.until_cut().await);
        assert!(who(api.channel_as(Some(&old))).await.is_err());
        wiehl.works().await;
        // A new certificate counts.
        comes_in(&api, &fresh(&api, &format!("{name}-new"), principal)).await;
    }
    let audit = api.audit().await;
    let entries: Vec<_> = audit
        .iter()
        .filter(|entry| entry["action"].as_str().unwrap().ends_with("RevokeCertificates"))
        .collect();
    assert_eq!(entries.len(), 3);
    // Entries of one moment have no order.
    let own = entries.iter().find(|entry| entry["target"] == LEMGO).unwrap();
    assert_eq!(own["member"], "m-05766044", "the member finds it in its own audit");
    assert!(
        entries.iter().all(|entry| entry["reason"] == "Diebstahl (Muster)" && entry["actor"] == OPERATOR)
    );
    let mut operator = CertificateServiceClient::new(api.channel(OPERATOR));
    let list = v1::ListCertificateRevocationsRequest { page_size: 2, ..Default::default() };
    let page = operator.list_certificate_revocations(list.clone()).await.unwrap().into_inner();
    let next = v1::ListCertificateRevocationsRequest { page_token: page.next_page_token, ..list };
    let rest = operator.list_certificate_revocations(next).await.unwrap().into_inner();
    assert_eq!((page.revocations.len(), rest.revocations.len()), (2, 1));
}

#[tokio::test]
async fn one_certificate_is_refused_by_its_serial_number_and_the_others_of_its_owner_stay() {
    let api = furnished().await;
    let (lost, kept) = (api.ca.client("lost", &[LEMGO]), api.ca.client("kept", &[LEMGO]));
    let (stream, mut other) =
        (Open::by(api.channel_as(Some(&lost))).await, Open::by(api.channel_as(Some(&kept))).await);
    // As openssl writes it: capitals, two digits a byte.
    let serial = format!("{:04X}", lost.serial);
    let one = v1::RevokeCertificatesRequest { serial, ..request(LEMGO) };
    // The member's admin does it itself.
    let by_grant = v1::Grant { principal: KASSE.into(), role: Role::Admin.into(), ..Default::default() };
    let grant = v1::CreateGrantRequest { parent: OWNER.into(), grant: Some(by_grant), ..Default::default() };
    MemberServiceClient::new(api.channel(LEMGO)).create_grant(grant).await.unwrap();
    let done = revoke(&api, KASSE, one).await.unwrap();
    assert_eq!(done.serials, [format!("{:04x}", lost.serial)]);
    println!("revocation by serial number to cut: {} ms", stream.until_cut().await);
    assert!(who(api.channel_as(Some(&lost))).await.is_err());
    other.works().await;
    who(api.channel_as(Some(&kept))).await.unwrap();
}

#[tokio::test]
async fn who_may_revoke_is_the_member_for_its_own_and_the_cooperatives_operator_for_all() {
    let api = furnished().await;
    let before = api.dump().await;
    for (by, principal, code) in [
        (WIEHL, LEMGO, Code::NotFound),
        (WIEHL, "allmende://member/m-99999999", Code::NotFound),
        (WIEHL, CI_PRINCIPAL, Code::NotFound),
        (LEMGO, KASSE, Code::PermissionDenied),
        (LEMGO, TREASURER, Code::PermissionDenied),
        (LEMGO, "nonsense", Code::PermissionDenied),
        (TREASURER, LEMGO, Code::PermissionDenied),
        (OPERATOR, "allmende://member/m-99999999", Code::NotFound),
        ("allmende://cluster/local-1", LEMGO, Code::NotFound),
    ] {
        let refused = revoke(&api, by, request(principal)).await.unwrap_err();
        assert_eq!(refused.code(), code, "{by} {principal}: {refused}");
    }
    for (wrong, fields) in [
        (request("allmende://cluster/local-1"), vec!["principal"]),
        (request("allmende://issuer/lemgo/clerk"), vec!["principal"]),
        (request("nonsense"), vec!["principal"]),
        (
            v1::RevokeCertificatesRequest {
                serial: "xyz".into(),
                issued_before: Some(at(1)),
                reason: " ".into(),
                ..request("nonsense/serviceaccount/-")
            },
            vec!["issued_before", "principal", "reason", "serial"],
        ),
        (
            v1::RevokeCertificatesRequest { issued_before: Some(at(now() + 3_600)), ..request(KASSE) },
            vec!["issued_before"],
        ),
    ] {
        let refused = revoke(&api, OPERATOR, wrong).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), fields, "{refused}");
    }
    assert_eq!(api.dump().await, before, "a refusal changes nothing");
    let list = v1::ListCertificateRevocationsRequest::default();
    let refused = CertificateServiceClient::new(api.channel(LEMGO))
        .list_certificate_revocations(list)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn all_service_accounts_of_a_member_are_shut_out_at_once() {
    let api = furnished().await;
    create(&api, "ci", vec![scope(Role::Viewer, "", false)]).await;
    create(&api, "backup", vec![scope(Role::Viewer, "", false)]).await;
    let (ci, backup) = (issue(&api, CI).await, issue(&api, &format!("{OWNER}/serviceAccounts/backup")).await);
    let streams =
        [Open::by(api.channel_as(Some(&ci.leaf))).await, Open::by(api.channel_as(Some(&backup.leaf))).await];
    let mut member = Open::by(api.channel(LEMGO)).await;
    revoke(&api, LEMGO, request(&format!("{LEMGO}/serviceaccount/-"))).await.unwrap();
    for stream in streams {
        stream.until_cut().await;
    }
    member.works().await;
    for given in [&ci, &backup] {
        assert!(who(api.channel_as(Some(&given.leaf))).await.is_err());
    }
    let request = v1::ListServiceAccountCredentialsRequest { parent: CI.into(), ..Default::default() };
    let left = accounts(api.channel(LEMGO)).list_service_account_credentials(request).await.unwrap();
    assert!(left.into_inner().credentials.is_empty());
    comes_in(&api, &issue(&api, CI).await.leaf).await;
}
