//! E13 to E19: what the operator made, Allmende's own kinds, and what a chart could bring along.

use serde_json::{Value, json};

use super::Row;
use crate::walls::{
    ask::{Ask, Who, each},
    objects::{binding, named},
    yard::{OTHER, OTHER_SERVICES, OWN, OWN_SERVICES, Yard, core, network, rights},
};

const MEMBERS: [Who; 2] = [Who::Admin, Who::Account];
const ALL: [Who; 3] = [Who::Admin, Who::Account, Who::Cluster];
const KINDS: &str = "/apis/allmende.eu/v1alpha1";

pub(super) async fn rows(yard: &Yard) -> Vec<Row> {
    vec![e13(yard).await, e14(), e15(), e16(yard).await, e17(), e18(), e19()]
}

/// A managed object, where it lies, and one change of it.
struct Managed {
    all: String,
    name: &'static str,
    only: &'static str,
    api: &'static str,
    kind: &'static str,
    change: Value,
    operation: Value,
}

fn managed() -> Vec<Managed> {
    let ours = "labelSelector=allmende.eu/managed-by=allmende-operator";
    let object = |all, name, only, api, kind, change: Value, operation| Managed {
        all,
        name,
        only,
        api,
        kind,
        change,
        operation,
    };
    let open = json!([{"op": "add", "path": "/spec/egress/-", "value": {}}]);
    let unlabelled = json!([{"op": "remove", "path": "/metadata/labels/allmende.eu~1managed-by"}]);
    let mounted = json!([{"op": "replace", "path": "/automountServiceAccountToken", "value": true}]);
    vec![
        object(
            core(OWN, "resourcequotas"),
            "allmende",
            ours,
            "v1",
            "ResourceQuota",
            json!({"spec": {"hard": {"pods": "99"}}}),
            json!([{"op": "remove", "path": "/spec/hard/pods"}]),
        ),
        object(
            core(OWN, "limitranges"),
            "allmende",
            ours,
            "v1",
            "LimitRange",
            json!({"metadata": {"labels": {"a": "b"}}}),
            unlabelled.clone(),
        ),
        object(
            network(OWN, "networkpolicies"),
            "allmende",
            ours,
            "networking.k8s.io/v1",
            "NetworkPolicy",
            json!({"spec": {"egress": [{}]}}),
            open,
        ),
        object(
            rights(OWN, "rolebindings"),
            "allmende:workspace-viewer",
            ours,
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            json!({"metadata": {"labels": {"allmende.eu/managed-by": "nobody"}}}),
            unlabelled.clone(),
        ),
        object(
            core(OWN, "serviceaccounts"),
            "default",
            "fieldSelector=metadata.name=default",
            "v1",
            "ServiceAccount",
            json!({"automountServiceAccountToken": true}),
            mounted,
        ),
        object(
            core(OWN, "secrets"),
            "db-binding",
            ours,
            "v1",
            "Secret",
            json!({"stringData": {"password": "y"}}),
            unlabelled,
        ),
    ]
}

async fn e13(yard: &Yard) -> Row {
    let mut asks = Vec::new();
    for object in managed() {
        let one = format!("{}/{}", object.all, object.name);
        let merge = named(object.api, object.kind, object.name, object.change.clone());
        let mut present = yard.read(&one).await;
        crate::walls::objects::merge(&mut present, object.change.clone());
        asks.extend(each(&ALL, |who| Ask::patches(who, &one, &merge, &object.operation)));
        asks.extend(each(&ALL, |who| {
            vec![
                Ask::put(who, &one, &present),
                Ask::delete(who, &one),
                Ask::delete(who, format!("{one}?propagationPolicy=Foreground")),
                Ask::delete(who, format!("{}?{}", object.all, object.only)),
            ]
        }));
    }
    let status = core(OWN, "resourcequotas/allmende/status");
    let freed = named(
        "v1",
        "ResourceQuota",
        "allmende",
        json!({"status": {"used": {"pods": "0"}, "hard": {"pods": "99"}}}),
    );
    let ops = json!([{"op": "replace", "path": "/status/used/pods", "value": "0"}]);
    asks.extend(each(&ALL, |who| Ask::patches(who, &status, &freed, &ops)));
    asks.extend(each(&ALL, |who| {
        [OWN, OWN_SERVICES, OTHER].map(|name| Ask::delete(who, format!("/api/v1/namespaces/{name}"))).into()
    }));
    let forged = json!({"metadata": {"labels": {"allmende.eu/managed-by": "allmende-operator"}}});
    asks.extend(each(&ALL, |who| {
        vec![Ask::post(who, core(OWN, "secrets"), &named("v1", "Secret", "forged", forged.clone()))]
    }));
    Row::new(
        "E13",
        "change or delete what the operator made: quota, LimitRange, NetworkPolicy, RoleBinding, default account, binding, the namespaces themselves",
        "four kinds of patch, PUT, DELETE, DELETE in the foreground, DELETE of all; `resourcequotas/status`; the label on something else",
        asks,
    )
}

fn e14() -> Row {
    let mut asks = Vec::new();
    for path in [format!("{KINDS}/namespaces/{OWN}/tenants/{OWN}"), format!("{KINDS}/serviceinstances/db")] {
        let body = json!({"metadata": {"name": "x"}});
        let all = path.rsplit_once('/').unwrap().0.to_owned();
        let every = |who| {
            let mut asks = vec![
                Ask::get(who, &path),
                Ask::put(who, &path, &body),
                Ask::delete(who, &path),
                Ask::post(who, &all, &body),
            ];
            asks.extend(Ask::patches_of_custom(who, &path, &body, &json!([])));
            asks
        };
        asks.extend(each(&MEMBERS, every));
        asks.extend(every(Who::Cluster).into_iter().map(|ask| ask.refused_with(&[403, 404, 405])));
    }
    Row::new(
        "E14",
        "a cluster-scoped object of ours through a namespaced path, and the reverse",
        "raw paths: GET, POST, PUT, three kinds of patch, DELETE",
        asks,
    )
}

fn e15() -> Row {
    let brought: [(&str, &str, &str); 10] = [
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles", "rbac.authorization.k8s.io/v1", "ClusterRole"),
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            "rbac.authorization.k8s.io/v1",
            "ClusterRoleBinding",
        ),
        (
            "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
            "admissionregistration.k8s.io/v1",
            "ValidatingWebhookConfiguration",
        ),
        (
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
            "admissionregistration.k8s.io/v1",
            "MutatingWebhookConfiguration",
        ),
        (
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
        ),
        ("/apis/apiregistration.k8s.io/v1/apiservices", "apiregistration.k8s.io/v1", "APIService"),
        ("/apis/scheduling.k8s.io/v1/priorityclasses", "scheduling.k8s.io/v1", "PriorityClass"),
        ("/apis/storage.k8s.io/v1/storageclasses", "storage.k8s.io/v1", "StorageClass"),
        ("/api/v1/namespaces", "v1", "Namespace"),
        ("/api/v1/persistentvolumes", "v1", "PersistentVolume"),
    ];
    let mut asks = each(&[Who::Admin, Who::Account, Who::Release], |who| {
        brought
            .iter()
            .map(|(path, api, kind)| Ask::post(who, *path, &named(api, kind, "brought", json!({}))))
            .collect()
    });
    let bound = binding("brought", "ClusterRole", "allmende:release", json!([]));
    asks.push(Ask::post(Who::Release, rights(OWN_SERVICES, "rolebindings"), &bound));
    asks.push(Ask::post(
        Who::Release,
        rights(OWN_SERVICES, "roles"),
        &named("rbac.authorization.k8s.io/v1", "Role", "brought", json!({})),
    ));
    for kind in ["resourcequotas", "limitranges"] {
        asks.push(Ask::delete(Who::Release, core(OWN_SERVICES, &format!("{kind}/allmende"))));
    }
    let mut carried = instance(OWN);
    carried["spec"]["valuesJson"] =
        json!(r#"{"extraObjects":[{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole"}]}"#);
    let path = format!("{KINDS}/namespaces/{OWN_SERVICES}/serviceinstances");
    asks.extend(each(&ALL, |who| vec![Ask::post(who, &path, &carried)]));
    Row::new(
        "E15",
        "bring cluster-wide objects along: in an object of ours, or as what a chart makes",
        "ten kinds as the admin, an account and the account that runs charts; roles, bindings and quota in the services namespace",
        asks,
    )
}

async fn e16(yard: &Yard) -> Row {
    let path = format!("{KINDS}/tenants/{OWN}");
    let present = yard.read(&path).await;
    let mut asks = Vec::new();
    let changes = [
        json!({"spec": {"workspaceQuota": {"pods": 99}}}),
        json!({"spec": {"groupBindings": [{"group": "everybody", "role": "admin"}]}}),
        json!({"metadata": {"finalizers": []}}),
    ];
    for change in changes {
        let merge = named("allmende.eu/v1alpha1", "Tenant", OWN, change.clone());
        let (field, inner) = change.as_object().unwrap().iter().next().unwrap();
        let inner = inner.as_object().unwrap().keys().next().unwrap();
        let mut changed = present.clone();
        crate::walls::objects::merge(&mut changed, change.clone());
        let path_in = format!("/{field}/{inner}");
        let ops = json!([{"op": "replace", "path": path_in, "value": changed[field][inner]}]);
        // Applied without finalizers, an object keeps those that others put there.
        let patches = |who| {
            let asks = Ask::patches_of_custom(who, &path, &merge, &ops).into_iter();
            asks.filter(|ask| who != Who::Cluster || inner != "finalizers" || !ask.kind.contains("apply"))
                .collect()
        };
        asks.extend(each(&ALL, patches));
        asks.extend(each(&ALL, |who| vec![Ask::put(who, &path, &changed)]));
    }
    let ready = named("allmende.eu/v1alpha1", "Tenant", OWN, json!({"status": {"message": "x"}}));
    let ops = json!([{"op": "replace", "path": "/status/message", "value": "x"}]);
    asks.extend(each(&ALL, |who| Ask::patches_of_custom(who, &format!("{path}/status"), &ready, &ops)));
    asks.extend(each(&ALL, |who| {
        vec![Ask::delete(who, &path), Ask::delete(who, format!("{KINDS}/tenants"))]
    }));
    let fresh = named("allmende.eu/v1alpha1", "Tenant", "m-05374048-more", {
        let mut spec = present["spec"].clone();
        spec["tenant"] = json!("more");
        json!({ "spec": spec })
    });
    asks.extend(each(&ALL, |who| vec![Ask::post(who, format!("{KINDS}/tenants"), &fresh)]));
    Row::new(
        "E16",
        "write the own Tenant: quota, groups, finalizers, status; delete it, make another",
        "POST, PUT, three kinds of patch, `tenants/status`, DELETE one and all",
        asks,
    )
}

fn instance(namespace: &str) -> Value {
    let (member, tenant) = namespace.rsplit_once('-').unwrap();
    named(
        "allmende.eu/v1alpha1",
        "ServiceInstance",
        "mine",
        json!({"spec": {
            "member": member, "tenant": tenant, "instance": "mine", "namespace": namespace,
            "offering": "postgresql", "version": "1.0.0", "plan": "small",
            "chart": format!("oci://registry.example.org/charts/postgresql@sha256:{}", "0".repeat(64)),
            "valuesJson": "{}", "timeoutSeconds": 60, "bindingSecret": "mine",
            "footprint": {"cpuMilli": 100, "memoryBytes": 1, "storageBytes": 1, "pods": 1},
            "desired": {"storeId": "store", "epoch": 1, "generation": 1, "uid": "mine", "deleting": false,
                "name": format!("members/{member}/tenants/{tenant}/instances/mine")},
        }}),
    )
}

fn e17() -> Row {
    let all = |namespace: &str| format!("{KINDS}/namespaces/{namespace}/serviceinstances");
    let mut elsewhere = instance(OWN);
    elsewhere["spec"]["namespace"] = json!(OTHER);
    let changed = json!({"spec": {"namespace": OTHER, "bindingSecret": "db-secret"}});
    let ops = json!([{"op": "replace", "path": "/spec/namespace", "value": OTHER}]);
    let asks = each(&ALL, |who| {
        let mut asks = vec![
            Ask::post(who, all(OWN_SERVICES), &elsewhere),
            Ask::post(who, all(OTHER_SERVICES), &instance(OTHER)),
            Ask::delete(who, format!("{}/db", all(OTHER_SERVICES))),
        ];
        let merge = named("allmende.eu/v1alpha1", "ServiceInstance", "db", changed.clone());
        asks.extend(Ask::patches_of_custom(who, &format!("{}/db", all(OWN_SERVICES)), &merge, &ops));
        asks
    });
    // The schema refuses a change of what is immutable before a policy is asked.
    let asks =
        asks.into_iter().map(|ask| if ask.who == Who::Cluster { ask.refused_with(&[403, 422]) } else { ask });
    Row::new(
        "E17",
        "let an object of ours point at another member's namespace or secret",
        "POST, three kinds of patch, DELETE of ServiceInstances in both places",
        asks.collect(),
    )
}

fn e18() -> Row {
    let places = [OTHER, OTHER_SERVICES, OWN, "kube-system", "allmende-system"];
    let asks = places.into_iter().flat_map(|namespace| {
        let release =
            named("v1", "Secret", "sh.helm.release.v1.db.v1", json!({"type": "helm.sh/release.v1"}));
        let run = named("apps/v1", "Deployment", "db", json!({}));
        vec![
            Ask::get(Who::Release, core(namespace, "secrets")),
            Ask::get(Who::Release, core(namespace, "secrets/db-secret")),
            Ask::get(Who::Release, core(namespace, "configmaps/db-secret")),
            Ask::post(Who::Release, core(namespace, "secrets"), &release),
            Ask::post(Who::Release, format!("/apis/apps/v1/namespaces/{namespace}/deployments"), &run),
            Ask::delete(Who::Release, core(namespace, "secrets/db-secret")),
        ]
    });
    Row::new(
        "E18",
        "let a chart take values from, or install into, another namespace",
        "there is no such field; what is left is the account that runs charts: GET, POST, DELETE in five namespaces, the own workspace among them",
        asks.collect(),
    )
}

fn e19() -> Row {
    let owner = |api: &str, kind: &str, name: &str| json!([{"apiVersion": api, "kind": kind, "name": name, "uid": "0190b0a0-0000-7000-8000-000000000008", "blockOwnerDeletion": true}]);
    let owners = [
        owner("allmende.eu/v1alpha1", "Tenant", OTHER),
        owner("allmende.eu/v1alpha1", "ServiceInstance", "db"),
        owner("v1", "Namespace", OTHER),
        owner("v1", "PersistentVolume", "of-lemgo"),
        owner("v1", "ResourceQuota", "allmende"),
        owner("v1", "ServiceAccount", "default"),
        owner("rbac.authorization.k8s.io/v1", "RoleBinding", "allmende:workspace-admin"),
    ];
    let asks = owners.iter().flat_map(|owners| {
        let owned =
            |name: &str| named("v1", "ConfigMap", name, json!({"metadata": {"ownerReferences": owners}}));
        let ops = json!([{"op": "add", "path": "/metadata/ownerReferences", "value": owners}]);
        each(&ALL, |who| {
            let mut asks = vec![Ask::post(who, core(OWN, "configmaps"), &owned("owned"))];
            asks.extend(Ask::patches(who, &core(OWN, "configmaps/second"), &owned("second"), &ops));
            asks
        })
    });
    Row::new(
        "E19",
        "let something of others own an object of one's own, so that the garbage collector keeps or deletes it",
        "seven owners with `blockOwnerDeletion`, POST and four kinds of patch",
        asks.collect(),
    )
}
