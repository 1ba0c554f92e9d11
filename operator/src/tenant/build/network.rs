//! One policy for all pods of a namespace: closed in both directions, with the openings that everybody needs. Charts add theirs.

use std::collections::BTreeMap;

use allmende_crds::names;
use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{
    super::validate::{NamespaceKind, NamespacePlan},
    OBJECT_NAME, metadata,
};

/// Label that the API server itself puts on every namespace.
const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Value of the namespace kind label on the namespaces of ingress controllers, put there by the cluster's administrators.
const NAMESPACE_INGRESS: &str = "ingress";

pub(super) fn build(plan: &NamespacePlan) -> NetworkPolicy {
    let own =
        NetworkPolicyPeer { pod_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() };
    let other = namespace(NAMESPACE_NAME_LABEL, &plan.counterpart);
    let dns = NetworkPolicyEgressRule {
        to: Some(vec![namespace(NAMESPACE_NAME_LABEL, "kube-system")]),
        ports: Some(vec![port("UDP", 53), port("TCP", 53)]),
    };
    let egress = |peers: Vec<NetworkPolicyPeer>| NetworkPolicyEgressRule { to: Some(peers), ports: None };
    let ingress = |peers: Vec<NetworkPolicyPeer>| NetworkPolicyIngressRule { from: Some(peers), ports: None };
    let (ingress, egress) = match plan.kind {
        // Pods reach the services that were ordered for them; services never reach into the workspace.
        NamespaceKind::Workspace => (
            vec![ingress(vec![own.clone(), namespace(names::LABEL_NAMESPACE_KIND, NAMESPACE_INGRESS)])],
            vec![dns, egress(vec![own, other])],
        ),
        // Which ports of a service the workspace reaches is the chart's own policy to say.
        NamespaceKind::Services => (vec![ingress(vec![own.clone()])], vec![dns, egress(vec![own])]),
    };
    NetworkPolicy {
        metadata: metadata(plan, OBJECT_NAME),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector::default()),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress),
            egress: Some(egress),
        }),
    }
}

fn namespace(label: &str, value: &str) -> NetworkPolicyPeer {
    let labels = BTreeMap::from([(label.to_owned(), value.to_owned())]);
    let selector = LabelSelector { match_labels: Some(labels), ..LabelSelector::default() };
    NetworkPolicyPeer { namespace_selector: Some(selector), ..NetworkPolicyPeer::default() }
}

fn port(protocol: &str, port: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(port)),
        end_port: None,
    }
}
