//! The worker's entries in the audit, each part of the transaction of its step. What is done once for each invoice is told by what it leads
//! to: drafts by their review, documents by the end of the run. Only the giving of a number is told for each invoice, in its member's chain.

use allmende_domain::{
    audit::AuditEntry,
    closing::Step,
    ids::{MemberId, RequestId},
    invoice::Invoice,
    run::Run,
};
use allmende_store::{StoreError, Txn, keys};
use jiff::Timestamp;

use crate::error::BillingError;

/// The identity of this program.
const ACTOR: &str = "allmende://component/billing";

/// What a step of the run itself leaves in the audit; empty for those that are told by another.
pub(crate) fn of_step(step: Step, next: &Run, now: Timestamp) -> Result<Txn, BillingError> {
    let (action, summary) = match step {
        Step::ClosePeriod => {
            ("ClosePeriod", "Zeitraum geschlossen, späte Ereignisse zählen im nächsten".to_owned())
        }
        Step::FreezeCut => (
            "FreezeCut",
            format!("Schnitt bei Revision {} festgehalten: {}", next.cut_revision, next.cut_digest),
        ),
        Step::OpenReview if next.result_digest.is_empty() => return Ok(Txn::new()),
        Step::OpenReview => (
            "OpenReview",
            format!(
                "{} Entwürfe über {} € zur Prüfung: {}",
                next.invoices_total, next.gross, next.result_digest
            ),
        ),
        Step::CloseRun => {
            ("CloseRun", format!("{} Rechnungen über {} € abgeschlossen", next.invoices_total, next.gross))
        }
        Step::Rate
        | Step::Allocate
        | Step::DraftInvoice(_)
        | Step::IssueInvoice
        | Step::BeginRendering
        | Step::RenderInvoice => return Ok(Txn::new()),
    };
    entry(action, None, format!("runs/{}", next.period), summary, now)
}

/// A run that cannot go on.
pub(crate) fn of_failure(next: &Run, reason: &str, now: Timestamp) -> Result<Txn, BillingError> {
    entry("FailRun", None, format!("runs/{}", next.period), format!("Lauf abgebrochen: {reason}"), now)
}

/// A draft that got its number.
pub(crate) fn of_invoice(invoice: &Invoice, now: Timestamp) -> Result<Txn, BillingError> {
    let target = format!("members/{}/invoices/{}", invoice.member, invoice.id);
    let summary = format!("{} über {} € gestellt: {}", invoice.number, invoice.gross, invoice.record_digest);
    entry("IssueInvoice", Some(invoice.member.clone()), target, summary, now)
}

fn entry(
    action: &str,
    member: Option<MemberId>,
    target: String,
    summary: String,
    now: Timestamp,
) -> Result<Txn, BillingError> {
    let request_id: RequestId = uuid::Uuid::now_v7()
        .to_string()
        .parse()
        .map_err(|_| StoreError::Unavailable("a fresh UUID is no id".to_owned()))?;
    let key = keys::audit(now, ACTOR, &request_id);
    let entry = AuditEntry {
        member,
        summary,
        ..AuditEntry::done(now, ACTOR, "component", &format!("billing/{action}"), &target, request_id)
    };
    Ok(Txn::new().audit(&key, entry))
}
