//! Whether a cluster is fit for members, and what that means for the tenants on it: what is not proven counts as not being so.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ids::ClusterId;

/// The check by a probe that network policies are enforced.
pub const NETWORK_POLICY: &str = "network-policy";
/// The check by a dry run that admission policies refuse.
pub const ADMISSION_POLICY: &str = "admission-policy";
/// A report proves nothing after this time: clusters change. The chart checks every week.
const PROVES_FOR: SignedDuration = SignedDuration::from_hours(31 * 24);

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckState {
    /// As it must be.
    Passed,
    /// It works, and somebody should look at it.
    Warning,
    /// It could not be found out.
    NotProven,
    /// Not as it must be.
    Failed,
}

/// One verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Stable, [`NETWORK_POLICY`] for example.
    pub id: String,
    /// For people.
    pub title: String,
    /// How it ended.
    pub state: CheckState,
    /// What was seen.
    pub detail: String,
    /// What to do about it.
    pub remedy: String,
}

/// What was found on one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightReport {
    /// Where.
    pub cluster: ClusterId,
    /// When, as the cluster says. Its clock may be wrong: see [`taken`](Self::taken).
    pub time: Timestamp,
    /// When it was received for the first time.
    pub received: Timestamp,
    /// Version of the program that checked.
    pub program_version: String,
    /// As the API server says.
    pub kubernetes_version: String,
    /// The verdicts, each id once.
    pub checks: Vec<Check>,
}

/// Whether tenants on a cluster are known to be apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Isolation {
    /// Why not, for members; empty when it is proven.
    pub reasons: Vec<String>,
}

impl Isolation {
    /// Whether it is proven.
    pub fn proven(&self) -> bool {
        self.reasons.is_empty()
    }

    /// What the last report of a cluster, if any, proves at `now`.
    pub fn of(report: Option<&PreflightReport>, now: Timestamp) -> Self {
        let Some(report) = report else {
            return Self { reasons: vec!["der Cluster wurde noch nicht geprüft".to_owned()] };
        };
        let mut reasons = Vec::new();
        if now.duration_since(report.taken()) > PROVES_FOR {
            reasons.push("die letzte Prüfung des Clusters ist älter als 31 Tage".to_owned());
        }
        for (id, what) in [(NETWORK_POLICY, "Netzwerkregeln"), (ADMISSION_POLICY, "Zulassungsregeln")] {
            match report.state(id) {
                Some(CheckState::Passed) => {}
                Some(CheckState::Failed) => {
                    reasons.push(format!("{what} werden auf dem Cluster nicht durchgesetzt"));
                }
                Some(CheckState::Warning | CheckState::NotProven) | None => {
                    reasons.push(format!("die Durchsetzung der {what} ist nicht nachgewiesen"));
                }
            }
        }
        Self { reasons }
    }
}

impl PreflightReport {
    /// When it was made at the latest: a look from the future would prove something for too long.
    pub fn taken(&self) -> Timestamp {
        self.time.min(self.received)
    }

    /// Whether it says something after `kept`: neither the same look told again nor an older one does.
    pub fn is_news_after(&self, kept: &Self) -> bool {
        self.time != kept.time && self.taken() > kept.taken()
    }

    fn state(&self, id: &str) -> Option<CheckState> {
        self.checks.iter().find(|check| check.id == id).map(|check| check.state)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: &str = "2026-11-24T10:00:00Z";

    fn report(checks: &[(&str, CheckState)], time: &str) -> PreflightReport {
        let check = |(id, state): &(&str, CheckState)| Check {
            id: (*id).to_owned(),
            title: String::new(),
            state: *state,
            detail: String::new(),
            remedy: String::new(),
        };
        PreflightReport {
            cluster: "local-1".parse().unwrap(),
            time: time.parse().unwrap(),
            received: NOW.parse().unwrap(),
            program_version: String::new(),
            kubernetes_version: String::new(),
            checks: checks.iter().map(check).collect(),
        }
    }

    fn at(report: Option<&PreflightReport>) -> Isolation {
        Isolation::of(report, NOW.parse().unwrap())
    }

    #[test]
    fn a_cluster_that_nobody_looked_at_and_an_old_look_prove_nothing() {
        assert_eq!(at(None).reasons, ["der Cluster wurde noch nicht geprüft"]);
        let both = [(NETWORK_POLICY, CheckState::Passed), (ADMISSION_POLICY, CheckState::Passed)];
        assert!(at(Some(&report(&both, "2026-11-01T10:00:00Z"))).proven());
        assert!(!at(Some(&report(&both, "2026-10-01T10:00:00Z"))).proven());
    }

    #[test]
    fn a_failed_wall_is_told_apart_from_one_that_was_not_looked_at() {
        let seen = report(&[(NETWORK_POLICY, CheckState::Failed)], NOW);
        let reasons = [
            "Netzwerkregeln werden auf dem Cluster nicht durchgesetzt",
            "die Durchsetzung der Zulassungsregeln ist nicht nachgewiesen",
        ];
        assert_eq!(at(Some(&seen)).reasons, reasons);
    }

    #[test]
    fn a_clock_that_is_ahead_neither_keeps_a_look_young_nor_shuts_out_later_ones() {
        let early = report(&[], "2030-01-01T00:00:00Z");
        let again = PreflightReport { received: "2026-11-25T10:00:00Z".parse().unwrap(), ..early.clone() };
        assert!(!again.is_news_after(&early));
        let right = PreflightReport { time: again.received, ..again };
        assert!(right.is_news_after(&early) && !early.is_news_after(&right));
        let both = [(NETWORK_POLICY, CheckState::Passed), (ADMISSION_POLICY, CheckState::Passed)];
        let ahead = report(&both, "2030-01-01T00:00:00Z");
        assert!(!Isolation::of(Some(&ahead), "2026-12-31T00:00:00Z".parse().unwrap()).proven());
    }

    proptest! {
        #[test]
        fn only_both_walls_passed_prove_isolation_whatever_else_was_found(
            found in prop::collection::btree_map(
                prop::sample::select(vec![NETWORK_POLICY, ADMISSION_POLICY, "clock", "oidc"]),
                prop::sample::select(vec![CheckState::Passed, CheckState::Warning, CheckState::NotProven, CheckState::Failed]),
                0..5,
            ),
        ) {
            let checks: Vec<_> = found.iter().map(|(id, state)| (*id, *state)).collect();
            let passed = |id| found.get(id) == Some(&CheckState::Passed);
            let proven = at(Some(&report(&checks, NOW))).proven();
            prop_assert_eq!(proven, passed(NETWORK_POLICY) && passed(ADMISSION_POLICY));
        }
    }
}
