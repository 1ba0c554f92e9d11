//! The catalogue: offerings, their versions and plans. A published version never changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{OfferingId, PlanId},
    resources::{AmountError, Resources},
    violation::FieldViolation,
};

/// A catalogue entry (Leistungsangebot).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offering {
    /// Permanent.
    pub id: OfferingId,
    /// German title.
    pub title: String,
    /// German description.
    pub description: String,
    /// In order of publication.
    pub versions: Vec<OfferingVersion>,
}

/// One version of an offering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferingVersion {
    /// For example `1.0.0`.
    pub version: String,
    /// OCI reference of the chart, by digest.
    pub chart: String,
    /// JSON Schema of the parameters.
    pub parameters_schema: String,
    /// At least one.
    pub plans: Vec<Plan>,
    /// Fields of the instance's secret.
    pub secret_fields: Vec<SecretField>,
    /// What the binding adds.
    pub binding_fields: BTreeMap<String, String>,
    /// Limit of one Helm run, seconds.
    pub timeout_seconds: u32,
    /// When it was published.
    pub publish_time: Timestamp,
}

/// A field of the secret that the operator makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretField {
    /// Key in the secret.
    pub key: String,
    /// Fixed value; empty: generated. Never a password.
    pub value: String,
    /// Part of the binding that the member reads.
    pub bound: bool,
}

/// One size or variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Within the version.
    pub id: PlanId,
    /// German title.
    pub title: String,
    /// JSON object: chart values before the parameters.
    pub values_json: String,
    /// What one instance takes, part by part.
    pub footprint: Vec<FootprintPart>,
}

/// One part of a footprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FootprintPart {
    /// For people.
    pub title: String,
    /// How much.
    pub resources: Resources,
}

impl Plan {
    /// Sum of the parts: what an instance reserves.
    ///
    /// # Errors
    /// When the sum is no amount.
    pub fn footprint_sum(&self) -> Result<Resources, AmountError> {
        Resources::sum(self.footprint.iter().map(|part| &part.resources))
    }
}

impl Offering {
    /// A version by its text, or the newest for an empty one.
    pub fn version(&self, version: &str) -> Option<&OfferingVersion> {
        if version.is_empty() {
            self.versions.last()
        } else {
            self.versions.iter().find(|v| v.version == version)
        }
    }
}

impl OfferingVersion {
    /// A plan by its id.
    pub fn plan(&self, plan: &str) -> Option<&Plan> {
        self.plans.iter().find(|p| p.id.as_str() == plan)
    }

    /// Everything that is wrong, beside the JSON texts, which the API checks; paths as in the proto message `OfferingVersion`.
    pub fn violations(&self) -> Vec<FieldViolation> {
        let mut wrong = Vec::new();
        let parts: Vec<&str> = self.version.split('.').collect();
        if parts.len() != 3 || !parts.iter().all(|part| part.parse::<u32>().is_ok()) {
            wrong.push(FieldViolation::new("version", "must be three numbers such as 1.0.0"));
        }
        if !is_chart_by_digest(&self.chart) {
            wrong.push(FieldViolation::new(
                "chart",
                "must be oci://host/repository@sha256: and 64 hex digits",
            ));
        }
        if !(30..=3600).contains(&self.timeout_seconds) {
            wrong.push(FieldViolation::new("timeout_seconds", "must be 30 to 3600"));
        }
        if self.plans.is_empty() {
            wrong.push(FieldViolation::new("plans", "at least one plan is needed"));
        }
        for (index, plan) in self.plans.iter().enumerate() {
            let path = format!("plans[{index}]");
            if self.plans.iter().take(index).any(|other| other.id == plan.id) {
                wrong.push(FieldViolation::new(format!("{path}.id"), "is there twice"));
            }
            for (part, footprint) in plan.footprint.iter().enumerate() {
                for field in footprint.resources.fields_out_of_range() {
                    let path = format!("{path}.footprint[{part}].resources.{field}");
                    wrong.push(FieldViolation::new(
                        path,
                        "must be zero or more, and no more than a cluster can have",
                    ));
                }
            }
            if plan.footprint_sum().map_or(true, |sum| sum.is_zero()) {
                wrong.push(FieldViolation::new(format!("{path}.footprint"), "must add up to something"));
            }
        }
        for (index, field) in self.secret_fields.iter().enumerate() {
            if !is_secret_key(&field.key) {
                let path = format!("secret_fields[{index}].key");
                wrong.push(FieldViolation::new(path, "must be 1 to 63 of a-z, A-Z, 0-9, -, _ and ."));
            }
        }
        for key in self.binding_fields.keys().filter(|key| !is_secret_key(key)) {
            let path = format!("binding_fields[{key}]");
            wrong.push(FieldViolation::new(path, "must be 1 to 63 of a-z, A-Z, 0-9, -, _ and ."));
        }
        wrong
    }
}

fn is_secret_key(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= 63
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_chart_by_digest(chart: &str) -> bool {
    let Some((repository, digest)) =
        chart.strip_prefix("oci://").and_then(|rest| rest.split_once("@sha256:"))
    else {
        return false;
    };
    repository.contains('/')
        && !repository.contains(char::is_whitespace)
        && digest.len() == 64
        && digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
