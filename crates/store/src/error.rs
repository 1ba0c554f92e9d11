//! What can go wrong with the store. The texts are for the log, never for a client.

use thiserror::Error;

/// See the module.
#[derive(Debug, Error)]
pub enum StoreError {
    /// No leader, no connection, or no answer to a read.
    #[error("etcd is unavailable: {0}")]
    Unavailable(String),
    /// A transaction was sent and no answer came: it may have been applied.
    #[error("outcome unknown: {0}")]
    UnknownOutcome(String),
    /// Beyond what etcd takes in one transaction or request.
    #[error("transaction beyond its limits: {0}")]
    Limit(String),
    /// A value that cannot be read: the key's kind and why, never the value.
    #[error("value of kind {kind} cannot be read: {reason}")]
    Corrupt {
        /// Kind that was expected.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The store was written by a newer binary.
    #[error("the store has schema {found}, this binary knows up to {known}: install the newer release")]
    NewerSchema {
        /// In the store.
        found: u32,
        /// In this binary.
        known: u32,
    },
    /// A document exists with other content, or the disk refused.
    #[error("document store: {0}")]
    Documents(String),
}

impl StoreError {
    /// For reads: whatever the reason, nothing was changed.
    pub(crate) fn read(error: etcd_client::Error) -> Self {
        Self::Unavailable(error.to_string())
    }

    /// For transactions: only an answer that etcd gives before it proposes means "not applied".
    pub(crate) fn write(error: etcd_client::Error) -> Self {
        match &error {
            etcd_client::Error::GRpcStatus(status) if is_refusal(status.message()) => {
                Self::Limit(error.to_string())
            }
            _ => Self::UnknownOutcome(error.to_string()),
        }
    }
}

/// Texts of etcd's table of request errors that are certain to have changed nothing.
fn is_refusal(message: &str) -> bool {
    ["too many operations", "request is too large", "duplicate key given", "database space exceeded"]
        .iter()
        .any(|text| message.contains(text))
}
