//! E09 and W01, W02: pods that reach the node, the pods of others, or run what nobody allowed.

use serde_json::{Value, json};

use super::Row;
use crate::walls::{
    ask::{Ask, Who, each},
    objects::{container, named, pod},
    yard::{OWN, OWN_SERVICES, Yard, core},
};

const ALL: [Who; 3] = [Who::Admin, Who::Account, Who::Cluster];

pub(super) async fn rows(yard: &Yard) -> Vec<Row> {
    vec![e09(), w01(yard).await, w02()]
}

/// Pods that Pod Security `restricted` must refuse, each with one thing bent.
fn privileged() -> Vec<Value> {
    let security = |change: Value| {
        pod("free", |pod| {
            crate::walls::objects::merge(&mut pod["spec"]["containers"][0]["securityContext"], change)
        })
    };
    let spec = |change: Value| pod("free", |pod| crate::walls::objects::merge(&mut pod["spec"], change));
    let mut init = container("init");
    init["securityContext"] = json!({"privileged": true});
    vec![
        security(json!({"privileged": true, "allowPrivilegeEscalation": true})),
        security(json!({"allowPrivilegeEscalation": true})),
        security(json!({"capabilities": {"add": ["NET_ADMIN"]}})),
        security(json!({"capabilities": {"drop": null}})),
        security(json!({"runAsUser": 0})),
        security(json!({"runAsNonRoot": false})),
        security(json!({"seccompProfile": {"type": "Unconfined"}})),
        spec(json!({"initContainers": [init]})),
        spec(json!({"hostNetwork": true})),
        spec(json!({"hostPID": true})),
        spec(json!({"hostIPC": true})),
        spec(json!({"volumes": [{"name": "h", "hostPath": {"path": "/"}}]})),
        spec(json!({"volumes": [{"name": "n", "nfs": {"server": "10.0.0.1", "path": "/"}}]})),
        pod("free", |pod| {
            pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 1, "hostPort": 1}])
        }),
    ]
}

fn e09() -> Row {
    let path = core(OWN, "pods");
    let mut asks = each(&ALL, |who| {
        let pods = privileged().into_iter();
        pods.flat_map(|pod| [Ask::post(who, &path, &pod), Ask::post(who, format!("{path}?dryRun=All"), &pod)])
            .collect()
    });
    let mut debug = container("debug");
    let quiet = json!({"spec": {"ephemeralContainers": [debug.clone()]}});
    debug["securityContext"] = json!({"privileged": true});
    let loud = json!({"spec": {"ephemeralContainers": [debug]}});
    for body in [quiet, loud] {
        let added = named("v1", "Pod", "web", body.clone());
        let ops = json!([{"op": "add", "path": "/spec/ephemeralContainers", "value": body["spec"]["ephemeralContainers"]}]);
        let path = format!("{path}/web/ephemeralcontainers");
        asks.extend(each(&ALL, |who| Ask::patches(who, &path, &added, &ops)));
    }
    let volume = named(
        "v1",
        "PersistentVolume",
        "root",
        json!({"spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/"},
        }}),
    );
    asks.extend(each(&[Who::Admin, Who::Account, Who::Release], |who| {
        vec![Ask::post(who, "/api/v1/persistentvolumes", &volume)]
    }));
    asks.extend(privileged().iter().map(|pod| Ask::post(Who::Release, core(OWN_SERVICES, "pods"), pod)));
    Row::new(
        "E09",
        "a pod that reaches the node: privileged, host namespaces and paths, capabilities, root, debug containers",
        "fourteen pods, each also as a dry run; `pods/ephemeralcontainers` by four kinds of patch; a hostPath volume",
        asks,
    )
}

async fn w01(yard: &Yard) -> Row {
    let digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let foreign = [
        "web",
        "docker.io/library/web",
        "registry.example.org.evil.example/web",
        "registry.example.orgx/web",
    ];
    let with_image = |image: &str| pod("image", |pod| pod["spec"]["containers"][0]["image"] = json!(image));
    let mut pods: Vec<Value> = foreign.iter().map(|image| with_image(&format!("{image}{digest}"))).collect();
    pods.push(pod("image", |pod| {
        let mut init = container("init");
        init["image"] = json!(format!("evil.example/web{digest}"));
        pod["spec"]["initContainers"] = json!([init]);
    }));
    pods.push(pod("image", |pod| pod["spec"]["containers"][0]["imagePullPolicy"] = json!("IfNotPresent")));
    pods.push(pod("image", |pod| pod["spec"]["containers"][0]["imagePullPolicy"] = json!("Never")));
    let mut asks = each(&ALL, |who| pods.iter().map(|pod| Ask::post(who, core(OWN, "pods"), pod)).collect());
    let mut other = yard.read(&core(OWN, "pods/web")).await["spec"]["containers"][0].take();
    other["image"] = json!("evil.example/web:1");
    let changed = named("v1", "Pod", "web", json!({"spec": {"containers": [other]}}));
    let ops = json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "evil.example/web:1"}]);
    asks.extend(each(&ALL, |who| Ask::patches(who, &core(OWN, "pods/web"), &changed, &ops)));
    asks.push(Ask::post(Who::Cluster, core(OWN_SERVICES, "pods"), &with_image("registry.example.org/web:1")));
    Row::new(
        "W01",
        "an image of another registry, without a digest in the services namespace, or taken from the node unasked",
        "POST with seven pods, the image of a running pod by four kinds of patch",
        asks,
    )
}

fn w02() -> Row {
    let spec = |change: Value| pod("first", |pod| crate::walls::objects::merge(&mut pod["spec"], change));
    let pods = [
        spec(json!({"nodeName": "control-plane-0"})),
        spec(json!({"priorityClassName": "system-cluster-critical"})),
        spec(json!({"tolerations": [{"operator": "Exists"}]})),
        spec(
            json!({"tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]}),
        ),
    ];
    let asks = each(&ALL, |who| pods.iter().map(|pod| Ask::post(who, core(OWN, "pods"), pod)).collect());
    Row::new(
        "W02",
        "push other members' pods away, or get onto the control plane's nodes",
        "node name, priority class, tolerations",
        asks,
    )
}
