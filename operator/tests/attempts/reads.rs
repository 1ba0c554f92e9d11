//! E22, E23, E25: what others have, the cluster's own doors, its leases and events.

use serde_json::json;

use super::Row;
use crate::walls::{
    ask::{Ask, Who, each},
    objects::named,
    yard::{OTHER, OTHER_SERVICES, OWN, OWN_SERVICES, Yard, core},
};

const MEMBERS: [Who; 4] = [Who::Admin, Who::Viewer, Who::Account, Who::Release];

pub(super) async fn rows(yard: &Yard) -> Vec<Row> {
    vec![e22(yard).await, e23(), e25()]
}

async fn e22(yard: &Yard) -> Row {
    let kinds = [
        "api/v1/secrets",
        "api/v1/configmaps",
        "api/v1/pods",
        "api/v1/services",
        "api/v1/events",
        "api/v1/serviceaccounts",
        "api/v1/resourcequotas",
        "api/v1/persistentvolumeclaims",
        "apis/apps/v1/deployments",
        "apis/networking.k8s.io/v1/networkpolicies",
        "apis/rbac.authorization.k8s.io/v1/rolebindings",
        "apis/allmende.eu/v1alpha1/serviceinstances",
    ];
    let cluster = [
        "api/v1/namespaces",
        "api/v1/persistentvolumes",
        "api/v1/nodes",
        "apis/allmende.eu/v1alpha1/tenants",
    ];
    let questions = [
        String::new(),
        "?limit=1".to_owned(),
        format!("?fieldSelector=metadata.namespace={OTHER}"),
        "?labelSelector=allmende.eu/member=m-05766044".to_owned(),
        "?watch=1&timeoutSeconds=1".to_owned(),
        "?watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true".to_owned(),
    ];
    let mut asks = each(&MEMBERS, |who| {
        let all = kinds.iter().chain(&cluster);
        all.flat_map(|kind| questions.iter().map(move |question| Ask::get(who, format!("/{kind}{question}"))))
            .collect()
    });
    asks.extend(each(&MEMBERS, |who| {
        let there = [OTHER, OTHER_SERVICES].into_iter().flat_map(|namespace| {
            kinds.iter().flat_map(move |kind| {
                let (group, resource) = kind.rsplit_once('/').unwrap();
                ["", "/db-secret", "?watch=1&timeoutSeconds=1"]
                    .map(|rest| Ask::get(who, format!("/{group}/namespaces/{namespace}/{resource}{rest}")))
            })
        });
        there.collect()
    }));
    asks.push(edited_page(yard).await);
    asks.push(Ask::get(Who::Nobody, core(OTHER, "secrets")).refused_with(&[401, 403]));
    Row::new(
        "E22",
        "list and watch what others have",
        "sixteen kinds over the whole cluster by six questions, twelve in the other's two namespaces; a paging token of one's own, edited",
        asks,
    )
}

/// The token of one's own list, made to point at another's.
async fn edited_page(yard: &Yard) -> Ask {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let first = yard.allowed(&Ask::get(Who::Admin, core(OWN, "configmaps?limit=1"))).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let mut inside: serde_json::Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
    inside["start"] = json!(format!("../{OTHER}/a"));
    let edited = URL_SAFE_NO_PAD.encode(inside.to_string());
    Ask::get(Who::Admin, core(OWN, &format!("configmaps?limit=9&continue={edited}"))).refused_with(&[400])
}

fn e23() -> Row {
    let pods = ["exec?command=sh&stdout=1", "attach?stdout=1", "portforward?ports=1", "proxy/", "log"];
    let mut asks = each(&MEMBERS, |who| {
        let mut asks = Vec::new();
        for namespace in [OTHER, OTHER_SERVICES] {
            for door in pods {
                asks.push(Ask::get(who, core(namespace, &format!("pods/web/{door}"))));
                asks.push(Ask::post(who, core(namespace, &format!("pods/web/{door}")), &json!({})));
            }
            asks.push(Ask::get(who, core(namespace, "services/web/proxy/")));
        }
        for door in ["pods/web/proxy/", "services/web:80/proxy/"] {
            asks.push(Ask::get(who, core(OWN, door)));
        }
        let doors = [
            "/metrics",
            "/debug/pprof/",
            "/logs/",
            "/configz",
            "/api/v1/componentstatuses",
            "/api/v1/nodes/x/proxy/metrics",
        ];
        asks.extend(doors.map(|door| Ask::get(who, door)));
        asks
    });
    let run = ["exec?command=sh&stdout=1", "attach?stdout=1"];
    for who in [Who::Admin, Who::Viewer, Who::Cluster] {
        asks.extend(
            run.map(|door| Ask::post(who, core(OWN_SERVICES, &format!("pods/any/{door}")), &json!({}))),
        );
    }
    asks.push(Ask::get(Who::Cluster, core(OWN, "pods/web/proxy/")));
    asks.push(Ask::get(Who::Cluster, core(OWN, "services/web:80/proxy/")));
    Row::new(
        "E23",
        "the cluster's own doors: proxies, commands in others' pods and in the pods of services, metrics and debug paths",
        "exec, attach, portforward, proxy and log by GET and POST; six paths of the API server and the nodes",
        asks,
    )
}

fn e25() -> Row {
    let lease = "/apis/coordination.k8s.io/v1/namespaces/allmende-system/leases";
    let taken = named(
        "coordination.k8s.io/v1",
        "Lease",
        "allmende-operator",
        json!({"spec": {"holderIdentity": "me"}}),
    );
    let ops = json!([{"op": "replace", "path": "/spec/holderIdentity", "value": "me"}]);
    let event = |namespace: &str| {
        named(
            "v1",
            "Event",
            "spam",
            json!({"involvedObject": {"kind": "Pod", "name": "web", "namespace": namespace}, "reason": "x"}),
        )
    };
    let asks = each(&MEMBERS, |who| {
        let one = format!("{lease}/allmende-operator");
        let mut asks = vec![
            Ask::get(who, &one),
            Ask::put(who, &one, &taken),
            Ask::delete(who, &one),
            Ask::post(who, lease, &taken),
        ];
        asks.extend(Ask::patches(who, &one, &taken, &ops));
        let new = named(
            "events.k8s.io/v1",
            "Event",
            "spam",
            json!({"regarding": {"namespace": OTHER, "name": "web"}}),
        );
        for namespace in [OTHER, OWN] {
            asks.push(Ask::post(who, core(namespace, "events"), &event(OTHER)));
            asks.push(Ask::post(who, format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events"), &new));
        }
        asks
    });
    Row::new(
        "E25",
        "take the operator's lease, or tell lies in events about another member's pods",
        "GET, POST, PUT, DELETE and four kinds of patch; both kinds of events in both places",
        asks,
    )
}
