//! What a namespace of a tenant holds, and what its people may do themselves.

use serde_json::{Value, json};

use super::{
    Check,
    pods::{lawful, whole},
};
use crate::walls::{
    ask::{Ask, Who, each},
    objects::{
        account, binding, claim, ingress, ingress_rule, named, network_policy, pod, role, rule, service,
    },
    yard::{OTHER, OTHER_SERVICES, OWN, OWN_SERVICES, Yard, core, network, rights},
};

const MEMBERS: [Who; 2] = [Who::Admin, Who::Account];
const TENANTS: [&str; 4] = [OWN, OWN_SERVICES, OTHER, OTHER_SERVICES];

pub(super) fn managed_objects() -> Check {
    let labelled = json!([{"op": "add", "path": "/metadata/labels/x", "value": "y"}]);
    let objects = [
        (network(OWN, "networkpolicies/allmende"), "networking.k8s.io/v1", "NetworkPolicy", "allmende"),
        (
            rights(OWN, "rolebindings/allmende:workspace-admin"),
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            "allmende:workspace-admin",
        ),
        (core(OWN, "limitranges/allmende"), "v1", "LimitRange", "allmende"),
        (core(OWN, "resourcequotas/allmende"), "v1", "ResourceQuota", "allmende"),
        (core(OWN, "serviceaccounts/default"), "v1", "ServiceAccount", "default"),
        (format!("/api/v1/namespaces/{OWN}"), "v1", "Namespace", OWN),
        (format!("/apis/allmende.eu/v1alpha1/tenants/{OWN}"), "allmende.eu/v1alpha1", "Tenant", OWN),
    ];
    let asks = objects.iter().flat_map(|(path, api, kind, name)| {
        each(&MEMBERS, |who| {
            let merge = named(api, kind, name, json!({"metadata": {"labels": {"x": "y"}}}));
            let mut asks = Ask::patches_of_custom(who, path, &merge, &labelled);
            asks.push(Ask::delete(who, path));
            asks
        })
    });
    Check::new("MTB-PL1-BC-CPI-2", "1", "no change of what the platform put into the namespace").refuses(asks)
}

pub(super) fn quotas() -> Check {
    let all = core(OWN, "resourcequotas");
    let one = format!("{all}/allmende");
    let more = named("v1", "ResourceQuota", "allmende", json!({"spec": {"hard": {"pods": "99"}}}));
    let ops = json!([{"op": "replace", "path": "/spec/hard/pods", "value": "99"}]);
    let asks = each(&MEMBERS, |who| {
        let mut asks = vec![
            Ask::post(who, &all, &more),
            Ask::put(who, &one, &more),
            Ask::delete(who, &one),
            Ask::delete(who, &all),
        ];
        asks.extend(Ask::patches(who, &one, &more, &ops));
        asks
    });
    Check::new("MTB-PL1-CC-TI-1", "1", "no change of resource quotas")
        .refuses(asks)
        .allows([Ask::get(Who::Admin, all)])
}

pub(super) async fn limits(yard: &Yard) -> Vec<Check> {
    let mut hard = Vec::new();
    for namespace in TENANTS {
        hard.push(yard.read(&core(namespace, "resourcequotas/allmende")).await["status"]["hard"].take());
    }
    let has = |names: &[&str]| hard.iter().all(|map| names.iter().all(|name| map[name].is_string()));
    let amounts =
        ["requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "requests.storage", "pods"];
    let counts = [
        "configmaps",
        "secrets",
        "services",
        "persistentvolumeclaims",
        "replicationcontrollers",
        "services.nodeports",
        "services.loadbalancers",
        "count/deployments.apps",
        "count/jobs.batch",
    ];
    let greedy = |what: &'static str, amount: &'static str| {
        whole(move |pod| {
            pod["spec"]["containers"][0]["resources"] =
                json!({"requests": {what: amount}, "limits": {what: amount}});
        })
    };
    let controllers = core(OWN, "replicationcontrollers");
    let controller = |number: u32| {
        let template = json!({"metadata": {"labels": {"app": "none"}}, "spec": pod("x", |_| {})["spec"]});
        named(
            "v1",
            "ReplicationController",
            &format!("many-{number}"),
            json!({"spec": {"replicas": 0, "template": template}}),
        )
    };
    for number in 0..100 {
        yard.allowed(&Ask::post(Who::Admin, &controllers, &controller(number))).await;
    }
    let volume = claim("large", json!({"resources": {"requests": {"storage": "11Gi"}}}));
    vec![
        Check::new("MTB-PL1-CC-FNS-1", "1", "quotas of amounts")
            .refuses(greedy("cpu", "1000"))
            .refuses(greedy("memory", "1000Gi"))
            .refuses(each(&MEMBERS, |who| vec![Ask::post(who, core(OWN, "persistentvolumeclaims"), &volume)]))
            .allows([lawful()])
            .sees(format!("{} in {} namespaces, enforced", amounts.join(", "), TENANTS.len()), has(&amounts)),
        Check::new("MTB-PL1-CC-FNS-2", "1", "quotas of objects")
            .refuses(each(&MEMBERS, |who| vec![Ask::post(who, &controllers, &controller(100))]))
            .sees(format!("{} in {} namespaces, enforced", counts.join(", "), TENANTS.len()), has(&counts)),
    ]
}

pub(super) fn node_ports() -> Check {
    let open = |kind: &str| service("open", json!({ "type": kind }));
    Check::new("MTB-PL1-BC-HI-1", "1", "no node ports")
        .refuses(each(&MEMBERS, |who| {
            ["NodePort", "LoadBalancer"].map(|kind| Ask::post(who, core(OWN, "services"), &open(kind))).into()
        }))
        .allows([Ask::post(Who::Admin, core(OWN, "services?dryRun=All"), &open("ClusterIP"))])
}

pub(super) fn self_service() -> Vec<Check> {
    let greater = [
        rule("*", "*", "*"),
        rule("rbac.authorization.k8s.io", "roles", "escalate"),
        rule("rbac.authorization.k8s.io", "roles", "bind"),
    ];
    let dry = |path: String, body: &Value| Ask::post(Who::Admin, format!("{path}?dryRun=All"), body);
    let bind = |kind: &str, role: &str| binding("mine", kind, role, json!([account("app", OWN)]));
    let inside = network_policy("mine", json!({"ingress": [{"from": [{"podSelector": {}}]}]}));
    let own = json!({"matchLabels": {"allmende.eu/member": "m-05374048"}});
    let between = network_policy("mine", json!({"egress": [{"to": [{"namespaceSelector": own}]}]}));
    let deployment = named(
        "apps/v1",
        "Deployment",
        "mine",
        json!({"spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod("x", |_| {})["spec"]},
        }}),
    );
    let host = ingress("mine", json!({"rules": [ingress_rule("mine.m-05374048.apps.example.org")]}));
    vec![
        Check::new("MTB-PL2-CC-TI-1", "2", "no escalation by roles")
            .refuses(each(&MEMBERS, |who| {
                greater
                    .iter()
                    .map(|rules| Ask::post(who, rights(OWN, "roles"), &role("more", rules.clone())))
                    .collect()
            }))
            .refuses(each(&MEMBERS, |who| {
                vec![Ask::post(who, rights(OWN, "rolebindings"), &bind("ClusterRole", "cluster-admin"))]
            })),
        Check::new("MTB-PL2-BC-OPS-3", "2", "members make roles and bind them to their own accounts")
            .allows([
                dry(rights(OWN, "roles"), &role("mine", rule("", "pods", "get"))),
                dry(rights(OWN, "rolebindings"), &bind("ClusterRole", "allmende:workspace-viewer")),
                dry(rights(OWN, "rolebindings"), &bind("ClusterRole", "allmende:workspace-admin")),
            ])
            .refuses([Ask::post(Who::Viewer, rights(OWN, "roles"), &role("mine", rule("", "pods", "get")))]),
        Check::new(
            "MTB-PL2-BC-OPS-4",
            "2",
            "members make network policies within their own tenants, and workloads, names and volumes",
        )
        .allows([
            dry(network(OWN, "networkpolicies"), &inside),
            dry(network(OWN, "networkpolicies"), &between),
            dry(network(OWN, "ingresses"), &host),
            dry(core(OWN, "persistentvolumeclaims"), &claim("mine", json!({}))),
            dry(format!("/apis/apps/v1/namespaces/{OWN}/deployments"), &deployment),
        ])
        .refuses([Ask::post(Who::Viewer, network(OWN, "networkpolicies"), &inside)]),
    ]
}

pub(super) async fn pending(yard: &Yard) -> Vec<Check> {
    let volumes = [
        json!({"nfs": {"server": "10.0.0.1", "path": "/"}}),
        json!({"iscsi": {"targetPortal": "10.0.0.1", "iqn": "iqn.2026-01.org.example:x", "lun": 0}}),
        json!({"hostPath": {"path": "/"}}),
    ];
    let mounts = |volume: &Value| {
        let mut named = volume.clone();
        named["name"] = json!("v");
        named
    };
    let class = yard.read("/apis/storage.k8s.io/v1/storageclasses/standard").await;
    let taken = claim("taken", json!({"volumeName": "of-lemgo"}));
    let mut closed = true;
    for namespace in TENANTS {
        let spec = yard.read(&network(namespace, "networkpolicies/allmende")).await["spec"].take();
        closed &= spec["podSelector"] == json!({}) && spec["policyTypes"] == json!(["Ingress", "Egress"]);
    }
    let open = network_policy("open", json!({"egress": [{"to": [{"namespaceSelector": {}}]}]}));
    vec![
        Check::new("pending: PVC", "1", "volumes come by claims only")
            .refuses(
                volumes
                    .iter()
                    .flat_map(|volume| whole(|pod| pod["spec"]["volumes"] = json!([mounts(volume)])))
                    .collect::<Vec<_>>(),
            )
            .allows([Ask::post(
                Who::Admin,
                core(OWN, "pods?dryRun=All"),
                &pod("claims", |pod| {
                    pod["spec"]["volumes"] =
                        json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]);
                }),
            )]),
        Check::new("pending: reclaim", "1", "volumes go with their claims")
            .refuses(each(&MEMBERS, |who| {
                vec![Ask::post(
                    who,
                    core(OWN, "persistentvolumeclaims"),
                    &claim("x", json!({"storageClassName": "gold"})),
                )]
            }))
            .sees(
                "the class that tenants may use deletes (which classes they are is the cluster's choice)",
                class["reclaimPolicy"] == "Delete",
            ),
        Check::new("pending: PVs", "1", "no use of volumes that are there")
            .refuses(each(&MEMBERS, |who| {
                vec![
                    Ask::post(who, core(OWN, "persistentvolumeclaims"), &taken),
                    Ask::get(who, "/api/v1/persistentvolumes"),
                ]
            }))
            .allows([Ask::post(
                Who::Admin,
                core(OWN, "persistentvolumeclaims?dryRun=All"),
                &claim("fresh", json!({})),
            )]),
        Check::new("pending: network", "1", "no traffic between tenants")
            .refuses(each(&MEMBERS, |who| vec![Ask::post(who, network(OWN, "networkpolicies"), &open)]))
            .sees(
                format!(
                    "closed in both directions in {} namespaces: the objects, not their enforcement",
                    TENANTS.len()
                ),
                closed,
            ),
    ]
}
