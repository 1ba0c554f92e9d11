//! The authorisation table: a row for every RPC, default deny.
//!
//! A test compares it with the descriptors of `allmende.v1`: an RPC without a row fails the build, and so does a row without an RPC.

use allmende_domain::grant::Role;

/// Who may call. A caller who fits one of a row's entries may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allow {
    /// Has this role, for the member that the call names, now.
    Member(Role),
    /// The same, and is no service account: what gives or takes rights is for people, or a program's key would outlive its end.
    Person(Role),
    /// Is the service account that the call names, and may renew itself.
    OwnAccount,
    /// Has this role of the cooperative.
    Cooperative(Role),
    /// Has this role of the cooperative, and the member that the call names has left and its grace is over.
    AfterGrace(Role),
    /// Is the operator program of the cluster that the call names (cluster certificate).
    OwnCluster,
    /// Is a person or a service with any verified identity.
    Known,
    /// Bears the join token of the cluster that the call names, which the use case checks; needs no identity.
    JoinToken,
}

/// One row.
#[derive(Debug)]
pub struct Row {
    /// Full name as in the request path, without the leading slash.
    pub rpc: &'static str,
    /// Empty would mean nobody.
    pub allow: &'static [Allow],
}

const OPERATOR: Allow = Allow::Cooperative(Role::CooperativeOperator);
const TREASURER: Allow = Allow::Cooperative(Role::CooperativeTreasurer);
const COOPERATIVE_AUDITOR: Allow = Allow::Cooperative(Role::CooperativeAuditor);
const VIEWER: Allow = Allow::Member(Role::Viewer);
const ORDERER: Allow = Allow::Member(Role::Orderer);
const APPROVER: Allow = Allow::Member(Role::Approver);
const ACCOUNTANT: Allow = Allow::Member(Role::Accountant);
const AUDITOR: Allow = Allow::Member(Role::Auditor);
const ADMIN: Allow = Allow::Member(Role::Admin);
const PERSON_ADMIN: Allow = Allow::Person(Role::Admin);

/// The cooperative's own staff, for its master data.
const OPERATOR_ONLY: &[Allow] = &[OPERATOR];
const TREASURER_ONLY: &[Allow] = &[TREASURER];
const COOPERATIVE: &[Allow] = &[OPERATOR, TREASURER, COOPERATIVE_AUDITOR];
const KNOWN: &[Allow] = &[Allow::Known];
const JOIN_TOKEN: &[Allow] = &[Allow::JoinToken];
const OWN_CLUSTER: &[Allow] = &[Allow::OwnCluster];

/// Everybody with a role for the member, and the cooperative's staff: master data of the member.
const MEMBER_READ: &[Allow] =
    &[VIEWER, ORDERER, APPROVER, ACCOUNTANT, AUDITOR, ADMIN, OPERATOR, TREASURER, COOPERATIVE_AUDITOR];
/// What runs for the member; the treasurer need not know.
const PLATFORM_READ: &[Allow] = &[VIEWER, ORDERER, APPROVER, AUDITOR, ADMIN, OPERATOR, COOPERATIVE_AUDITOR];
/// What the member's quota is held by: its own matter. The cooperative sees how much each holds, not what for.
const OWN_READ: &[Allow] = &[VIEWER, ORDERER, APPROVER, AUDITOR, ADMIN];
/// Ordering: the member itself, never the cooperative in its place.
const ORDER: &[Allow] = &[ORDERER, ADMIN];
/// What is left of a member that has left.
const OPERATOR_AFTER_GRACE: Allow = Allow::AfterGrace(Role::CooperativeOperator);
/// Deleting a service: the member itself, and who clears up behind it.
const DELETE_INSTANCE: &[Allow] = &[ORDERER, ADMIN, OPERATOR_AFTER_GRACE];
/// Deleting a tenant: the same.
const DELETE_TENANT: &[Allow] = &[ADMIN, OPERATOR_AFTER_GRACE];
/// Lending and borrowing: one of the member asks, another one agrees. Both are people, or who made a program would agree with itself.
const LEND: &[Allow] = &[Allow::Person(Role::Orderer), Allow::Person(Role::Approver), PERSON_ADMIN];
/// The second pair of eyes.
const SECOND_EYES: &[Allow] = &[Allow::Person(Role::Approver), PERSON_ADMIN];
const MEMBER_ADMIN: &[Allow] = &[ADMIN, OPERATOR];
/// What a member gives to others, and takes from them.
const GIVE: &[Allow] = &[PERSON_ADMIN];
const GIVE_OR_TAKE: &[Allow] = &[PERSON_ADMIN, OPERATOR];
const ISSUE: &[Allow] = &[PERSON_ADMIN, Allow::OwnAccount];
/// Money of the member.
const MONEY_READ: &[Allow] = &[VIEWER, APPROVER, ACCOUNTANT, AUDITOR, ADMIN, TREASURER, COOPERATIVE_AUDITOR];

/// Whoever orders must know what is left, too.
const BUDGET_READ: &[Allow] =
    &[VIEWER, ORDERER, APPROVER, ACCOUNTANT, AUDITOR, ADMIN, TREASURER, COOPERATIVE_AUDITOR];
/// What the member may spend is the member's own decision, never the cooperative's.
const SPEND: &[Allow] = &[APPROVER, ADMIN];

/// The evidence: of the member for its own, of everything for the cooperative.
const AUDIT_READ: &[Allow] = &[AUDITOR, ADMIN, OPERATOR, COOPERATIVE_AUDITOR];

/// The table, by service.
pub const TABLE: &[Row] = &[
    Row { rpc: "allmende.v1.AuditService/ListAuditEntries", allow: AUDIT_READ },
    Row { rpc: "allmende.v1.AuditService/GetAuditHead", allow: AUDIT_READ },
    Row { rpc: "allmende.v1.AuditService/ExportAudit", allow: AUDIT_READ },
    Row { rpc: "allmende.v1.MemberService/CreateMember", allow: OPERATOR_ONLY },
    Row { rpc: "allmende.v1.MemberService/GetMember", allow: MEMBER_READ },
    Row { rpc: "allmende.v1.MemberService/ListMembers", allow: COOPERATIVE },
    Row { rpc: "allmende.v1.MemberService/UpdateMember", allow: OPERATOR_ONLY },
    Row { rpc: "allmende.v1.MemberService/ExitMember", allow: OPERATOR_ONLY },
    Row { rpc: "allmende.v1.MemberService/ExportMemberData", allow: MEMBER_ADMIN },
    Row { rpc: "allmende.v1.MemberService/CreateBillTo", allow: MEMBER_ADMIN },
    Row { rpc: "allmende.v1.MemberService/GetBillTo", allow: MEMBER_READ },
    Row { rpc: "allmende.v1.MemberService/ListBillTos", allow: MEMBER_READ },
    Row { rpc: "allmende.v1.MemberService/CreateGrant", allow: GIVE_OR_TAKE },
    Row { rpc: "allmende.v1.MemberService/ListGrants", allow: MEMBER_READ },
    Row { rpc: "allmende.v1.MemberService/RevokeGrant", allow: GIVE_OR_TAKE },
    Row { rpc: "allmende.v1.MemberService/ListRights", allow: MEMBER_READ },
    Row { rpc: "allmende.v1.MemberService/GetCaller", allow: KNOWN },
    Row { rpc: "allmende.v1.MemberService/ImportRegister", allow: OPERATOR_ONLY },
    Row { rpc: "allmende.v1.MemberService/ListRegisterEditions", allow: KNOWN },
    Row { rpc: "allmende.v1.MemberService/GetRegisterEntry", allow: KNOWN },
    Row { rpc: "allmende.v1.ClusterService/CreateCluster", allow: OPERATOR_ONLY },
    Row { rpc: "allmende.v1.ClusterService/GetCluster", allow: COOPERATIVE },
    Row { rpc: "allmende.v1.ClusterService/ListClusters", allow: COOPERATIVE },
    Row { rpc: "allmende.v1.ClusterService/UpdateClusterCapacity", allow: OPERATOR_ONLY },
    Row { rpc: "allmende.v1.ClusterService/RaiseStoreEpoch", allow: OPERATOR_ONLY },
    Row { rpc: "allmende.v1.ClusterService/FollowDesiredState", allow: OWN_CLUSTER },
    Row { rpc: "allmende.v1.ClusterService/ReportObservations", allow: OWN_CLUSTER },
    Row { rpc: "allmende.v1.CertificateService/CreateJoinToken", allow: OPERATOR_ONLY },
    Row { rpc: "allmende.v1.CertificateService/JoinCluster", allow: JOIN_TOKEN },
    Row { rpc: "allmende.v1.CertificateService/RenewClusterCertificate", allow: OWN_CLUSTER },
    Row { rpc: "allmende.v1.CertificateService/RevokeClusterCertificates", allow: OPERATOR_ONLY },
    Row { rpc: "allmende.v1.CertificateService/RevokeCertificates", allow: GIVE_OR_TAKE },
    Row { rpc: "allmende.v1.CertificateService/ListCertificateRevocations", allow: COOPERATIVE },
    Row { rpc: "allmende.v1.ServiceAccountService/CreateServiceAccount", allow: GIVE },
    Row { rpc: "allmende.v1.ServiceAccountService/GetServiceAccount", allow: MEMBER_READ },
    Row { rpc: "allmende.v1.ServiceAccountService/ListServiceAccounts", allow: MEMBER_READ },
    Row { rpc: "allmende.v1.ServiceAccountService/UpdateServiceAccount", allow: GIVE },
    Row { rpc: "allmende.v1.ServiceAccountService/DeleteServiceAccount", allow: GIVE_OR_TAKE },
    Row { rpc: "allmende.v1.ServiceAccountService/IssueServiceAccountCredential", allow: ISSUE },
    Row { rpc: "allmende.v1.ServiceAccountService/ListServiceAccountCredentials", allow: MEMBER_READ },
    Row { rpc: "allmende.v1.ServiceAccountService/RevokeServiceAccountCredential", allow: GIVE_OR_TAKE },
    Row { rpc: "allmende.v1.TenantService/CreateTenant", allow: ORDER },
    Row { rpc: "allmende.v1.TenantService/GetTenant", allow: PLATFORM_READ },
    Row { rpc: "allmende.v1.TenantService/ListTenants", allow: PLATFORM_READ },
    Row { rpc: "allmende.v1.TenantService/UpdateTenant", allow: ORDER },
    Row { rpc: "allmende.v1.TenantService/DeleteTenant", allow: DELETE_TENANT },
    Row { rpc: "allmende.v1.QuotaService/GetPool", allow: COOPERATIVE },
    Row { rpc: "allmende.v1.QuotaService/GetEntitlement", allow: PLATFORM_READ },
    Row { rpc: "allmende.v1.QuotaService/ListEntitlements", allow: PLATFORM_READ },
    Row { rpc: "allmende.v1.QuotaService/SetEntitlement", allow: OPERATOR_ONLY },
    Row { rpc: "allmende.v1.QuotaService/ListReservations", allow: OWN_READ },
    Row { rpc: "allmende.v1.QuotaService/GetUsage", allow: OWN_READ },
    Row { rpc: "allmende.v1.QuotaService/WatchQuota", allow: PLATFORM_READ },
    Row { rpc: "allmende.v1.BudgetService/SetBudget", allow: SPEND },
    Row { rpc: "allmende.v1.BudgetService/GetBudget", allow: BUDGET_READ },
    Row { rpc: "allmende.v1.BudgetService/ListBudgets", allow: BUDGET_READ },
    Row { rpc: "allmende.v1.BudgetService/RecountBudget", allow: SPEND },
    Row { rpc: "allmende.v1.LoanService/OfferLoan", allow: LEND },
    Row { rpc: "allmende.v1.LoanService/TakeLoan", allow: LEND },
    Row { rpc: "allmende.v1.LoanService/ApproveLoan", allow: SECOND_EYES },
    Row { rpc: "allmende.v1.LoanService/RefuseLoan", allow: SECOND_EYES },
    Row { rpc: "allmende.v1.LoanService/WithdrawLoan", allow: LEND },
    Row { rpc: "allmende.v1.LoanService/RecallLoan", allow: LEND },
    Row { rpc: "allmende.v1.LoanService/ReturnLoan", allow: LEND },
    Row { rpc: "allmende.v1.LoanService/DecideOverdueLoan", allow: OPERATOR_ONLY },
    Row { rpc: "allmende.v1.LoanService/GetLoan", allow: PLATFORM_READ },
    Row { rpc: "allmende.v1.LoanService/ListLoans", allow: PLATFORM_READ },
    Row { rpc: "allmende.v1.PoolService/CreatePoolRule", allow: OPERATOR_ONLY },
    Row { rpc: "allmende.v1.PoolService/GetPoolRule", allow: KNOWN },
    Row { rpc: "allmende.v1.PoolService/ListPoolRules", allow: KNOWN },
    Row { rpc: "allmende.v1.PoolService/PreviewDivision", allow: COOPERATIVE },
    Row { rpc: "allmende.v1.PoolService/ApplyPoolRule", allow: OPERATOR_ONLY },
    Row { rpc: "allmende.v1.PoolService/GetPoolRun", allow: COOPERATIVE },
    Row { rpc: "allmende.v1.CatalogService/GetOffering", allow: KNOWN },
    Row { rpc: "allmende.v1.CatalogService/ListOfferings", allow: KNOWN },
    Row { rpc: "allmende.v1.CatalogService/PublishOfferingVersion", allow: OPERATOR_ONLY },
    Row { rpc: "allmende.v1.InstanceService/CreateInstance", allow: ORDER },
    Row { rpc: "allmende.v1.InstanceService/GetInstance", allow: PLATFORM_READ },
    Row { rpc: "allmende.v1.InstanceService/ListInstances", allow: PLATFORM_READ },
    Row { rpc: "allmende.v1.InstanceService/RetryInstance", allow: ORDER },
    Row { rpc: "allmende.v1.InstanceService/DeleteInstance", allow: DELETE_INSTANCE },
    Row { rpc: "allmende.v1.InstanceService/GetInstanceCredentials", allow: ORDER },
    Row { rpc: "allmende.v1.OperationService/GetOperation", allow: PLATFORM_READ },
    Row { rpc: "allmende.v1.OperationService/ListOperations", allow: PLATFORM_READ },
    Row { rpc: "allmende.v1.UsageService/ReportFacts", allow: OWN_CLUSTER },
    Row { rpc: "allmende.v1.UsageService/ImportUsage", allow: TREASURER_ONLY },
    Row { rpc: "allmende.v1.UsageService/ListUsage", allow: MONEY_READ },
    Row { rpc: "allmende.v1.UsageService/GetCost", allow: MONEY_READ },
    Row { rpc: "allmende.v1.BillingService/CreatePriceList", allow: TREASURER_ONLY },
    Row { rpc: "allmende.v1.BillingService/ListPriceLists", allow: KNOWN },
    Row { rpc: "allmende.v1.BillingService/CreateAllocationKey", allow: TREASURER_ONLY },
    Row { rpc: "allmende.v1.BillingService/ListAllocationKeys", allow: KNOWN },
    Row { rpc: "allmende.v1.BillingService/CreatePot", allow: TREASURER_ONLY },
    Row { rpc: "allmende.v1.BillingService/ListPots", allow: COOPERATIVE },
    Row { rpc: "allmende.v1.BillingService/SetIssuer", allow: TREASURER_ONLY },
    Row { rpc: "allmende.v1.BillingService/GetIssuer", allow: COOPERATIVE },
    Row { rpc: "allmende.v1.BillingService/CreateRun", allow: TREASURER_ONLY },
    Row { rpc: "allmende.v1.BillingService/GetRun", allow: COOPERATIVE },
    Row { rpc: "allmende.v1.BillingService/ListRuns", allow: COOPERATIVE },
    Row { rpc: "allmende.v1.BillingService/FinalizeRun", allow: TREASURER_ONLY },
    Row { rpc: "allmende.v1.InvoiceService/GetInvoice", allow: MONEY_READ },
    Row { rpc: "allmende.v1.InvoiceService/ListInvoices", allow: MONEY_READ },
    Row { rpc: "allmende.v1.InvoiceService/GetInvoiceDocument", allow: MONEY_READ },
];

impl Row {
    /// Whether the caller need not be known: the one thing it shows is a join token.
    pub fn is_for_joining(&self) -> bool {
        self.allow == JOIN_TOKEN
    }

    /// Whether it depends on a member having left.
    pub fn has_after_grace(&self) -> bool {
        self.allow.iter().any(|allow| matches!(allow, Allow::AfterGrace(_)))
    }

    /// Whether it changes nothing and tells no secret, as far as a scope is concerned that is for reading alone.
    pub fn reads(&self) -> bool {
        let method = self.rpc.rsplit('/').next().unwrap_or_default();
        let reads = ["Get", "List", "Export", "Watch"].iter().any(|verb| method.starts_with(verb));
        // Credentials open the services themselves.
        reads && method != "GetInstanceCredentials"
    }

    /// Whether only clusters call it: then a token is refused.
    pub fn is_for_clusters(&self) -> bool {
        self.allow.contains(&Allow::OwnCluster)
    }
}

/// The row of a request's address: one slash, then the full name, letter by letter, and nothing behind it.
pub fn row_of(address: &http::Uri) -> Option<&'static Row> {
    if address.query().is_some() { None } else { address.path().strip_prefix('/').and_then(row) }
}

/// The row of an RPC by its full name; none means denied.
pub fn row(rpc: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.rpc == rpc)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;

    use super::*;

    fn rpcs_in_the_contract() -> BTreeSet<String> {
        let set = prost_types::FileDescriptorSet::decode(allmende_proto::FILE_DESCRIPTOR_SET).unwrap();
        let mut names = BTreeSet::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    names.insert(format!("{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        names
    }

    #[test]
    fn every_rpc_has_exactly_one_row_and_every_row_an_rpc() {
        let rows: Vec<&str> = TABLE.iter().map(|row| row.rpc).collect();
        let unique: BTreeSet<String> = rows.iter().map(|rpc| (*rpc).to_owned()).collect();
        assert_eq!(unique.len(), rows.len(), "a row is there twice");
        assert_eq!(unique, rpcs_in_the_contract());
    }

    #[test]
    fn what_reads_has_no_preview_and_what_changes_is_no_reading() {
        let set = prost_types::FileDescriptorSet::decode(allmende_proto::FILE_DESCRIPTOR_SET).unwrap();
        let messages: Vec<_> = set.file.iter().flat_map(|file| &file.message_type).collect();
        let mut seen = 0;
        for file in set.file.iter().filter(|file| file.package() == "allmende.v1") {
            for (service, method) in file.service.iter().flat_map(|s| s.method.iter().map(move |m| (s, m))) {
                let short = method.input_type().rsplit('.').next().unwrap();
                let input = messages.iter().find(|message| message.name() == short).unwrap();
                let changes =
                    input.field.iter().any(|field| matches!(field.name(), "validate_only" | "request_id"));
                let row = row(&format!("allmende.v1.{}/{}", service.name(), method.name())).unwrap();
                assert!(!(changes && row.reads()), "{}", row.rpc);
                seen += usize::from(changes) + usize::from(row.reads());
            }
        }
        assert!(seen > 50, "{seen}");
        assert!(!row("allmende.v1.InstanceService/GetInstanceCredentials").unwrap().reads());
    }

    #[test]
    fn no_row_is_open_to_nobody_and_none_mixes_clusters_with_people() {
        for row in TABLE {
            assert!(!row.allow.is_empty(), "{}", row.rpc);
            let cluster = row.allow.contains(&Allow::OwnCluster);
            assert!(!cluster || row.allow.len() == 1, "{}", row.rpc);
            let joining = row.allow.contains(&Allow::JoinToken);
            assert_eq!(joining, row.rpc == "allmende.v1.CertificateService/JoinCluster", "{}", row.rpc);
        }
    }
}
