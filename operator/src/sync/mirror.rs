//! Writes desired records into this cluster's objects, one at a time, the whole record each time.

use allmende_crds::{
    Desired, GroupBinding, GroupRole, ResourceAmounts, SecretField, ServiceInstance, ServiceInstanceSpec,
    Tenant, TenantSpec, names,
};
use allmende_proto::v1::{self, desired_object::Body};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::fence;
use crate::{coverage::covers, merge};

/// What became of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mirrored {
    /// The object is as the record says, or was already.
    Done,
    /// The record is DELETING and nothing of it is there any more.
    Gone,
    /// The record is DELETING and the object is on its way out.
    Ending,
    /// The cluster already follows a newer record.
    Refused(fence::Refusal),
}

/// Why a record cannot be mirrored now.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The API server refused or did not answer; tried again.
    #[error("{0}")]
    Cluster(#[from] kube::Error),
    /// The record has no body that this operator knows.
    #[error("the record has no body that this operator knows: upgrade the operator")]
    UnknownBody,
}

/// Mirrors one record.
///
/// # Errors
/// See [`MirrorError`]; the record stays to be tried again.
pub async fn mirror(
    client: &Client,
    object: &v1::DesiredObject,
    store_id: &str,
    epoch: u64,
) -> Result<Mirrored, MirrorError> {
    let desired = desired(object, store_id, epoch);
    match object.body.as_ref().ok_or(MirrorError::UnknownBody)? {
        Body::Tenant(body) => {
            let spec = tenant_spec(body, desired.clone());
            let mut next = Tenant::new(&body.namespace, spec);
            label(&mut next.metadata, &body.member, &body.tenant, object);
            write(&Api::all(client.clone()), next, |tenant: &Tenant| &tenant.spec.desired).await
        }
        Body::Instance(body) => {
            let spec = instance_spec(body, desired.clone());
            let mut next = ServiceInstance::new(&body.instance, spec);
            label(&mut next.metadata, &body.member, &body.tenant, object);
            let namespace = names::services_namespace(&body.namespace);
            next.metadata.namespace = Some(namespace.clone());
            let api = Api::namespaced(client.clone(), &namespace);
            write(&api, next, |instance: &ServiceInstance| &instance.spec.desired).await
        }
    }
}

async fn write<K>(api: &Api<K>, next: K, desired: impl Fn(&K) -> &Desired) -> Result<Mirrored, MirrorError>
where
    K: kube::Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    let name = next.name_any();
    let Some(present) = api.get_opt(&name).await? else {
        if desired(&next).deleting {
            return Ok(Mirrored::Gone);
        }
        api.create(&PostParams::default(), &next).await?;
        return Ok(Mirrored::Done);
    };
    if let Err(refusal) = fence::record(desired(&present), desired(&next)) {
        return Ok(Mirrored::Refused(refusal));
    }
    if let Some(repair) = repair(&present, &next)? {
        api.patch(&name, &PatchParams::default(), &Patch::Merge(repair)).await?;
    }
    if !desired(&next).deleting {
        return Ok(Mirrored::Done);
    }
    if present.meta().deletion_timestamp.is_none() {
        api.delete(&name, &DeleteParams::default()).await?;
    }
    Ok(Mirrored::Ending)
}

/// The patch that gives the present object the record's spec, labels and finalizers; none when it has them. All of the spec counts: somebody
/// may have changed it by hand without a new record, and a key that the record no longer has goes. The patch compares what was read, so that
/// nobody's write is lost.
fn repair<K: Serialize>(present: &K, next: &K) -> Result<Option<Value>, kube::Error> {
    let read = kube::Error::SerdeError;
    let (present, next) =
        (serde_json::to_value(present).map_err(read)?, serde_json::to_value(next).map_err(read)?);
    let (of, wanted) = (&present["metadata"], &next["metadata"]);
    let mut finalizers = of["finalizers"].as_array().cloned().unwrap_or_default();
    // To what is being deleted the API server lets nobody add one.
    if of["deletionTimestamp"].is_null() {
        let missing = wanted["finalizers"].as_array().into_iter().flatten();
        let missing: Vec<Value> = missing.filter(|name| !finalizers.contains(name)).cloned().collect();
        finalizers.extend(missing);
    }
    let is_same = present["spec"] == next["spec"]
        && of["finalizers"].as_array().map_or(0, Vec::len) == finalizers.len()
        && ["labels", "annotations"].into_iter().all(|map| covers(&of[map], &wanted[map]));
    Ok((!is_same).then(|| {
        json!({
            "metadata": {
                "resourceVersion": of["resourceVersion"],
                "labels": wanted["labels"],
                "annotations": wanted["annotations"],
                "finalizers": finalizers,
            },
            "spec": merge::patch(&present["spec"], next["spec"].clone()),
        })
    }))
}

fn desired(object: &v1::DesiredObject, store_id: &str, epoch: u64) -> Desired {
    Desired {
        store_id: store_id.to_owned(),
        epoch: i64::try_from(epoch).unwrap_or(i64::MAX),
        generation: i64::try_from(object.generation).unwrap_or(i64::MAX),
        uid: object.uid.clone(),
        deleting: object.deleting,
        name: object.name.clone(),
    }
}

fn label(
    metadata: &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    member: &str,
    tenant: &str,
    object: &v1::DesiredObject,
) {
    let labels = [
        (names::LABEL_MANAGED_BY, names::OPERATOR),
        (names::LABEL_MEMBER, member),
        (names::LABEL_TENANT, tenant),
    ];
    metadata.labels = Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    metadata.annotations = Some([(names::ANNOTATION_DESIRED_NAME.to_owned(), object.name.clone())].into());
    metadata.finalizers = Some([names::FINALIZER, names::FINALIZER_FACTS].map(ToOwned::to_owned).into());
}

fn tenant_spec(body: &v1::DesiredTenant, desired: Desired) -> TenantSpec {
    TenantSpec {
        member: body.member.clone(),
        tenant: body.tenant.clone(),
        member_display_name: body.member_display_name.clone(),
        workspace_quota: amounts(body.workspace_quota.as_ref()),
        services: body.services,
        services_quota: amounts(body.services_quota.as_ref()),
        group_bindings: body
            .group_bindings
            .iter()
            .map(|binding| GroupBinding {
                group: binding.group.clone(),
                // The lesser right for a word that this operator does not know.
                role: if binding.role == "admin" { GroupRole::Admin } else { GroupRole::Viewer },
            })
            .collect(),
        desired,
    }
}

fn instance_spec(body: &v1::DesiredInstance, desired: Desired) -> ServiceInstanceSpec {
    ServiceInstanceSpec {
        member: body.member.clone(),
        tenant: body.tenant.clone(),
        instance: body.instance.clone(),
        namespace: body.namespace.clone(),
        offering: body.offering.clone(),
        version: body.version.clone(),
        plan: body.plan.clone(),
        chart: body.chart.clone(),
        values_json: body.values_json.clone(),
        footprint: amounts(body.footprint.as_ref()),
        timeout_seconds: i64::from(body.timeout_seconds),
        secret_fields: body
            .secret_fields
            .iter()
            .map(|field| SecretField {
                key: field.key.clone(),
                value: (!field.value.is_empty()).then(|| field.value.clone()),
                bound: field.bound,
            })
            .collect(),
        binding_secret: body.binding_secret.clone(),
        binding_fields: body.binding_fields.clone(),
        retry_nonce: i64::try_from(body.retry_nonce).unwrap_or(i64::MAX),
        desired,
    }
}

fn amounts(message: Option<&v1::Resources>) -> ResourceAmounts {
    let message = message.cloned().unwrap_or_default();
    ResourceAmounts {
        cpu_milli: message.cpu_milli,
        memory_bytes: message.memory_bytes,
        storage_bytes: message.storage_bytes,
        pods: message.pods,
        load_balancers: message.load_balancers,
        extended: message.extended,
    }
}

/// Only namespaced kinds have instances; keeps the generic writer honest.
const _: fn() = || {
    fn namespaced<K: kube::Resource<Scope = NamespaceResourceScope>>() {}
    namespaced::<ServiceInstance>();
};
