//! Requests and who signs them: a request proves its key, and what a signer gives is what was ordered.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in what sets it up")]

use std::{os::unix::fs::PermissionsExt, path::PathBuf};

use allmende_identity::{
    CertificateRequest, Identity, KeyAndRequest, PeerCertificate, RequestError,
    signer::{CommandSigner, FileSigner, Signer, SigningOrder},
};
use allmende_testkit::ca::{TestCa, rcgen};
use tempfile::TempDir;

const NOW: i64 = 1_800_000_000;

fn order(pair: &KeyAndRequest, identity: &str) -> SigningOrder {
    let request = CertificateRequest::verified(&pair.request).unwrap();
    SigningOrder { request, identity: identity.parse().unwrap(), not_before: NOW, not_after: NOW + 86_400 }
}

fn of_files(ca: &TestCa) -> FileSigner {
    FileSigner { cert: ca.own().cert, key: ca.own().key }
}

/// A program that gives a chain that was made before.
fn program(folder: &TempDir, name: &str, script: &str) -> CommandSigner {
    let path: PathBuf = folder.path().join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    CommandSigner { program: path }
}

#[tokio::test]
async fn a_signed_certificate_has_the_ordered_name_key_and_time_and_a_number_of_its_own() {
    let ca = TestCa::new();
    let pair = KeyAndRequest::generate().unwrap();
    let order = order(&pair, "allmende://cluster/local-1");
    let (first, second) =
        (of_files(&ca).sign(&order).await.unwrap(), of_files(&ca).sign(&order).await.unwrap());
    assert_ne!(first.serial, second.serial);
    let peer = PeerCertificate::of_pem(&first.chain).unwrap();
    assert_eq!(peer.identity, Identity::Cluster("local-1".into()));
    assert_eq!((peer.not_before, peer.not_after), (NOW, NOW + 86_400));
    assert_eq!(first.chain.matches("BEGIN").count(), 1, "a root is not sent along");
    let below = of_files(&ca.intermediate()).sign(&order).await.unwrap();
    assert_eq!(below.chain.matches("BEGIN").count(), 2, "an authority between is");
}

#[tokio::test]
async fn a_program_may_sign_and_is_believed_only_what_was_ordered() {
    let (ca, folder) = (TestCa::new(), tempfile::tempdir().unwrap());
    let pair = KeyAndRequest::generate().unwrap();
    let wanted = order(&pair, "allmende://cluster/local-1");
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let good = of_files(&ca).sign(&wanted).await.unwrap();
    let script = format!(
        "set -e\ntest \"$ALLMENDE_IDENTITY\" = allmende://cluster/local-1\ngrep -q 'CERTIFICATE REQUEST'\ncat {}",
        put("good.pem", &good.chain).display()
    );
    assert_eq!(program(&folder, "good", &script).sign(&wanted).await.unwrap(), good);

    let other_key = KeyAndRequest::generate().unwrap();
    let longer = SigningOrder { not_after: NOW + 90_000, ..wanted.clone() };
    let server = std::fs::read_to_string(ca.server("server").cert).unwrap();
    let chain = async |order: &SigningOrder| of_files(&ca).sign(order).await.unwrap().chain;
    for (name, text) in [
        ("another name", chain(&order(&pair, "allmende://cooperative/operator")).await),
        ("another key", chain(&order(&other_key, "allmende://cluster/local-1")).await),
        ("a longer life", chain(&longer).await),
        ("a server's", server),
        ("nothing", String::new()),
    ] {
        let script = format!("cat >/dev/null\ncat '{}'", put("bad.pem", &text).display());
        let outcome = program(&folder, "bad", &script).sign(&wanted).await;
        assert!(outcome.is_err(), "{name}");
    }
    let failed = program(&folder, "failed", "cat >/dev/null\nexit 3").sign(&wanted).await.unwrap_err();
    assert!(failed.to_string().contains('3'), "{failed}");
}

#[test]
fn a_request_counts_when_it_is_signed_by_its_own_key_on_p256_alone() {
    let pair = KeyAndRequest::generate().unwrap();
    assert!(CertificateRequest::verified(&pair.request).is_ok());
    assert!(!format!("{pair:?}").contains("PRIVATE"), "a key is shown nowhere");
    let of = |algorithm| {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        rcgen::CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap()
    };
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256] {
        assert_eq!(CertificateRequest::verified(&of(algorithm)).unwrap_err(), RequestError::Algorithm);
    }
    let twice = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
    for malformed in ["", "x", twice, &"x".repeat(9 << 10)] {
        assert_eq!(CertificateRequest::verified(malformed).unwrap_err(), RequestError::Malformed);
    }
}
