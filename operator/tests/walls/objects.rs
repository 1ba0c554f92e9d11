//! Objects that callers send: each one lawful, for a test to bend one thing of.

use serde_json::{Value, json};

pub const RBAC: &str = "rbac.authorization.k8s.io";
/// An image as a member may write it.
pub const IMAGE: &str =
    "registry.example.org/web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

pub fn named(api: &str, kind: &str, name: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}});
    merge(&mut object, rest);
    object
}

/// A pod that Pod Security `restricted` and our policies let through, changed.
pub fn pod(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = named(
        "v1",
        "Pod",
        name,
        json!({"spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container("web")],
        }}),
    );
    change(&mut pod);
    pod
}

pub fn container(name: &str) -> Value {
    json!({
        "name": name, "image": IMAGE, "imagePullPolicy": "Always",
        "securityContext": {"allowPrivilegeEscalation": false, "runAsUser": 1000, "capabilities": {"drop": ["ALL"]}},
    })
}

pub fn service(name: &str, spec: Value) -> Value {
    let mut service =
        named("v1", "Service", name, json!({"spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}));
    merge(&mut service["spec"], spec);
    service
}

pub fn claim(name: &str, spec: Value) -> Value {
    let mut claim = named(
        "v1",
        "PersistentVolumeClaim",
        name,
        json!({"spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "resources": {"requests": {"storage": "1Mi"}},
        }}),
    );
    merge(&mut claim["spec"], spec);
    claim
}

pub fn ingress(name: &str, spec: Value) -> Value {
    named("networking.k8s.io/v1", "Ingress", name, json!({ "spec": spec }))
}

pub fn ingress_rule(host: &str) -> Value {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let mut rule = json!({"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}});
    if !host.is_empty() {
        rule["host"] = json!(host);
    }
    rule
}

pub fn network_policy(name: &str, spec: Value) -> Value {
    let mut policy =
        named("networking.k8s.io/v1", "NetworkPolicy", name, json!({"spec": {"podSelector": {}}}));
    merge(&mut policy["spec"], spec);
    policy
}

pub fn role(name: &str, rules: Value) -> Value {
    named("rbac.authorization.k8s.io/v1", "Role", name, json!({ "rules": rules }))
}

pub fn rule(group: &str, resource: &str, verb: &str) -> Value {
    json!([{"apiGroups": [group], "resources": [resource], "verbs": [verb]}])
}

pub fn binding(name: &str, kind: &str, role: &str, subjects: Value) -> Value {
    named(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        name,
        json!({
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role}, "subjects": subjects,
        }),
    )
}

pub fn account(name: &str, namespace: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": name, "namespace": namespace})
}

pub fn subject(kind: &str, name: &str) -> Value {
    json!({"kind": kind, "name": name, "apiGroup": RBAC})
}

/// Puts the fields of `rest` into `object`, maps into maps.
pub fn merge(object: &mut Value, rest: Value) {
    match (object, rest) {
        (Value::Object(object), Value::Object(rest)) => {
            for (key, value) in rest {
                merge(object.entry(key).or_insert(Value::Null), value);
            }
        }
        (object, rest) => *object = rest,
    }
}
