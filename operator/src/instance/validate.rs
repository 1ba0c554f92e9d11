//! Checks what the schema cannot, and says what is to be done. Pure.

use allmende_crds::{ServiceInstance, ServiceInstanceSpec};
use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Error, dereference::Found};

/// An instance that can be built.
#[derive(Debug)]
pub struct Plan<'a> {
    /// What is asked.
    pub spec: &'a ServiceInstanceSpec,
    /// What was found.
    pub found: &'a Found,
    /// Chart values with the platform's own laid over them.
    pub values: String,
    /// Digest of chart, values and retry: equal to the applied one means that there is no run.
    pub wanted_hash: String,
    /// Whether a run is due now.
    pub run: Run,
}

/// Whether Helm runs in this reconcile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// What is asked is in force.
    NotNeeded,
    /// Now.
    Now,
    /// The pause after a failure ends then.
    After(Timestamp),
}

/// Checks and plans.
///
/// # Errors
/// [`Error::Invalid`] for what no retry can help.
pub fn validate<'a>(
    instance: &'a ServiceInstance,
    found: &'a Found,
    now: Timestamp,
) -> Result<Plan<'a>, Error> {
    let spec = &instance.spec;
    if !spec.chart.starts_with("oci://") || !spec.chart.contains("@sha256:") {
        return Err(Error::Invalid(
            "das Chart ist nicht durch seine Prüfsumme bestimmt (oci://…@sha256:…)".to_owned(),
        ));
    }
    let mut values: Map<String, Value> = serde_json::from_str(&spec.values_json)
        .map_err(|_| Error::Invalid("die Werte sind kein JSON-Objekt".to_owned()))?;
    lay_platform_over(&mut values, spec);
    let values = Value::Object(values).to_string();
    let wanted_hash = hash(spec, &values);
    Ok(Plan { spec, found, run: run(instance, &wanted_hash, now), values, wanted_hash })
}

/// What no plan and no parameter can set: the last word is the platform's.
fn lay_platform_over(values: &mut Map<String, Value>, spec: &ServiceInstanceSpec) {
    values.insert("fullnameOverride".to_owned(), Value::from(spec.instance.clone()));
    values.insert(
        "existingSecret".to_owned(),
        Value::from(super::dereference::credentials_name(&spec.instance)),
    );
    let platform = serde_json::json!({
        "member": spec.member,
        "tenant": spec.tenant,
        "instance": spec.instance,
        "workspaceNamespace": spec.namespace,
    });
    values.insert("platform".to_owned(), platform);
}

fn hash(spec: &ServiceInstanceSpec, values: &str) -> String {
    hex::encode(Sha256::digest(format!("{}\n{values}\n{}", spec.chart, spec.retry_nonce)))
}

/// A change of the spec is tried at once; the same thing only after its pause.
fn run(instance: &ServiceInstance, wanted_hash: &str, now: Timestamp) -> Run {
    let Some(status) = &instance.status else { return Run::Now };
    if status.release.applied_hash == wanted_hash {
        return Run::NotNeeded;
    }
    paused_until(instance, now).map_or(Run::Now, Run::After)
}

/// The end of the pause after a failure. A change of the spec ends it, and so does a deletion, which is a change too.
pub fn paused_until(instance: &ServiceInstance, now: Timestamp) -> Option<Timestamp> {
    let status = instance.status.as_ref()?;
    let changed = instance.metadata.generation != Some(status.observed_generation);
    let after = status.release.next_retry_time.as_ref()?.0;
    (!changed && status.release.attempts > 0 && now < after).then_some(after)
}
