//! Which types are stored, under which kind, and the few that exist only here.

use allmende_domain::{
    account::QuotaAccount,
    audit::AuditEntry,
    catalog::Offering,
    cluster::{Cluster, ClusterSeen},
    credential::{ClusterCredential, JoinToken},
    desired::DesiredRecord,
    grant::Grant,
    ids::LoanId,
    instance::Instance,
    invoice::Invoice,
    issuer::Issuer,
    key::AllocationKey,
    member::{BillTo, Member},
    operation::Operation,
    pot::Pot,
    preflight::PreflightReport,
    price::PriceList,
    quota::{
        budget::Budget, loan::Loan, rule::PoolRule, run::PoolRun, shown::ShownQuota, trend::QuotaHistory,
    },
    register::{RegisterChunk, RegisterEdition},
    revocation::Revocation,
    run::Run,
    service_account::ServiceAccount,
    tenant::Tenant,
    usage::{LifecycleFact, UsageSegment},
};
use allmende_evidence::{Digest, Head, Link};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{envelope::Record, schema::StoreIdentity, transact::Receipt};

/// Whether a period takes facts. An absent key is an open period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodState {
    /// Closed periods take no facts: late ones go to the next open period.
    pub closed: bool,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
}

/// Imported usage with its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSegment {
    /// What was used, from when to when.
    pub segment: UsageSegment,
    /// Where it comes from, as the treasurer named it.
    pub source: String,
    /// When it came in.
    pub received: Timestamp,
}

/// That there is a loan: its id is what the key says too, so that lists need no parsing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoanRef {
    /// Which.
    pub loan: LoanId,
}

/// A number range: the last number given, and the digest of the record that got it, to chain the next one to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counter {
    /// Last number given; 0 before the first.
    pub last: u64,
    /// Digest of the record with that number, hex; empty before the first.
    pub last_digest: String,
}

/// A part of a chain of sealed audit entries. Needs nothing else to be read, so that it can be moved out of etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditSegment {
    /// `cooperative`, or `members/{member}`.
    pub chain: String,
    /// Without gap; the first one's number is in the key. Empty once they were moved.
    pub links: Vec<Link>,
    /// Where the links are, when they were moved out of etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<MovedSegment>,
}

/// What stays in etcd of a segment whose links lie in the object store: enough to find them, to prove that they are the same, and to leave
/// them out of a search that is for another time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedSegment {
    /// Name of the object: JSON lines as in an export.
    pub object: String,
    /// SHA-256 of the object, hex.
    pub sha256: String,
    /// Number of the first link.
    pub first: u64,
    /// Number of the last link.
    pub last: u64,
    /// Digest of the last link.
    pub digest: Digest,
    /// Earliest time of an entry.
    pub from: Timestamp,
    /// Latest time of an entry.
    pub until: Timestamp,
}

/// The end of a chain of sealed audit entries. Whoever appends compares it, so any number of sealers do no harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Signed.
    pub head: Head,
    /// Number of the first link in the last segment.
    pub segment: u64,
    /// Of the signature, PEM.
    pub public_key: String,
    /// Id of the store when it was signed; another one now: the store was put back to a backup since. Empty in heads of earlier releases.
    #[serde(default)]
    pub store_id: String,
}

/// An audit entry as it is sealed: with its place in the order of all changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedEntry {
    /// Revision of the transaction that wrote it.
    pub revision: i64,
    /// See [`AuditEntry`].
    #[serde(flatten)]
    pub entry: AuditEntry,
}

macro_rules! records {
    ($($type:ty = $kind:literal;)*) => {
        $(impl Record for $type { const KIND: &'static str = $kind; })*

        /// Names of all kinds that are stored.
        pub const KINDS: &[&str] = &[$($kind),*];
    };
}

records! {
    StoreIdentity = "schema";
    Receipt = "receipt";
    PeriodState = "period";
    StoredSegment = "segment";
    Counter = "counter";
    Member = "member";
    BillTo = "bill-to";
    Grant = "grant";
    RegisterEdition = "register-edition";
    RegisterChunk = "register-chunk";
    Cluster = "cluster";
    ClusterSeen = "cluster-seen";
    PreflightReport = "preflight";
    JoinToken = "join-token";
    ClusterCredential = "cluster-credential";
    ServiceAccount = "service-account";
    Revocation = "revocation";
    QuotaAccount = "account";
    QuotaHistory = "quotahistory";
    ShownQuota = "shownquota";
    Budget = "budget";
    Loan = "loan";
    LoanRef = "loan-ref";
    PoolRule = "pool-rule";
    PoolRun = "pool-run";
    Tenant = "tenant";
    Instance = "instance";
    DesiredRecord = "desired";
    Offering = "offering";
    Operation = "operation";
    AuditEntry = "audit";
    AuditSegment = "audit-segment";
    AuditHead = "audit-head";
    LifecycleFact = "fact";
    PriceList = "price-list";
    AllocationKey = "allocation-key";
    Pot = "pot";
    Issuer = "issuer";
    Run = "run";
    Invoice = "invoice";
}
