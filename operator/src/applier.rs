//! Writes to the cluster: create first, apply only to repair, nothing when nothing differs. Every write is counted, and none happens
//! without the lease.

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::watch;

use crate::{
    coverage::covers,
    error::Error,
    merge,
    metrics::{Metrics, Write},
};

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It was as it should be.
    Unchanged,
    /// It differed.
    Repaired,
}

/// Writes objects.
#[derive(Debug, Clone)]
pub struct Applier {
    metrics: Metrics,
    leader: watch::Receiver<bool>,
}

impl Applier {
    /// Writes only while `leader` says so.
    #[must_use]
    pub fn new(metrics: Metrics, leader: watch::Receiver<bool>) -> Self {
        Self { metrics, leader }
    }

    /// Makes one object as it should be. `found` is what was read before; an object that appears meanwhile is a conflict and is looked at in
    /// the next reconcile, never taken over unseen. `converged` says that all was done for the present spec before: then a difference is
    /// drift, and counted as such.
    ///
    /// # Errors
    /// When the API server refuses or does not answer, or the lease is lost.
    pub async fn ensure<K>(
        &self,
        api: &Api<K>,
        desired: &K,
        found: Option<&K>,
        converged: bool,
    ) -> Result<Outcome, Error>
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
    {
        let (kind, name) = (K::kind(&()), desired.name_any());
        let Some(found) = found else {
            self.check_leads()?;
            api.create(&PostParams::default(), desired)
                .await
                .map_err(Error::cluster(format!("create {kind} {name}")))?;
            self.wrote(&kind, Write::Create, converged);
            return Ok(Outcome::Created);
        };
        if !differs(desired, Some(found))? {
            return Ok(Outcome::Unchanged);
        }
        self.repair(api, desired, converged).await?;
        Ok(Outcome::Repaired)
    }

    /// Makes an object as it should be that somebody else makes as well: applied whether it is there or not, so that no create can lose
    /// the race.
    ///
    /// # Errors
    /// As [`Applier::ensure`].
    pub async fn take<K>(
        &self,
        api: &Api<K>,
        desired: &K,
        found: Option<&K>,
        converged: bool,
    ) -> Result<(), Error>
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
    {
        if differs(desired, found)? { self.repair(api, desired, converged).await } else { Ok(()) }
    }

    async fn repair<K>(&self, api: &Api<K>, desired: &K, converged: bool) -> Result<(), Error>
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
    {
        let (kind, name) = (K::kind(&()), desired.name_any());
        self.check_leads()?;
        let parameters = PatchParams::apply(allmende_crds::names::OPERATOR).force();
        api.patch(&name, &parameters, &Patch::Apply(desired))
            .await
            .map_err(Error::cluster(format!("repair {kind} {name}")))?;
        self.wrote(&kind, Write::Apply, converged);
        Ok(())
    }

    /// Makes a secret hold exactly the keys that are wanted. Unlike [`Applier::ensure`], a key that is there beside them is drift: a binding
    /// that still carries a field which the plan no longer has tells a member's program something wrong. Server-side apply does not take
    /// away what another manager, or our own create, owns; so what goes is named, and the
    /// write compares what was read.
    ///
    /// # Errors
    /// As [`Applier::ensure`]; when somebody wrote it meanwhile, a conflict.
    pub async fn ensure_secret(
        &self,
        api: &Api<Secret>,
        desired: &Secret,
        found: Option<&Secret>,
        converged: bool,
    ) -> Result<Outcome, Error> {
        let Some(found) = found else { return self.ensure(api, desired, None, converged).await };
        let has_labels = desired.labels().iter().all(|(key, value)| found.labels().get(key) == Some(value));
        if has_labels && found.data == desired.data {
            return Ok(Outcome::Unchanged);
        }
        self.check_leads()?;
        let name = desired.name_any();
        let patch = Patch::Merge(serde_json::json!({
            "metadata": { "resourceVersion": found.resource_version(), "labels": desired.labels() },
            "data": merge::patch(&as_value(&found.data)?, as_value(&desired.data)?),
        }));
        api.patch(&name, &PatchParams::default(), &patch)
            .await
            .map_err(Error::cluster(format!("repair Secret {name}")))?;
        self.wrote("Secret", Write::Merge, converged);
        Ok(Outcome::Repaired)
    }

    /// Writes the status of one of our own objects, as a merge of its `status` alone.
    ///
    /// # Errors
    /// As [`Applier::ensure`].
    pub async fn write_status<K>(
        &self,
        api: &Api<K>,
        name: &str,
        status: &serde_json::Value,
    ) -> Result<(), Error>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.check_leads()?;
        let patch = Patch::Merge(serde_json::json!({ "status": status }));
        let kind = K::kind(&());
        api.patch_status(name, &PatchParams::default(), &patch)
            .await
            .map_err(Error::cluster(format!("write the status of {kind} {name}")))?;
        self.metrics.wrote(&kind, Write::Status);
        Ok(())
    }

    /// Deletes an object, if it is there and is still the one with this uid.
    ///
    /// # Errors
    /// As [`Applier::ensure`].
    pub async fn delete<K>(&self, api: &Api<K>, found: &K) -> Result<(), Error>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug,
    {
        self.check_leads()?;
        let (kind, name) = (K::kind(&()), found.name_any());
        let preconditions = kube::api::Preconditions { uid: found.uid(), resource_version: None };
        let parameters = DeleteParams::background().preconditions(preconditions);
        match api.delete(&name, &parameters).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(Error::cluster(format!("delete {kind} {name}"))(error)),
            Ok(_) => {
                self.metrics.wrote(&kind, Write::Delete);
                Ok(())
            }
        }
    }

    /// Writes the list of finalizers, if the object is still as it was read.
    ///
    /// # Errors
    /// As [`Applier::ensure`].
    pub async fn set_finalizers<K>(&self, api: &Api<K>, found: &K, finalizers: &[String]) -> Result<(), Error>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug,
    {
        self.check_leads()?;
        let (kind, name) = (K::kind(&()), found.name_any());
        let patch = Patch::Merge(serde_json::json!({
            "metadata": { "resourceVersion": found.resource_version(), "finalizers": finalizers }
        }));
        match api.patch(&name, &PatchParams::default(), &patch).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(Error::cluster(format!("write the finalizers of {kind} {name}"))(error)),
            Ok(_) => {
                self.metrics.wrote(&kind, Write::Apply);
                Ok(())
            }
        }
    }

    /// Whether anything may be written now: for writes that are not made here.
    ///
    /// # Errors
    /// When another process leads.
    pub fn check_leads(&self) -> Result<(), Error> {
        if *self.leader.borrow() { Ok(()) } else { Err(Error::NotLeader) }
    }

    fn wrote(&self, kind: &str, how: Write, drift: bool) {
        self.metrics.wrote(kind, how);
        if drift {
            self.metrics.repaired(kind);
            tracing::warn!(kind, "drift repaired");
        }
    }
}

/// Whether an object is not there or not as it should be.
///
/// # Errors
/// When one of them is no JSON.
pub fn differs<K: Serialize>(desired: &K, found: Option<&K>) -> Result<bool, Error> {
    let Some(found) = found else { return Ok(true) };
    Ok(!covers(&as_value(found)?, &as_value(desired)?))
}

fn as_value<K: Serialize>(object: &K) -> Result<serde_json::Value, Error> {
    serde_json::to_value(object).map_err(|error| Error::InvalidObject(error.to_string()))
}
