//! The checks of the multi-tenancy benchmark, and the pending ones that can be looked at without a node, against two tenants that the real
//! operator made under its chart's rights and policies.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod benchmark;
mod cluster;
mod walls;

use std::fmt::Write;

use benchmark::{Check, Findings};
use walls::{document, yard::Yard};

const HEAD: &str = "# Tenancy\n\n\
    The 19 checks of the multi-tenancy benchmark of the Kubernetes working group, and four that it lists as pending, run by\n\
    `cargo test -p allmende-operator --test tenancy` against tenants made by the operator on a real API server. The test writes this table\n\
    (`ALLMENDE_WRITE_DOCS=1`) and compares it whenever it runs. A refusal counts only when the wall that refused is known, and beside it stands\n\
    what must be let through, so that a check does not pass because nothing works.\n\n\
    There is no node here: whether the network plugin *enforces* the policies that are looked at, the cluster's preflight must show.\n\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checks_of_the_multi_tenancy_benchmark_pass() {
    let yard = Yard::open().await;
    let mut wrong = Vec::new();
    let mut lines = Vec::new();
    for check in benchmark::all(&yard).await {
        let findings = Findings::of(&yard, &check).await;
        wrong.extend(findings.wrong.iter().map(|text| format!("{} {}: {text}", check.id, check.title)));
        lines.push(line(&check, &findings));
    }
    assert!(wrong.is_empty(), "{} things went wrong:\n{}", wrong.len(), wrong.join("\n"));
    let mut text = format!(
        "{HEAD}| id | level | check | refused | by | let through | looked at |\n|---|---|---|---:|---|---:|---|\n"
    );
    text.extend(lines);
    document::settle("tenancy.md", &text);
}

fn line(check: &Check, findings: &Findings) -> String {
    let mut text = String::new();
    writeln!(
        text,
        "| {} | {} | {} | {} | {} | {} | {} |",
        check.id,
        check.level,
        check.title,
        check.refused.len(),
        findings.walls,
        check.allowed.len(),
        check.facts.iter().map(|fact| fact.text.as_str()).collect::<Vec<_>>().join("; "),
    )
    .unwrap();
    text
}
