//! The audit over real mTLS and a real etcd: sealed, listed, exported, verified offline; refused attempts counted.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

#[path = "audit/archive.rs"]
mod archive;
#[path = "audit/cluster.rs"]
mod cluster;
#[path = "audit/restore.rs"]
mod restore;
mod support;

use std::collections::BTreeSet;

use allmende_domain::audit::AuditEntry;
use allmende_evidence::{Head, SigningKey, VerifyingKey, export};
use allmende_proto::v1::{self, audit_service_client::AuditServiceClient, export_audit_response::Part};
use allmende_store::{SealedEntry, Store, StoreConfig, Txn, keys};
use jiff::Timestamp;
use support::{Api, LEMGO, OPERATOR, WIEHL};
use tonic::Code;

const AUDITOR: &str = "allmende://cooperative/auditor";
const SECRET: &str = include_str!("../../crates/evidence/tests/key.pem");
const LEMGO_NAME: &str = "members/m-05766044";
const ALL: &str = "members/-";

fn key() -> SigningKey {
    SigningKey::from_pem(SECRET).unwrap()
}

async fn store(api: &Api) -> Store {
    Store::connect(&StoreConfig::new(vec![api.etcd.endpoint()])).await.unwrap()
}

/// A chain as a client gets it: lines and head, in the form in which they are verified.
async fn exported(api: &Api, identity: &str, parent: &str) -> (String, Head) {
    let mut client = AuditServiceClient::new(api.channel(identity));
    let request = v1::ExportAuditRequest { parent: parent.into() };
    let mut stream = client.export_audit(request).await.unwrap().into_inner();
    let Some(Part::Head(head)) = stream.message().await.unwrap().unwrap().part else {
        panic!("the head first")
    };
    let mut lines = String::new();
    while let Some(message) = stream.message().await.unwrap() {
        let Some(Part::Lines(more)) = message.part else { panic!("only lines behind the head") };
        lines.push_str(&more);
    }
    let head = Head {
        installation: head.installation,
        chain: head.chain,
        sequence: head.sequence.try_into().unwrap(),
        digest: head.digest.try_into().unwrap(),
        sealed_at: head.sealed_at,
        key_id: head.key_id.try_into().unwrap(),
        signature: head.signature,
    };
    (lines, head)
}

fn entries(lines: &str) -> Vec<SealedEntry> {
    lines
        .lines()
        .map(|line| {
            let link: allmende_evidence::Link = serde_json::from_str(line).unwrap();
            serde_json::from_str(&link.entry).unwrap()
        })
        .collect()
}

fn verify(lines: &str, head: &Head) -> Result<export::Verified, export::Finding> {
    let keys: [VerifyingKey; 1] = [key().verifying_key().clone()];
    export::verify(lines.as_bytes(), head, &[], &keys)
}

/// All pages, of `size` entries, with `between` done after each.
async fn listed(
    api: &Api,
    identity: &str,
    request: v1::ListAuditEntriesRequest,
    between: impl AsyncFn(),
) -> Vec<v1::AuditEntry> {
    let mut client = AuditServiceClient::new(api.channel(identity));
    let mut request = request;
    let mut all = Vec::new();
    loop {
        let page = client.list_audit_entries(request.clone()).await.unwrap().into_inner();
        all.extend(page.entries);
        if page.next_page_token.is_empty() {
            return all;
        }
        request.page_token = page.next_page_token;
        between().await;
    }
}

fn of(parent: &str) -> v1::ListAuditEntriesRequest {
    v1::ListAuditEntriesRequest { parent: parent.into(), ..Default::default() }
}

async fn nothing() {}

#[tokio::test]
async fn what_was_done_is_sealed_listed_exported_and_verified_by_the_member_alone() {
    let api = Api::start().await;
    api.furnished().await;
    let mut tenants = v1::tenant_service_client::TenantServiceClient::new(api.channel(LEMGO));
    tenants.create_tenant(support::tenant_request(2)).await.unwrap();
    let before = listed(&api, LEMGO, of(LEMGO_NAME), nothing).await;
    assert!(before.iter().all(|entry| entry.sequence == 0), "nothing is sealed yet, and all is seen");
    let mut client = AuditServiceClient::new(api.channel(LEMGO));
    let request = v1::GetAuditHeadRequest { parent: LEMGO_NAME.into() };
    assert_eq!(client.get_audit_head(request.clone()).await.unwrap_err().code(), Code::NotFound);

    api.audits.keeper(Some(key())).pass(false).await.unwrap();
    let (unsealed, _) = store(&api).await.snapshot(&keys::audit_all()).await.unwrap();
    assert!(unsealed.is_empty(), "what is sealed lies in its chains alone");
    let after = listed(&api, LEMGO, of(LEMGO_NAME), nothing).await;
    let numbers: Vec<i64> = after.iter().map(|entry| entry.sequence).collect();
    assert_eq!(numbers, (1..=i64::try_from(after.len()).unwrap()).collect::<Vec<_>>());
    let bare = |entries: &[v1::AuditEntry]| -> Vec<v1::AuditEntry> {
        entries.iter().map(|e| v1::AuditEntry { sequence: 0, digest: String::new(), ..e.clone() }).collect()
    };
    assert_eq!(bare(&before), bare(&after), "the same entries in the same order");
    let order = after.iter().find(|entry| entry.action.ends_with("/CreateTenant")).unwrap();
    assert_eq!(
        (order.actor.as_str(), order.role.as_str(), order.member.as_str()),
        (LEMGO, "admin", LEMGO_NAME)
    );
    assert_eq!(order.retain_until, "2036-12-31");
    assert!(
        order.changes.iter().any(|change| change.field == "tenant.workspace_quota.cpu_milli"),
        "{order:?}"
    );

    let (lines, head) = exported(&api, LEMGO, LEMGO_NAME).await;
    assert_eq!(verify(&lines, &head).unwrap().entries, after.len() as u64);
    assert!(
        entries(&lines).iter().all(|sealed| sealed.entry.member.as_ref().unwrap().as_str() == "m-05766044")
    );
    let shown = client.get_audit_head(request).await.unwrap().into_inner();
    assert_eq!((shown.digest, shown.public_key), (head.digest.to_string(), key().verifying_key().to_pem()));
    let cut = lines.rsplit_once("{\"sequence\"").unwrap().0;
    assert!(matches!(verify(cut, &head), Err(export::Finding::Length { .. })));

    let (whole, whole_head) = exported(&api, AUDITOR, ALL).await;
    verify(&whole, &whole_head).unwrap();
    let members: BTreeSet<_> = entries(&whole).into_iter().map(|sealed| sealed.entry.member).collect();
    assert_eq!(members.len(), 3, "both members, and the cooperative's own");
}

#[tokio::test]
async fn another_members_chain_answers_like_one_that_does_not_exist() {
    let api = Api::start().await;
    api.furnished().await;
    api.audits.keeper(Some(key())).pass(false).await.unwrap();
    let mut wiehl = AuditServiceClient::new(api.channel(WIEHL));
    for parent in [LEMGO_NAME, "members/m-99999999"] {
        let head = v1::GetAuditHeadRequest { parent: parent.into() };
        assert_eq!(wiehl.get_audit_head(head).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(wiehl.list_audit_entries(of(parent)).await.unwrap_err().code(), Code::NotFound);
        let export = v1::ExportAuditRequest { parent: parent.into() };
        assert_eq!(wiehl.export_audit(export).await.unwrap_err().code(), Code::NotFound);
    }
    assert_eq!(wiehl.list_audit_entries(of(ALL)).await.unwrap_err().code(), Code::PermissionDenied);
    let own = listed(&api, WIEHL, of("members/m-05374048"), nothing).await;
    assert!(own.iter().all(|entry| entry.member == "members/m-05374048") && !own.is_empty());
}

#[tokio::test]
async fn refused_attempts_are_counted_and_the_member_asked_for_sees_them() {
    let api = Api::start().await;
    api.furnished().await;
    let keeper = api.audits.keeper(None);
    let mut wiehl = v1::member_service_client::MemberServiceClient::new(api.channel(WIEHL));
    let ask = |name: &str| v1::GetMemberRequest { name: name.into() };
    for _ in 0..50 {
        wiehl.get_member(ask(LEMGO_NAME)).await.unwrap_err();
    }
    wiehl.get_member(ask("members/m-99999999")).await.unwrap_err();
    wiehl.list_members(v1::ListMembersRequest::default()).await.unwrap_err();
    keeper.pass(false).await.unwrap();

    let refused = v1::ListAuditEntriesRequest { refused_only: true, ..of(LEMGO_NAME) };
    let seen = listed(&api, LEMGO, refused.clone(), nothing).await;
    assert_eq!(seen.len(), 1, "one entry, not fifty: {seen:?}");
    assert_eq!(
        (seen[0].actor.as_str(), seen[0].action.as_str()),
        (WIEHL, "allmende.v1.MemberService/GetMember")
    );
    assert_eq!((seen[0].refused.as_ref().unwrap().count, seen[0].target.as_str()), (50, LEMGO_NAME));
    let all = v1::ListAuditEntriesRequest { refused_only: true, ..of(ALL) };
    let all = listed(&api, AUDITOR, all, nothing).await;
    assert_eq!(all.len(), 3, "{all:?}");
    let random = all.iter().find(|entry| entry.target == "members/m-99999999").unwrap();
    assert_eq!(random.member, "", "an id that nobody has gets no chain");

    for _ in 0..25 {
        wiehl.get_member(ask(LEMGO_NAME)).await.unwrap_err();
    }
    keeper.pass(false).await.unwrap();
    assert_eq!(listed(&api, LEMGO, refused.clone(), nothing).await.len(), 1, "told already in this minute");
    api.set_clock("2026-11-24T10:01:00Z");
    keeper.pass(false).await.unwrap();
    let seen = listed(&api, LEMGO, refused.clone(), nothing).await;
    assert_eq!(seen.iter().map(|entry| entry.refused.as_ref().unwrap().count).sum::<i64>(), 75);

    wiehl.get_member(ask(LEMGO_NAME)).await.unwrap_err();
    wiehl.get_member(ask(LEMGO_NAME)).await.unwrap_err();
    keeper.finish().await.unwrap();
    let seen = listed(&api, LEMGO, refused, nothing).await;
    assert_eq!(
        seen.iter().map(|entry| entry.refused.as_ref().unwrap().count).sum::<i64>(),
        77,
        "also at the drain"
    );
}

fn entry(number: u64) -> AuditEntry {
    let member = (!number.is_multiple_of(5)).then(|| format!("m-0000000{}", number % 4).parse().unwrap());
    AuditEntry {
        // The clock may go backwards: the order is that of the transactions.
        at: Timestamp::from_second(1_800_000_000 - i64::try_from(number).unwrap()).unwrap(),
        actor: LEMGO.into(),
        role: "admin".into(),
        deputy: false,
        made_by: None,
        member,
        action: "allmende.v1.TenantService/CreateTenant".into(),
        target: format!("t{number}"),
        request_id: format!("00000000-0000-4000-8000-{number:012}").parse().unwrap(),
        reason: "\"ä\\\n".repeat(100),
        summary: String::new(),
        changes: Vec::new(),
        refused: None,
    }
}

async fn written(store: &Store, number: u64) {
    let entry = entry(number);
    let txn = Txn::new().audit(&keys::audit(entry.at, &entry.actor, &entry.request_id), entry);
    store.commit(txn).await.unwrap();
}

#[tokio::test]
async fn who_shows_a_certificate_and_is_refused_before_any_use_case_is_named_too() {
    let api = Api::start().await;
    let mut request = tonic::Request::new(v1::GetMemberRequest { name: LEMGO_NAME.into() });
    request.metadata_mut().insert("authorization", "Bearer forged".parse().unwrap());
    let mut lemgo = v1::member_service_client::MemberServiceClient::new(api.channel(LEMGO));
    assert_eq!(lemgo.get_member(request).await.unwrap_err().code(), Code::Unauthenticated);
    let component = "allmende://component/portal";
    support::raw::call(api.channel(component), "/allmende.v1.MemberService/GetMember", Vec::new()).await;
    support::raw::call(api.channel(OPERATOR), "/allmende.v1.MemberService/DropEverything", Vec::new()).await;
    api.audits.keeper(None).pass(false).await.unwrap();
    let refused = v1::ListAuditEntriesRequest { refused_only: true, ..of(ALL) };
    let seen = listed(&api, AUDITOR, refused, nothing).await;
    let mut actors: Vec<(&str, &str)> = seen.iter().map(|e| (e.actor.as_str(), e.action.as_str())).collect();
    actors.sort_unstable();
    let get_member = "allmende.v1.MemberService/GetMember";
    assert_eq!(actors, [(component, get_member), (OPERATOR, "unknown"), (LEMGO, get_member)]);
}

#[tokio::test]
async fn sealers_of_many_replicas_seal_each_entry_once_in_the_order_of_the_changes() {
    const COUNT: u64 = 240;
    let api = Api::start().await;
    let store = store(&api).await;
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for number in 0..COUNT {
                written(&store, number).await;
            }
        }
    });
    let sealers = (0..4).map(|_| {
        let keeper = api.audits.keeper(Some(key()));
        let store = store.clone();
        tokio::spawn(async move {
            loop {
                // A rival may be faster: the next pass goes on.
                let _ = keeper.pass(false).await;
                let head = store.find(&keys::audit_head(None)).await.unwrap();
                if head.is_some_and(|head| head.value.head.sequence == COUNT) {
                    return;
                }
            }
        })
    });
    let limit = std::time::Duration::from_secs(120);
    tokio::time::timeout(limit, futures::future::join_all(sealers)).await.unwrap();
    writer.await.unwrap();
    let (lines, head) = exported(&api, AUDITOR, ALL).await;
    assert_eq!(verify(&lines, &head).unwrap().entries, COUNT);
    let sealed = entries(&lines);
    let targets: Vec<String> = sealed.iter().map(|sealed| sealed.entry.target.clone()).collect();
    assert_eq!(targets, (0..COUNT).map(|number| format!("t{number}")).collect::<Vec<_>>());
    assert!(sealed.windows(2).all(|pair| pair[0].revision < pair[1].revision));
    assert_eq!(sealed[7].entry, entry(7).bounded(), "byte for byte what was written");
    let member = "m-00000001".parse().unwrap();
    let own = store.snapshot(&keys::audit_segments(Some(&member))).await.unwrap().0;
    let links: usize = own.iter().map(|segment| segment.value.links.len()).sum();
    assert_eq!(links, (0..COUNT).filter(|n| !n.is_multiple_of(5) && n % 4 == 1).count());
    assert!(own.len() > 1, "segments are bounded");
}

#[tokio::test]
async fn a_list_neither_loses_nor_repeats_an_entry_that_is_sealed_between_two_pages() {
    let api = Api::start().await;
    let store = store(&api).await;
    for number in 0..40 {
        written(&store, number).await;
    }
    let keeper = api.audits.keeper(Some(key()));
    let request = v1::ListAuditEntriesRequest { page_size: 3, ..of(ALL) };
    let found = listed(&api, OPERATOR, request, async || keeper.pass(false).await.unwrap()).await;
    let targets: Vec<String> = found.into_iter().map(|entry| entry.target).collect();
    assert_eq!(targets, (0..40).map(|number| format!("t{number}")).collect::<Vec<_>>());
    let filtered = v1::ListAuditEntriesRequest { target: "t7".into(), page_size: 1, ..of(ALL) };
    assert_eq!(listed(&api, OPERATOR, filtered, nothing).await.len(), 1);
    let mut client = AuditServiceClient::new(api.channel(OPERATOR));
    let page = client
        .list_audit_entries(v1::ListAuditEntriesRequest { page_size: 3, ..of(ALL) })
        .await
        .unwrap()
        .into_inner();
    let other =
        v1::ListAuditEntriesRequest { page_token: page.next_page_token, actor: LEMGO.into(), ..of(ALL) };
    assert_eq!(client.list_audit_entries(other).await.unwrap_err().code(), Code::InvalidArgument);
}
