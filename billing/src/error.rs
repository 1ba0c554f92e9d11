//! What keeps a run from going on.

use allmende_documents::DocumentError;
use allmende_domain::{money::MoneyError, period::PeriodError, run::RunError};
use allmende_store::StoreError;
use thiserror::Error;

/// See the module.
#[derive(Debug, Error)]
pub enum BillingError {
    /// Try again: the store does not answer, or an answer is lost.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The inputs do not give invoices: people must change them and begin the run anew.
    #[error(transparent)]
    Inputs(#[from] RunError),
    /// An invoice cannot be written as a document.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The record of the run does not fit what lies in the store: nothing is done until people have looked.
    #[error("run {period}: {reason}")]
    Inconsistent {
        /// Which run.
        period: String,
        /// What does not fit.
        reason: String,
    },
}

impl BillingError {
    /// Whether the run should end with this text. Everything else is tried again, since its inputs are sound.
    pub(crate) fn is_of_the_inputs(&self) -> bool {
        matches!(self, Self::Inputs(_) | Self::Document(_))
    }
}

impl From<MoneyError> for BillingError {
    fn from(error: MoneyError) -> Self {
        Self::Inputs(RunError::Amount(error))
    }
}

impl From<PeriodError> for BillingError {
    fn from(_: PeriodError) -> Self {
        Self::Inputs(RunError::Amount(MoneyError))
    }
}
