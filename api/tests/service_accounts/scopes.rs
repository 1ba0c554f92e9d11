//! What an account may do, and what nobody may give it.

use allmende_proto::v1::{
    self, Role, certificate_service_client::CertificateServiceClient,
    instance_service_client::InstanceServiceClient, loan_service_client::LoanServiceClient,
    member_service_client::MemberServiceClient, operation_service_client::OperationServiceClient,
    tenant_service_client::TenantServiceClient,
};
use tonic::{Code, transport::Channel};

use crate::{
    CI, CI_PRINCIPAL, OWNER, accounts, at, create, day, furnished, issue_by, now, scope, signed_in,
    support::{self, Api, LEMGO, OPERATOR, WIEHL, wrong_fields},
    who, wish,
};

async fn tenant(channel: &Channel, name: &str) -> Result<v1::Tenant, tonic::Status> {
    let request = v1::GetTenantRequest { name: name.into() };
    TenantServiceClient::new(channel.clone()).get_tenant(request).await.map(tonic::Response::into_inner)
}

fn order(tenant: &str) -> v1::CreateInstanceRequest {
    v1::CreateInstanceRequest {
        parent: format!("{OWNER}/tenants/{tenant}"),
        ..support::instance_request("db")
    }
}

#[tokio::test]
async fn an_account_acts_within_its_scope_and_the_audit_names_it_and_who_made_it() {
    let api = furnished().await;
    let channel = signed_in(&api, "ci", vec![scope(Role::Orderer, "test", false)]).await;
    let mut instances = InstanceServiceClient::new(channel.clone());
    let answer = instances.create_instance(order("test")).await.unwrap().into_inner();
    // It can follow what it has begun.
    let name = answer.operation.unwrap().name;
    let mut operations = OperationServiceClient::new(channel.clone());
    operations.get_operation(v1::GetOperationRequest { name }).await.unwrap();
    tenant(&channel, "members/m-05766044/tenants/test").await.unwrap();

    let audit = api.audit().await;
    let entry = audit.iter().find(|entry| entry["actor"] == CI_PRINCIPAL).unwrap();
    assert_eq!(entry["made_by"], LEMGO);
    assert_eq!(entry["role"], "orderer");
    assert!(audit.iter().filter(|entry| entry["actor"] == LEMGO).all(|entry| entry.get("made_by").is_none()));

    // The other tenant answers as one that does not exist.
    let hidden = tenant(&channel, "members/m-05766044/tenants/prod").await.unwrap_err();
    let random = tenant(&channel, "members/m-05766044/tenants/none").await.unwrap_err();
    assert_eq!((hidden.code(), random.code()), (Code::NotFound, Code::NotFound));
    assert_eq!(hidden.message().replace("prod", "*"), random.message().replace("none", "*"));
    let refused = instances.create_instance(order("prod")).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    // So does another member.
    let foreign = tenant(&channel, "members/m-05374048/tenants/test").await.unwrap_err();
    assert_eq!(foreign.code(), Code::NotFound);
    // What is the whole member's is refused in words, and so is what the role does not give.
    let mut tenants = TenantServiceClient::new(channel.clone());
    let request = v1::ListTenantsRequest { parent: OWNER.into(), ..Default::default() };
    let refused = tenants.list_tenants(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().ends_with("Its scopes: orderer in tenants/test"), "{refused}");
    let request = v1::DeleteTenantRequest { name: format!("{OWNER}/tenants/test"), ..Default::default() };
    assert_eq!(tenants.delete_tenant(request).await.unwrap_err().code(), Code::PermissionDenied);
    // An operation elsewhere is none of its.
    let mut lemgo = OperationServiceClient::new(api.channel(LEMGO));
    let request = v1::ListOperationsRequest { parent: OWNER.into(), ..Default::default() };
    let all = lemgo.list_operations(request).await.unwrap().into_inner().operations;
    let other = all.iter().find(|operation| operation.target.ends_with("/prod")).unwrap();
    let request = v1::GetOperationRequest { name: other.name.clone() };
    assert_eq!(operations.get_operation(request).await.unwrap_err().code(), Code::PermissionDenied);

    let rights = who(channel).await.unwrap();
    assert_eq!(rights.principal, CI_PRINCIPAL);
    assert_eq!(rights.rights[0].tenant, "members/m-05766044/tenants/test");
    assert_eq!(rights.rights[0].source(), v1::RightSource::ServiceAccount);
}

#[tokio::test]
async fn a_scope_for_reading_changes_nothing_and_tells_no_credentials() {
    let api = furnished().await;
    let mut lemgo = InstanceServiceClient::new(api.channel(LEMGO));
    lemgo.create_instance(order("prod")).await.unwrap();
    let channel = signed_in(&api, "bericht", vec![scope(Role::Admin, "", true)]).await;
    tenant(&channel, "members/m-05766044/tenants/prod").await.unwrap();
    let mut instances = InstanceServiceClient::new(channel.clone());
    let name = format!("{OWNER}/tenants/prod/instances/db");
    instances.get_instance(v1::GetInstanceRequest { name: name.clone() }).await.unwrap();
    let before = api.dump().await;
    let secret = v1::GetInstanceCredentialsRequest { name: name.clone() };
    let refused = instances.get_instance_credentials(secret).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let delete = v1::DeleteInstanceRequest { name, ..Default::default() };
    assert_eq!(instances.delete_instance(delete).await.unwrap_err().code(), Code::PermissionDenied);
    let refused = instances.create_instance(order("test")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(api.dump().await, before, "a refusal changes nothing");
}

#[tokio::test]
async fn all_that_is_wrong_with_an_account_is_said_at_once_and_nobody_gives_more_than_it_may() {
    let api = furnished().await;
    let mut lemgo = accounts(api.channel(LEMGO));
    let mut foreign = scope(Role::Viewer, "", false);
    foreign.tenant = "members/m-05374048/tenants/prod".into();
    let scopes =
        vec![scope(Role::CooperativeOperator, "", false), scope(Role::Unspecified, "", false), foreign];
    let request =
        v1::CreateServiceAccountRequest { service_account_id: "CI".into(), ..wish("ci", scopes.clone()) };
    let refused = lemgo.create_service_account(request).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), ["service_account_id"], "without an id nothing more is read");
    let refused = lemgo.create_service_account(wish("ci", scopes)).await.unwrap_err();
    assert_eq!(
        wrong_fields(&refused),
        [
            "service_account.scopes[0].role",
            "service_account.scopes[1].role",
            "service_account.scopes[2].tenant"
        ]
    );
    let twice = scope(Role::Viewer, "", false);
    for (scopes, wrong) in [
        (vec![], "service_account.scopes"),
        (vec![twice.clone(); 2], "service_account.scopes[1]"),
        (vec![scope(Role::Auditor, "", true)], "service_account.expire_time"),
        (vec![scope(Role::Accountant, "prod", false)], "service_account.scopes[0].tenant"),
    ] {
        let refused = lemgo.create_service_account(wish("ci", scopes)).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [wrong], "{refused}");
    }
    let mut past = wish("ci", vec![twice.clone()]);
    past.service_account.as_mut().unwrap().expire_time = Some(at(now() - 600));
    let refused = lemgo.create_service_account(past).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), ["service_account.expire_time"]);

    // Who may make one: the member's admin alone.
    for (by, code) in [
        (WIEHL, Code::NotFound),
        ("allmende://principal/stranger", Code::NotFound),
        (OPERATOR, Code::PermissionDenied),
        ("allmende://cluster/local-1", Code::NotFound),
    ] {
        let request = wish("ci", vec![twice.clone()]);
        let refused = accounts(api.channel(by)).create_service_account(request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{by}: {refused}");
    }
    lemgo.create_service_account(wish("ci", vec![twice.clone()])).await.unwrap();
    let again = lemgo.create_service_account(wish("ci", vec![twice])).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);
}

#[tokio::test]
async fn a_program_with_every_role_gives_no_rights_to_itself_or_others() {
    let api = furnished().await;
    let channel = signed_in(&api, "ci", vec![scope(Role::Admin, "", false)]).await;
    create(&api, "other", vec![scope(Role::Viewer, "", false)]).await;
    let before = api.dump().await;
    let mut own = accounts(channel.clone());
    let wider = v1::ServiceAccount {
        name: CI.into(),
        scopes: vec![scope(Role::Admin, "", false), scope(Role::Viewer, "", false)],
        ..Default::default()
    };
    let update = v1::UpdateServiceAccountRequest {
        service_account: Some(wider),
        update_mask: Some(prost_types::FieldMask { paths: vec!["scopes".into()] }),
        ..Default::default()
    };
    let grant = v1::Grant {
        principal: "allmende://principal/kasse".into(),
        role: Role::Viewer.into(),
        ..Default::default()
    };
    let grant = v1::CreateGrantRequest { parent: OWNER.into(), grant: Some(grant), ..Default::default() };
    let other = format!("{OWNER}/serviceAccounts/other");
    let delete = v1::DeleteServiceAccountRequest { name: other.clone(), ..Default::default() };
    let bar = v1::RevokeCertificatesRequest {
        principal: LEMGO.into(),
        reason: "Übernahme (Muster)".into(),
        ..Default::default()
    };
    let refusals = [
        own.create_service_account(wish("more", vec![scope(Role::Viewer, "", false)])).await.unwrap_err(),
        own.update_service_account(update).await.unwrap_err(),
        own.delete_service_account(delete).await.unwrap_err(),
        MemberServiceClient::new(channel.clone()).create_grant(grant).await.unwrap_err(),
        CertificateServiceClient::new(channel.clone()).revoke_certificates(bar).await.unwrap_err(),
        issue_by(&api, channel.clone(), &other, None).await.map(|_| ()).unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    }
    assert_eq!(api.dump().await, before, "a refusal changes nothing");
    // A grant to an account would be a right beside its scopes.
    let grant = v1::Grant { principal: CI_PRINCIPAL.into(), role: Role::Viewer.into(), ..Default::default() };
    let request = v1::CreateGrantRequest { parent: OWNER.into(), grant: Some(grant), ..Default::default() };
    let refused = MemberServiceClient::new(api.channel(LEMGO)).create_grant(request).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), ["grant.principal"]);
    // Its admin's right is of use for the rest.
    let name = format!("{OWNER}/tenants/test");
    let request = v1::DeleteTenantRequest { name, ..Default::default() };
    TenantServiceClient::new(channel).delete_tenant(request).await.unwrap();
}

#[tokio::test]
async fn a_program_is_neither_the_first_nor_the_second_pair_of_eyes() {
    let api = furnished().await;
    let channel = signed_in(&api, "ci", vec![scope(Role::Admin, "", false)]).await;
    let offer = || v1::OfferLoanRequest {
        parent: OWNER.into(),
        loan: Some(v1::Loan {
            cluster: "clusters/local-1".into(),
            amount: Some(v1::Resources { pods: 1, ..Default::default() }),
            from: day(0),
            until: day(30),
            ..Default::default()
        }),
        ..Default::default()
    };
    let offered = LoanServiceClient::new(api.channel(LEMGO)).offer_loan(offer()).await.unwrap().into_inner();
    let mut program = LoanServiceClient::new(channel);
    program.get_loan(v1::GetLoanRequest { name: offered.name.clone() }).await.unwrap();
    let approve = v1::ApproveLoanRequest { name: offered.name.clone(), ..Default::default() };
    let refuse = v1::RefuseLoanRequest { name: offered.name, reason: "nein".into(), ..Default::default() };
    let refusals = [
        program.offer_loan(offer()).await.unwrap_err(),
        program.approve_loan(approve).await.unwrap_err(),
        program.refuse_loan(refuse).await.unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    }
}

#[tokio::test]
async fn the_report_of_rights_names_the_scopes_of_accounts() {
    let api = furnished().await;
    create(&api, "ci", vec![scope(Role::Orderer, "test", true), scope(Role::Viewer, "", false)]).await;
    let rights = async |api: &Api| {
        let request = v1::ListRightsRequest { parent: OWNER.into(), ..Default::default() };
        let mut members = MemberServiceClient::new(api.channel(LEMGO));
        let mut all = members.list_rights(request).await.unwrap().into_inner().rights;
        all.retain(|right| right.source() == v1::RightSource::ServiceAccount);
        all
    };
    let all = rights(&api).await;
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all.iter().all(|right| right.principal == CI_PRINCIPAL && right.granted_by == LEMGO));
    assert!(all.iter().any(|right| right.tenant == format!("{OWNER}/tenants/test") && right.read_only));
    let disabled = v1::ServiceAccount { name: CI.into(), disabled: true, ..Default::default() };
    let update = v1::UpdateServiceAccountRequest {
        service_account: Some(disabled),
        update_mask: Some(prost_types::FieldMask { paths: vec!["disabled".into()] }),
        ..Default::default()
    };
    accounts(api.channel(LEMGO)).update_service_account(update).await.unwrap();
    assert!(rights(&api).await.is_empty(), "nothing of it counts");
}
