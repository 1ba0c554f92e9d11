//! Every changing RPC of the contract writes exactly one audit entry when it is accepted, none for a preview and none for a repeat.
//!
//! The list of RPCs comes from the descriptors: a new one without a step here fails the test.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

mod support;

use std::collections::BTreeSet;

use allmende_domain::{audit::AuditEntry, run::RunState};
use allmende_proto::v1;
use allmende_store::{Store, StoreConfig, Txn, keys};
use prost::Message;
use support::{Api, CLUSTER, LEMGO, OPERATOR, TREASURER, raw};

/// Changing RPCs whose request has no `validate_only`: a client stream that is whole or nothing.
const WITHOUT_PREVIEW: [&str; 1] = ["allmende.v1.MemberService/ImportRegister"];

/// Full name of an RPC, and the numbers of the fields `request_id` and `validate_only` of its request.
type Changing = (String, u32, u32);

fn changing() -> Vec<Changing> {
    let set = prost_types::FileDescriptorSet::decode(allmende_proto::FILE_DESCRIPTOR_SET).unwrap();
    let messages: Vec<_> = set.file.iter().flat_map(|file| &file.message_type).collect();
    let number = |input: &str, field: &str| {
        let message = messages.iter().find(|message| input.ends_with(&format!(".{}", message.name())))?;
        message.field.iter().find(|one| one.name() == field).map(|one| u32::try_from(one.number()).unwrap())
    };
    let mut all = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                let preview = number(method.input_type(), "validate_only");
                match (number(method.input_type(), "request_id"), preview) {
                    (Some(request_id), Some(preview)) => all.push((name, request_id, preview)),
                    _ if WITHOUT_PREVIEW.contains(&name.as_str()) => all.push((name, 0, 0)),
                    _ => {}
                }
            }
        }
    }
    all
}

struct Story {
    api: Api,
    store: Store,
    changing: Vec<Changing>,
    told: BTreeSet<String>,
    number: u32,
}

impl Story {
    async fn entries(&self) -> Vec<AuditEntry> {
        let (rows, _) = self.store.snapshot(&keys::audit_all()).await.unwrap();
        rows.into_iter().map(|row| row.value).collect()
    }

    /// A preview, the change, and the same again.
    async fn change(&mut self, rpc: &str, identity: &str, request: &impl Message) {
        let rpc = format!("allmende.v1.{rpc}");
        let (_, id_field, preview_field) =
            self.changing.iter().find(|(name, ..)| *name == rpc).unwrap().clone();
        self.number += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.number);
        let mut real = request.encode_to_vec();
        prost::encoding::string::encode(id_field, &id, &mut real);
        let mut preview = real.clone();
        prost::encoding::bool::encode(preview_field, &true, &mut preview);
        let before = self.entries().await;
        for (body, more, what) in
            [(preview, 0, "a preview"), (real.clone(), 1, "the change"), (real, 1, "a repeat")]
        {
            let status = raw::call(self.api.channel(identity), &format!("/{rpc}"), body).await;
            assert_eq!(status.code(), tonic::Code::Ok, "{rpc} {what}: {status}");
            let now = self.entries().await;
            let fresh: Vec<&AuditEntry> = now.iter().filter(|entry| !before.contains(entry)).collect();
            assert_eq!((now.len(), fresh.len()), (before.len() + more, more), "{rpc} {what}");
            for entry in fresh {
                assert_eq!((entry.action.as_str(), entry.actor.as_str()), (rpc.as_str(), identity));
                assert_eq!(entry.request_id.as_str(), id, "{rpc}");
                assert!(!entry.role.is_empty() && !entry.target.is_empty(), "{entry:?}");
                assert!(!entry.summary.is_empty() && !entry.changes.is_empty(), "{entry:?}");
                assert!(entry.refused.is_none(), "{entry:?}");
            }
        }
        self.told.insert(rpc);
    }
}

fn named(name: &str) -> v1::DeleteTenantRequest {
    // Field 1 is the name in all requests that take a name alone.
    v1::DeleteTenantRequest { name: name.into(), ..Default::default() }
}

#[tokio::test]
async fn every_accepted_change_writes_exactly_one_audit_entry_with_what_it_changed() {
    let api = Api::start().await;
    let store = Store::connect(&StoreConfig::new(vec![api.etcd.endpoint()])).await.unwrap();
    let mut story = Story { api, store, changing: changing(), told: BTreeSet::new(), number: 0 };

    support::import_register(&story.api).await;
    assert_eq!(story.entries().await.len(), 1, "the whole register is one change");
    story.told.insert(WITHOUT_PREVIEW[0].to_owned());

    members(&mut story).await;
    service_accounts(&mut story).await;
    platform(&mut story).await;
    billing(&mut story).await;
    let exit = v1::ExitMemberRequest {
        name: "members/m-05766044".into(),
        last_day: "2026-12-31".into(),
        reason: "Austritt".into(),
        ..Default::default()
    };
    story.change("MemberService/ExitMember", OPERATOR, &exit).await;

    let all: BTreeSet<String> = story.changing.iter().map(|(name, ..)| name.clone()).collect();
    let untold: Vec<&String> = all.difference(&story.told).collect();
    assert!(untold.is_empty(), "add a step to api/tests/audit_coverage.rs for {untold:?}");
}

async fn members(story: &mut Story) {
    let lemgo = "members/m-05766044";
    let request = support::member_request("05766044", "05766044-KST4711-12");
    story.change("MemberService/CreateMember", OPERATOR, &request).await;
    let mask = prost_types::FieldMask { paths: vec!["contact_email".into()] };
    let member =
        v1::Member { name: lemgo.into(), contact_email: "it@lemgo.example".into(), ..Default::default() };
    let update =
        v1::UpdateMemberRequest { member: Some(member), update_mask: Some(mask), ..Default::default() };
    story.change("MemberService/UpdateMember", OPERATOR, &update).await;
    let changed =
        story.entries().await.into_iter().find(|entry| entry.action.ends_with("UpdateMember")).unwrap();
    let field = changed.changes.iter().find(|change| change.field == "member.contact_email").unwrap();
    assert_eq!((field.before.as_deref(), field.after.as_deref()), (Some(""), Some("it@lemgo.example")));
    let bill_to = v1::CreateBillToRequest {
        parent: lemgo.into(),
        bill_to_id: "schulen".into(),
        bill_to: support::member_request("x", "05766044-KST4711-12").bill_to,
        ..Default::default()
    };
    story.change("MemberService/CreateBillTo", LEMGO, &bill_to).await;
    let grant = v1::Grant {
        principal: "allmende://principal/kasse".into(),
        role: v1::Role::Viewer.into(),
        ..Default::default()
    };
    let request = v1::CreateGrantRequest { parent: lemgo.into(), grant: Some(grant), ..Default::default() };
    story.change("MemberService/CreateGrant", LEMGO, &request).await;
    let created =
        story.entries().await.into_iter().find(|entry| entry.action.ends_with("CreateGrant")).unwrap();
    story.change("MemberService/RevokeGrant", LEMGO, &named(&created.target)).await;
}

async fn service_accounts(story: &mut Story) {
    let (lemgo, name) = ("members/m-05766044", "members/m-05766044/serviceAccounts/ci");
    let scope = v1::ServiceAccountScope { role: v1::Role::Orderer.into(), ..Default::default() };
    let account = v1::ServiceAccount { scopes: vec![scope], ..Default::default() };
    let request = v1::CreateServiceAccountRequest {
        parent: lemgo.into(),
        service_account_id: "ci".into(),
        service_account: Some(account),
        ..Default::default()
    };
    story.change("ServiceAccountService/CreateServiceAccount", LEMGO, &request).await;
    let account = v1::ServiceAccount { name: name.into(), self_renew: true, ..Default::default() };
    let mask = prost_types::FieldMask { paths: vec!["self_renew".into()] };
    let request = v1::UpdateServiceAccountRequest {
        service_account: Some(account),
        update_mask: Some(mask),
        ..Default::default()
    };
    story.change("ServiceAccountService/UpdateServiceAccount", LEMGO, &request).await;
    let request = v1::IssueServiceAccountCredentialRequest {
        parent: name.into(),
        certificate_request: allmende_identity::KeyAndRequest::generate().unwrap().request,
        ..Default::default()
    };
    story.change("ServiceAccountService/IssueServiceAccountCredential", LEMGO, &request).await;
    let issued =
        story.entries().await.into_iter().find(|entry| entry.action.ends_with("AccountCredential")).unwrap();
    let shown =
        issued.changes.iter().any(|change| change.field.ends_with("serial") && change.after.is_some());
    assert!(shown, "which certificate it was: {issued:?}");
    let key = keys::service_account(&"m-05766044".parse().unwrap(), &"ci".parse().unwrap());
    let stored = story.store.find(&key).await.unwrap().unwrap().value;
    let credential = format!("{name}/credentials/{}", stored.credentials[0].id);
    let request = v1::RevokeServiceAccountCredentialRequest { name: credential, ..Default::default() };
    story.change("ServiceAccountService/RevokeServiceAccountCredential", LEMGO, &request).await;
    let request = v1::DeleteServiceAccountRequest { name: name.into(), ..Default::default() };
    story.change("ServiceAccountService/DeleteServiceAccount", LEMGO, &request).await;
    let request = v1::RevokeCertificatesRequest {
        principal: "allmende://principal/kasse".into(),
        reason: "Diebstahl (Muster)".into(),
        ..Default::default()
    };
    story.change("CertificateService/RevokeCertificates", OPERATOR, &request).await;
}

async fn platform(story: &mut Story) {
    let cluster = v1::Cluster { capacity: Some(support::amounts(64)), ..Default::default() };
    let request = v1::CreateClusterRequest {
        cluster_id: "local-1".into(),
        cluster: Some(cluster),
        ..Default::default()
    };
    story.change("ClusterService/CreateCluster", OPERATOR, &request).await;
    let request = v1::UpdateClusterCapacityRequest {
        name: "clusters/local-1".into(),
        capacity: Some(support::amounts(65)),
        ..Default::default()
    };
    story.change("ClusterService/UpdateClusterCapacity", OPERATOR, &request).await;
    let request = v1::SetEntitlementRequest {
        name: "members/m-05766044/entitlements/local-1".into(),
        guaranteed: Some(support::amounts(10)),
        resolution: "Muster 2026/01".into(),
        ..Default::default()
    };
    story.change("QuotaService/SetEntitlement", OPERATOR, &request).await;
    commons(story).await;
    let offering = support::offering("1.0.0");
    story.change("CatalogService/PublishOfferingVersion", OPERATOR, &offering).await;
    budget(story).await;
    story.change("TenantService/CreateTenant", LEMGO, &support::tenant_request(2)).await;
    let mut second = support::tenant_request(1);
    second.tenant_id = "test".into();
    raw::call(story.api.channel(LEMGO), "/allmende.v1.TenantService/CreateTenant", second.encode_to_vec())
        .await;
    story.change("TenantService/DeleteTenant", LEMGO, &named("members/m-05766044/tenants/test")).await;
    let tenant = v1::Tenant {
        name: "members/m-05766044/tenants/prod".into(),
        workspace_quota: Some(support::amounts(3)),
        ..Default::default()
    };
    let mask = prost_types::FieldMask { paths: vec!["workspace_quota".into()] };
    let request =
        v1::UpdateTenantRequest { tenant: Some(tenant), update_mask: Some(mask), ..Default::default() };
    story.change("TenantService/UpdateTenant", LEMGO, &request).await;
    story.change("InstanceService/CreateInstance", LEMGO, &support::instance_request("db")).await;
    let name = "members/m-05766044/tenants/prod/instances/db";
    story.change("InstanceService/RetryInstance", LEMGO, &named(name)).await;
    story.change("InstanceService/DeleteInstance", LEMGO, &named(name)).await;
    let cluster = "clusters/local-1";
    let request = v1::CreateJoinTokenRequest { parent: cluster.into(), ..Default::default() };
    story.change("CertificateService/CreateJoinToken", OPERATOR, &request).await;
    let pair = allmende_identity::KeyAndRequest::generate().unwrap();
    let request = v1::RenewClusterCertificateRequest {
        name: cluster.into(),
        certificate_request: pair.request,
        ..Default::default()
    };
    story.change("CertificateService/RenewClusterCertificate", CLUSTER, &request).await;
    let request = v1::RevokeClusterCertificatesRequest {
        name: cluster.into(),
        reason: "Diebstahl (Muster)".into(),
        ..Default::default()
    };
    story.change("CertificateService/RevokeClusterCertificates", OPERATOR, &request).await;
    let request = v1::RaiseStoreEpochRequest { reason: "Sicherung eingespielt".into(), ..Default::default() };
    story.change("ClusterService/RaiseStoreEpoch", OPERATOR, &request).await;
}

const BUDGET: &str = "members/m-05766044/billTos/main/budgets/2026";

/// Before the first order, and before there are prices.
async fn budget(story: &mut Story) {
    let request = v1::SetBudgetRequest {
        name: BUDGET.into(),
        limit: Some(v1::Money { currency_code: "EUR".into(), cents: 100_000 }),
        mode: v1::budget::Mode::Report.into(),
        resolution: "HHS 2026".into(),
        ..Default::default()
    };
    story.change("BudgetService/SetBudget", LEMGO, &request).await;
}

/// Loans and the division of the pool.
async fn commons(story: &mut Story) {
    let (lemgo, second) = ("members/m-05766044", "allmende://principal/zweite");
    let (wiehl, third) = ("members/m-05374048", "allmende://principal/dritte");
    support::create_member(&story.api, "05374048", "05374048-33").await.unwrap();
    for (member, identity, principal) in [(lemgo, LEMGO, second), (wiehl, support::WIEHL, third)] {
        let grant =
            v1::Grant { principal: principal.into(), role: v1::Role::Approver.into(), ..Default::default() };
        let request =
            v1::CreateGrantRequest { parent: member.into(), grant: Some(grant), ..Default::default() };
        let mut members = v1::member_service_client::MemberServiceClient::new(story.api.channel(identity));
        members.create_grant(request).await.unwrap();
    }
    let offer = |until: &str| v1::OfferLoanRequest {
        parent: lemgo.into(),
        loan: Some(v1::Loan {
            cluster: "clusters/local-1".into(),
            amount: Some(v1::Resources { pods: 2, ..Default::default() }),
            from: "2026-11-24".into(),
            until: until.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    // One is refused, one taken back, one called back and returned, one is overdue.
    let mut loans = v1::loan_service_client::LoanServiceClient::new(story.api.channel(LEMGO));
    let mut names = Vec::new();
    for until in ["2026-12-01", "2026-12-02", "2026-12-03", "2026-12-04"] {
        let name = loans.offer_loan(offer(until)).await.unwrap().into_inner().name;
        names.push((name.clone(), name.replace(lemgo, wiehl)));
    }
    story.change("LoanService/OfferLoan", LEMGO, &offer("2026-12-05")).await;
    let with_reason = |name: &str| v1::RecallLoanRequest {
        name: name.into(),
        reason: "Eigenbedarf".into(),
        ..Default::default()
    };
    story.change("LoanService/RefuseLoan", second, &with_reason(&names[0].0)).await;
    story.change("LoanService/WithdrawLoan", LEMGO, &named(&names[1].0)).await;
    story.change("LoanService/ApproveLoan", second, &named(&names[2].0)).await;
    story.change("LoanService/TakeLoan", support::WIEHL, &named(&names[2].1)).await;
    let approve = |name: &str| v1::ApproveLoanRequest { name: name.into(), ..Default::default() };
    let mut thirds = v1::loan_service_client::LoanServiceClient::new(story.api.channel(third));
    thirds.approve_loan(approve(&names[2].1)).await.unwrap();
    story.change("LoanService/RecallLoan", LEMGO, &with_reason(&names[2].0)).await;
    story.change("LoanService/ReturnLoan", support::WIEHL, &named(&names[2].1)).await;
    let mut seconds = v1::loan_service_client::LoanServiceClient::new(story.api.channel(second));
    seconds.approve_loan(approve(&names[3].0)).await.unwrap();
    let take = v1::TakeLoanRequest { name: names[3].1.clone(), ..Default::default() };
    let mut wiehls = v1::loan_service_client::LoanServiceClient::new(story.api.channel(support::WIEHL));
    wiehls.take_loan(take).await.unwrap();
    thirds.approve_loan(approve(&names[3].1)).await.unwrap();
    let keeper = allmende_api::app::loan::LoanKeeper::new(story.api.audits.core.clone());
    story.api.set_clock("2026-12-05T10:00:00Z");
    keeper.pass("2026-12-05T10:00:00Z".parse().unwrap()).await.unwrap();
    let decide = v1::DecideOverdueLoanRequest {
        name: names[3].0.clone(),
        decision: Some(v1::decide_overdue_loan_request::Decision::ExtendUntil("2026-12-20".into())),
        reason: "Umzug".into(),
        ..Default::default()
    };
    story.change("LoanService/DecideOverdueLoan", OPERATOR, &decide).await;
    wiehls
        .return_loan(v1::ReturnLoanRequest { name: names[3].1.clone(), ..Default::default() })
        .await
        .unwrap();
    story.api.set_clock("2026-11-24T10:00:00Z");
    // Who has loans that have not come to an end does not leave.
    let all = v1::ListLoansRequest { parent: lemgo.into(), ..Default::default() };
    for loan in loans.list_loans(all).await.unwrap().into_inner().loans {
        if loan.state() == v1::loan::State::Offered {
            let withdraw = v1::WithdrawLoanRequest { name: loan.name, ..Default::default() };
            loans.withdraw_loan(withdraw).await.unwrap();
        }
    }
    let part = v1::PoolRulePart {
        basis: v1::pool_rule_part::Basis::Equal.into(),
        permille: 1_000,
        ..Default::default()
    };
    let rule = v1::PoolRule {
        valid_from: "2026-11-01".into(),
        resolution: "GV 1".into(),
        parts: vec![part],
        ..Default::default()
    };
    let request =
        v1::CreatePoolRuleRequest { pool_rule_id: "r".into(), pool_rule: Some(rule), ..Default::default() };
    story.change("PoolService/CreatePoolRule", OPERATOR, &request).await;
    story.change("PoolService/ApplyPoolRule", OPERATOR, &named("poolRules/r")).await;
}

async fn billing(story: &mut Story) {
    let price = v1::MeterPrice {
        meter: "vcpu".into(),
        unit: v1::meter_price::Unit::Hour.into(),
        micro_euro: 12_300,
        title: "vCPU".into(),
    };
    let list = v1::PriceList {
        valid_from: "2026-01-01".into(),
        resolution: "Muster 1".into(),
        prices: vec![price],
        ..Default::default()
    };
    let request = v1::CreatePriceListRequest {
        price_list_id: "pl".into(),
        price_list: Some(list),
        ..Default::default()
    };
    story.change("BillingService/CreatePriceList", TREASURER, &request).await;
    story.api.set_clock("2026-11-24T10:00:01Z");
    let request =
        v1::RecountBudgetRequest { name: BUDGET.into(), reason: "Preise".into(), ..Default::default() };
    story.change("BudgetService/RecountBudget", LEMGO, &request).await;
    let component = v1::KeyComponent {
        kind: v1::key_component::Kind::Equal.into(),
        percent: 100,
        title: "Umlage".into(),
    };
    let key = v1::AllocationKey {
        valid_from: "2026-01-01".into(),
        resolution: "Muster 2".into(),
        components: vec![component],
        ..Default::default()
    };
    let request =
        v1::CreateAllocationKeyRequest { key_id: "standard".into(), key: Some(key), ..Default::default() };
    story.change("BillingService/CreateAllocationKey", TREASURER, &request).await;
    let pot = v1::Pot {
        period: "2026-09".into(),
        title: "Betrieb".into(),
        amount: Some(v1::Money { currency_code: "EUR".into(), cents: 100 }),
        key: "keys/standard".into(),
        resolution: "Muster 3".into(),
        ..Default::default()
    };
    let request = v1::CreatePotRequest { pot_id: "pot".into(), pot: Some(pot), ..Default::default() };
    story.change("BillingService/CreatePot", TREASURER, &request).await;
    let issuer = v1::Issuer {
        legal_name: "Muster eG".into(),
        legal_registration: "GnR 0".into(),
        vat_id: "DE123456788".into(),
        street: "Musterallee 1".into(),
        postal_code: "32657".into(),
        city: "Lemgo".into(),
        contact_name: "Rechnungsstelle".into(),
        contact_phone: "+49 5261 0".into(),
        contact_email: "rechnung@genossenschaft.example".into(),
        electronic_address: "rechnung@genossenschaft.example".into(),
        iban: "DE02120300000000202051".into(),
        payment_terms: "30 Tage".into(),
        payment_days: 30,
        number_prefix: "MPG".into(),
        ..Default::default()
    };
    let request = v1::SetIssuerRequest { issuer: Some(issuer), ..Default::default() };
    story.change("BillingService/SetIssuer", TREASURER, &request).await;
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let segment = v1::UsageSegment {
        id: "a".into(),
        member: "members/m-05766044".into(),
        meter: "vcpu".into(),
        amount_milli: 1000,
        interval: Some(v1::Interval { start_time: time(1_788_300_000), end_time: time(1_788_303_600) }),
        subject: "Import".into(),
        ..Default::default()
    };
    let request =
        v1::ImportUsageRequest { source: "Zähler".into(), segments: vec![segment], ..Default::default() };
    story.change("UsageService/ImportUsage", TREASURER, &request).await;
    let request = v1::CreateRunRequest { period: "2026-09".into(), ..Default::default() };
    story.change("BillingService/CreateRun", TREASURER, &request).await;
    // The worker's part: drafts lie for review.
    let run = story.store.find(&keys::run("2026-09".parse().unwrap())).await.unwrap().unwrap();
    let review = run.value.entering(RunState::Review);
    story.store.commit(Txn::new().put(&run.key, &review)).await.unwrap();
    story.change("BillingService/FinalizeRun", TREASURER, &named("runs/2026-09")).await;
}
