//! What the API server's audit log says of one request.

use std::collections::HashMap;

use allmende_testkit::kubernetes::TestKubernetes;
use serde_json::Value;

/// Who really asked, and what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub user: String,
    pub code: u64,
    /// Annotations of the policies; empty where RBAC refused first.
    pub tenant: Option<String>,
}

/// The log by the id that the caller gave to each request.
pub fn records(kubernetes: &TestKubernetes) -> HashMap<String, Record> {
    let text = std::fs::read_to_string(kubernetes.folder().join("audit.log")).unwrap();
    // The last line may be half written.
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete.lines().map(|line| record(&serde_json::from_str(line).unwrap())).collect()
}

fn record(line: &Value) -> (String, Record) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let annotations = line["annotations"].as_object();
    let tenant = annotations
        .and_then(|all| all.iter().find(|(key, _)| key.ends_with("/tenant")).map(|(_, value)| text(value)));
    let record = Record {
        user: text(&line["user"]["username"]),
        code: line["responseStatus"]["code"].as_u64().unwrap_or_default(),
        tenant,
    };
    (text(&line["auditID"]), record)
}
