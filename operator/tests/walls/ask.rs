//! One request as somebody sends it, raw, and who refused it.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// The member's admin, by the group that Allmende bound.
    Admin,
    /// The member's viewer.
    Viewer,
    /// A service account of the workspace with the widest role that the admin can give.
    Account,
    /// The account that runs the catalogue's charts in the member's services namespace.
    Release,
    /// An administrator of the cluster: what RBAC lets pass, the policies must stop.
    Cluster,
    /// The other member's admin.
    Neighbour,
    /// Somebody who stole the operator's account.
    Operator,
    /// The controller of Kubernetes that ends namespaces.
    Kubernetes,
    /// Nobody: no certificate, no token.
    Nobody,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Ask {
    pub who: Who,
    pub method: Method,
    pub path: String,
    pub kind: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// Answers that count as refused.
    pub codes: Vec<u16>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub code: u16,
    pub text: String,
}

pub const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const OPERATIONS: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

impl Ask {
    fn new(who: Who, method: Method, path: impl Into<String>, kind: &'static str, body: String) -> Self {
        Self { who, method, path: path.into(), kind, headers: Vec::new(), body, codes: vec![403] }
    }

    pub fn get(who: Who, path: impl Into<String>) -> Self {
        Self::new(who, Method::GET, path, JSON, String::new())
    }

    pub fn post(who: Who, path: impl Into<String>, body: &Value) -> Self {
        Self::new(who, Method::POST, path, JSON, body.to_string())
    }

    pub fn put(who: Who, path: impl Into<String>, body: &Value) -> Self {
        Self::new(who, Method::PUT, path, JSON, body.to_string())
    }

    pub fn delete(who: Who, path: impl Into<String>) -> Self {
        Self::new(who, Method::DELETE, path, JSON, String::new())
    }

    /// The same change by each of the four kinds of patch. `merge` holds what changes, and for server-side apply names the object.
    pub fn patches(who: Who, path: &str, merge: &Value, operations: &Value) -> Vec<Self> {
        let mut asks = vec![
            Self::new(who, Method::PATCH, path, MERGE, merge.to_string()),
            Self::new(who, Method::PATCH, path, STRATEGIC, merge.to_string()),
            Self::new(who, Method::PATCH, path, OPERATIONS, operations.to_string()),
        ];
        let apply = format!("{path}?fieldManager=escape&force=true");
        asks.push(Self::new(who, Method::PATCH, apply, APPLY, without_nulls(merge.clone()).to_string()));
        asks
    }

    /// As [`Ask::patches`], without the strategic one, which Kubernetes does not know for custom resources.
    pub fn patches_of_custom(who: Who, path: &str, merge: &Value, operations: &Value) -> Vec<Self> {
        Self::patches(who, path, merge, operations).into_iter().filter(|ask| ask.kind != STRATEGIC).collect()
    }

    pub fn with(mut self, header: &'static str, value: &str) -> Self {
        self.headers.push((header, value.to_owned()));
        self
    }

    /// The same without effect.
    pub fn dry(&self) -> Self {
        let sign = if self.path.contains('?') { '&' } else { '?' };
        Self { path: format!("{}{sign}dryRun=All", self.path), ..self.clone() }
    }

    pub fn refused_with(mut self, codes: &[u16]) -> Self {
        self.codes = codes.to_vec();
        self
    }

    /// Verb, path and kind of patch, for the report of a failure.
    pub fn line(&self) -> String {
        format!("{:?}: {} {} {}", self.who, self.method, self.path, self.kind)
    }
}

/// For each of several callers.
pub fn each(callers: &[Who], asks: impl Fn(Who) -> Vec<Ask>) -> Vec<Ask> {
    callers.iter().flat_map(|who| asks(*who)).collect()
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

/// Which wall said no, by the words that Kubernetes uses; `None` for an answer that no wall gives.
pub fn refuser(answer: &Answer) -> Option<String> {
    let text = answer.text.as_str();
    if let Some((_, rest)) = text.split_once("ValidatingAdmissionPolicy 'allmende-operator-") {
        return Some(format!("policy {}", rest.split('\'').next().unwrap_or_default()));
    }
    let found = [
        ("violates PodSecurity", "Pod Security"),
        ("exceeded quota", "quota"),
        ("attempting to grant RBAC permissions not currently held", "RBAC (no rights that one lacks)"),
        ("this namespace may not be deleted", "Kubernetes itself"),
        ("is immutable", "schema"),
        ("cannot ", "RBAC"),
        ("error looking up service account", "service account is not there"),
        ("continue key is not valid", "paging token"),
        ("could not find the requested resource", "no such path"),
        ("404 page not found", "no such path"),
        ("not found", "no such object"),
        ("Unauthorized", "authentication"),
    ];
    found.iter().find(|(words, _)| text.contains(words)).map(|(_, name)| (*name).to_owned())
}

/// `403 ×12, 404 ×2`.
pub fn count<T: Ord + std::fmt::Display>(values: impl Iterator<Item = T>) -> String {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_insert(0_usize) += 1;
    }
    let parts: Vec<String> = counts.into_iter().map(|(value, count)| format!("{value} ×{count}")).collect();
    parts.join(", ")
}

/// Removes keys of `metadata`, as an operation each.
pub fn removals(paths: &[&str]) -> Value {
    paths.iter().map(|path| json!({"op": "remove", "path": path})).collect()
}
