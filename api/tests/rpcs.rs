//! Every RPC of the contract × everybody: who gets past the wall, as a table in the documentation. And what a foreign id answers: byte for
//! byte what a random one does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fmt::Write;

use allmende_api::authz::policy::{self, Allow};
use allmende_domain::grant::Role;
use allmende_identity::KeyAndRequest;
use allmende_proto::v1::{
    self, member_service_client::MemberServiceClient,
    service_account_service_client::ServiceAccountServiceClient,
};
use allmende_testkit::ca::Leaf;
use rustls_pki_types::UnixTime;
use support::{
    Api, LEMGO, OPERATOR, TREASURER, WIEHL, document,
    probe::{self, Known, Rpc},
    raw,
};
use tonic::{Code, Status, transport::Channel};

const OWNER: &str = "m-05766044";
const NOBODY_KNOWS: &str = "m-99999999";
const AUDITOR: &str = "allmende://cooperative/auditor";

/// Header of the column, identity text, role for the owner, role of the cooperative.
struct Who {
    title: &'static str,
    identity: &'static str,
    member_role: Option<Role>,
    cooperative_role: Option<Role>,
}

impl Who {
    /// Shows a credential of a service account.
    fn account(&self) -> Option<&str> {
        self.identity.split_once("/serviceaccount/").map(|(_, id)| id)
    }
}

const fn who(
    title: &'static str,
    identity: &'static str,
    member_role: Option<Role>,
    cooperative_role: Option<Role>,
) -> Who {
    Who { title, identity, member_role, cooperative_role }
}

const EVERYBODY: [Who; 17] = [
    who("nobody", "", None, None),
    who("component", "allmende://component/portal", None, None),
    who("other member", WIEHL, None, None),
    who("stranger", "allmende://principal/stranger", None, None),
    who("viewer", "allmende://principal/viewer", Some(Role::Viewer), None),
    who("orderer", "allmende://principal/orderer", Some(Role::Orderer), None),
    who("approver", "allmende://principal/approver", Some(Role::Approver), None),
    who("accountant", "allmende://principal/accountant", Some(Role::Accountant), None),
    who("auditor", "allmende://principal/auditor", Some(Role::Auditor), None),
    who("member", LEMGO, Some(Role::Admin), None),
    who("service account", "allmende://member/m-05766044/serviceaccount/ci", Some(Role::Orderer), None),
    who("out of scope", "allmende://member/m-05766044/serviceaccount/elsewhere", None, None),
    who("operator", OPERATOR, None, Some(Role::CooperativeOperator)),
    who("treasurer", TREASURER, None, Some(Role::CooperativeTreasurer)),
    who("coop. auditor", AUDITOR, None, Some(Role::CooperativeAuditor)),
    who("cluster", "allmende://cluster/local-1", None, None),
    who("other cluster", "allmende://cluster/local-2", None, None),
];

/// What the table of the policy says, read by this test anew.
fn may(row: &policy::Row, who: &Who) -> bool {
    let named = !matches!(who.title, "nobody" | "component" | "cluster" | "other cluster");
    row.allow.iter().any(|allow| match allow {
        Allow::Known => named,
        Allow::Member(role) => who.member_role == Some(*role),
        Allow::Person(role) => who.member_role == Some(*role) && who.account().is_none(),
        Allow::OwnAccount => who.account() == Some("ci"),
        Allow::Cooperative(role) => who.cooperative_role == Some(*role),
        Allow::OwnCluster => who.title == "cluster",
        #[allow(
            unreachable_patterns,
            reason = "kinds of callers that show no certificate have tests of their own"
        )]
        _ => false,
    })
}

async fn furnished() -> (Api, Known) {
    let api = Api::start().await;
    api.furnished().await;
    let mut members = MemberServiceClient::new(api.channel(LEMGO));
    let mut known = Known { credential: probe::UUID.to_owned(), ..Known::default() };
    for (name, role) in [
        ("viewer", v1::Role::Viewer),
        ("orderer", v1::Role::Orderer),
        ("approver", v1::Role::Approver),
        ("accountant", v1::Role::Accountant),
        ("auditor", v1::Role::Auditor),
    ] {
        let grant = v1::Grant {
            principal: format!("allmende://principal/{name}"),
            role: role.into(),
            valid_until: Some(prost_types::Timestamp { seconds: 1_900_000_000, nanos: 0 }),
            ..Default::default()
        };
        let request = v1::CreateGrantRequest {
            parent: format!("members/{OWNER}"),
            grant: Some(grant),
            ..Default::default()
        };
        let grant = members.create_grant(request).await.unwrap().into_inner();
        known.grant = grant.name.rsplit('/').next().unwrap().to_owned();
    }
    for (id, tenant) in [("ci", ""), ("elsewhere", "members/m-05766044/tenants/elsewhere")] {
        let scope = v1::ServiceAccountScope {
            role: v1::Role::Orderer.into(),
            tenant: tenant.into(),
            ..Default::default()
        };
        let account = v1::ServiceAccount { scopes: vec![scope], self_renew: true, ..Default::default() };
        let request = v1::CreateServiceAccountRequest {
            parent: format!("members/{OWNER}"),
            service_account_id: id.into(),
            service_account: Some(account),
            ..Default::default()
        };
        let mut accounts = ServiceAccountServiceClient::new(api.channel(LEMGO));
        accounts.create_service_account(request).await.unwrap();
    }
    let mut tenants = v1::tenant_service_client::TenantServiceClient::new(api.channel(LEMGO));
    let operation =
        tenants.create_tenant(support::tenant_request(2)).await.unwrap().into_inner().operation.unwrap();
    known.operation = operation.name.rsplit('/').next().unwrap().to_owned();
    let mut instances = v1::instance_service_client::InstanceServiceClient::new(api.channel(LEMGO));
    instances.create_instance(support::instance_request("db")).await.unwrap();
    let budget = v1::SetBudgetRequest {
        name: format!("members/{OWNER}/billTos/main/budgets/2026"),
        limit: Some(v1::Money { currency_code: "EUR".into(), cents: 100 }),
        mode: v1::budget::Mode::Report.into(),
        resolution: "HHS 2026".into(),
        ..Default::default()
    };
    let mut budgets = v1::budget_service_client::BudgetServiceClient::new(api.channel(LEMGO));
    budgets.set_budget(budget).await.unwrap();
    known.loan = offered_loan(&api).await;
    (api, known)
}

/// A loan that the orderer offered: it waits for another person.
async fn offered_loan(api: &Api) -> String {
    let loan = v1::Loan {
        cluster: "clusters/local-1".into(),
        amount: Some(v1::Resources { pods: 1, ..Default::default() }),
        from: "2026-11-24".into(),
        until: "2026-12-31".into(),
        ..Default::default()
    };
    let request =
        v1::OfferLoanRequest { parent: format!("members/{OWNER}"), loan: Some(loan), ..Default::default() };
    let channel = api.channel("allmende://principal/orderer");
    let mut loans = v1::loan_service_client::LoanServiceClient::new(channel);
    let offered = loans.offer_loan(request).await.unwrap().into_inner();
    offered.name.rsplit('/').next().unwrap().to_owned()
}

/// A channel as a service account, under a credential that it was given; and the credential's id.
async fn signed_in(api: &Api, id: &str) -> (Channel, String) {
    let pair = KeyAndRequest::generate().unwrap();
    let request = v1::IssueServiceAccountCredentialRequest {
        parent: format!("members/{OWNER}/serviceAccounts/{id}"),
        certificate_request: pair.request,
        ..Default::default()
    };
    let mut accounts = ServiceAccountServiceClient::new(api.channel(LEMGO));
    let given = accounts.issue_service_account_credential(request).await.unwrap().into_inner();
    let path = |end: &str| api.ca.folder().join(format!("{id}.{end}"));
    std::fs::write(path("crt"), &given.certificate_chain).unwrap();
    std::fs::write(path("key"), &pair.key).unwrap();
    let leaf = Leaf { cert: path("crt"), key: path("key"), serial: 0 };
    let name = given.credential.unwrap().name;
    (api.channel_as(Some(&leaf)), name.rsplit('/').next().unwrap().to_owned())
}

/// RPCs of members about objects that this world does not have.
const NOT_THERE: [&str; 4] = ["/GetAuditHead", "/ExportAudit", "/GetInvoice", "/GetInvoiceDocument"];

/// The cell: past the wall, or how it was refused.
fn cell(rpc: &Rpc, who: &Who, allowed: bool, status: &Status) -> &'static str {
    let code = status.code();
    if allowed {
        let refused = matches!(code, Code::Unauthenticated | Code::PermissionDenied);
        assert!(!refused, "{} must be open to {}: {status}", rpc.name, who.title);
        // Nothing was sealed and no month closed here. All else is there: a NOT_FOUND would be a name that the test got wrong, or the wall.
        let row = policy::row(&rpc.name).unwrap();
        let walled = row
            .allow
            .iter()
            .any(|allow| matches!(allow, Allow::Member(_) | Allow::Person(_) | Allow::OwnCluster));
        let absent = !walled || NOT_THERE.iter().any(|name| rpc.name.ends_with(name));
        assert!(code != Code::NotFound || absent, "{} by {}: {status}", rpc.name, who.title);
        assert!(!matches!(code, Code::Internal | Code::Unknown), "{} by {}: {status}", rpc.name, who.title);
        return "✓";
    }
    match code {
        Code::Unauthenticated => "U",
        Code::PermissionDenied => "D",
        Code::NotFound => "N",
        _ => panic!("{} must be closed to {}: {status}", rpc.name, who.title),
    }
}

/// Whose row only names kinds of callers that this test has.
fn is_of_certificates(row: &policy::Row) -> bool {
    row.allow.iter().all(|allow| {
        matches!(
            allow,
            Allow::Known
                | Allow::Member(_)
                | Allow::Person(_)
                | Allow::OwnAccount
                | Allow::Cooperative(_)
                | Allow::AfterGrace(_)
                | Allow::OwnCluster
        )
    })
}

#[tokio::test]
async fn every_rpc_is_open_to_whom_the_policy_says_and_closed_to_everybody_else() {
    let (api, mut known) = furnished().await;
    // Certificates that are signed here begin now.
    api.set_clock(
        &jiff::Timestamp::from_second(i64::try_from(UnixTime::now().as_secs()).unwrap()).unwrap().to_string(),
    );
    let mut channels = Vec::new();
    for who in &EVERYBODY {
        let Some(id) = who.account() else {
            channels.push(api.channel(who.identity));
            continue;
        };
        let (channel, credential) = signed_in(&api, id).await;
        channels.push(channel);
        if id == "ci" {
            known.credential = credential;
        }
    }
    let before = api.dump().await;
    let mut table = String::new();
    let titles: Vec<&str> = EVERYBODY.iter().map(|who| who.title).collect();
    write!(table, "| RPC | {} |\n|---|{}\n", titles.join(" | "), "---|".repeat(titles.len())).unwrap();
    let mut calls = 0;
    for rpc in probe::all() {
        let row = policy::row(&rpc.name).unwrap_or_else(|| panic!("{} has no row", rpc.name));
        if !is_of_certificates(row) {
            continue;
        }
        let body = rpc.body(&rpc.resource(OWNER, &known));
        write!(table, "| {} |", rpc.name.trim_start_matches("allmende.v1.")).unwrap();
        for (who, channel) in EVERYBODY.iter().zip(&channels) {
            let status = raw::call(channel.clone(), &rpc.path(), body.clone()).await;
            write!(table, " {} |", cell(&rpc, who, may(row, who), &status)).unwrap();
            calls += 1;
        }
        table.push('\n');
    }
    assert!(calls > 60 * EVERYBODY.len(), "all RPCs were called: {calls}");
    assert_eq!(api.dump().await, before, "previews and refusals change nothing");
    document::check("rpcs.md", &format!("{INTRODUCTION}{table}"));
}

const INTRODUCTION: &str = "# Who may call what

Written by the test `api/tests/rpcs.rs` from the contract's descriptors and the answers of a running API, and compared in each test run
(`ALLMENDE_WRITE_DOCS=1 cargo test -p allmende-api --test rpcs` writes it anew). All callers ask for the objects of the municipality of
Lemgo, changes as previews: *other member* is another municipality, the roles from *viewer* to *auditor* are grants of Lemgo, *member* is
its own certificate (admin), *service account* is one of Lemgo with the scope orderer that may renew itself, *out of scope* the same
narrowed to another tenant, *operator*, *treasurer* and *coop. auditor* are the cooperative's.

✓ gets past the wall · U `UNAUTHENTICATED` · D `PERMISSION_DENIED` · N `NOT_FOUND`, byte for byte as if it did not exist

";

/// All that a caller can see of a refusal, with the name that it sent taken out.
fn seen(status: &Status, member: &str) -> String {
    let mut trailers: Vec<String> = status
        .metadata()
        .iter()
        .filter_map(|pair| match pair {
            // The details hold the name in base64; they are compared decoded. A date is no secret.
            tonic::metadata::KeyAndValueRef::Ascii(key, value) if key != "date" => {
                Some(format!("{key}={value:?}"))
            }
            _ => None,
        })
        .collect();
    trailers.sort();
    let details: String = status.details().iter().map(|byte| char::from(*byte)).collect();
    format!("{:?}|{}|{details}|{}", status.code(), status.message(), trailers.join(",")).replace(member, "*")
}

#[tokio::test]
async fn a_foreign_id_answers_byte_for_byte_like_a_random_one_also_with_cursors_and_previews() {
    let (api, known) = furnished().await;
    let mut members = MemberServiceClient::new(api.channel(LEMGO));
    let mut compared = 0;
    for intruder in [WIEHL, "allmende://principal/stranger", "allmende://cluster/local-1"] {
        let channel = api.channel(intruder);
        for rpc in probe::all() {
            let row = policy::row(&rpc.name).unwrap();
            if !row.allow.iter().any(|allow| matches!(allow, Allow::Member(_) | Allow::Person(_))) {
                continue;
            }
            let answers = async |member: &str, cursor: &str| {
                let mut body = rpc.body(&rpc.resource(member, &known));
                if let (Some(number), false) = (rpc.number("page_token"), cursor.is_empty()) {
                    body.extend([
                        u8::try_from(number << 3 | 2).unwrap(),
                        u8::try_from(cursor.len()).unwrap(),
                    ]);
                    body.extend_from_slice(cursor.as_bytes());
                }
                raw::call(channel.clone(), &rpc.path(), body).await
            };
            for cursor in ["", "AAAA", "AXNvbWV0aGluZw"] {
                let (foreign, random) = (answers(OWNER, cursor).await, answers(NOBODY_KNOWS, cursor).await);
                assert_ne!(foreign.code(), Code::Ok, "{} by {intruder}", rpc.name);
                assert_eq!(
                    seen(&foreign, OWNER),
                    seen(&random, NOBODY_KNOWS),
                    "{} by {intruder} {cursor}",
                    rpc.name
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 200, "{compared}");
    // The comparison sees something: the owner's answers do differ.
    let own = members.get_member(v1::GetMemberRequest { name: format!("members/{OWNER}") }).await;
    assert!(own.is_ok());
}
