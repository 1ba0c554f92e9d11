//! A member's standing over real mTLS: the processing agreement, leaving with its grace, and the export of all that is the member's.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

mod support;

use std::collections::BTreeMap;

use allmende_api::authn::Issuers;
use allmende_evidence::SigningKey;
use allmende_proto::v1::{
    self, instance_service_client::InstanceServiceClient, member_service_client::MemberServiceClient,
    tenant_service_client::TenantServiceClient,
};
use sha2::{Digest, Sha256};
use support::{Api, LEMGO, OPERATOR, TREASURER, WIEHL, reason, wrong_fields};
use tonic::Code;

const NAME: &str = "members/m-05766044";
const TENANT: &str = "members/m-05766044/tenants/prod";
const SECRET: &str = include_str!("../../crates/evidence/tests/key.pem");

fn exit(last_day: &str) -> v1::ExitMemberRequest {
    v1::ExitMemberRequest {
        name: NAME.into(),
        last_day: last_day.into(),
        grace_days: Some(30),
        reason: "Austritt gemäß Satzung".into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_member_leaves_with_a_grace_and_then_only_the_cooperative_acts_on_what_is_left() {
    let api = Api::start().await;
    api.furnished().await;
    let mut lemgo = TenantServiceClient::new(api.channel(LEMGO));
    lemgo.create_tenant(support::tenant_request(4)).await.unwrap();
    let mut operator = MemberServiceClient::new(api.channel(OPERATOR));
    let refused =
        MemberServiceClient::new(api.channel(LEMGO)).exit_member(exit("2026-12-31")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "the cooperative records it");
    let wrong = v1::ExitMemberRequest { grace_days: Some(-1), reason: " ".into(), ..exit("2026-11-23") };
    let wrong = operator.exit_member(wrong).await.unwrap_err();
    assert_eq!(wrong_fields(&wrong), ["grace_days", "last_day", "reason"]);

    let leaving = operator.exit_member(exit("2026-12-31")).await.unwrap().into_inner().departure.unwrap();
    assert_eq!((leaving.last_day.as_str(), leaving.grace_until.as_str()), ("2026-12-31", "2027-01-30"));
    let mut instances = InstanceServiceClient::new(api.channel(LEMGO));
    instances.create_instance(support::instance_request("db")).await.unwrap();

    api.set_clock("2027-01-02T10:00:00Z");
    let order = instances.create_instance(support::instance_request("late")).await.unwrap_err();
    assert_eq!((order.code(), reason(&order).as_str()), (Code::FailedPrecondition, "WRONG_STATE"));
    assert!(order.message().contains("2026-12-31"), "{order}");
    let mut second = support::tenant_request(1);
    second.tenant_id = "test".into();
    assert_eq!(lemgo.create_tenant(second).await.unwrap_err().code(), Code::FailedPrecondition);
    let resize = |cpus| v1::UpdateTenantRequest {
        tenant: Some(v1::Tenant {
            name: TENANT.into(),
            workspace_quota: Some(support::amounts(cpus)),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["workspace_quota".into()] }),
        ..Default::default()
    };
    assert_eq!(lemgo.update_tenant(resize(5)).await.unwrap_err().code(), Code::FailedPrecondition);
    lemgo.update_tenant(resize(2)).await.unwrap();
    let delete = v1::DeleteInstanceRequest { name: format!("{TENANT}/instances/db"), ..Default::default() };
    let mut theirs = InstanceServiceClient::new(api.channel(OPERATOR));
    let early = theirs.delete_instance(delete.clone()).await.unwrap_err();
    assert_eq!(early.code(), Code::PermissionDenied, "the member's own affair until the grace is over");

    api.set_clock("2027-01-31T10:00:00Z");
    let get = v1::GetTenantRequest { name: TENANT.into() };
    assert_eq!(lemgo.get_tenant(get).await.unwrap_err().code(), Code::NotFound, "its rights have ended");
    let report = v1::ListRightsRequest { parent: NAME.into(), ..Default::default() };
    let report = operator.list_rights(report).await.unwrap().into_inner();
    assert!(report.rights.is_empty(), "the report says what the API decides by: {report:?}");
    theirs.delete_instance(delete).await.unwrap();
    let list = v1::ListInvoicesRequest { parent: NAME.into(), ..Default::default() };
    let mut invoices = v1::invoice_service_client::InvoiceServiceClient::new(api.channel(LEMGO));
    assert_eq!(invoices.list_invoices(list.clone()).await.unwrap_err().code(), Code::NotFound);
    let mut treasurer = v1::invoice_service_client::InvoiceServiceClient::new(api.channel(TREASURER));
    treasurer.list_invoices(list).await.unwrap();
    let again = operator.exit_member(exit("2027-06-30")).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition, "what has ended is not dated anew");
}

#[tokio::test]
async fn where_the_cooperative_asks_for_it_an_order_needs_a_signed_processing_agreement() {
    let api = Api::start_as(Issuers::default(), |apps| apps.with_processing_agreements(true)).await;
    api.furnished().await;
    let mut lemgo = TenantServiceClient::new(api.channel(LEMGO));
    let refused = lemgo.create_tenant(support::tenant_request(2)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("AVV"), "{refused}");
    let sign = |signed_on: &str, version: &str| v1::UpdateMemberRequest {
        member: Some(v1::Member {
            name: NAME.into(),
            processing_agreement: Some(v1::ProcessingAgreement {
                signed_on: signed_on.into(),
                version: version.into(),
            }),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["processing_agreement".into()] }),
        ..Default::default()
    };
    let mut operator = MemberServiceClient::new(api.channel(OPERATOR));
    let wrong = operator.update_member(sign("2026-11-01", "")).await.unwrap_err();
    assert_eq!(wrong_fields(&wrong), ["member.processing_agreement.version"]);
    operator.update_member(sign("2026-12-01", "AVV-2026-1")).await.unwrap();
    let early = lemgo.create_tenant(support::tenant_request(2)).await.unwrap_err();
    assert!(early.message().contains("2026-12-01"), "{early}");
    operator.update_member(sign("2026-11-01", "AVV-2026-1")).await.unwrap();
    lemgo.create_tenant(support::tenant_request(2)).await.unwrap();
}

#[tokio::test]
async fn a_member_takes_all_its_data_along_and_nobody_elses() {
    let api = Api::start().await;
    api.furnished().await;
    TenantServiceClient::new(api.channel(LEMGO)).create_tenant(support::tenant_request(4)).await.unwrap();
    InstanceServiceClient::new(api.channel(LEMGO))
        .create_instance(support::instance_request("db"))
        .await
        .unwrap();
    let key = SigningKey::from_pem(SECRET).unwrap();
    api.audits.keeper(Some(key)).pass(false).await.unwrap();
    let files = exported(&api, LEMGO).await.unwrap();
    let text = |name: &str| String::from_utf8(files[name].clone()).unwrap();
    assert!(text("member.json").contains("m-05766044"));
    assert!(text("tenants.json").contains("\"prod\"") && text("instances.json").contains("\"db\""));
    for name in ["bill-tos.json", "grants.json", "entitlements.json", "operations.json", "usage-facts.json"] {
        serde_json::from_str::<Vec<serde_json::Value>>(&text(name)).unwrap();
    }
    assert!(
        text("invoices.csv").starts_with("number,period,") && text("usage-imported.csv").starts_with("id,")
    );
    let head = allmende_evidence::Head::from_text(&text("audit/head.json")).unwrap();
    let keys = [allmende_evidence::VerifyingKey::from_pem(&text("audit/key.pem")).unwrap()];
    let lines = text("audit/audit.jsonl");
    allmende_evidence::export::verify(lines.as_bytes(), &head, &[], &keys).unwrap();
    let all: String = files.values().map(|content| String::from_utf8_lossy(content).into_owned()).collect();
    assert!(!all.contains("m-05374048"), "nothing of another member is in it");
    assert_eq!(exported(&api, WIEHL).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(exported(&api, TREASURER).await.unwrap_err().code(), Code::PermissionDenied);
    exported(&api, OPERATOR).await.unwrap();
}

async fn exported(api: &Api, identity: &str) -> Result<BTreeMap<String, Vec<u8>>, tonic::Status> {
    let mut client = MemberServiceClient::new(api.channel(identity));
    let request = v1::ExportMemberDataRequest { name: NAME.into() };
    let mut stream = client.export_member_data(request).await?.into_inner();
    let (mut files, mut digests) = (BTreeMap::<String, Vec<u8>>::new(), BTreeMap::new());
    while let Some(piece) = stream.message().await? {
        files.entry(piece.name.clone()).or_default().extend(piece.content);
        digests.insert(piece.name, (piece.sha256, piece.size_bytes));
    }
    for (name, content) in &files {
        let expected = (hex::encode(Sha256::digest(content)), i64::try_from(content.len()).unwrap());
        assert_eq!(digests[name], expected, "{name}");
    }
    Ok(files)
}
