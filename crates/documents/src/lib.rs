//! Invoice → documents: values in, bytes out. The same invoice always gives the same bytes, so a document can be made again and
//! compared with the digest of the one that was issued.
//!
//! The XRechnung is the original (§ 14 UStG); JSON and CSV are readings of it. A new edition of XRechnung becomes a second writer
//! beside [`XRechnung3`], never a change of it: what was issued must stay reproducible.

mod arithmetic;
mod record;
mod table;
mod xrechnung;

use allmende_domain::invoice::{Invoice, InvoiceState};
use thiserror::Error;

pub use arithmetic::{Mismatch, check};
pub use record::Record;
pub use table::Table;
pub use xrechnung::XRechnung3;

/// Why a document was not written. Nothing is written of an invoice that is not sound.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// A draft has no number and is nobody's invoice.
    #[error("{0} is a draft: only an issued invoice has documents")]
    Draft(String),
    /// Its own sums contradict each other.
    #[error("{number} does not add up: {}", texts(.mismatches))]
    Arithmetic {
        /// Which invoice.
        number: String,
        /// All of them.
        mismatches: Vec<Mismatch>,
    },
    /// A rule of EN 16931 or XRechnung does not hold.
    #[error("{number} is no valid XRechnung: {findings}")]
    Invalid {
        /// Which invoice.
        number: String,
        /// Rules and what is wrong.
        findings: String,
    },
    /// The form has no place for the invoice.
    #[error("{number} cannot be written: {reason}")]
    Unwritable {
        /// Which invoice.
        number: String,
        /// Why.
        reason: String,
    },
}

fn texts(mismatches: &[Mismatch]) -> String {
    mismatches.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Writes one form of an invoice.
pub trait EInvoiceWriter: Send + Sync {
    /// Under this name the invoice lists the document: `xrechnung`, `json`, `csv`.
    fn format(&self) -> &'static str;

    /// Of the file, without the dot.
    fn extension(&self) -> &'static str;

    /// The document.
    ///
    /// # Errors
    /// See [`DocumentError`].
    fn write(&self, invoice: &Invoice) -> Result<Vec<u8>, DocumentError>;
}

/// All forms that an issued invoice is written in, the original first.
pub fn writers() -> [&'static dyn EInvoiceWriter; 3] {
    [&XRechnung3, &Record, &Table]
}

/// What every writer asks first: a number, and sums that hold exactly.
fn sound(invoice: &Invoice) -> Result<(), DocumentError> {
    if invoice.state != InvoiceState::Issued || invoice.number.is_empty() {
        return Err(DocumentError::Draft(invoice.name()));
    }
    let mismatches = check(invoice);
    if mismatches.is_empty() {
        Ok(())
    } else {
        Err(DocumentError::Arithmetic { number: invoice.number.clone(), mismatches })
    }
}
