//! Transport: caller, parse, call, convert. Nothing is decided here.

mod audit;
mod billing;
mod budget;
mod catalog;
mod certificate;
mod cluster;
mod instance;
mod invoice;
mod loan;
mod member;
mod operation;
mod pool;
mod quota;
mod service_account;
mod tenant;
mod usage;

use std::{future::Future, sync::Arc};

use allmende_identity::signer::Signer;
use tonic::{Request, Response, Status};

use crate::{
    app,
    clock::Clock,
    context::Context,
    error::AppError,
    pagination::{Page, PageRequest},
};

pub use audit::AuditApi;
pub use billing::BillingApi;
pub use budget::BudgetApi;
pub use catalog::CatalogApi;
pub use certificate::CertificateApi;
pub use cluster::ClusterApi;
pub use instance::InstanceApi;
pub use invoice::InvoiceApi;
pub use loan::LoanApi;
pub use member::MemberApi;
pub use operation::OperationApi;
pub use pool::PoolApi;
pub use quota::QuotaApi;
pub use service_account::ServiceAccountApi;
pub use tenant::TenantApi;
pub use usage::UsageApi;

/// What every service answers with.
pub(crate) type Answer<T> = Result<Response<T>, Status>;

/// Splits a request into its context and its message.
fn split<T>(request: Request<T>, clock: &Arc<dyn Clock>) -> Result<(Context, T), AppError> {
    let context = Context::of(&request, clock.as_ref())?;
    Ok((context, request.into_inner()))
}

/// Runs a use case on the heap: its future holds whole messages and would make every layer's future as large.
async fn answer<T>(call: impl Future<Output = Result<T, AppError>> + Send) -> Answer<T> {
    Box::pin(call).await.map(Response::new).map_err(Status::from)
}

/// Reads the page wish of a list; `list` names the list with all its filters.
fn page(size: i32, token: &str, list: &str) -> Result<PageRequest, AppError> {
    PageRequest::parse(size, token, list)
}

/// Writes a page.
fn written<T, M>(page: Page<T>, write: impl Fn(&T) -> M) -> (Vec<M>, String) {
    (page.items.iter().map(write).collect(), page.next_page_token)
}

impl Apps {
    /// Who signs certificates of clusters and service accounts; none: they come from elsewhere.
    pub fn set_signer(&mut self, signer: Option<Arc<dyn Signer>>) {
        self.certificates.signer.clone_from(&signer);
        self.service_accounts.signer = signer;
    }

    /// From now on old segments of the audit lie there too.
    #[must_use]
    pub fn with_archive(mut self, archive: Option<app::audit::Archive>) -> Self {
        self.audits.core.archive.clone_from(&archive);
        self.members.core.archive = archive;
        self
    }

    /// From now on orders need a signed processing agreement (AVV) of the member.
    #[must_use]
    pub fn with_processing_agreements(mut self, needed: bool) -> Self {
        self.tenants.core.needs_processing_agreement = needed;
        self.instances.core.needs_processing_agreement = needed;
        self.loans.core.needs_processing_agreement = needed;
        self
    }
}

/// Use cases, as wired.
#[derive(Clone)]
pub struct Apps {
    /// The clock of all calls.
    pub clock: Arc<dyn Clock>,
    /// The audit.
    pub audits: app::audit::Audits,
    /// Members and their register.
    pub members: app::member::Members,
    /// Service accounts of members.
    pub service_accounts: app::service_account::ServiceAccounts,
    /// Certificates that are refused.
    pub revocations: app::revocation::Revocations,
    /// Certificates of clusters.
    pub certificates: app::certificate::Certificates,
    /// Clusters.
    pub clusters: app::cluster::Clusters,
    /// Tenants.
    pub tenants: app::tenant::Tenants,
    /// The pool.
    pub quotas: app::quota::Quotas,
    /// What is held of the pool.
    pub holdings: app::holdings::Holdings,
    /// Limits of money.
    pub budgets: app::budget::Budgets,
    /// Loans.
    pub loans: app::loan::Loans,
    /// The division of the pool.
    pub pools: app::pool::Pools,
    /// The catalogue.
    pub catalog: app::catalog::Catalog,
    /// Service instances.
    pub instances: app::instance::Instances,
    /// Operations.
    pub operations: app::operation::Operations,
    /// Usage.
    pub usages: app::usage::Usages,
    /// Billing.
    pub billing: app::billing::Billing,
    /// Invoices.
    pub invoices: app::invoice::Invoices,
}
