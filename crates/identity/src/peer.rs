//! The certificate that a peer has shown, for as long as its connection lives.

use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::identity::Identity;

/// See the module. Verified when the connection began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The one identity that it names.
    pub identity: Identity,
    /// Serial number, lower-case hex without leading zeros: unique for its authority.
    pub serial: String,
    /// Unix time, seconds.
    pub not_before: i64,
    /// Unix time, seconds.
    pub not_after: i64,
    pub(crate) leaf: CertificateDer<'static>,
    pub(crate) intermediates: Vec<CertificateDer<'static>>,
}

impl PeerCertificate {
    /// Of one's own chain, leaf first, PEM.
    pub fn of_pem(chain: &str) -> Option<Self> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        Self::of_chain(&all.ok()?)
    }

    /// Of a verified chain, leaf first. None when the leaf does not name exactly one identity.
    pub(crate) fn of_chain(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (leaf, intermediates) = chain.split_first()?;
        let identity = Identity::of_certificate(leaf)?;
        let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
        Some(Self {
            identity,
            serial: hex(certificate.raw_serial()),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            leaf: leaf.clone().into_owned(),
            intermediates: intermediates.iter().map(|der| der.clone().into_owned()).collect(),
        })
    }
}

/// A serial number as text: bytes as DER has them, without leading zeros.
pub(crate) fn hex(serial: &[u8]) -> String {
    use std::fmt::Write;
    let significant = serial.iter().skip_while(|byte| **byte == 0);
    significant.fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
