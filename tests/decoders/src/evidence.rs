//! What an auditor reads: exports, heads, keys. Only the very bytes that were written are taken.

use std::sync::LazyLock;

use allmende_evidence::{Head, Link, SigningKey, VerifyingKey, export, genesis};

/// Signs nothing but seeds.
const SECRET: &str = include_str!("../../../crates/evidence/tests/key.pem");
const PUBLIC: &str = include_str!("../../../crates/evidence/tests/key.pub.pem");
const INSTALLATION: &str = "i";
const CHAIN: &str = "members/m-05766044";

/// Signing takes longer than reading.
static SOUND: LazyLock<(Head, String, Vec<VerifyingKey>)> = LazyLock::new(|| {
    let (Ok(secret), Ok(public)) = (SigningKey::from_pem(SECRET), VerifyingKey::from_pem(PUBLIC)) else {
        panic!("the keys of the seeds are unreadable");
    };
    let links = links();
    let end = links.last().map_or((0, genesis(INSTALLATION, CHAIN)), |link| (link.sequence, link.digest));
    let head = Head::sign(INSTALLATION, CHAIN, end, "2026-11-01T00:00:00Z".to_owned(), &secret);
    (head, links.iter().map(export::line).collect(), vec![public])
});

pub(crate) fn check(bytes: &[u8]) -> bool {
    let (sound, whole, keys) = &*SOUND;
    let mut taken = false;
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(head) = Head::from_text(text) {
            assert_eq!(head.to_text(), text, "a head has one form");
            taken = head.verify(keys).is_ok();
            assert!(!taken || head == *sound, "a head that nobody signed was taken");
        }
        taken |= VerifyingKey::from_pem(text).is_ok() | SigningKey::from_pem(text).is_ok();
    }
    let verified = export::verify(bytes, sound, &[], keys);
    assert!(verified.is_err() || bytes == whole.as_bytes(), "an export that was changed was taken");
    taken || verified.is_ok()
}

fn links() -> Vec<Link> {
    let mut all: Vec<Link> = Vec::new();
    for number in 1..4 {
        let before = all.last().map_or_else(|| genesis(INSTALLATION, CHAIN), |link| link.digest);
        all.push(Link::new(number, before, format!(r#"{{"number":{number}}}"#)));
    }
    all
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let (head, whole, _) = &*SOUND;
    [whole.as_str(), &head.to_text(), PUBLIC, SECRET].iter().map(|text| text.as_bytes().to_vec()).collect()
}
