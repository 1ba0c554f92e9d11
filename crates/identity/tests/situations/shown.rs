//! Certificates that must not be taken.

use std::path::PathBuf;

use allmende_testkit::ca::{
    Leaf, TestCa,
    rcgen::{
        CustomExtension, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
        PKCS_RSA_SHA256, SanType, date_time_ymd,
    },
    self_signed_client,
};

use super::{LEMGO, Row, row, shows};
use crate::parties::{Server, connect};

const HUGE: &str = "certificate of 100 KiB";

pub async fn rows() -> Vec<Row> {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let mut server = Server::with_list(&ca, ca.revocation_list(&[], true)).await;
    let _anonymous = connect(&server, &ca, None).await.unwrap();
    assert_eq!(server.identity_seen().await, None);
    let without = "admitted without an identity: every RPC answers UNAUTHENTICATED".to_owned();
    let mut rows = vec![Row { situation: "no client certificate", outcome: without }];
    for (situation, leaf) in shown(&ca, &other) {
        let refused = shows(&server, &ca, &leaf).await;
        // With so much unread the reset may overtake the alert.
        let refused = if situation == HUGE { refused.map(|_| "closed".to_owned()) } else { refused };
        rows.push(row(situation, refused));
    }
    rows.extend(of_lists().await);
    rows
}

fn shown(ca: &TestCa, other: &TestCa) -> Vec<(&'static str, Leaf)> {
    let with_key =
        |file: &str, algorithm| ca.client_with_key(file, LEMGO, &KeyPair::generate_for(algorithm).unwrap());
    let named = |file: &str, name: SanType| {
        ca.changed_client(file, LEMGO, |params| params.subject_alt_names = vec![name])
    };
    let custom = |file: &str, bytes: usize, critical: bool| {
        ca.changed_client(file, LEMGO, |params| {
            let mut extension =
                CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![0; bytes]);
            extension.set_criticality(critical);
            params.custom_extensions = vec![extension];
        })
    };
    let under_leaf = {
        let issuer = ca.client("leaf-as-issuer", &[LEMGO]);
        let leaf = other.client("under-a-leaf", &[LEMGO]);
        // The chain says that a leaf vouches for it.
        let chain = [&leaf.cert, &issuer.cert].map(|file| std::fs::read_to_string(file).unwrap()).concat();
        std::fs::write(&leaf.cert, chain).unwrap();
        leaf
    };
    vec![
        ("certificate of another authority", other.client("foreign", &[LEMGO])),
        ("self-signed, with a sound identity", self_signed_client(ca.folder(), LEMGO)),
        ("another authority's, with one of ours as its issuer in the chain", under_leaf),
        ("expired", ca.expired_client("expired", LEMGO)),
        (
            "not yet valid",
            ca.changed_client("early", LEMGO, |params| params.not_before = date_time_ymd(2990, 1, 1)),
        ),
        ("a server's certificate (EKU serverAuth)", ca.server("server-as-client")),
        (
            "EKU without clientAuth",
            ca.changed_client("signing", LEMGO, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
            }),
        ),
        ("the authority's own certificate as a client's", ca.own()),
        ("RSA key", with_key("rsa", &PKCS_RSA_SHA256)),
        ("key on P-384", with_key("p384", &PKCS_ECDSA_P384_SHA384)),
        ("Ed25519 key", with_key("ed25519", &PKCS_ED25519)),
        ("two identities", ca.client("two", &[LEMGO, "allmende://cooperative/operator"])),
        (
            "no identity: the name only as DNS name",
            named("dns", SanType::DnsName("m-05766044".try_into().unwrap())),
        ),
        (
            "identity outside the grammar (allmende://cooperative/king)",
            named("king", SanType::URI("allmende://cooperative/king".try_into().unwrap())),
        ),
        (
            "identity of a token's issuer (allmende://issuer/...)",
            named("issuer", SanType::URI("allmende://issuer/lemgo/8f1c".try_into().unwrap())),
        ),
        ("unknown critical extension", custom("critical", 8, true)),
        (HUGE, custom("huge", 100 << 10, false)),
    ]
}

/// Revocation: by the leaf, by the authority between, by lists that are outdated or missing.
async fn of_lists() -> Vec<Row> {
    let ca = TestCa::new();
    let between = ca.intermediate();
    let (revoked, below) = (ca.client("revoked", &[LEMGO]), between.client("below", &[LEMGO]));
    let file = |name: &str, lists: &[PathBuf]| {
        let text: String = lists.iter().map(|list| std::fs::read_to_string(list).unwrap()).collect();
        let path = ca.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let of_between = between.revocation_list(&[], true);
    let mut rows = Vec::new();
    let mut try_with = async |situation, list: PathBuf, leaf: &Leaf| {
        let server = Server::with_list(&ca, list).await;
        rows.push(row(situation, shows(&server, &ca, leaf).await));
    };
    try_with("revoked", file("a.crl", &[ca.revocation_list(&[&revoked], true)]), &revoked).await;
    let both = [ca.revocation_list(&[&between.own()], true), of_between.clone()];
    try_with("revoked authority between root and leaf", file("b.crl", &both), &below).await;
    try_with(
        "no list of the authority that issued it",
        file("c.crl", &[ca.revocation_list(&[], true)]),
        &below,
    )
    .await;
    try_with("no list of the root above its authority", file("d.crl", &[of_between]), &below).await;
    let good = ca.client("good", &[LEMGO]);
    try_with("revocation list past its next update", file("e.crl", &[ca.revocation_list(&[], false)]), &good)
        .await;
    rows
}
