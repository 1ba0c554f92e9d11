//! The secrets of an instance. Pure, but for the random source that is passed in.

use std::collections::BTreeMap;

use allmende_crds::{ServiceInstanceSpec, names};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::api::ObjectMeta;
use sha2::{Digest, Sha256};

use super::{
    INSTANCE_LABEL,
    dereference::{Found, credentials_name},
};

/// The instance's secret: fixed values as asked, others generated once and never changed after.
pub fn credentials(spec: &ServiceInstanceSpec, found: &Found, random: impl Fn() -> String) -> Secret {
    let present = found.credentials.as_ref().and_then(|secret| secret.data.clone()).unwrap_or_default();
    let data = spec
        .secret_fields
        .iter()
        .map(|field| {
            let value = match (&field.value, present.get(&field.key)) {
                (Some(fixed), _) if !fixed.is_empty() => ByteString(fixed.clone().into_bytes()),
                (_, Some(kept)) => kept.clone(),
                (_, None) => ByteString(random().into_bytes()),
            };
            (field.key.clone(), value)
        })
        .collect();
    secret(&credentials_name(&spec.instance), &found.namespace, spec, data)
}

/// The binding in the workspace: bound fields of the secret, and where the service is.
pub fn binding(spec: &ServiceInstanceSpec, found: &Found, credentials: &Secret) -> Secret {
    let all = credentials.data.clone().unwrap_or_default();
    let bound = spec.secret_fields.iter().filter(|field| field.bound);
    let mut data: BTreeMap<String, ByteString> = bound
        .filter_map(|field| all.get(&field.key).map(|value| (field.key.clone(), value.clone())))
        .collect();
    for (key, template) in &spec.binding_fields {
        let value =
            template.replace("{services_namespace}", &found.namespace).replace("{service}", &spec.instance);
        data.insert(key.clone(), ByteString(value.into_bytes()));
    }
    secret(&spec.binding_secret, &spec.namespace, spec, data)
}

/// SHA-256 over keys and values, hex: tells the API that the content changed, never what it is.
pub fn fingerprint(secret: &Secret) -> String {
    let mut digest = Sha256::new();
    for (key, value) in secret.data.iter().flatten() {
        digest.update(u64::try_from(key.len()).unwrap_or_default().to_be_bytes());
        digest.update(key);
        digest.update(u64::try_from(value.0.len()).unwrap_or_default().to_be_bytes());
        digest.update(&value.0);
    }
    hex::encode(digest.finalize())
}

fn secret(
    name: &str,
    namespace: &str,
    spec: &ServiceInstanceSpec,
    data: BTreeMap<String, ByteString>,
) -> Secret {
    let labels = [
        (names::LABEL_MANAGED_BY, names::OPERATOR),
        (names::LABEL_MEMBER, spec.member.as_str()),
        (names::LABEL_TENANT, spec.tenant.as_str()),
        (INSTANCE_LABEL, spec.instance.as_str()),
    ];
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use allmende_crds::SecretField;

    use super::*;

    fn spec() -> ServiceInstanceSpec {
        let field = |key: &str, value: Option<&str>, bound| SecretField {
            key: key.into(),
            value: value.map(Into::into),
            bound,
        };
        ServiceInstanceSpec {
            member: "m-05766044".into(),
            tenant: "prod".into(),
            instance: "db".into(),
            namespace: "m-05766044-prod".into(),
            offering: "postgresql".into(),
            version: "1.0.0".into(),
            plan: "small".into(),
            chart: String::new(),
            values_json: "{}".into(),
            footprint: allmende_crds::ResourceAmounts::default(),
            timeout_seconds: 60,
            secret_fields: vec![
                field("username", Some("app"), true),
                field("password", None, true),
                field("root", None, false),
            ],
            binding_secret: "db-binding".into(),
            binding_fields: [("host".to_owned(), "{service}.{services_namespace}.svc".to_owned())].into(),
            retry_nonce: 0,
            desired: allmende_crds::Desired::default(),
        }
    }

    fn text(secret: &Secret, key: &str) -> Option<String> {
        secret.data.as_ref()?.get(key).map(|value| String::from_utf8(value.0.clone()).unwrap())
    }

    #[test]
    fn secrets_are_generated_once_and_only_bound_fields_reach_the_workspace() {
        let mut found = Found { namespace: "m-05766044-prod-svc".into(), credentials: None, binding: None };
        let first = credentials(&spec(), &found, || "random-1".into());
        assert_eq!(text(&first, "username").unwrap(), "app");
        assert_eq!(text(&first, "password").unwrap(), "random-1");
        found.credentials = Some(first.clone());
        assert_eq!(
            credentials(&spec(), &found, || "random-2".into()).data,
            first.data,
            "kept, not made again"
        );
        let bound = binding(&spec(), &found, &first);
        assert_eq!(text(&bound, "host").unwrap(), "db.m-05766044-prod-svc.svc");
        assert_eq!(text(&bound, "root"), None);
        assert_ne!(fingerprint(&bound), fingerprint(&first));
    }
}
