//! E11, E12, W03, W04: names, addresses and openings.

use serde_json::{Value, json};

use super::Row;
use crate::walls::{
    ask::{Ask, Who, each},
    objects::{ingress, ingress_rule, named, network_policy, service},
    yard::{OTHER, OWN, OWN_SERVICES, Yard, core, network},
};

const MEMBERS: [Who; 2] = [Who::Admin, Who::Account];
const ALL: [Who; 3] = [Who::Admin, Who::Account, Who::Cluster];

pub(super) async fn rows(yard: &Yard) -> Vec<Row> {
    let lawful = ingress("web", json!({"rules": [ingress_rule("www.m-05374048.apps.example.org")]}));
    yard.allowed(&Ask::post(Who::Admin, network(OWN, "ingresses"), &lawful)).await;
    let lawful = network_policy("own", json!({"ingress": [{"from": [{"podSelector": {}}]}]}));
    yard.allowed(&Ask::post(Who::Admin, network(OWN, "networkpolicies"), &lawful)).await;
    vec![e11(yard).await, e12(yard).await, w03(), w04(yard).await]
}

async fn e11(yard: &Yard) -> Row {
    let bent = [
        json!({"type": "NodePort"}),
        json!({"type": "LoadBalancer"}),
        json!({"externalIPs": ["10.96.0.1"]}),
        json!({"type": "ExternalName", "externalName": format!("db.{OTHER}.svc"), "selector": null, "ports": null}),
    ];
    let path = core(OWN, "services");
    let mut asks = each(&ALL, |who| {
        bent.iter().map(|spec| Ask::post(who, &path, &service("out", spec.clone()))).collect()
    });
    asks.extend(
        bent.iter().map(|spec| {
            Ask::post(Who::Release, core(OWN_SERVICES, "services"), &service("out", spec.clone()))
        }),
    );
    let one = format!("{path}/web");
    let present = yard.read(&one).await;
    for spec in &bent[..3] {
        let merge = named("v1", "Service", "web", json!({ "spec": spec }));
        let ops: Value = spec
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| json!({"op": "add", "path": format!("/spec/{key}"), "value": value}))
            .collect();
        let mut changed = present.clone();
        crate::walls::objects::merge(&mut changed["spec"], spec.clone());
        asks.extend(each(&ALL, |who| Ask::patches(who, &one, &merge, &ops)));
        asks.extend(each(&ALL, |who| vec![Ask::put(who, &one, &changed)]));
    }
    let status = named(
        "v1",
        "Service",
        "web",
        json!({"status": {"loadBalancer": {"ingress": [{"ip": "10.96.0.1"}]}}}),
    );
    let ops =
        json!([{"op": "add", "path": "/status/loadBalancer", "value": {"ingress": [{"ip": "10.96.0.1"}]}}]);
    asks.extend(each(&MEMBERS, |who| Ask::patches(who, &format!("{one}/status"), &status, &ops)));
    Row::new(
        "E11",
        "a Service that takes a port of the nodes, an address of others, or another member's name",
        "NodePort, LoadBalancer, external IPs, ExternalName by POST, PUT, four kinds of patch and `services/status`",
        asks,
    )
}

async fn e12(yard: &Yard) -> Row {
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{OWN}/endpointslices");
    let slice = yard.read(&slices).await["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    let subsets = json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 443}]}]);
    let endpoints = |name: &str| named("v1", "Endpoints", name, json!({"subsets": subsets}));
    let to = json!([{"addresses": ["10.0.0.1"]}]);
    let of = |name: &str| {
        named(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            name,
            json!({"addressType": "IPv4", "endpoints": to, "ports": []}),
        )
    };
    let changes = [
        (core(OWN, "endpoints"), "web".to_owned(), endpoints("web"), "/subsets", subsets.clone()),
        (slices.clone(), slice.clone(), of(&slice), "/endpoints", to.clone()),
    ];
    let mut asks = Vec::new();
    for (path, name, merge, field, value) in changes {
        let one = format!("{path}/{name}");
        let ops = json!([{"op": "add", "path": field, "value": value}]);
        let mut present = yard.read(&one).await;
        present[&field[1..]] = value;
        let mut fresh = merge.clone();
        fresh["metadata"]["name"] = json!("mine");
        asks.extend(each(&ALL, |who| vec![Ask::post(who, &path, &fresh), Ask::put(who, &one, &present)]));
        asks.extend(each(&ALL, |who| Ask::patches(who, &one, &merge, &ops)));
        asks.extend(each(&ALL, |who| vec![Ask::delete(who, &one), Ask::delete(who, &path)]));
    }
    Row::new(
        "E12",
        "say by hand where a Service leads: to a pod of others or to the API server",
        "Endpoints and EndpointSlices: POST, PUT, four kinds of patch, DELETE one and all",
        asks,
    )
}

fn w03() -> Row {
    let path = network(OWN, "ingresses");
    let rules = |host: &str| json!({"rules": [ingress_rule(host)]});
    let mut bad = vec![
        rules("www.m-05766044.apps.example.org"),
        rules("www.example.org"),
        rules("m-05374048.apps.example.org"),
        rules("x-m-05374048.apps.example.org"),
        rules(""),
        json!({"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}),
    ];
    bad.push(json!({"rules": [ingress_rule("www.m-05374048.apps.example.org")], "tls": [{"hosts": ["www.example.org"]}]}));
    let mut bodies: Vec<Value> = bad.into_iter().map(|spec| ingress("out", spec)).collect();
    let mut snippet = ingress("out", rules("www.m-05374048.apps.example.org"));
    snippet["metadata"]["annotations"] = json!({"nginx.ingress.kubernetes.io/configuration-snippet": "x"});
    bodies.push(snippet);
    let mut asks = each(&ALL, |who| bodies.iter().map(|body| Ask::post(who, &path, body)).collect());
    let stolen = ingress("web", rules("www.m-05766044.apps.example.org"));
    let ops =
        json!([{"op": "replace", "path": "/spec/rules/0/host", "value": "www.m-05766044.apps.example.org"}]);
    asks.extend(each(&ALL, |who| Ask::patches(who, &format!("{path}/web"), &stolen, &ops)));
    Row::new(
        "W03",
        "answer for another member's host name, for all names, or as the ingress controller itself",
        "eight Ingresses by POST, the host of one that is there by four kinds of patch",
        asks,
    )
}

async fn w04(yard: &Yard) -> Row {
    let path = network(OWN, "networkpolicies");
    let openings = [
        json!({"egress": [{}]}),
        json!({"ingress": [{}]}),
        json!({"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}),
        json!({"egress": [{"to": [{"namespaceSelector": {}}]}]}),
        json!({"ingress": [{"from": [{"namespaceSelector": {}}]}]}),
        json!({"egress": [{"to": [{"namespaceSelector": {"matchLabels": {"allmende.eu/member": "m-05766044"}}}]}]}),
        json!({"egress": [{"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": OTHER}}}]}]}),
        json!({"egress": [{"to": [{"podSelector": {}}, {"namespaceSelector": {"matchExpressions": [
            {"key": "allmende.eu/member", "operator": "Exists"},
        ]}}]}]}),
    ];
    let mut asks = each(&ALL, |who| {
        openings.iter().map(|spec| Ask::post(who, &path, &network_policy("out", spec.clone()))).collect()
    });
    asks.extend(openings.iter().map(|spec| {
        Ask::post(
            Who::Release,
            network(OWN_SERVICES, "networkpolicies"),
            &network_policy("out", spec.clone()),
        )
    }));
    let one = format!("{path}/own");
    let opened = network_policy("own", openings[0].clone());
    let ops = json!([{"op": "add", "path": "/spec/egress", "value": [{}]}]);
    let mut present = yard.read(&one).await;
    present["spec"]["egress"] = json!([{}]);
    asks.extend(each(&ALL, |who| Ask::patches(who, &one, &opened, &ops)));
    asks.extend(each(&ALL, |who| vec![Ask::put(who, &one, &present)]));
    Row::new(
        "W04",
        "open the network beyond the member's own tenants",
        "eight NetworkPolicies by POST, also as the account that runs charts; four kinds of patch and PUT on one that is there",
        asks,
    )
}
