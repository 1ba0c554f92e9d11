//! Digests: of the inputs, of the result, and the chain through a number range. All over the JSON of the records, whose fields have an order.

use allmende_domain::{invoice::Invoice, run::Cut};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::BillingError;

/// The JSON of a value that always has one.
pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>, BillingError> {
    serde_json::to_vec(value).map_err(|error| BillingError::Inconsistent {
        period: String::new(),
        reason: format!("a record cannot be written as JSON: {error}"),
    })
}

/// The cut as it is kept, and its digest.
pub(crate) fn of_cut(cut: &Cut) -> Result<(Vec<u8>, String), BillingError> {
    let bytes = json(cut)?;
    let digest = hex::encode(Sha256::digest(&bytes));
    Ok((bytes, digest))
}

/// Over all invoices of a run in the order of their recipients, without their numbers: the same before and after issuing.
pub(crate) fn of_result<'a>(invoices: impl IntoIterator<Item = &'a Invoice>) -> Result<String, BillingError> {
    let mut sorted: Vec<&Invoice> = invoices.into_iter().collect();
    sorted.sort_by(|a, b| (&a.member, &a.bill_to.id).cmp(&(&b.member, &b.bill_to.id)));
    let mut hash = Sha256::new();
    for invoice in sorted {
        hash.update(json(&invoice.content())?);
        hash.update(b"\n");
    }
    Ok(hex::encode(hash.finalize()))
}

/// Of an issued record, chained to the one before in its number range.
pub(crate) fn of_record(before: &str, invoice: &Invoice) -> Result<String, BillingError> {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(b"\n");
    hash.update(json(&invoice.record())?);
    Ok(hex::encode(hash.finalize()))
}
