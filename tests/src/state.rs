//! The end state of everything, without what is chance: ids, times, revisions, digests. And what must be there once.

use std::collections::{BTreeMap, BTreeSet};

use allmende_testkit::etcd::TestEtcd;
use jiff::Timestamp;
use kube::{
    Client,
    api::{ListParams, Request},
};
use serde_json::{Map, Value};

use crate::{call::request_id, world::World};

/// What of the cluster is compared.
const KINDS: [&str; 11] = [
    "/api/v1/namespaces",
    "/api/v1/configmaps",
    "/api/v1/secrets",
    "/api/v1/services",
    "/api/v1/serviceaccounts",
    "/api/v1/resourcequotas",
    "/api/v1/limitranges",
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "/apis/allmende.eu/v1alpha1/tenants",
    "/apis/allmende.eu/v1alpha1/serviceinstances",
];
/// Fields that are chance although their values do not look like it.
const CHANCE: [&str; 10] = [
    "cut_revision",
    // How far the operator has followed the store.
    "revision",
    // What is left of the running month and year.
    "until_month_end_net",
    "until_year_end_net",
    "months",
    "resourceVersion",
    "clusterIP",
    "clusterIPs",
    "managedFields",
    "creationTimestamp",
];
/// Type of a secret in which Helm keeps a revision of a release.
const RELEASE: &str = "helm.sh/release.v1";

/// A value as it lies in etcd.
#[derive(Debug)]
pub struct Record {
    /// Whole key.
    pub key: String,
    /// Kind as the store writes it beside each value.
    pub kind: String,
    /// The value.
    pub value: Value,
}

/// Everything that the control plane stores.
///
/// # Panics
/// When etcd does not answer, or holds what is no JSON.
pub async fn records(etcd: &TestEtcd) -> Vec<Record> {
    let client = etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap();
    let options = etcd_client::GetOptions::new().with_prefix();
    let answer = client.kv_client().get("/allmende/", Some(options)).await.unwrap();
    let read = |kv: &etcd_client::KeyValue| {
        let mut value: Value = serde_json::from_slice(kv.value()).unwrap();
        let kind = value["kind"].as_str().unwrap_or_default().to_owned();
        Record { key: kv.key_str().unwrap().to_owned(), kind, value: value["value"].take() }
    };
    answer.kvs().iter().map(read).collect()
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// One line for each thing, sorted; a thing that is there twice has two lines.
    pub lines: Vec<String>,
    /// Audit entries by the change they are of.
    pub audited: BTreeMap<String, usize>,
    /// Receipts of accepted requests.
    pub receipts: usize,
    /// Numbers of issued invoices.
    pub numbers: Vec<String>,
    /// Revisions in force by release.
    pub deployed: BTreeMap<String, usize>,
    /// Operations that have not ended.
    pub open: usize,
}

impl State {
    /// Reads both halves.
    ///
    /// # Panics
    /// When one does not answer.
    pub async fn read(world: &World) -> Self {
        let changes = world.caller.changes();
        let names: BTreeMap<String, &str> =
            changes.iter().map(|name| (request_id(name), name.as_str())).collect();
        let plain = Plain { names, host: host(&world.chart) };
        let mut state = Self {
            lines: Vec::new(),
            audited: BTreeMap::new(),
            receipts: 0,
            numbers: Vec::new(),
            deployed: BTreeMap::new(),
            open: 0,
        };
        for record in records(&world.etcd).await {
            state.take(record, &plain);
        }
        let client = world.administrator().await;
        for path in KINDS {
            for object in objects(&client, path).await {
                state.take_object(path, object, &plain);
            }
        }
        state.lines.sort();
        state.numbers.sort();
        state
    }

    fn take(&mut self, record: Record, plain: &Plain<'_>) {
        let value = &record.value;
        // By the worker or a cluster, and not because somebody called.
        let by_itself = matches!(value["role"].as_str(), Some("component" | "cluster"));
        match record.kind.as_str() {
            // A day of the quota's history is written when the hour of its job comes.
            "quotahistory" => return,
            "audit" if by_itself => {}
            "audit" => {
                let id = value["request_id"].as_str().unwrap_or_default();
                let name = plain.names.get(id).copied().unwrap_or("a change that nobody asked for");
                *self.audited.entry(name.to_owned()).or_default() += 1;
            }
            "receipt" => self.receipts += 1,
            "invoice" => {
                self.numbers.extend(value["number"].as_str().filter(|n| !n.is_empty()).map(str::to_owned))
            }
            "operation" if value["done"] != true => self.open += 1,
            _ => {}
        }
        let mut value = record.value;
        if by_itself && let Value::Object(fields) = &mut value {
            // Names revisions and what was found at that moment.
            fields.retain(|key, _| !matches!(key.as_str(), "changes" | "summary"));
        }
        plain.value(&mut value);
        let line = format!("etcd {} {value}", plain.text(&record.key));
        // A cluster's words are kept as often as something changed by them.
        if !(value["role"] == "cluster" && self.lines.contains(&line)) {
            self.lines.push(line);
        }
    }

    fn take_object(&mut self, path: &str, mut object: Value, plain: &Plain<'_>) {
        let kind = path.rsplit('/').next().unwrap_or_default();
        let place = |object: &Value| object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if object["type"] == RELEASE {
            let label = |key: &str| object["metadata"]["labels"][key].as_str().unwrap_or_default().to_owned();
            let release = format!("{}/{}", place(&object), label("name"));
            match label("status").as_str() {
                "deployed" => *self.deployed.entry(release).or_default() += 1,
                "superseded" => {}
                other => self.lines.push(format!("cluster release {release} {other}")),
            }
            return;
        }
        let ours =
            place(&object).starts_with("m-") || place(&object) == "allmende-system" || name.starts_with("m-");
        if !ours || name == "kube-root-ca.crt" {
            return;
        }
        reduce(kind, &mut object);
        plain.value(&mut object);
        self.lines.push(format!("cluster {kind} {object}"));
    }

    /// What is there once in both, or why not.
    ///
    /// # Panics
    /// With the difference.
    pub fn must_equal(&self, other: &Self) {
        let (here, there): (BTreeSet<_>, BTreeSet<_>) =
            (self.lines.iter().collect(), other.lines.iter().collect());
        let more: Vec<_> = here.difference(&there).collect();
        let less: Vec<_> = there.difference(&here).collect();
        assert!(
            more.is_empty() && less.is_empty(),
            "only after the fault:\n{more:#?}\nonly undisturbed:\n{less:#?}"
        );
        assert_eq!(self, other, "something is there more or less often");
    }
}

/// Keeps what is asked for and what is reported of our own kinds and of quotas; a secret's content is chance, its keys are not.
fn reduce(kind: &str, object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    if !matches!(kind, "tenants" | "serviceinstances" | "resourcequotas") {
        fields.remove("status");
    }
    // Kubernetes counts what is used when it comes to it: minutes later, it may be.
    if kind == "resourcequotas"
        && let Some(Value::Object(status)) = fields.get_mut("status")
    {
        status.remove("used");
    }
    if kind == "tenants"
        && let Some(Value::Object(status)) = fields.get_mut("status")
    {
        status.retain(|key, _| !matches!(key.as_str(), "quotas" | "quotasTime"));
    }
    if kind == "secrets"
        && let Some(Value::Object(data)) = fields.get_mut("data")
    {
        data.values_mut().for_each(|value| *value = Value::Null);
    }
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        metadata.retain(|key, _| {
            matches!(
                key.as_str(),
                "name" | "namespace" | "labels" | "annotations" | "finalizers" | "deletionTimestamp"
            )
        });
    }
}

async fn objects(client: &Client, path: &str) -> Vec<Value> {
    let request = Request::new(path).list(&ListParams::default()).unwrap();
    let mut list: Value = serde_json::from_str(&client.request_text(request).await.unwrap()).unwrap();
    match list["items"].take() {
        Value::Array(items) => items,
        other => panic!("{path}: {other}"),
    }
}

fn host(chart: &str) -> String {
    chart.trim_start_matches("oci://").split('/').next().unwrap_or_default().to_owned()
}

/// Replaces what is chance.
struct Plain<'a> {
    /// Changes by their request ids.
    names: BTreeMap<String, &'a str>,
    /// Of the registry; has a port of its own.
    host: String,
}

impl Plain<'_> {
    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                let kept =
                    std::mem::take(fields).into_iter().filter(|(key, _)| !CHANCE.contains(&key.as_str()));
                *fields = kept
                    .map(|(key, mut value)| {
                        self.value(&mut value);
                        (self.text(&key), value)
                    })
                    .collect::<Map<_, _>>();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&self, text: &str) -> String {
        let text = text.replace(&self.host, "<registry>");
        let mut plain = String::new();
        let part_of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '+');
        for piece in text.split_inclusive(|c: char| !part_of_word(c)) {
            let end = piece.rfind(part_of_word).map_or(0, |last| last + 1);
            plain.push_str(&self.word(&piece[..end]));
            plain.push_str(&piece[end..]);
        }
        plain
    }

    fn word(&self, word: &str) -> String {
        let hex = |text: &str| text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(name) = self.names.get(word) {
            format!("<{name}>")
        } else if word.len() == 36 && word.parse::<uuid::Uuid>().is_ok() {
            "<uuid>".to_owned()
        } else if hex(word.rsplit(':').next().unwrap_or_default()) {
            "<digest>".to_owned()
        } else if word.parse::<Timestamp>().is_ok()
            || (word.len() == 20 && word.bytes().all(|b| b.is_ascii_digit()))
        {
            "<time>".to_owned()
        } else {
            word.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_replaced_and_nothing_else() {
        let names = BTreeMap::from([(request_id("order"), "order")]);
        let plain = Plain { names, host: "127.0.0.1:5000".to_owned() };
        let digest = "ab".repeat(32);
        let text = format!("oci://127.0.0.1:5000/charts/note@sha256:{digest} at 2026-11-24T10:00:00Z");
        assert_eq!(plain.text(&text), "oci://<registry>/charts/note@<digest> at <time>");
        assert_eq!(plain.text(&format!("/receipt/{}/", request_id("order"))), "/receipt/<order>/");
        assert_eq!(
            plain.text("members/m-05766044/invoices/MPG-2026-000001"),
            "members/m-05766044/invoices/MPG-2026-000001"
        );
    }

    fn with(lines: &[&str]) -> State {
        State {
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            audited: BTreeMap::new(),
            receipts: 0,
            numbers: Vec::new(),
            deployed: BTreeMap::new(),
            open: 0,
        }
    }

    #[test]
    #[should_panic(expected = "more or less often")]
    fn what_is_there_twice_is_noticed() {
        with(&["fact", "fact"]).must_equal(&with(&["fact"]));
    }

    #[test]
    #[should_panic(expected = "only undisturbed")]
    fn what_is_missing_is_noticed() {
        with(&["fact"]).must_equal(&with(&["fact", "invoice"]));
    }
}
