//! After review: numbers, documents, end.

use allmende_documents::writers;
use allmende_domain::{
    invoice::{DocumentReference, Invoice},
    money::Cents,
    run::Run,
};
use allmende_store::{Counter, Store, Txn, Versioned, keys, objects::DocumentStore};
use jiff::Timestamp;

use crate::{audit, digest, error::BillingError};

/// Gives a draft the next number of its range, and chains its record to the one before.
pub(crate) async fn issue(
    store: &Store,
    run: &Versioned<Run>,
    draft: &Versioned<Invoice>,
    now: Timestamp,
) -> Result<(Txn, Run), BillingError> {
    let range = format!("{}-{}", draft.value.issuer.number_prefix, draft.value.issue_date.year());
    let key = keys::counter(&range);
    let found = store.find(&key).await?;
    let counter = found.as_ref().map(|counter| counter.value.clone()).unwrap_or_default();
    let last = counter
        .last
        .checked_add(1)
        .ok_or_else(|| inconsistent(&run.value, format!("{range} is exhausted")))?;
    let mut invoice = draft.value.issued(&format!("{range}-{last:06}"));
    invoice.record_digest = digest::of_record(&counter.last_digest, &invoice)?;
    let numbered = keys::invoice(&invoice.member, &invoice.id);
    let txn = Txn::new()
        .expect_as_read(&key, found.as_ref())
        .put(&key, &Counter { last, last_digest: invoice.record_digest.clone() })
        .expect_unchanged(draft)
        .delete(&draft.key)
        .expect_absent(&numbered)
        .put(&numbered, &invoice)
        .and(audit::of_invoice(&invoice, now)?);
    Ok((txn, run.value.one_done()))
}

/// Writes the documents of an issued invoice, then records their digests. Written again after a crash, they are the same bytes.
pub(crate) async fn render(
    documents: &DocumentStore,
    run: &Versioned<Run>,
    invoice: &Versioned<Invoice>,
) -> Result<(Txn, Run), BillingError> {
    let mut references = Vec::new();
    for writer in writers() {
        let content = writer.write(&invoice.value)?;
        let name = format!("{}/{}.{}", invoice.value.period, invoice.value.number, writer.extension());
        let sha256 = documents.put(&name, &content).await?;
        let size = i64::try_from(content.len()).unwrap_or(i64::MAX);
        references.push(DocumentReference { format: writer.format().to_owned(), name, sha256, size });
    }
    let rendered = Invoice { documents: references, ..invoice.value.clone() };
    Ok((Txn::new().expect_unchanged(invoice).put(&invoice.key, &rendered), run.value.one_done()))
}

/// Ends the run, if what was issued is what was reviewed.
pub(crate) fn close(
    run: &Versioned<Run>,
    issued: &[Versioned<Invoice>],
    now: Timestamp,
) -> Result<(Txn, Run), BillingError> {
    as_reviewed(&run.value, issued)?;
    Ok((Txn::new(), run.value.closed(now)))
}

/// Whether the invoices of a run are those that people have seen. Asked before the first number is given, and at the end.
///
/// # Errors
/// When they are not.
pub(crate) fn as_reviewed(run: &Run, invoices: &[Versioned<Invoice>]) -> Result<(), BillingError> {
    let count = i64::try_from(invoices.len()).unwrap_or(i64::MAX);
    if count != run.invoices_total {
        return Err(inconsistent(
            run,
            format!("{count} invoices lie there, {} were reviewed", run.invoices_total),
        ));
    }
    if digest::of_result(invoices.iter().map(|row| &row.value))? != run.result_digest {
        return Err(inconsistent(run, "the invoices differ from those that were reviewed".to_owned()));
    }
    if Cents::sum(invoices.iter().map(|row| row.value.gross))? != run.gross {
        return Err(inconsistent(run, "the invoices do not add up to the run".to_owned()));
    }
    Ok(())
}

pub(crate) fn inconsistent(run: &Run, reason: String) -> BillingError {
    BillingError::Inconsistent { period: run.period.to_string(), reason }
}
