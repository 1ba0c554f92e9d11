//! What can go wrong with the store. The texts are for the log, never for a client.

use thiserror::Error;

/// See the module.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// No leader, no connection, or no answer to a read.
    #[error("etcd is unavailable: {0}")]
    Unavailable(String),
    /// A transaction was sent and no answer came: it may have been applied.
    #[error("outcome unknown: {0}")]
    UnknownOutcome(String),
    /// etcd does not take this program's certificate or user, or this program does not take etcd's certificate; nothing was changed.
    #[error("etcd and this program refuse each other: {0}")]
    Refused(String),
    /// Settings of the connection that do not fit together, all of them.
    #[error("settings of etcd: {0}")]
    Settings(String),
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
        Self::refused(&error).unwrap_or_else(|| Self::Unavailable(error.to_string()))
    }

    /// For transactions: only an answer that etcd gives before it proposes means "not applied".
    pub(crate) fn write(error: etcd_client::Error) -> Self {
        if let Some(refused) = Self::refused(&error) {
            return refused;
        }
        match &error {
            etcd_client::Error::GRpcStatus(status) if says(status.message(), &BEYOND_LIMITS) => {
                Self::Limit(error.to_string())
            }
            _ => Self::UnknownOutcome(error.to_string()),
        }
    }

    fn refused(error: &etcd_client::Error) -> Option<Self> {
        let reasons = reasons(error);
        if let etcd_client::Error::GRpcStatus(status) = error
            && says(status.message(), &WRONG_USER)
        {
            return Some(Self::Refused(status.message().to_owned()));
        }
        let told = reasons.iter().find(|reason| says(reason, &WRONG_CERTIFICATE))?;
        Some(Self::Refused(format!("{told}: look at the authority and the certificates of both sides")))
    }
}

/// Texts of etcd's table of request errors that are certain to have changed nothing.
const BEYOND_LIMITS: [&str; 4] =
    ["too many operations", "request is too large", "duplicate key given", "database space exceeded"];

/// Texts of the same table about who asks: told before anything is applied.
const WRONG_USER: [&str; 5] = [
    "invalid user ID or password",
    "etcdserver: permission denied",
    "user name is empty",
    "authentication is not enabled",
    "invalid auth token",
];

/// What a TLS handshake ends with when one side does not take the other's certificate. No request was answered by then.
const WRONG_CERTIFICATE: [&str; 8] = [
    "invalid peer certificate",
    "fatal alert: CertificateRequired",
    "fatal alert: BadCertificate",
    "fatal alert: CertificateUnknown",
    "fatal alert: CertificateExpired",
    "fatal alert: CertificateRevoked",
    "fatal alert: UnsupportedCertificate",
    "fatal alert: UnknownCA",
];

fn says(message: &str, texts: &[&str]) -> bool {
    texts.iter().any(|text| message.contains(text))
}

/// Why, from the failed call down to the connection.
fn reasons(error: &etcd_client::Error) -> Vec<String> {
    let mut cause: Option<&dyn std::error::Error> = match error {
        etcd_client::Error::GRpcStatus(status) => Some(status),
        etcd_client::Error::TransportError(transport) => Some(transport),
        _ => None,
    };
    let mut reasons = Vec::new();
    while let Some(at) = cause {
        reasons.push(at.to_string());
        cause = at.source();
    }
    reasons.reverse();
    reasons
}
