//! What a preflight says: one verdict for each check, as JSON for programs and as text for people.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How one check ended, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it must be.
    Passed,
    /// It works, and somebody should look at it.
    Warning,
    /// It could not be found out, which counts as not being so.
    NotProven,
    /// Not as it must be.
    Failed,
}

/// What a check came to, before it has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How it ended.
    pub state: State,
    /// What was seen.
    pub detail: String,
    /// What to do about it.
    pub remedy: String,
}

impl Verdict {
    /// As it must be.
    pub fn passed(detail: impl Into<String>) -> Self {
        Self { state: State::Passed, detail: detail.into(), remedy: String::new() }
    }

    /// Somebody should look at it.
    pub fn warning(detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Warning, detail: detail.into(), remedy: remedy.into() }
    }

    /// It could not be found out.
    pub fn not_proven(detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::NotProven, detail: detail.into(), remedy: remedy.into() }
    }

    /// Not as it must be.
    pub fn failed(detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Failed, detail: detail.into(), remedy: remedy.into() }
    }

    /// The API server did not let us look.
    pub fn unreadable(what: &str, error: &kube::Error) -> Self {
        let why = match error {
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        };
        Self::not_proven(
            format!("{what} could not be read: {why}"),
            "run with the rights of the chart's preflight account, or as an administrator",
        )
    }
}

/// A check: its stable id and what people call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// Part of the contract with the API.
    pub id: &'static str,
    /// For people.
    pub title: &'static str,
}

/// Version of the API server.
pub const VERSION: Subject = Subject { id: "kubernetes-version", title: "Kubernetes version" };
/// Admission policies; the API counts on this id.
pub const ADMISSION: Subject = Subject { id: "admission-policy", title: "Admission policies refuse" };
/// Network policies; the API counts on this id.
pub const NETWORK: Subject = Subject { id: "network-policy", title: "Network policies are enforced" };
/// The default storage class.
pub const STORAGE: Subject = Subject { id: "storage-class", title: "Default storage class" };
/// Its encryption.
pub const ENCRYPTION: Subject = Subject { id: "storage-encryption", title: "Storage is encrypted" };
/// How members sign in to the cluster.
pub const OIDC: Subject = Subject { id: "oidc", title: "Members sign in by OIDC" };
/// Webhooks of others.
pub const WEBHOOKS: Subject = Subject { id: "webhooks", title: "Webhooks of others" };
/// Where charts come from.
pub const REGISTRY: Subject = Subject { id: "registry", title: "Registry is in reach" };
/// The clocks.
pub const CLOCK: Subject = Subject { id: "clock", title: "Clocks agree" };

impl Subject {
    /// The verdict under its name.
    #[must_use]
    pub fn found(self, verdict: Verdict) -> Check {
        Check {
            id: self.id.to_owned(),
            title: self.title.to_owned(),
            state: verdict.state,
            detail: verdict.detail,
            remedy: verdict.remedy,
        }
    }
}

/// One verdict with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Stable.
    pub id: String,
    /// For people.
    pub title: String,
    /// How it ended.
    pub state: State,
    /// What was seen.
    pub detail: String,
    /// What to do about it; empty when nothing is to be done.
    #[serde(default)]
    pub remedy: String,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When the last check ended.
    pub time: Timestamp,
    /// Version of this program.
    pub program_version: String,
    /// As the API server says; empty when it does not.
    pub kubernetes_version: String,
    /// In the order in which people should read them.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether a check failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.checks.iter().any(|check| check.state == State::Failed)
    }

    /// For people: a line for each check, and below it what to do.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("Kubernetes {} at {}\n", self.kubernetes_version, self.time);
        for check in &self.checks {
            let mark = match check.state {
                State::Passed => "✓ passed    ",
                State::Warning => "! warning   ",
                State::NotProven => "? not proven",
                State::Failed => "✗ failed    ",
            };
            text.push_str(&format!("{mark}  {}: {}\n", check.title, check.detail));
            for line in check.remedy.lines().filter(|_| check.state != State::Passed) {
                text.push_str(&format!("                {line}\n"));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_back_as_it_was_written_and_only_a_failed_check_fails_it() {
        let mut report = Report {
            time: "2026-11-24T10:00:00Z".parse().unwrap(),
            program_version: "0.1.0".into(),
            kubernetes_version: "v1.36.0".into(),
            checks: vec![
                CLOCK.found(Verdict::passed("0.0 s")),
                NETWORK.found(Verdict::not_proven("no image", "say --image")),
            ],
        };
        let json = serde_json::to_string(&report).unwrap();
        assert!(json.contains(r#""state":"not-proven""#), "{json}");
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
        assert!(!report.has_failed());
        assert!(
            report.text().contains("? not proven  Network policies are enforced: no image\n"),
            "{}",
            report.text()
        );
        report.checks.push(OIDC.found(Verdict::failed("x", "y")));
        assert!(report.has_failed());
    }
}
