//! Pods and policies of the probe, as Pod Security `restricted` takes them.

use std::{net::SocketAddr, time::Duration};

use k8s_openapi::api::{
    core::v1::{Namespace, Pod},
    networking::v1::NetworkPolicy,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Where the listeners listen.
pub(super) const PORT: u16 = 8080;
/// Selects everything that any probe ever made.
pub(super) const SELECTOR: &str =
    "app.kubernetes.io/name=allmende-preflight,app.kubernetes.io/component=probe";
/// Which run made it.
pub(super) const LABEL_RUN: &str = "allmende.eu/preflight-run";
const LABEL_ROLE: &str = "allmende.eu/preflight-role";
/// No pod outlives this, even when nobody removes it any more, seconds.
const DEADLINE: u64 = 600;

/// What a pod is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Listens, and no policy is about it.
    Open,
    /// Listens, and nobody may reach it.
    Guarded,
    /// Connects before the policies.
    Before,
    /// Connects to the guarded one.
    Outside,
    /// Connects to the open one, and may reach nobody.
    Held,
    /// Connects after the policies.
    After,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Guarded => "guarded",
            Self::Before => "before",
            Self::Outside => "outside",
            Self::Held => "held",
            Self::After => "after",
        }
    }
}

/// What a policy forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sealed {
    /// To reach the guarded pod.
    In,
    /// To get out of the held one.
    Out,
}

/// What a client waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    expect: &'static str,
    pub(super) within: Duration,
}

/// Connections work.
pub(super) fn open(within: Duration) -> Attempt {
    Attempt { expect: "open", within }
}

/// Connections do not work.
pub(super) fn blocked(within: Duration) -> Attempt {
    Attempt { expect: "blocked", within }
}

pub(super) fn object_name(run: &str, role: &str) -> String {
    format!("preflight-{run}-{role}")
}

pub(super) fn namespace(name: &str) -> Result<Namespace, serde_json::Error> {
    made(json!({ "metadata": { "name": name, "labels": {
        "app.kubernetes.io/name": "allmende-preflight",
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    } } }))
}

pub(super) fn listener(
    run: &str,
    role: Role,
    image: &str,
    pull_secrets: &[String],
) -> Result<Pod, serde_json::Error> {
    pod(run, role, image, pull_secrets, vec!["listen".into(), format!("--port={PORT}")])
}

pub(super) fn client(
    run: &str,
    role: Role,
    image: &str,
    pull_secrets: &[String],
    to: &[SocketAddr],
    attempt: Attempt,
) -> Result<Pod, serde_json::Error> {
    let mut arguments = vec![
        "connect".into(),
        format!("--expect={}", attempt.expect),
        format!("--within={}", attempt.within.as_secs()),
    ];
    arguments.extend(to.iter().map(|address| format!("--to={address}")));
    pod(run, role, image, pull_secrets, arguments)
}

fn pod(
    run: &str,
    role: Role,
    image: &str,
    pull_secrets: &[String],
    arguments: Vec<String>,
) -> Result<Pod, serde_json::Error> {
    let pull_secrets: Vec<Value> = pull_secrets.iter().map(|name| json!({ "name": name })).collect();
    let mut all = vec!["probe".to_owned()];
    all.extend(arguments);
    made(json!({
        "metadata": { "name": object_name(run, role.name()), "labels": labels(run, role.name()) },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "activeDeadlineSeconds": DEADLINE,
            "terminationGracePeriodSeconds": 0,
            "imagePullSecrets": pull_secrets,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": "probe",
                "image": image,
                "args": all,
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
                },
                "resources": {
                    "requests": { "cpu": "10m", "memory": "16Mi" },
                    "limits": { "cpu": "500m", "memory": "64Mi" },
                },
            }],
        },
    }))
}

pub(super) fn policy(run: &str, sealed: Sealed) -> Result<NetworkPolicy, serde_json::Error> {
    let (role, direction) = match sealed {
        Sealed::In => (Role::Guarded, "Ingress"),
        Sealed::Out => (Role::Held, "Egress"),
    };
    made(json!({
        "metadata": { "name": object_name(run, role.name()), "labels": labels(run, role.name()) },
        "spec": {
            "podSelector": { "matchLabels": { LABEL_RUN: run, LABEL_ROLE: role.name() } },
            "policyTypes": [direction],
        },
    }))
}

fn labels(run: &str, role: &str) -> Value {
    json!({
        "app.kubernetes.io/name": "allmende-preflight",
        "app.kubernetes.io/component": "probe",
        LABEL_RUN: run,
        LABEL_ROLE: role,
    })
}

fn made<T: DeserializeOwned>(value: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(value)
}
