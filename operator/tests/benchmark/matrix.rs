//! Every resource of the API server × eight verbs, asked as `kubectl auth can-i` asks.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use kube::{
    Client,
    discovery::{Discovery, Scope},
};
use serde_json::{Value, json};

use super::Check;
use crate::walls::{
    ask::{Ask, Who},
    yard::{OTHER, OTHER_SERVICES, OWN, OWN_SERVICES, Yard, core},
};

const VERBS: [&str; 8] = ["get", "list", "create", "update", "patch", "watch", "delete", "deletecollection"];
/// Everybody may ask who one is and what one may.
const ABOUT_ONESELF: [&str; 3] =
    ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"];

/// Group and plural of a kind.
type Resource = (String, String);

pub(super) async fn cluster_resources(yard: &Yard) -> Check {
    let resources = resources(&yard.administrator, &Scope::Cluster).await;
    let mut questions = 0;
    let mut granted = Vec::new();
    for who in [Who::Admin, Who::Account, Who::Neighbour] {
        let asked = questions_of(&resources, &[""]);
        questions += asked.len();
        granted.extend(yes(yard.client(who), &asked).await);
    }
    granted.retain(|question| !ABOUT_ONESELF.iter().any(|name| question.contains(name)));
    let lists = resources.iter().filter(|(_, name)| !name.contains("reviews")).map(|(group, name)| {
        let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}") };
        (root, name)
    });
    let core_lists = lists
        .filter(|(root, _)| root == "/api/v1")
        .map(|(root, name)| Ask::get(Who::Admin, format!("{root}/{name}")));
    Check::new("MTB-PL1-CC-CPI-1", "1", "no access to cluster resources")
        .refuses(core_lists.collect::<Vec<_>>())
        .refuses([
            Ask::get(Who::Admin, "/apis/rbac.authorization.k8s.io/v1/clusterroles"),
            Ask::get(Who::Admin, "/apis/storage.k8s.io/v1/storageclasses"),
            Ask::get(Who::Admin, "/apis/allmende.eu/v1alpha1/tenants"),
        ])
        .sees(
            format!(
                "{questions} questions ({} kinds × {} verbs × 3 callers): all no but about oneself",
                resources.len(),
                VERBS.len()
            ),
            granted.is_empty() && questions > 0,
        )
}

pub(super) async fn other_tenants(yard: &Yard) -> Check {
    let resources = resources(&yard.administrator, &Scope::Namespaced).await;
    let mut questions = 0;
    let mut granted = Vec::new();
    for (who, places) in [
        (Who::Admin, [OTHER, OTHER_SERVICES]),
        (Who::Account, [OTHER, OTHER_SERVICES]),
        (Who::Release, [OTHER, OTHER_SERVICES]),
        (Who::Neighbour, [OWN, OWN_SERVICES]),
    ] {
        let asked = questions_of(&resources, &places);
        questions += asked.len();
        granted.extend(yes(yard.client(who), &asked).await);
    }
    // At home the same questions have other answers.
    let home = yes(yard.client(Who::Admin), &questions_of(&resources, &[OWN])).await;
    let real = [(Who::Admin, OTHER), (Who::Neighbour, OWN)].into_iter().flat_map(|(who, namespace)| {
        ["secrets", "secrets/db-secret", "pods", "configmaps", "services"]
            .map(|rest| Ask::get(who, core(namespace, rest)))
    });
    Check::new("MTB-PL1-CC-TI-2", "1", "no access to resources of another tenant")
        .refuses(real.collect::<Vec<_>>())
        .allows([(Who::Admin, OWN), (Who::Neighbour, OTHER)].map(|(who, namespace)| Ask::get(who, core(namespace, "secrets"))))
        .sees(
            format!("{questions} questions ({} kinds × {} verbs × 2 namespaces × 4 callers, in both directions): all no", resources.len(), VERBS.len()),
            granted.is_empty() && home.len() > 50,
        )
}

/// The kinds of one scope, each once.
async fn resources(client: &Client, scope: &Scope) -> BTreeSet<Resource> {
    let discovery = Discovery::new(client.clone()).run().await.unwrap();
    let kinds = discovery.groups().flat_map(|group| group.recommended_resources());
    let of_scope = kinds.filter(|(_, capabilities)| capabilities.scope == *scope);
    of_scope.map(|(resource, _)| (resource.group, resource.plural)).collect()
}

fn questions_of(resources: &BTreeSet<Resource>, namespaces: &[&str]) -> Vec<Value> {
    let mut questions = Vec::new();
    for namespace in namespaces {
        for (group, resource) in resources {
            questions.extend(VERBS.map(
                |verb| json!({"namespace": namespace, "group": group, "resource": resource, "verb": verb}),
            ));
        }
    }
    questions
}

/// The questions that were answered with yes.
async fn yes(client: &Client, questions: &[Value]) -> Vec<String> {
    let answers = stream::iter(questions)
        .map(async |question| (is_allowed(client, question).await, question.to_string()));
    let answers: Vec<(bool, String)> = answers.buffer_unordered(16).collect().await;
    answers.into_iter().filter(|(allowed, _)| *allowed).map(|(_, question)| question).collect()
}

async fn is_allowed(client: &Client, question: &Value) -> bool {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": question},
    });
    let request = http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
    let request = request.body(review.to_string().into_bytes()).unwrap();
    let answer: Value = client.request(request).await.unwrap();
    answer["status"]["allowed"].as_bool().unwrap()
}
