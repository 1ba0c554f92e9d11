//! Where everything lies: the only file with key text.
//!
//! ```text
//! /allmende/v1/schema                                   store id, epoch, schema version
//! /allmende/v1/member/<id 32>/                          member
//! /allmende/v1/billto/<member 32>/<id 32>/              bill-to
//! /allmende/v1/grant/<member 32>/<uuid>/                grant
//! /allmende/v1/register/edition/<date>/                 head of a register edition, written last
//! /allmende/v1/register/chunk/<date>/<6 digits>/        its entries
//! /allmende/v1/cluster/<id 32>/                         cluster
//! /allmende/v1/seen/<cluster 32>/                       what its operator last said
//! /allmende/v1/preflight/<cluster 32>/                  what its last preflight found
//! /allmende/v1/jointoken/<cluster 32>/                  join token of a cluster, by its hash
//! /allmende/v1/credential/<cluster 32>/                 what certificates a cluster was given
//! /allmende/v1/serviceaccount/<member 32>/<id 32>/      service account, with its credentials
//! /allmende/v1/revocation/<principal hash 32>/          certificates of a principal that are refused
//! /allmende/v1/account/<member 32>/<cluster 32>/        quota account
//! /allmende/v1/quotahistory/<member 32>/<cluster 32>/   what was reserved at the end of past days
//! /allmende/v1/budget/<member 32>/<bill-to 32>/<year>/  limit of money of a budget year, with its ledger
//! /allmende/v1/loan/<uuid>/                             loan
//! /allmende/v1/loanof/<member 32>/<uuid>/               that a member is a side of a loan
//! /allmende/v1/loanlive/<uuid>/                         that a loan has not come to its end
//! /allmende/v1/poolrule/<id 32>/                        rule by which the pool is divided
//! /allmende/v1/poolrun/<rule 32>/<date>/                the carrying out of a rule
//! /allmende/v1/tenant/<member 32>/<id 16>/              tenant
//! /allmende/v1/shownquota/<member 32>/<tenant 16>/      what its cluster shows of its quotas
//! /allmende/v1/instance/<member 32>/<tenant 16>/<id 20>/  service instance
//! /allmende/v1/desired/<cluster 32>/<member 32>/<tenant 16>/<instance 20>/  desired record; the tenant's own has only padding last
//! /allmende/v1/offering/<id 32>/                        offering with versions
//! /allmende/v1/operation/<member 32>/<uuid>/            operation
//! /allmende/v1/receipt/<caller hash 32>/<uuid>/         receipt of a request id
//! /allmende/v1/audit/<µs since 1970, 20 digits>/<hash 32>/ audit entry, not sealed yet
//! /allmende/v1/auditsegment/<member 32>/<number of its first entry, 20 digits>/  sealed entries; the cooperative's chain has `-` for the member
//! /allmende/v1/audithead/<member 32>/                   signed end of a chain; the same
//! /allmende/v1/fact/<member 32>/<hash 64>/              lifecycle fact
//! /allmende/v1/segment/<member 32>/<hash 32>/           imported usage
//! /allmende/v1/pricelist/<id 32>/ · allocationkey/ · pot/ · issuer/
//! /allmende/v1/period/<yyyy-mm>/                        open or closed; a fact's transaction compares it
//! /allmende/v1/run/<yyyy-mm>/                           closing of a period
//! /allmende/v1/invoice/<member 32>/<id 48>/             draft or issued invoice
//! /allmende/v1/counter/<name 48>/                       number range
//! ```
//!
//! Ids are padded to a fixed length with `.`, which no id contains, and every segment ends with `/`: no key or prefix of one id covers
//! another's (`a`, `a-b`, `a0`, `ab`).

use allmende_domain::{
    account::QuotaAccount,
    audit::AuditEntry,
    catalog::Offering,
    cluster::{Cluster, ClusterSeen},
    credential::{ClusterCredential, JoinToken},
    desired::DesiredRecord,
    grant::Grant,
    ids::{
        BillToId, ClusterId, GrantId, InstanceId, KeyId, LoanId, MemberId, OfferingId, OperationId,
        PoolRuleId, PotId, PriceListId, RequestId, ServiceAccountId, TenantId,
    },
    instance::Instance,
    invoice::Invoice,
    issuer::Issuer,
    key::AllocationKey,
    member::{BillTo, Member},
    operation::Operation,
    period::Period,
    pot::Pot,
    preflight::PreflightReport,
    price::PriceList,
    quota::{
        budget::Budget, loan::Loan, projection::BudgetYear, rule::PoolRule, run::PoolRun, shown::ShownQuota,
        trend::QuotaHistory,
    },
    register::{RegisterChunk, RegisterEdition},
    revocation::Revocation,
    run::Run,
    service_account::ServiceAccount,
    tenant::Tenant,
    usage::LifecycleFact,
};
use jiff::{Timestamp, civil::Date};
use sha2::{Digest, Sha256};

use crate::{
    key::{Key, Range},
    records::{AuditHead, AuditSegment, Counter, LoanRef, PeriodState, StoredSegment},
    schema::StoreIdentity,
    transact::Receipt,
};

const ROOT: &str = "/allmende/v1";

/// An id as a segment of fixed length.
fn pad(id: &str, width: usize) -> String {
    debug_assert!(id.len() <= width && !id.contains(['.', '/']), "{id} does not fit its segment");
    format!("{id:.<width$}")
}

/// A free text as a segment of 32 hex digits.
fn hashed(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..16])
}

/// What stands for a chain in a key: the cooperative's has the one text that is no member's id.
fn chain_id(member: Option<&MemberId>) -> &str {
    member.map_or("-", MemberId::as_str)
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) -> $kind:ident<$record:ty> = $text:expr;)*) => {
        $($(#[$doc])* pub fn $name($($arg: $ty),*) -> $kind<$record> { $kind::new(format!("{ROOT}/{}", $text)) })*
    };
}

keys! {
    /// Store id, epoch, schema version.
    schema() -> Key<StoreIdentity> = "schema";

    /// A member.
    member(id: &MemberId) -> Key<Member> = format!("member/{}/", pad(id.as_str(), 32));
    /// All members.
    members() -> Range<Member> = "member/";
    /// A bill-to.
    bill_to(member: &MemberId, id: &BillToId) -> Key<BillTo> =
        format!("billto/{}/{}/", pad(member.as_str(), 32), pad(id.as_str(), 32));
    /// A member's bill-tos.
    bill_tos(member: &MemberId) -> Range<BillTo> = format!("billto/{}/", pad(member.as_str(), 32));
    /// All bill-tos.
    bill_tos_all() -> Range<BillTo> = "billto/";
    /// A grant.
    grant(member: &MemberId, id: &GrantId) -> Key<Grant> = format!("grant/{}/{id}/", pad(member.as_str(), 32));
    /// A member's grants.
    grants(member: &MemberId) -> Range<Grant> = format!("grant/{}/", pad(member.as_str(), 32));
    /// All grants.
    grants_all() -> Range<Grant> = "grant/";

    /// A service account.
    service_account(member: &MemberId, id: &ServiceAccountId) -> Key<ServiceAccount> =
        format!("serviceaccount/{}/{}/", pad(member.as_str(), 32), pad(id.as_str(), 32));
    /// A member's service accounts.
    service_accounts(member: &MemberId) -> Range<ServiceAccount> = format!("serviceaccount/{}/", pad(member.as_str(), 32));
    /// All service accounts.
    service_accounts_all() -> Range<ServiceAccount> = "serviceaccount/";
    /// What certificates of a principal are refused.
    revocation(principal: &str) -> Key<Revocation> = format!("revocation/{}/", hashed(principal));
    /// The same of all.
    revocations() -> Range<Revocation> = "revocation/";

    /// Head of a register edition.
    register_edition(edition: Date) -> Key<RegisterEdition> = format!("register/edition/{edition}/");
    /// All editions, oldest first.
    register_editions() -> Range<RegisterEdition> = "register/edition/";
    /// One chunk of an edition's entries.
    register_chunk(edition: Date, chunk: u32) -> Key<RegisterChunk> = format!("register/chunk/{edition}/{chunk:06}/");
    /// All chunks of an edition, ascending by register key.
    register_chunks(edition: Date) -> Range<RegisterChunk> = format!("register/chunk/{edition}/");

    /// A cluster.
    cluster(id: &ClusterId) -> Key<Cluster> = format!("cluster/{}/", pad(id.as_str(), 32));
    /// All clusters.
    clusters() -> Range<Cluster> = "cluster/";
    /// What a cluster's operator last said.
    seen(id: &ClusterId) -> Key<ClusterSeen> = format!("seen/{}/", pad(id.as_str(), 32));
    /// The same of all.
    seen_all() -> Range<ClusterSeen> = "seen/";
    /// What the last preflight of a cluster found.
    preflight(id: &ClusterId) -> Key<PreflightReport> = format!("preflight/{}/", pad(id.as_str(), 32));
    /// The same of all.
    preflights() -> Range<PreflightReport> = "preflight/";
    /// The join token of a cluster.
    join_token(id: &ClusterId) -> Key<JoinToken> = format!("jointoken/{}/", pad(id.as_str(), 32));
    /// What certificates a cluster was given.
    credential(id: &ClusterId) -> Key<ClusterCredential> = format!("credential/{}/", pad(id.as_str(), 32));
    /// The same of all.
    credentials() -> Range<ClusterCredential> = "credential/";
    /// A quota account.
    account(member: &MemberId, cluster: &ClusterId) -> Key<QuotaAccount> =
        format!("account/{}/{}/", pad(member.as_str(), 32), pad(cluster.as_str(), 32));
    /// A member's accounts.
    accounts(member: &MemberId) -> Range<QuotaAccount> = format!("account/{}/", pad(member.as_str(), 32));
    /// All accounts.
    accounts_all() -> Range<QuotaAccount> = "account/";
    /// What was reserved in an account at the end of past days.
    quota_history(member: &MemberId, cluster: &ClusterId) -> Key<QuotaHistory> =
        format!("quotahistory/{}/{}/", pad(member.as_str(), 32), pad(cluster.as_str(), 32));
    /// The same of all of a member's accounts.
    quota_histories(member: &MemberId) -> Range<QuotaHistory> =
        format!("quotahistory/{}/", pad(member.as_str(), 32));
    /// The same of all accounts.
    quota_histories_all() -> Range<QuotaHistory> = "quotahistory/";
    /// What a tenant's cluster shows of its quotas.
    shown_quota(member: &MemberId, tenant: &TenantId) -> Key<ShownQuota> =
        format!("shownquota/{}/{}/", pad(member.as_str(), 32), pad(tenant.as_str(), 16));
    /// The same of all of a member's tenants.
    shown_quotas(member: &MemberId) -> Range<ShownQuota> = format!("shownquota/{}/", pad(member.as_str(), 32));
    /// The same of all tenants.
    shown_quotas_all() -> Range<ShownQuota> = "shownquota/";
    /// A loan.
    loan(id: &LoanId) -> Key<Loan> = format!("loan/{id}/");
    /// All loans, oldest first.
    loans() -> Range<Loan> = "loan/";
    /// That a member is a side of a loan.
    loan_of(member: &MemberId, id: &LoanId) -> Key<LoanRef> = format!("loanof/{}/{id}/", pad(member.as_str(), 32));
    /// The loans that a member is a side of, oldest first.
    loans_of(member: &MemberId) -> Range<LoanRef> = format!("loanof/{}/", pad(member.as_str(), 32));
    /// That a loan has not come to its end.
    loan_live(id: &LoanId) -> Key<LoanRef> = format!("loanlive/{id}/");
    /// The loans that have not come to their end.
    loans_live() -> Range<LoanRef> = "loanlive/";
    /// A rule by which the pool is divided.
    pool_rule(id: &PoolRuleId) -> Key<PoolRule> = format!("poolrule/{}/", pad(id.as_str(), 32));
    /// All rules.
    pool_rules() -> Range<PoolRule> = "poolrule/";
    /// The carrying out of a rule.
    pool_run(rule: &PoolRuleId, effective: Date) -> Key<PoolRun> = format!("poolrun/{}/{effective}/", pad(rule.as_str(), 32));
    /// All of them.
    pool_runs() -> Range<PoolRun> = "poolrun/";

    /// A budget.
    budget(member: &MemberId, bill_to: &BillToId, year: BudgetYear) -> Key<Budget> =
        format!("budget/{}/{}/{year}/", pad(member.as_str(), 32), pad(bill_to.as_str(), 32));
    /// The budgets of one bill-to, oldest year first.
    budgets_of(member: &MemberId, bill_to: &BillToId) -> Range<Budget> =
        format!("budget/{}/{}/", pad(member.as_str(), 32), pad(bill_to.as_str(), 32));
    /// A member's budgets.
    budgets(member: &MemberId) -> Range<Budget> = format!("budget/{}/", pad(member.as_str(), 32));
    /// All budgets.
    budgets_all() -> Range<Budget> = "budget/";

    /// A tenant.
    tenant(member: &MemberId, id: &TenantId) -> Key<Tenant> =
        format!("tenant/{}/{}/", pad(member.as_str(), 32), pad(id.as_str(), 16));
    /// A member's tenants.
    tenants(member: &MemberId) -> Range<Tenant> = format!("tenant/{}/", pad(member.as_str(), 32));
    /// All tenants.
    tenants_all() -> Range<Tenant> = "tenant/";
    /// An instance.
    instance(member: &MemberId, tenant: &TenantId, id: &InstanceId) -> Key<Instance> =
        format!("instance/{}/{}/{}/", pad(member.as_str(), 32), pad(tenant.as_str(), 16), pad(id.as_str(), 20));
    /// A tenant's instances.
    instances(member: &MemberId, tenant: &TenantId) -> Range<Instance> =
        format!("instance/{}/{}/", pad(member.as_str(), 32), pad(tenant.as_str(), 16));
    /// A member's instances.
    instances_of(member: &MemberId) -> Range<Instance> = format!("instance/{}/", pad(member.as_str(), 32));
    /// All instances.
    instances_all() -> Range<Instance> = "instance/";
    /// Desired record of a tenant.
    desired_tenant(cluster: &ClusterId, member: &MemberId, tenant: &TenantId) -> Key<DesiredRecord> =
        format!("desired/{}/{}/{}/{}/", pad(cluster.as_str(), 32), pad(member.as_str(), 32), pad(tenant.as_str(), 16), pad("", 20));
    /// Desired record of an instance.
    desired_instance(cluster: &ClusterId, member: &MemberId, tenant: &TenantId, id: &InstanceId) -> Key<DesiredRecord> =
        format!("desired/{}/{}/{}/{}/", pad(cluster.as_str(), 32), pad(member.as_str(), 32), pad(tenant.as_str(), 16), pad(id.as_str(), 20));
    /// Desired state of a cluster.
    desired(cluster: &ClusterId) -> Range<DesiredRecord> = format!("desired/{}/", pad(cluster.as_str(), 32));
    /// An offering.
    offering(id: &OfferingId) -> Key<Offering> = format!("offering/{}/", pad(id.as_str(), 32));
    /// All offerings.
    offerings() -> Range<Offering> = "offering/";
    /// An operation.
    operation(member: &MemberId, id: &OperationId) -> Key<Operation> = format!("operation/{}/{id}/", pad(member.as_str(), 32));
    /// A member's operations.
    operations(member: &MemberId) -> Range<Operation> = format!("operation/{}/", pad(member.as_str(), 32));

    /// Receipt of a request id, scoped to the caller.
    receipt(caller: &str, id: &RequestId) -> Key<Receipt> = format!("receipt/{}/{id}/", hashed(caller));
    /// An audit entry that is not sealed yet, ordered by time; actor and request id, which other callers may use too, tell entries of one
    /// microsecond apart.
    audit(at: Timestamp, actor: &str, id: &RequestId) -> Key<AuditEntry> =
        format!("audit/{:020}/{}/", at.as_microsecond(), hashed(&format!("{actor} {id}")));
    /// A segment of a chain, by the number of its first entry; without a member: of the cooperative's chain.
    audit_segment(member: Option<&MemberId>, first: u64) -> Key<AuditSegment> =
        format!("auditsegment/{}/{first:020}/", pad(chain_id(member), 32));
    /// All segments of a chain, first entries first.
    audit_segments(member: Option<&MemberId>) -> Range<AuditSegment> =
        format!("auditsegment/{}/", pad(chain_id(member), 32));
    /// All segments of all chains.
    audit_segments_all() -> Range<AuditSegment> = "auditsegment/";
    /// The end of a chain.
    audit_head(member: Option<&MemberId>) -> Key<AuditHead> = format!("audithead/{}/", pad(chain_id(member), 32));
    /// All audit entries that are not sealed yet, oldest first.
    audit_all() -> Range<AuditEntry> = "audit/";

    /// A lifecycle fact.
    fact(member: &MemberId, id: &str) -> Key<LifecycleFact> = format!("fact/{}/{}/", pad(member.as_str(), 32), pad(id, 64));
    /// A member's facts.
    facts(member: &MemberId) -> Range<LifecycleFact> = format!("fact/{}/", pad(member.as_str(), 32));
    /// All facts.
    facts_all() -> Range<LifecycleFact> = "fact/";
    /// Imported usage.
    segment(member: &MemberId, id: &str) -> Key<StoredSegment> = format!("segment/{}/{}/", pad(member.as_str(), 32), hashed(id));
    /// A member's imported usage.
    segments(member: &MemberId) -> Range<StoredSegment> = format!("segment/{}/", pad(member.as_str(), 32));
    /// All imported usage.
    segments_all() -> Range<StoredSegment> = "segment/";

    /// A price list.
    price_list(id: &PriceListId) -> Key<PriceList> = format!("pricelist/{}/", pad(id.as_str(), 32));
    /// All price lists.
    price_lists() -> Range<PriceList> = "pricelist/";
    /// An allocation key.
    allocation_key(id: &KeyId) -> Key<AllocationKey> = format!("allocationkey/{}/", pad(id.as_str(), 32));
    /// All allocation keys.
    allocation_keys() -> Range<AllocationKey> = "allocationkey/";
    /// A pot.
    pot(id: &PotId) -> Key<Pot> = format!("pot/{}/", pad(id.as_str(), 32));
    /// All pots.
    pots() -> Range<Pot> = "pot/";
    /// The issuer of invoices.
    issuer() -> Key<Issuer> = "issuer/";
    /// Whether a period takes facts.
    period(period: Period) -> Key<PeriodState> = format!("period/{period}/");
    /// The closing of a period.
    run(period: Period) -> Key<Run> = format!("run/{period}/");
    /// All runs.
    runs() -> Range<Run> = "run/";
    /// An invoice by its id: number or draft id.
    invoice(member: &MemberId, id: &str) -> Key<Invoice> = format!("invoice/{}/{}/", pad(member.as_str(), 32), pad(id, 64));
    /// A member's invoices.
    invoices(member: &MemberId) -> Range<Invoice> = format!("invoice/{}/", pad(member.as_str(), 32));
    /// All invoices.
    invoices_all() -> Range<Invoice> = "invoice/";
    /// A number range.
    counter(name: &str) -> Key<Counter> = format!("counter/{}/", pad(name, 48));
}

/// What the index leaves out, ascending: it grows with time and not with members, or is read once in a while.
const COLD: [&str; 9] = [
    "audit/",
    "audithead/",
    "auditsegment/",
    "fact/",
    "invoice/",
    "operation/",
    "receipt/",
    "register/",
    "segment/",
];

/// Everything of the store, as a range of raw keys.
pub(crate) fn everything() -> (String, String) {
    (format!("{ROOT}/"), format!("{ROOT}0"))
}

/// What the index holds: the gaps between what it leaves out, as ranges of raw keys.
pub(crate) fn hot_spans() -> Vec<(String, String)> {
    let (mut begin, end) = everything();
    let mut spans = Vec::new();
    for cold in COLD {
        spans.push((begin, format!("{ROOT}/{cold}")));
        begin = format!("{ROOT}/{}0", cold.trim_end_matches('/'));
    }
    spans.push((begin, end));
    spans
}

/// Whether the index holds what lies there.
pub(crate) fn is_hot(raw: &str) -> bool {
    let Some(rest) = raw.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix('/')) else { return false };
    !COLD.iter().any(|cold| rest.starts_with(cold))
}

/// The resource name that a raw key of a desired record stands for.
pub fn desired_name(raw: &str) -> Option<String> {
    let rest = raw.strip_prefix(ROOT)?.strip_prefix("/desired/")?;
    let ids: Vec<&str> = rest.trim_end_matches('/').split('/').map(|id| id.trim_end_matches('.')).collect();
    match ids.as_slice() {
        [_, member, tenant, ""] => Some(format!("members/{member}/tenants/{tenant}")),
        [_, member, tenant, instance] => {
            Some(format!("members/{member}/tenants/{tenant}/instances/{instance}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_is_a_prefix_of_another() {
        let ids: Vec<MemberId> =
            ["aaa", "aaa-b", "aaa0", "aaab"].iter().map(|id| id.parse().unwrap()).collect();
        for one in &ids {
            for other in ids.iter().filter(|other| *other != one) {
                assert!(!member(other).raw().starts_with(member(one).raw()));
                assert!(!grants(other).prefix().starts_with(grants(one).prefix()));
            }
        }
    }

    #[test]
    fn the_spans_of_the_index_hold_exactly_what_is_hot() {
        let (member, cluster) = ("aaa".parse().unwrap(), "c".parse().unwrap());
        let raws = [
            schema().raw().to_owned(),
            super::member(&member).raw().to_owned(),
            account(&member, &cluster).raw().to_owned(),
            audit_head(Some(&member)).raw().to_owned(),
            audit_segment(None, 1).raw().to_owned(),
            fact(&member, "f").raw().to_owned(),
            runs().prefix().to_owned(),
            seen(&cluster).raw().to_owned(),
            segment(&member, "s").raw().to_owned(),
            register_edition("2026-01-01".parse().unwrap()).raw().to_owned(),
        ];
        for raw in &raws {
            let held = hot_spans().iter().filter(|(begin, end)| begin <= raw && raw < end).count();
            assert_eq!(held, usize::from(is_hot(raw)), "{raw}");
        }
        assert_eq!(raws.iter().filter(|raw| is_hot(raw)).count(), 5);
    }

    #[test]
    fn a_tenants_own_record_lies_before_its_instances() {
        let (cluster, member, tenant) =
            ("c".parse().unwrap(), "m-05766044".parse().unwrap(), "prod".parse().unwrap());
        let own = desired_tenant(&cluster, &member, &tenant);
        let instance = desired_instance(&cluster, &member, &tenant, &"db".parse().unwrap());
        assert!(own.raw() < instance.raw());
        assert_eq!(desired_name(own.raw()).unwrap(), "members/m-05766044/tenants/prod");
        assert_eq!(desired_name(instance.raw()).unwrap(), "members/m-05766044/tenants/prod/instances/db");
        assert!(instance.raw().starts_with(desired(&cluster).prefix()));
    }
}
