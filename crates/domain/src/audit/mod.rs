//! Who did what: written in the transaction of the change, unchained; a sealer orders and chains later.

mod refusals;
mod retention;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{MemberId, RequestId};
pub use refusals::{Attempt, Refused, SEVERAL, Tally, TallyLimits};
pub use retention::EntryClass;

/// Most characters of one text in an entry: evidence, not storage.
pub const TEXT_MAX: usize = 2_000;
/// Most fields that an entry lists.
pub const CHANGES_MAX: usize = 32;

/// One accepted change, or refused attempts of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Identity text of the actor.
    pub actor: String,
    /// The right by which it was allowed; empty for a refusal.
    pub role: String,
    /// In place of another ("i. V.").
    pub deputy: bool,
    /// For a service account: the principal that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
    /// The member it was done for, or asked for; none for the cooperative's own data.
    pub member: Option<MemberId>,
    /// The RPC.
    pub action: String,
    /// The resource.
    pub target: String,
    /// Under which request id.
    pub request_id: RequestId,
    /// What the actor gave as reason; may be empty.
    pub reason: String,
    /// What changed, for people, without secrets.
    pub summary: String,
    /// What changed, field by field, as far as the transaction wrote it; secrets are never shown.
    #[serde(default)]
    pub changes: Vec<FieldChange>,
    /// For refused attempts: how many, from when to when. None for an accepted change.
    #[serde(default)]
    pub refused: Option<Attempts>,
}

/// One field before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Kind of the record and path within it: `tenant.workspace_quota.cpu_milli`.
    pub field: String,
    /// None: the field was not there.
    pub before: Option<String>,
    /// None: the field is gone.
    pub after: Option<String>,
}

/// How often something was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// At least one.
    pub count: u64,
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
}

impl AuditEntry {
    /// Something that was done by the right `role`, for nobody's deputy, and nothing more: the rest is added where there is any.
    pub fn done(
        at: Timestamp,
        actor: &str,
        role: &str,
        action: &str,
        target: &str,
        request_id: RequestId,
    ) -> Self {
        Self {
            at,
            actor: actor.to_owned(),
            role: role.to_owned(),
            deputy: false,
            made_by: None,
            member: None,
            action: action.to_owned(),
            target: target.to_owned(),
            request_id,
            reason: String::new(),
            summary: String::new(),
            changes: Vec::new(),
            refused: None,
        }
    }

    /// The same with its texts cut to [`TEXT_MAX`] characters, so that no caller can make an entry that cannot be stored or sealed.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        for text in [&mut self.actor, &mut self.target, &mut self.reason, &mut self.summary] {
            if text.len() > TEXT_MAX {
                *text = shortened(text, TEXT_MAX);
            }
        }
        self
    }

    /// What it is evidence of, which decides how long it is kept.
    pub fn class(&self) -> EntryClass {
        EntryClass::of(&self.action, self.refused.is_some())
    }
}

/// At most `max` characters, with a mark where something was cut.
pub fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max.saturating_sub(1)).chain(std::iter::once('…')).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_with_a_mark_and_a_short_one_stays() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äö…");
        assert_eq!(shortened("", 3), "");
    }

    #[test]
    fn an_entry_of_an_earlier_release_is_still_read() {
        let old = r#"{"at":"2026-11-24T10:00:00Z","actor":"a","role":"admin","deputy":false,"member":"m-05766044","action":"x",
            "target":"t","request_id":"00000000-0000-4000-8000-000000000001","reason":"","summary":"s"}"#;
        let entry: AuditEntry = serde_json::from_str(old).unwrap();
        assert!(entry.changes.is_empty() && entry.refused.is_none() && entry.made_by.is_none());
    }
}
