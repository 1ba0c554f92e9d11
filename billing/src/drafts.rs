//! Up to review: the period is closed, the cut frozen, usage rated, pots split, drafts written.

use allmende_documents::{EInvoiceWriter, XRechnung3};
use allmende_domain::{
    invoice::{Invoice, InvoiceState},
    run::{Cut, Run, RunState},
};
use allmende_store::{PeriodState, Store, Txn, Versioned, keys, objects::DocumentStore};
use jiff::Timestamp;

use crate::{cut, digest, error::BillingError};

/// Stands for the number that a draft does not have yet.
const SAMPLE_NUMBER: &str = "ENTWURF-0000-000000";
/// Left-over drafts removed in one transaction; the next pass removes more.
const REMOVALS_MAX: usize = 100;

/// Drafts of a cut, each proven to be writable: what cannot become a valid document must not get a number.
///
/// Made as of the run's acceptance, not of the present moment: whoever computes them gets the same.
pub(crate) fn of(cut: &Cut, run: &Run) -> Result<Vec<Invoice>, BillingError> {
    let drafts = cut.drafts(run.issue_date, run.create_time)?;
    for draft in &drafts {
        XRechnung3.write(&draft.issued(SAMPLE_NUMBER))?;
    }
    Ok(drafts)
}

/// Closes the period, after a trial on what is there: a run whose inputs are wrong leaves the period open.
pub(crate) async fn close_period(
    store: &Store,
    run: &Versioned<Run>,
    now: Timestamp,
) -> Result<(Txn, Run), BillingError> {
    let (trial, _) = cut::read(store, run.value.period).await?;
    of(&trial, &run.value)?;
    let key = keys::period(run.value.period);
    let found = store.find(&key).await?;
    let closed = PeriodState { closed: true, closed_at: Some(now) };
    let txn = Txn::new().expect_as_read(&key, found.as_ref()).put(&key, &closed);
    Ok((txn, run.value.entering(RunState::Freezing)))
}

/// Keeps the cut. The period is closed, so no fact of it can come in any more: reading later reads the same usage.
pub(crate) async fn freeze(
    store: &Store,
    documents: &DocumentStore,
    run: &Versioned<Run>,
) -> Result<(Txn, Run), BillingError> {
    let (inputs, at) = cut::read(store, run.value.period).await?;
    let digest = cut::keep(documents, &inputs).await?;
    Ok((Txn::new(), run.value.frozen(at.0, &digest)))
}

/// Writes the draft at `position`; a left-over of an earlier, failed run is replaced.
pub(crate) async fn draft(
    store: &Store,
    run: &Versioned<Run>,
    drafts: &[Invoice],
    position: usize,
) -> Result<(Txn, Run), BillingError> {
    let draft = drafts.get(position).ok_or_else(|| BillingError::Inconsistent {
        period: run.value.period.to_string(),
        reason: format!("the cut gives {} drafts, the run counts {}", drafts.len(), run.value.invoices_total),
    })?;
    let key = keys::invoice(&draft.member, &draft.id);
    let found = store.find(&key).await?;
    let txn = Txn::new().expect_as_read(&key, found.as_ref()).put(&key, draft);
    Ok((txn, run.value.one_done()))
}

/// Hands the drafts over for review, when nothing else lies among them.
pub(crate) async fn open_review(
    store: &Store,
    run: &Versioned<Run>,
    drafts: &[Invoice],
) -> Result<(Txn, Run), BillingError> {
    let mut stale = of_run(store, &run.value, InvoiceState::Draft).await?;
    stale.retain(|row| {
        !drafts.iter().any(|draft| draft.member == row.value.member && draft.id == row.value.id)
    });
    let more = stale.len() > REMOVALS_MAX;
    let txn = stale
        .iter()
        .take(REMOVALS_MAX)
        .fold(Txn::new(), |txn, row| txn.expect_unchanged(row).delete(&row.key));
    let next =
        if more { run.value.clone() } else { run.value.reviewable(drafts, &digest::of_result(drafts)?)? };
    Ok((txn, next))
}

/// Ends a run whose inputs are wrong, and opens the period again, so that what is missing can be brought in.
pub(crate) async fn fail(
    store: &Store,
    run: &Versioned<Run>,
    reason: &str,
    now: Timestamp,
) -> Result<(Txn, Run), BillingError> {
    let key = keys::period(run.value.period);
    let found = store.find(&key).await?;
    let mut txn = Txn::new().expect_as_read(&key, found.as_ref());
    if run.value.state != RunState::Pending {
        txn = txn.put(&key, &PeriodState { closed: false, closed_at: None });
    }
    Ok((txn, run.value.failed(reason, now)))
}

/// Invoices of the run's period in one state, in the order of member and id.
pub(crate) async fn of_run(
    store: &Store,
    run: &Run,
    state: InvoiceState,
) -> Result<Vec<Versioned<Invoice>>, BillingError> {
    let (mut rows, _) = store.snapshot(&keys::invoices_all()).await?;
    rows.retain(|row| row.value.period == run.period && row.value.state == state);
    Ok(rows)
}
