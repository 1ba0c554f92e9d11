//! Clusters: the registry for the cooperative's operator, and what the operator program of a cluster follows and reports.

mod epoch;
mod follow;
mod gone;
mod observe;
pub(crate) mod preflight;

use std::sync::Arc;

use allmende_domain::{
    account::QuotaAccount,
    cluster::{CarveError, Cluster, ClusterSeen},
    ids::ClusterId,
    period::day_in_berlin,
    preflight::PreflightReport,
    quota::capacity::{CapacityError, ShrinkPlan, lower},
    resources::Resources,
};
use allmende_proto::v1;
use allmende_store::{Txn, Versioned, keys};
pub use follow::{DesiredStream, Streams};

use super::member::check_etag;
use crate::{
    authz::Scope,
    context::Context,
    convert::{self, fields::Fields, resources},
    core::Core,
    error::AppError,
    metrics::ApiMetrics,
    pagination::{Page, PageRequest},
};

/// Use cases over clusters.
#[derive(Clone)]
pub struct Clusters {
    /// Shared parts.
    pub core: Core,
    /// The live streams, one a cluster.
    pub streams: Arc<Streams>,
    /// Counts the streams.
    pub metrics: ApiMetrics,
}

/// A cluster and its last words.
#[derive(Debug)]
pub struct Known {
    /// As registered.
    pub cluster: Versioned<Cluster>,
    /// When its operator was last heard.
    pub seen: Option<ClusterSeen>,
    /// Whether it is fit.
    pub preflight: Option<PreflightReport>,
}

/// A refusal to carve, for the client.
pub(crate) fn carve_error(cluster: &ClusterId, error: CarveError) -> AppError {
    match error {
        CarveError::Short(shortfalls) => AppError::QuotaExceeded {
            subject: format!("clusters/{cluster}"),
            shortfalls: shortfalls.into_iter().map(Into::into).collect(),
        },
        CarveError::Amount(error) => error.into(),
    }
}

impl Clusters {
    /// Registers a cluster.
    ///
    /// # Errors
    /// All wrong fields at once; ALREADY_EXISTS.
    pub async fn create(
        &self,
        context: &Context,
        request: &v1::CreateClusterRequest,
    ) -> Result<Cluster, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let mut fields = Fields::new();
        let id: Option<ClusterId> = fields.parse("cluster_id", &request.cluster_id);
        let message = fields.needed("cluster", request.cluster.as_ref()).cloned().unwrap_or_default();
        let capacity = resources::read(&mut fields, "cluster.capacity", message.capacity.as_ref());
        let (id, capacity) = fields.finish(id.zip(capacity))?;
        let cluster = Cluster {
            id,
            display_name: message.display_name,
            capacity,
            carved: Resources::ZERO,
            overcommit: allmende_domain::quota::rule::Overcommit::default(),
            create_time: context.now,
        };
        let key = keys::cluster(&cluster.id);
        let name = format!("clusters/{}", cluster.id);
        self.core
            .commit(&change, || async {
                if self.core.store.find(&key).await?.is_some() {
                    return Err(AppError::AlreadyExists { resource: name.clone() });
                }
                let summary = format!("Kapazität {}", cluster.capacity);
                let audit = change.audit(context.row.rpc, None, &name, summary, "");
                Ok((Txn::new().expect_absent(&key).put(&key, &cluster).and(audit), cluster.clone()))
            })
            .await
    }

    /// Sets the capacity of a cluster. One below what is promised needs a plan of who comes down to what, and until when; nothing is taken.
    ///
    /// # Errors
    /// When less than what is carved, and no plan that brings it down; all wrong fields at once; a stale etag.
    pub async fn set_capacity(
        &self,
        context: &Context,
        id: &ClusterId,
        request: &v1::UpdateClusterCapacityRequest,
    ) -> Result<Cluster, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let today = day_in_berlin(context.now)?;
        let mut fields = Fields::new();
        let capacity = resources::read(&mut fields, "capacity", request.capacity.as_ref());
        let plan = request.plan.as_ref().and_then(|plan| convert::pool::read_plan(&mut fields, plan, today));
        let capacity = fields.finish(capacity)?;
        let key = keys::cluster(id);
        self.core
            .commit(&change, || async {
                let found =
                    self.core.store.find(&key).await?.ok_or_else(|| AppError::not_found(&request.name))?;
                check_etag(&found, &request.etag, &request.name)?;
                let (next, accounts) = match &plan {
                    None => {
                        let next = found.value.with_capacity(capacity.clone());
                        (next.map_err(|error| carve_error(id, error))?, Txn::new())
                    }
                    Some(plan) => self.lower_capacity(&found.value, &capacity, plan).await?,
                };
                let reason = plan.as_ref().map(|plan| plan.resolution.as_str()).unwrap_or_default();
                let summary = format!("Kapazität {capacity}");
                let audit = change.audit(context.row.rpc, None, &request.name, summary, reason);
                let txn = Txn::new().expect_unchanged(&found).put(&key, &next).and(accounts).and(audit);
                Ok((txn, next))
            })
            .await
    }

    /// The cluster with less capacity, and the part of the transaction that changes the accounts of the plan.
    async fn lower_capacity(
        &self,
        cluster: &Cluster,
        capacity: &Resources,
        plan: &ShrinkPlan,
    ) -> Result<(Cluster, Txn), AppError> {
        let mut accounts = Vec::with_capacity(plan.shrink.len());
        for entry in &plan.shrink {
            let key = keys::account(&entry.member, &cluster.id);
            let found = self.core.store.find(&key).await?;
            accounts.push((key, found));
        }
        let values: Vec<QuotaAccount> = plan
            .shrink
            .iter()
            .zip(&accounts)
            .map(|(entry, (_, found))| {
                let none = || QuotaAccount::empty(entry.member.clone(), cluster.id.clone());
                found.as_ref().map_or_else(none, |found| found.value.clone())
            })
            .collect();
        let (next, changed) =
            lower(cluster, capacity.clone(), plan, &values).map_err(|error| match error {
                CapacityError::Short(short) => carve_error(&cluster.id, CarveError::Short(short)),
                CapacityError::Plan(wrong) => {
                    AppError::Invalid(wrong.into_iter().map(|violation| violation.under("plan")).collect())
                }
                CapacityError::Amount(error) => error.into(),
            })?;
        let txn = accounts.iter().zip(&changed).fold(Txn::new(), |txn, ((key, found), next)| {
            txn.expect_as_read(key, found.as_ref()).put(key, next)
        });
        Ok((next, txn))
    }

    /// One cluster with what its operator last said.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub async fn get(&self, context: &Context, id: &ClusterId, name: &str) -> Result<Known, AppError> {
        self.core.authorizer.require(context, Scope::Cooperative).await?;
        let cluster =
            self.core.store.find(&keys::cluster(id)).await?.ok_or_else(|| AppError::not_found(name))?;
        let seen = self.core.store.find(&keys::seen(id)).await?.map(|seen| seen.value);
        Ok(Known { cluster, seen, preflight: self.preflight_of(id).await? })
    }

    /// All clusters.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn list(
        &self,
        context: &Context,
        page: &PageRequest,
    ) -> Result<Page<(Versioned<Cluster>, Option<ClusterSeen>)>, AppError> {
        self.core.authorizer.require(context, Scope::Cooperative).await?;
        let clusters = self.core.store.scan(&keys::clusters(), page.after(), page.limit()).await?;
        let (seen, _) = self.core.store.snapshot(&keys::seen_all()).await?;
        let rows = clusters
            .into_iter()
            .map(|cluster| {
                let own = seen.iter().find(|s| s.value.cluster == cluster.value.id).map(|s| s.value.clone());
                (cluster, own)
            })
            .collect();
        Ok(page.page(rows, |(cluster, _): &(Versioned<Cluster>, Option<ClusterSeen>)| {
            cluster.key.raw().to_owned()
        }))
    }
}
