//! When something ends, for metrics: one place for certificates, authorities and revocation lists.

use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

/// The end of something's validity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// `own-certificate`, `authority` or `revocation-list`: a closed set, for a label.
    pub kind: &'static str,
    /// Whose: the subject of a certificate, the issuer of a list.
    pub name: String,
    /// Unix time, seconds.
    pub at: i64,
}

/// Not after.
pub(crate) fn of_certificate(kind: &'static str, der: &[u8]) -> Option<Expiry> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let (name, at) = (certificate.subject().to_string(), certificate.validity().not_after.timestamp());
    Some(Expiry { kind, name, at })
}

/// Next update.
pub(crate) fn of_list(der: &[u8]) -> Option<Expiry> {
    let (_, list) = CertificateRevocationList::from_der(der).ok()?;
    let at = list.next_update()?.timestamp();
    Some(Expiry { kind: "revocation-list", name: list.issuer().to_string(), at })
}
