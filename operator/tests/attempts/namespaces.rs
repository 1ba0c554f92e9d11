//! E01 to E06: the namespace itself, its labels, its owners, new ones.

use serde_json::{Value, json};

use super::Row;
use crate::walls::{
    ask::{Ask, Who, each, removals},
    objects::named,
    yard::{OTHER, OWN, OWN_SERVICES, SYSTEM, Yard},
};

const MANAGED_BY: &str = "/metadata/labels/allmende.eu~1managed-by";

pub(super) async fn rows(yard: &Yard) -> Vec<Row> {
    let own = yard.read(&path(OWN)).await;
    vec![
        Row::new(
            "E01",
            "take the ownership label and the owner away from the own namespace",
            "four kinds of patch and PUT; the member's admin, and an administrator of the cluster against the policy",
            each(&[Who::Admin, Who::Cluster], |who| taken_away(who, &path(OWN), &own)),
        ),
        Row::new(
            "E02",
            "the same as a service account of the workspace with the widest role",
            "four kinds of patch and PUT",
            taken_away(Who::Account, &path(OWN), &own),
        ),
        e03(),
        e04(yard, &own).await,
        e05(&own),
        e06(),
    ]
}

fn path(name: &str) -> String {
    format!("/api/v1/namespaces/{name}")
}

fn namespace(name: &str, metadata: Value) -> Value {
    named("v1", "Namespace", name, json!({ "metadata": metadata }))
}

fn owner() -> Value {
    json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "db-secret", "uid": "0190b0a0-0000-7000-8000-000000000007"}])
}

fn taken_away(who: Who, path: &str, present: &Value) -> Vec<Ask> {
    let relabelled = namespace(OWN, json!({"labels": {"allmende.eu/managed-by": "nobody"}}));
    let owned = namespace(OWN, json!({"ownerReferences": owner()}));
    let owns = json!([{"op": "add", "path": "/metadata/ownerReferences", "value": owner()}]);
    let mut asks = Ask::patches(who, path, &relabelled, &removals(&[MANAGED_BY]));
    asks.extend(Ask::patches(who, path, &owned, &owns));
    let mut bare = present.clone();
    bare["metadata"]["labels"] = json!({"kubernetes.io/metadata.name": OWN});
    asks.push(Ask::put(who, path, &bare));
    asks
}

fn e03() -> Row {
    let everywhere = || SYSTEM.into_iter().chain([OTHER]);
    let mark = |who, name: &str| {
        let marked = namespace(name, json!({"labels": {"allmende.eu/member": "m-05374048"}}));
        let marks =
            json!([{"op": "add", "path": "/metadata/labels/allmende.eu~1member", "value": "m-05374048"}]);
        Ask::patches(who, &path(name), &marked, &marks)
    };
    let own = |who, name: &str| {
        let owned = namespace(name, json!({"ownerReferences": owner()}));
        let owns = json!([{"op": "add", "path": "/metadata/ownerReferences", "value": owner()}]);
        Ask::patches(who, &path(name), &owned, &owns)
    };
    let mut asks = each(&[Who::Admin, Who::Account, Who::Cluster], |who| {
        everywhere().flat_map(|name| mark(who, name)).collect()
    });
    asks.extend(each(&[Who::Admin, Who::Account], |who| {
        everywhere().flat_map(|name| own(who, name)).collect()
    }));
    Row::new(
        "E03",
        "put the own mark or owner on another member's namespace and on those of the system",
        "four kinds of patch on each of four namespaces",
        asks,
    )
}

async fn e04(yard: &Yard, own: &Value) -> Row {
    let callers = [Who::Admin, Who::Account, Who::Cluster];
    let mut asks = each(&callers, |who| taken_away(who, &format!("{}/status", path(OWN)), own));
    for name in SYSTEM.into_iter().chain([OTHER]) {
        let marked = namespace(name, json!({"labels": {"allmende.eu/member": "m-05374048"}}));
        let marks =
            json!([{"op": "add", "path": "/metadata/labels/allmende.eu~1member", "value": "m-05374048"}]);
        let status = format!("{}/status", path(name));
        asks.extend(each(&callers, |who| Ask::patches(who, &status, &marked, &marks)));
    }
    for name in [OWN, OTHER] {
        let finalize = format!("{}/finalize", path(name));
        let mut body = yard.read(&path(name)).await;
        body["spec"]["finalizers"] = json!([]);
        let mut bare = body.clone();
        bare["metadata"]["labels"] = json!({"kubernetes.io/metadata.name": name});
        asks.extend(each(&callers, |who| {
            vec![Ask::put(who, &finalize, &body), Ask::put(who, &finalize, &bare)]
        }));
        let relabelled = namespace(name, json!({"labels": {"allmende.eu/managed-by": "nobody"}}));
        asks.extend(each(&[Who::Admin, Who::Account], |who| {
            Ask::patches(who, &finalize, &relabelled, &removals(&[MANAGED_BY]))
        }));
    }
    Row::new(
        "E04",
        "the same through the subresources that write metadata",
        "`namespaces/status` and `namespaces/finalize`, PUT and four kinds of patch",
        asks,
    )
}

fn e05(own: &Value) -> Row {
    let weaken = |who, name: &str| {
        let levels = ["enforce", "audit", "warn"].into_iter().flat_map(move |mode| {
            let label = format!("pod-security.kubernetes.io/{mode}");
            let weak = namespace(name, json!({"labels": {label.clone(): "privileged"}}));
            let pointer = format!("/metadata/labels/{}", label.replace('/', "~1"));
            Ask::patches(who, &path(name), &weak, &removals(&[&pointer]))
        });
        levels.collect::<Vec<_>>()
    };
    let mut asks = each(&[Who::Admin, Who::Account, Who::Cluster], |who| weaken(who, OWN));
    asks.extend(weaken(Who::Release, OWN_SERVICES));
    let mut weak = own.clone();
    weak["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = json!("privileged");
    asks.extend(each(&[Who::Admin, Who::Account, Who::Cluster], |who| vec![Ask::put(who, path(OWN), &weak)]));
    let fresh = namespace("free", json!({"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}));
    asks.extend(each(&[Who::Admin, Who::Account, Who::Release], |who| {
        vec![Ask::post(who, "/api/v1/namespaces", &fresh)]
    }));
    Row::new(
        "E05",
        "weaken Pod Security of the own namespace",
        "each of three labels by four kinds of patch, PUT, a new namespace; also as the account that runs charts",
        asks,
    )
}

fn e06() -> Row {
    let mut asks = each(&[Who::Admin, Who::Account, Who::Release], |who| {
        let names = ["m-05766044-test", "m-05374048", "kube-foo", "m-05374048-prod-x"];
        let plain = names.into_iter().map(|name| namespace(name, json!({})));
        let marked = [namespace("b-2", json!({"labels": {"allmende.eu/member": "m-05766044"}}))];
        plain.chain(marked).map(|body| Ask::post(who, "/api/v1/namespaces", &body)).collect()
    });
    for labels in [
        json!({"allmende.eu/member": "m-05766044"}),
        json!({"allmende.eu/managed-by": "allmende-operator"}),
        json!({"allmende.eu/namespace-kind": "workspace"}),
    ] {
        asks.push(Ask::post(
            Who::Cluster,
            "/api/v1/namespaces",
            &namespace("b-2", json!({ "labels": labels })),
        ));
    }
    let noted = namespace(
        "b-2",
        json!({"annotations": {"allmende.eu/desired-name": "members/m-05766044/tenants/test"}}),
    );
    asks.push(Ask::post(Who::Cluster, "/api/v1/namespaces", &noted));
    Row::new(
        "E06",
        "make a namespace: another tenant's name, a system name, one with another member's mark",
        "POST; an administrator may make namespaces, but none that looks like a tenant's",
        asks,
    )
}
