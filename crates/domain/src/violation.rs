//! What is wrong with an input: all wrong fields at once, each with a text that says what to do.

use serde::{Deserialize, Serialize};

/// Why a field was refused, where a program may want to know more than "invalid".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ViolationReason {
    /// Missing, malformed or out of range.
    Invalid,
    /// The AGS or Kreisschlüssel is not in the register edition in force.
    RegisterKeyUnknown,
    /// The check digits of the Leitweg-ID are wrong, or its form is (KoSIT format 2.0.2).
    LeitwegIdInvalid,
    /// Parameters do not match the offering's JSON schema.
    ParametersInvalid,
    /// The page token is malformed or belongs to another list or filter.
    PageTokenInvalid,
}

/// One wrong field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldViolation {
    /// Path of the field as the request has it, for example `member.shares[0].count`.
    pub field: String,
    /// For people: what is wrong and what is expected. Never repeats a secret.
    pub description: String,
    /// The closed reason.
    pub reason: ViolationReason,
}

impl FieldViolation {
    /// A field that is missing, malformed or out of range.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into(), reason: ViolationReason::Invalid }
    }

    /// The same with another reason.
    #[must_use]
    pub fn because(mut self, reason: ViolationReason) -> Self {
        self.reason = reason;
        self
    }

    /// The same below a parent field: `shares` becomes `member.shares`.
    #[must_use]
    pub fn under(mut self, parent: &str) -> Self {
        self.field = format!("{parent}.{}", self.field);
        self
    }
}
