//! The checks of the benchmark: what must be refused, what must be let through, what is looked at.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod matrix;
mod namespaces;
mod pods;

use crate::walls::{
    ask::{Ask, count, refuser},
    yard::Yard,
};

/// Something that was looked at.
pub(crate) struct Fact {
    pub(crate) text: String,
    pub(crate) holds: bool,
}

/// One check.
pub(crate) struct Check {
    pub(crate) id: &'static str,
    pub(crate) level: &'static str,
    pub(crate) title: &'static str,
    pub(crate) refused: Vec<Ask>,
    pub(crate) allowed: Vec<Ask>,
    pub(crate) facts: Vec<Fact>,
}

impl Check {
    fn new(id: &'static str, level: &'static str, title: &'static str) -> Self {
        Self { id, level, title, refused: Vec::new(), allowed: Vec::new(), facts: Vec::new() }
    }

    fn refuses(mut self, asks: impl IntoIterator<Item = Ask>) -> Self {
        self.refused.extend(asks);
        self
    }

    fn allows(mut self, asks: impl IntoIterator<Item = Ask>) -> Self {
        self.allowed.extend(asks);
        self
    }

    fn sees(mut self, text: impl Into<String>, holds: bool) -> Self {
        self.facts.push(Fact { text: text.into(), holds });
        self
    }
}

/// What came of one check.
pub(crate) struct Findings {
    /// Who refused, and how often.
    pub(crate) walls: String,
    pub(crate) wrong: Vec<String>,
}

impl Findings {
    pub(crate) async fn of(yard: &Yard, check: &Check) -> Self {
        let mut wrong: Vec<String> = check
            .facts
            .iter()
            .filter(|fact| !fact.holds)
            .map(|fact| format!("not so: {}", fact.text))
            .collect();
        let mut walls = Vec::new();
        for ask in &check.refused {
            let answer = yard.send(ask, check.id).await;
            match refuser(&answer).filter(|_| ask.codes.contains(&answer.code)) {
                Some(wall) => walls.push(wall),
                None => wrong.push(format!("{} was answered {} {}", ask.line(), answer.code, answer.text)),
            }
        }
        for ask in &check.allowed {
            let answer = yard.send(ask, check.id).await;
            if answer.code != 200 {
                wrong.push(format!("{} was refused: {} {}", ask.line(), answer.code, answer.text));
            }
        }
        Self { walls: count(walls.into_iter()), wrong }
    }
}

/// All checks, in the benchmark's order.
pub(crate) async fn all(yard: &Yard) -> Vec<Check> {
    let mut checks = vec![matrix::cluster_resources(yard).await];
    checks.push(namespaces::managed_objects());
    checks.extend(pods::security());
    checks.push(namespaces::quotas());
    checks.push(matrix::other_tenants(yard).await);
    checks.extend(namespaces::limits(yard).await);
    checks.extend(pods::hosts());
    checks.extend(namespaces::self_service());
    checks.extend(namespaces::pending(yard).await);
    checks
}
