//! What every changing request has (AIP-155, AIP-163): an id under which it counts once, and the wish to be a preview.

use allmende_proto::v1;
use prost::Message;

/// A request that changes something.
pub trait ChangeRequest: Message {
    /// From the client; empty: a repeat is a new request.
    fn request_id(&self) -> &str;
    /// Check and compute everything, commit nothing.
    fn validate_only(&self) -> bool;
}

macro_rules! change_requests {
    ($($request:ident),* $(,)?) => {
        $(impl ChangeRequest for v1::$request {
            fn request_id(&self) -> &str {
                &self.request_id
            }

            fn validate_only(&self) -> bool {
                self.validate_only
            }
        })*
    };
}

change_requests! {
    ApplyPoolRuleRequest,
    ApproveLoanRequest,
    CreateAllocationKeyRequest,
    CreateBillToRequest,
    CreateClusterRequest,
    CreateGrantRequest,
    CreateInstanceRequest,
    CreateJoinTokenRequest,
    CreateMemberRequest,
    CreatePoolRuleRequest,
    CreatePotRequest,
    CreatePriceListRequest,
    CreateRunRequest,
    CreateServiceAccountRequest,
    CreateTenantRequest,
    DecideOverdueLoanRequest,
    DeleteInstanceRequest,
    DeleteServiceAccountRequest,
    DeleteTenantRequest,
    ExitMemberRequest,
    FinalizeRunRequest,
    IssueServiceAccountCredentialRequest,
    OfferLoanRequest,
    PublishOfferingVersionRequest,
    RaiseStoreEpochRequest,
    RecallLoanRequest,
    RecountBudgetRequest,
    RefuseLoanRequest,
    RenewClusterCertificateRequest,
    RetryInstanceRequest,
    ReturnLoanRequest,
    RevokeCertificatesRequest,
    RevokeClusterCertificatesRequest,
    RevokeGrantRequest,
    RevokeServiceAccountCredentialRequest,
    SetBudgetRequest,
    SetEntitlementRequest,
    SetIssuerRequest,
    TakeLoanRequest,
    UpdateClusterCapacityRequest,
    UpdateMemberRequest,
    UpdateServiceAccountRequest,
    UpdateTenantRequest,
    WithdrawLoanRequest,
}
