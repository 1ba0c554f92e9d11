//! Certificate requests (PKCS #10): made with a fresh key by who wants one, and checked by who signs.

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject};
use thiserror::Error;
use x509_parser::{
    certification_request::X509CertificationRequest,
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ECDSA_WITH_SHA256},
    prelude::FromDer,
};

use crate::rules::p256;

/// Largest request, bytes of PEM.
const REQUEST_MAX: usize = 8 << 10;

/// A request that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Not one request in PEM.
    #[error("must be one PKCS #10 certificate request in PEM")]
    Malformed,
    /// Another algorithm.
    #[error("must be for an ECDSA key on P-256, signed with SHA-256")]
    Algorithm,
    /// The signature is not by the key: the sender may not have it.
    #[error("the signature is not by the key that it is for")]
    Signature,
}

/// The public key of a request whose sender has shown to hold the private one. Nothing else of the request counts.
#[derive(Debug, Clone)]
pub struct CertificateRequest {
    /// SubjectPublicKeyInfo, DER.
    pub(crate) public_key: Vec<u8>,
    /// As sent.
    pub(crate) pem: String,
}

impl CertificateRequest {
    /// Reads and verifies.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn verified(pem: &str) -> Result<Self, RequestError> {
        if pem.len() > REQUEST_MAX {
            return Err(RequestError::Malformed);
        }
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| RequestError::Malformed)?;
        let (rest, request) =
            X509CertificationRequest::from_der(&der).map_err(|_| RequestError::Malformed)?;
        if !rest.is_empty() {
            return Err(RequestError::Malformed);
        }
        let (info, key) =
            (&request.certification_request_info, &request.certification_request_info.subject_pki);
        let curve = key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
        let right = key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY
            && curve == Some(OID_EC_P256)
            && request.signature_algorithm.algorithm == OID_SIG_ECDSA_WITH_SHA256;
        if !right {
            return Err(RequestError::Algorithm);
        }
        p256()
            .verify_signature(&key.subject_public_key.data, info.raw, &request.signature_value.data)
            .map_err(|_| RequestError::Signature)?;
        Ok(Self { public_key: key.raw.to_vec(), pem: pem.to_owned() })
    }
}

/// A fresh key and a request for it.
#[derive(Clone)]
pub struct KeyAndRequest {
    /// PKCS #8, PEM. Secret.
    pub key: String,
    /// PKCS #10, PEM.
    pub request: String,
}

impl std::fmt::Debug for KeyAndRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyAndRequest")
    }
}

impl KeyAndRequest {
    /// On P-256.
    ///
    /// # Errors
    /// When the machine gives no random numbers.
    pub fn generate() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        // Who signs decides on the name.
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key)?.pem()?;
        Ok(Self { key: key.serialize_pem(), request })
    }
}
