//! Puts the parts together: the only place that knows them all.

use std::sync::Arc;

use allmende_store::{Store, objects::DocumentStore};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{
        audit::{Audits, Refusals},
        billing::Billing,
        budget::Budgets,
        catalog::Catalog,
        certificate::Certificates,
        cluster::Clusters,
        cluster::Streams,
        holdings::Holdings,
        instance::Instances,
        invoice::Invoices,
        loan::Loans,
        member::Members,
        operation::Operations,
        pool::Pools,
        quota::Quotas,
        register::Registers,
        revocation::Revocations,
        service_account::ServiceAccounts,
        tenant::Tenants,
        usage::Usages,
    },
    authn::Issuers,
    authz::Authorizer,
    clock::Clock,
    core::Core,
    metrics::ApiMetrics,
    service::Apps,
};

/// All use cases over one store. `drain` ends the operators' streams.
pub fn apps(
    store: Store,
    documents: DocumentStore,
    clock: Arc<dyn Clock>,
    issuers: Issuers,
    metrics: ApiMetrics,
    drain: CancellationToken,
) -> Apps {
    let refusals = Refusals::default();
    let authorizer = Authorizer::new(store.clone(), refusals.clone());
    let core = Core {
        authorizer,
        store,
        clock: Arc::clone(&clock),
        archive: None,
        needs_processing_agreement: false,
    };
    Apps {
        clock,
        audits: Audits { core: core.clone(), refusals, metrics: metrics.audit() },
        members: Members { core: core.clone(), registers: Registers { core: core.clone() }, issuers },
        service_accounts: ServiceAccounts { core: core.clone(), signer: None },
        revocations: Revocations { core: core.clone() },
        certificates: Certificates::new(core.clone()),
        clusters: Clusters {
            core: core.clone(),
            streams: Arc::new(Streams::new(drain)),
            metrics: metrics.clone(),
        },
        tenants: Tenants { core: core.clone() },
        holdings: Holdings { core: core.clone(), metrics: metrics.holdings() },
        quotas: Quotas { core: core.clone() },
        budgets: Budgets { core: core.clone() },
        loans: Loans { core: core.clone() },
        pools: Pools { core: core.clone() },
        catalog: Catalog { core: core.clone() },
        instances: Instances { core: core.clone() },
        operations: Operations { core: core.clone() },
        usages: Usages { core: core.clone() },
        billing: Billing { core: core.clone() },
        invoices: Invoices { core, documents },
    }
}
