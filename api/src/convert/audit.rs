//! Audit entries and heads.

use allmende_domain::audit::EntryClass;
use allmende_proto::v1;
use allmende_store::AuditHead;

use super::fields::time;
use crate::app::audit::Listed;

/// An entry of a list.
pub fn write(listed: &Listed) -> v1::AuditEntry {
    let entry = &listed.entry;
    let class = entry.class();
    let (sequence, digest) = listed.sealed.clone().unwrap_or_default();
    v1::AuditEntry {
        time: Some(time(entry.at)),
        actor: entry.actor.clone(),
        role: entry.role.clone(),
        deputy: entry.deputy,
        made_by: entry.made_by.clone().unwrap_or_default(),
        member: entry.member.as_ref().map_or_else(String::new, |member| format!("members/{member}")),
        action: entry.action.clone(),
        target: entry.target.clone(),
        request_id: entry.request_id.to_string(),
        reason: entry.reason.clone(),
        summary: entry.summary.clone(),
        changes: entry
            .changes
            .iter()
            .map(|change| v1::AuditFieldChange {
                field: change.field.clone(),
                before: change.before.clone(),
                after: change.after.clone(),
            })
            .collect(),
        refused: entry.refused.as_ref().map(|attempts| v1::AuditAttempts {
            count: i64::try_from(attempts.count).unwrap_or(i64::MAX),
            first_time: Some(time(attempts.first)),
            last_time: Some(time(attempts.last)),
        }),
        class: write_class(class).into(),
        retain_until: class.retain_until(entry.at).map_or_else(|_| String::new(), |date| date.to_string()),
        sequence: number(sequence),
        digest,
    }
}

fn write_class(class: EntryClass) -> v1::audit_entry::Class {
    match class {
        EntryClass::Booking => v1::audit_entry::Class::Booking,
        EntryClass::Administration => v1::audit_entry::Class::Administration,
        EntryClass::Refusal => v1::audit_entry::Class::Refusal,
    }
}

/// The signed end of a chain.
pub fn write_head(stored: &AuditHead) -> v1::AuditHead {
    let head = &stored.head;
    v1::AuditHead {
        installation: head.installation.clone(),
        chain: head.chain.clone(),
        sequence: number(head.sequence),
        digest: head.digest.to_string(),
        sealed_at: head.sealed_at.clone(),
        key_id: head.key_id.to_string(),
        signature: head.signature.clone(),
        public_key: stored.public_key.clone(),
    }
}

fn number(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}
