//! The one error of the use cases. Transport-free: `status.rs` turns it into a gRPC status as the last step.
//!
//! What a client may read and what only the log may have are different fields, so that internal text cannot leave by accident.

use allmende_domain::{
    quota::budget::Excess,
    violation::{FieldViolation, ViolationReason},
};
use jiff::civil::Date;

/// One resource of which more was asked than there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaShortfall {
    /// `requests.cpu`, `requests.memory`, `requests.storage`, `pods`.
    pub resource: String,
    /// The limit, in the resource's base unit.
    pub limit: i64,
    /// What is reserved already.
    pub used: i64,
    /// What was asked for beside it.
    pub asked: i64,
}

/// What keeps a member from ordering more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaBar {
    /// It is over its entitlement.
    OverEntitlement {
        /// Last day to come down.
        resolve_by: Date,
    },
    /// It would be on these loans, which were called back.
    LoanRecalled {
        /// Their names.
        loans: Vec<String>,
    },
}

/// Why a use case did not do what was asked.
#[derive(Debug)]
pub enum AppError {
    /// One or more fields are wrong: all of them.
    Invalid(Vec<FieldViolation>),
    /// It does not exist, or the caller may not know that it does: the same answer for both.
    NotFound {
        /// The name as the caller sent it.
        resource: String,
    },
    /// The id is taken.
    AlreadyExists {
        /// The resource's name.
        resource: String,
    },
    /// The request id was used before with another body.
    RequestIdReused,
    /// The etag is not that of the present state.
    StaleEtag {
        /// The resource's name.
        resource: String,
    },
    /// Others changed the same thing, several times in a row.
    Contention,
    /// More was asked than entitlement leaves.
    QuotaExceeded {
        /// Whose account: `members/…/entitlements/…`.
        subject: String,
        /// Every resource that is short.
        shortfalls: Vec<QuotaShortfall>,
    },
    /// The entitlement would do, but it may not be used.
    QuotaBarred {
        /// Whose account, as above.
        subject: String,
        /// Every resource that is short.
        shortfalls: Vec<QuotaShortfall>,
        /// What stands in the way.
        bar: QuotaBar,
    },
    /// More money was asked than the budget leaves.
    BudgetExceeded {
        /// `members/…/billTos/…/budgets/…`.
        budget: String,
        /// The numbers.
        excess: Excess,
    },
    /// An order is refused for several reasons at once, each a refusal by itself; two or more.
    Several(Vec<AppError>),
    /// No verified certificate and no token.
    Unauthenticated,
    /// The access token is not good.
    TokenRefused(allmende_identity::token::TokenError),
    /// The join token is not one that opens the door. The same for every reason.
    JoinRefused,
    /// The certificate names a service account and does not speak for it, now. The same for every reason.
    AccountRefused,
    /// Known caller, not allowed. Only said where the caller may know that the object exists.
    Forbidden {
        /// What was not allowed and which roles would be.
        description: String,
    },
    /// The object's state does not allow this.
    WrongState {
        /// The resource's name.
        resource: String,
        /// What stands in the way and what to do.
        description: String,
    },
    /// A cluster has seen more of the store than there is: it was put back to an older state.
    StoreBehind {
        /// The cluster's name.
        resource: String,
        /// What was seen, and what to do.
        description: String,
    },
    /// Facts cannot enter a closed period.
    PeriodClosed {
        /// `2026-09`.
        period: String,
    },
    /// A close lacks a cluster's word.
    WatermarkMissing {
        /// The clusters whose watermark is not past the period's end.
        clusters: Vec<String>,
    },
    /// The store has no leader or cannot be reached.
    Unavailable,
    /// The deadline passed; the outcome may be unknown.
    DeadlineExceeded,
    /// Too much at once.
    LimitExceeded {
        /// Which limit.
        description: String,
    },
    /// A defect. `context` goes to the log, with an incident id; only the id goes out.
    Internal {
        /// For the log only.
        context: String,
    },
}

impl AppError {
    /// One wrong field.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldViolation::new(field, description)])
    }

    /// A page token that belongs to another list, or to none.
    pub fn page_token() -> Self {
        let text =
            "the page token belongs to another list or filter, or is malformed: start again without it";
        Self::Invalid(vec![
            FieldViolation::new("page_token", text).because(ViolationReason::PageTokenInvalid),
        ])
    }

    /// The resource does not exist as far as this caller is concerned.
    pub fn not_found(resource: impl Into<String>) -> Self {
        Self::NotFound { resource: resource.into() }
    }

    /// A defect with text for the log.
    pub fn internal(context: impl std::fmt::Display) -> Self {
        Self::Internal { context: context.to_string() }
    }
}

impl From<allmende_store::StoreError> for AppError {
    fn from(error: allmende_store::StoreError) -> Self {
        use allmende_store::StoreError;
        match error {
            StoreError::Unavailable(reason) => {
                tracing::warn!(reason, "store unavailable");
                Self::Unavailable
            }
            StoreError::Refused(reason) => {
                tracing::error!(reason, "the store and this program refuse each other");
                Self::Unavailable
            }
            StoreError::UnknownOutcome(reason) => {
                tracing::warn!(reason, "outcome of a transaction unknown");
                Self::DeadlineExceeded
            }
            StoreError::Limit(_)
            | StoreError::Corrupt { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::Settings(_)
            | StoreError::Documents(_) => Self::internal(error),
        }
    }
}

impl From<allmende_domain::resources::AmountError> for AppError {
    fn from(error: allmende_domain::resources::AmountError) -> Self {
        Self::invalid("resources", error.to_string())
    }
}

impl From<allmende_domain::money::MoneyError> for AppError {
    fn from(error: allmende_domain::money::MoneyError) -> Self {
        Self::internal(error)
    }
}

impl From<allmende_domain::period::PeriodError> for AppError {
    fn from(error: allmende_domain::period::PeriodError) -> Self {
        Self::internal(error)
    }
}

/// A shortfall of the domain, for the client.
impl From<allmende_domain::resources::Shortfall> for QuotaShortfall {
    fn from(short: allmende_domain::resources::Shortfall) -> Self {
        Self { resource: short.resource, limit: short.limit, used: short.used, asked: short.asked }
    }
}
