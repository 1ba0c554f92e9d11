//! The escape attempts on a real API server, with our chart's rights and policies and two members' tenants made by the real reconciler:
//! every request is refused by a wall that is named, changes nothing, and stands in the audit log under the real caller.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod attempts;
mod cluster;
mod walls;

use std::{collections::HashMap, fmt::Write};

use attempts::Row;
use cluster::eventually;
use serde_json::Value;
use walls::{
    ask::{Answer, Ask, Who, count, refuser},
    chart, document,
    record::{Record, records},
    state::{changes, read},
    yard::{OWN, OWN_SERVICES, Yard},
};

/// One row with what came of it.
struct Outcome {
    row: Row,
    answers: Vec<Answer>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_leaves_the_own_tenant_and_every_attempt_is_on_record() {
    let yard = Yard::open().await;
    let rows = attempts::all(&yard).await;
    let mut outcomes = tried(&yard, rows).await;
    document::settle_section("escapes.md", "cluster", &table(&outcomes));
    let with_operator = tried(&yard, attempts::operator::rows()).await;
    document::settle_section("escapes.md", "operator", &table(&with_operator));
    outcomes.extend(with_operator);
    each_policy_is_missed(&yard, &outcomes).await;
}

/// Every policy of the chart stopped something, and without its binding that is no longer stopped by it: the attempts would find a wall that
/// is not there.
async fn each_policy_is_missed(yard: &Yard, outcomes: &[Outcome]) {
    // One refuses nothing, the other guards what is tried with the chart's own tests.
    let elsewhere = ["allmende-operator-audit", "allmende-operator-definitions"];
    let policies: Value =
        yard.read("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies").await;
    let names = policies["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|policy| policy["metadata"]["name"].as_str().unwrap());
    for name in names.filter(|name| !elsewhere.contains(name)) {
        let wall = format!("policy {}", name.trim_start_matches("allmende-operator-"));
        let stopped = outcomes.iter().flat_map(|outcome| outcome.row.asks.iter().zip(&outcome.answers));
        let mut stopped = stopped.filter(|(_, answer)| refuser(answer).as_deref() == Some(wall.as_str()));
        let ask = stopped.next().unwrap_or_else(|| panic!("no attempt is stopped by {wall}")).0.dry();
        chart::remove_binding(&yard.administrator, name).await;
        eventually(&format!("{wall} is missed by {}", ask.line()), async || {
            refuser(&yard.send(&ask, "missed").await).as_deref() != Some(wall.as_str())
        })
        .await;
    }
}

/// Tries all rows; panics with everything that went wrong.
async fn tried(yard: &Yard, rows: Vec<Row>) -> Vec<Outcome> {
    let mut wrong = Vec::new();
    let mut outcomes = Vec::new();
    let mut before = read(&yard.administrator).await;
    for row in rows {
        let mut answers = Vec::new();
        for (index, ask) in row.asks.iter().enumerate() {
            let answer = yard.send(ask, &id(&row, index)).await;
            if !ask.codes.contains(&answer.code) {
                wrong.push(format!("{} {}: {} {}", row.id, ask.line(), answer.code, excerpt(&answer.text)));
            } else if refuser(&answer).is_none() {
                wrong.push(format!("{} {}: by what? {}", row.id, ask.line(), answer.text));
            }
            answers.push(answer);
        }
        let after = read(&yard.administrator).await;
        wrong.extend(changes(&before, &after).into_iter().map(|name| format!("{} changed {name}", row.id)));
        before = after;
        outcomes.push(Outcome { row, answers });
    }
    let log = records(&yard.kubernetes);
    for outcome in &outcomes {
        wrong.extend(unrecorded(yard, outcome, &log));
    }
    assert!(wrong.is_empty(), "{} of the attempts went wrong:\n{}", wrong.len(), wrong.join("\n"));
    outcomes
}

/// The id under which a request stands in the audit log.
fn id(row: &Row, index: usize) -> String {
    format!("{}-{index}", row.id)
}

fn excerpt(text: &str) -> String {
    text.chars().take(300).collect()
}

/// Requests that the audit log does not have, or under another name or with another answer.
fn unrecorded(yard: &Yard, outcome: &Outcome, log: &HashMap<String, Record>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (index, (ask, answer)) in outcome.row.asks.iter().zip(&outcome.answers).enumerate() {
        let id = id(&outcome.row, index);
        match log.get(&id) {
            None => wrong.push(format!("{id} {} is not in the audit log", ask.line())),
            Some(record) if record.user != yard.name(ask.who) && ask.who != Who::Nobody => {
                wrong.push(format!("{id} {} stands there as {}", ask.line(), record.user));
            }
            Some(record) if record.code != u64::from(answer.code) => {
                wrong.push(format!(
                    "{id} {} stands there with {} instead of {}",
                    ask.line(),
                    record.code,
                    answer.code
                ));
            }
            Some(record)
                if is_written_at_home(ask)
                    && ask.who != Who::Operator
                    && answer.text.contains("ValidatingAdmissionPolicy") =>
            {
                if record.tenant.as_deref() != Some("m-05374048/prod") {
                    wrong.push(format!("{id} {} does not name the tenant: {:?}", ask.line(), record.tenant));
                }
            }
            Some(_) => {}
        }
    }
    wrong
}

/// A write in the own tenant: the policies name the tenant in the audit log.
fn is_written_at_home(ask: &Ask) -> bool {
    [OWN, OWN_SERVICES].iter().any(|name| ask.path.contains(&format!("/namespaces/{name}/")))
        && !ask.path.starts_with("/api/v1/namespaces/m-05374048-prod/status")
        && !ask.path.contains("/finalize")
}

fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "| id | attempt | how | requests | answers | refused by |\n|---|---|---|---:|---|---|\n",
    );
    for Outcome { row, answers } in outcomes {
        let codes = count(answers.iter().map(|answer| answer.code));
        let walls = count(answers.iter().filter_map(refuser));
        writeln!(
            text,
            "| {} | {} | {} | {} | {codes} | {walls} |",
            row.id,
            row.title,
            row.tried,
            answers.len()
        )
        .unwrap();
    }
    let all: usize = outcomes.iter().map(|outcome| outcome.answers.len()).sum();
    writeln!(
        text,
        "\n{} attempts, {all} requests: all refused, nothing changed, all in the audit log under the real caller.",
        outcomes.len()
    )
    .unwrap();
    text
}
