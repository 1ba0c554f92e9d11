//! Certificates and requests for one: an identity that comes out is a sound text, and a request that is taken is signed by its key.

use allmende_identity::{CertificateRequest, Identity, KeyAndRequest, PeerCertificate};
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, KeyPair, SanType};

pub(crate) fn check(bytes: &[u8]) -> bool {
    let identity = Identity::of_certificate(bytes);
    if let Some(identity) = &identity {
        assert_eq!(
            identity.to_string().parse::<Identity>().as_ref(),
            Ok(identity),
            "an identity has one form"
        );
    }
    // The same bytes inside PEM: mutations of text rarely get past Base64.
    let request = CertificateRequest::verified(&pem("CERTIFICATE REQUEST", bytes)).is_ok();
    let chain = PeerCertificate::of_pem(&pem("CERTIFICATE", bytes));
    assert_eq!(chain.is_some(), identity.is_some(), "a chain of one is that one");
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = CertificateRequest::verified(text);
        let _ = PeerCertificate::of_pem(text);
    }
    request || identity.is_some()
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn der(pem: &str) -> Option<Vec<u8>> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).ok()
}

fn certificate() -> Option<Vec<u8>> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI("allmende://member/m-05766044".try_into().ok()?)];
    let key = KeyPair::generate().ok()?;
    Some(params.self_signed(&key).ok()?.der().to_vec())
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let request = KeyAndRequest::generate().ok().and_then(|made| der(&made.request));
    request.into_iter().chain(certificate()).collect()
}
