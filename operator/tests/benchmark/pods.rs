//! What a pod must not be.

use serde_json::{Value, json};

use super::Check;
use crate::walls::{
    ask::{Ask, Who, each},
    objects::{container, merge, named, pod},
    yard::{OWN, core},
};

const MEMBERS: [Who; 2] = [Who::Admin, Who::Account];

pub(super) fn security() -> Vec<Check> {
    let debug = |context: Value| {
        let mut debug = container("debug");
        merge(&mut debug["securityContext"], context);
        let added = named("v1", "Pod", "web", json!({"spec": {"ephemeralContainers": [debug]}}));
        let ops = json!([{"op": "add", "path": "/spec/ephemeralContainers", "value": added["spec"]["ephemeralContainers"]}]);
        each(&MEMBERS, |who| Ask::patches(who, &core(OWN, "pods/web/ephemeralcontainers"), &added, &ops))
    };
    vec![
        Check::new("MTB-PL1-BC-CPI-3", "1", "no added capabilities")
            .refuses(bent(json!({"capabilities": {"add": ["NET_ADMIN"]}})))
            .refuses(bent(json!({"capabilities": {"add": ["SYS_ADMIN"]}})))
            .allows([lawful()]),
        Check::new("MTB-PL1-BC-CPI-4", "1", "containers run as non-root")
            .refuses(bent(json!({"runAsNonRoot": false})))
            .refuses(bent(json!({"runAsUser": 0})))
            .refuses(whole(|pod| pod["spec"]["securityContext"]["runAsNonRoot"] = json!(null)))
            .allows([lawful()]),
        Check::new("MTB-PL1-BC-CPI-5", "1", "no privileged containers")
            .refuses(bent(json!({"privileged": true, "allowPrivilegeEscalation": null})))
            .refuses(debug(json!({"privileged": true, "allowPrivilegeEscalation": null})))
            .allows([lawful()]),
        Check::new("MTB-PL1-BC-CPI-6", "1", "no privilege escalation")
            .refuses(bent(json!({"allowPrivilegeEscalation": true})))
            .refuses(bent(json!({"allowPrivilegeEscalation": null})))
            .allows([lawful()]),
    ]
}

pub(super) fn hosts() -> Vec<Check> {
    let port = |pod: &mut Value| {
        pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 80}])
    };
    vec![
        Check::new("MTB-PL1-CC-DI-1", "1", "images are pulled always")
            .refuses(whole(|pod| pod["spec"]["containers"][0]["imagePullPolicy"] = json!("IfNotPresent")))
            .refuses(whole(|pod| pod["spec"]["containers"][0]["imagePullPolicy"] = json!("Never")))
            .refuses(whole(|pod| {
                let mut init = container("init");
                init["imagePullPolicy"] = json!("Never");
                pod["spec"]["initContainers"] = json!([init]);
            }))
            .allows([lawful()]),
        Check::new("MTB-PL1-BC-HI-1", "1", "no hostPath volumes")
            .refuses(whole(|pod| {
                pod["spec"]["volumes"] = json!([{"name": "h", "hostPath": {"path": "/etc"}}])
            }))
            .allows([lawful()]),
        super::namespaces::node_ports(),
        Check::new("MTB-PL1-BC-HI-3", "1", "no host network and ports")
            .refuses(whole(|pod| pod["spec"]["hostNetwork"] = json!(true)))
            .refuses(whole(port))
            .allows([lawful()]),
        Check::new("MTB-PL1-BC-HI-4", "1", "no host PID")
            .refuses(whole(|pod| pod["spec"]["hostPID"] = json!(true)))
            .allows([lawful()]),
        Check::new("MTB-PL1-BC-HI-5", "1", "no host IPC")
            .refuses(whole(|pod| pod["spec"]["hostIPC"] = json!(true)))
            .allows([lawful()]),
    ]
}

/// A pod with one thing bent in its container, and in an init container.
fn bent(context: Value) -> Vec<Ask> {
    let mut asks = whole(|pod| merge(&mut pod["spec"]["containers"][0]["securityContext"], context.clone()));
    asks.extend(whole(|pod| {
        let mut init = container("init");
        merge(&mut init["securityContext"], context.clone());
        pod["spec"]["initContainers"] = json!([init]);
    }));
    asks
}

pub(super) fn whole(change: impl Fn(&mut Value)) -> Vec<Ask> {
    let body = pod("checked", change);
    each(&MEMBERS, |who| vec![Ask::post(who, core(OWN, "pods"), &body)])
}

pub(super) fn lawful() -> Ask {
    Ask::post(Who::Admin, core(OWN, "pods?dryRun=All"), &pod("lawful", |_| {}))
}
