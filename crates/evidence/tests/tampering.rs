//! Whatever is changed in an export or its head is found, by somebody who has nothing but the files and the public key.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test fails by panicking"
)]

use allmende_evidence::{Head, Link, SigningKey, VerifyingKey, export, genesis};

const SECRET: &str = include_str!("key.pem");
const CHAIN: &str = "members/m-05766044";
const ENTRIES: u64 = 24;
/// Changes tried in the ordinary run; `ALLMENDE_TAMPER_CASES=10000` for the figure.
const CASES: u64 = 600;

/// SplitMix64: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

fn entry(number: u64) -> String {
    format!(
        r#"{{"at":"2026-11-24T10:00:{:02}Z","actor":"allmende://member/m-05766044","summary":"Änderung {number}"}}"#,
        number % 60
    )
}

fn chained(entries: impl IntoIterator<Item = String>) -> Vec<Link> {
    let mut last = genesis("store", CHAIN);
    let mut links = Vec::new();
    for (number, entry) in (1u64..).zip(entries) {
        let link = Link::new(number, last, entry);
        last = link.digest;
        links.push(link);
    }
    links
}

fn written(links: &[Link]) -> Vec<u8> {
    links.iter().map(export::line).collect::<String>().into_bytes()
}

fn head(links: &[Link], key: &SigningKey) -> Head {
    let last = links.last().unwrap();
    Head::sign("store", CHAIN, (last.sequence, last.digest), "2026-11-24T10:01:00Z".to_owned(), key)
}

fn holds(export: &[u8], head: &[u8], keys: &[VerifyingKey]) -> bool {
    let Ok(text) = std::str::from_utf8(head) else { return false };
    Head::from_text(text).is_ok_and(|head| export::verify(export, &head, &[], keys).is_ok())
}

/// One random single change; what a forger without the key could do, with and without repairing the digests after it.
fn change(random: &mut Random, links: &[Link], head: &[u8]) -> (&'static str, Vec<u8>, Vec<u8>) {
    let (export, head) = (written(links), head.to_vec());
    let mut lines: Vec<Vec<u8>> = export.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let one = random.below(lines.len());
    let other = (one + 1 + random.below(lines.len() - 1)) % lines.len();
    let mut entries: Vec<String> = links.iter().map(|link| link.entry.clone()).collect();
    let mut bytes = export.clone();
    match random.below(12) {
        0 | 1 => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
            ("a bit of the export", bytes, head)
        }
        2 => {
            let mut changed = head;
            let at = random.below(changed.len());
            changed[at] ^= 1 << random.below(8);
            ("a bit of the head", export, changed)
        }
        3 => {
            lines.remove(one);
            ("a line removed", lines.concat(), head)
        }
        4 => {
            lines.swap(one, other);
            ("two lines swapped", lines.concat(), head)
        }
        5 => {
            let again = lines[one].clone();
            lines.insert(other, again);
            ("a line twice", lines.concat(), head)
        }
        6 => {
            let mut renumbered = links.to_vec();
            renumbered[one].sequence = links[other].sequence;
            ("a line renumbered", written(&renumbered), head)
        }
        7 => {
            bytes.truncate(random.below(bytes.len()));
            ("the tail cut off", bytes, head)
        }
        8 => {
            bytes.insert(random.below(bytes.len()), b" \n\t0x"[random.below(5)]);
            ("a byte added", bytes, head)
        }
        9 => {
            entries[one] = entry(1_000);
            ("an entry changed and all digests repaired", written(&chained(entries)), head)
        }
        10 => {
            entries.remove(one);
            ("an entry removed and all digests repaired", written(&chained(entries)), head)
        }
        _ => {
            entries.swap(one, other);
            ("two entries swapped and all digests repaired", written(&chained(entries)), head)
        }
    }
}

#[test]
fn every_single_change_of_an_export_or_its_head_is_found_r23() {
    let key = SigningKey::from_pem(SECRET).unwrap();
    let keys = [key.verifying_key().clone()];
    let links = chained((1..=ENTRIES).map(entry));
    let (export, head) = (written(&links), head(&links, &key).to_text().into_bytes());
    assert!(holds(&export, &head, &keys), "unchanged, it holds");
    let cases = std::env::var("ALLMENDE_TAMPER_CASES").map_or(CASES, |text| text.parse().unwrap());
    let seed = 20_261_124;
    let mut random = Random(seed);
    let mut tried = std::collections::BTreeMap::new();
    for number in 0..cases {
        let (kind, changed, changed_head) = change(&mut random, &links, &head);
        assert!((&changed, &changed_head) != (&export, &head), "case {number}: {kind} changed nothing");
        assert!(!holds(&changed, &changed_head, &keys), "case {number} of seed {seed}: {kind} was not found");
        *tried.entry(kind).or_insert(0u64) += 1;
    }
    assert_eq!(tried.len(), 11, "every kind was tried: {tried:?}");
    println!("R23 found {cases} of {cases} seed {seed} {tried:?}");
}

#[test]
fn a_chain_written_anew_by_who_has_the_key_is_found_by_who_kept_an_earlier_head() {
    let key = SigningKey::from_pem(SECRET).unwrap();
    let keys = [key.verifying_key().clone()];
    let links = chained((1..=ENTRIES).map(entry));
    let earlier = head(&links[..10], &key);
    let honest = export::verify(
        written(&links).as_slice(),
        &head(&links, &key),
        std::slice::from_ref(&earlier),
        &keys,
    );
    assert_eq!(honest.unwrap().entries, ENTRIES);
    let forged = chained((1..=ENTRIES).map(|number| entry(if number == 7 { 1_000 } else { number })));
    let forged_head = head(&forged, &key);
    let alone = export::verify(written(&forged).as_slice(), &forged_head, &[], &keys);
    assert!(alone.is_ok(), "the key's owner can write a chain that holds by itself");
    let kept = export::verify(written(&forged).as_slice(), &forged_head, &[earlier], &keys);
    let Err(export::Finding::Forked(fork)) = kept else { panic!("{kept:?}") };
    assert!(fork.kept == 10 && fork.restores.is_empty(), "{fork:?}");
    assert!(fork.to_string().contains("no entry says that the store was put back"), "{fork}");
}

#[test]
fn a_store_that_was_put_back_is_told_in_words_to_whoever_kept_a_head_of_what_is_gone() {
    let key = SigningKey::from_pem(SECRET).unwrap();
    let keys = [key.verifying_key().clone()];
    let before = chained((1..=ENTRIES).map(entry));
    let said = format!(
        r#"{{"at":"2026-11-25T08:00:00Z","action":"{}","summary":"Epoche 1 → 2","reason":"Sicherung 02:00"}}"#,
        export::RESTORE_ACTION
    );
    // Put back to the state after entry 10; then the entry that says so, and two more.
    let after = chained((1..=10).map(entry).chain([said]).chain((100..102).map(entry)));
    let (export, head_now) = (written(&after), head(&after, &key));
    let against = |kept: u64| {
        let kept = head(&before[..usize::try_from(kept).unwrap()], &key);
        export::verify(export.as_slice(), &head_now, &[kept], &keys)
    };
    assert_eq!(against(10).unwrap().entries, 13, "what was in the backup is unchanged");
    for (kept, words) in [(11, "entry 11 is another"), (24, "has number 24, and the chain ends with 13")] {
        let Err(export::Finding::Forked(fork)) = against(kept) else { panic!("{kept} is not found") };
        let text = fork.to_string();
        assert!(
            text.contains(words) && text.contains("entry 11, 2026-11-25T08:00:00Z: Epoche 1 → 2"),
            "{text}"
        );
        assert!(text.contains("Sicherung 02:00") && fork.restores.len() == 1, "{text}");
    }
    let mut broken = export.clone();
    broken.truncate(export.len() - 5);
    let kept = head(&before, &key);
    let found = export::verify(broken.as_slice(), &head_now, &[kept], &keys).unwrap_err();
    assert!(!matches!(found, export::Finding::Forked(_)), "a broken chain is told as broken: {found}");
}

#[test]
fn a_head_of_another_chain_installation_or_key_proves_nothing() {
    let key = SigningKey::from_pem(SECRET).unwrap();
    let keys = [key.verifying_key().clone()];
    let links = chained((1..=3).map(entry));
    let export = written(&links);
    let last = links.last().unwrap();
    for (installation, chain) in [("other", CHAIN), ("store", "members/m-05374048"), ("store", "cooperative")]
    {
        let end = (last.sequence, last.digest);
        let head = Head::sign(installation, chain, end, "2026-11-24T10:01:00Z".to_owned(), &key);
        assert!(export::verify(export.as_slice(), &head, &[], &keys).is_err(), "{installation} {chain}");
    }
    assert!(export::verify(export.as_slice(), &head(&links, &key), &[], &[]).is_err(), "without its key");
}
