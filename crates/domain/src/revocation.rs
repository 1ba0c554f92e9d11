//! Certificates that are refused before their time is over, by principal: single ones by their serial numbers, all that were issued before
//! a time, or all from a time on.

use std::fmt::Write;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Most certificates of one principal that are named singly: a bar over all of them needs one time alone.
pub const SERIALS_MAX: usize = 200;
/// Longest serial number, in bytes (RFC 5280, 4.1.2.2).
const SERIAL_BYTES_MAX: usize = 20;

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedCertificate {
    /// Serial number, lower-case hex without leading zeros.
    pub serial: String,
    /// When it ends by itself; none: not known. Afterwards it need not be named any more.
    pub not_after: Option<Timestamp>,
}

/// What is refused of one principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Identity text. One that ends with `/-` stands for all below it.
    pub principal: String,
    /// What was issued before is refused.
    pub issued_before: Option<Timestamp>,
    /// These are refused.
    pub certificates: Vec<RevokedCertificate>,
    /// From then on all are refused.
    pub ends: Option<Timestamp>,
    /// Raised whenever its open connections are to be cut, although its certificates stay good: what they may do has changed.
    pub turn: u64,
    /// Last change.
    pub update_time: Timestamp,
}

/// Too many certificates of one principal are named singly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{SERIALS_MAX} certificates of it are revoked singly already: revoke all that were issued up to now")]
pub struct TooManySerials;

impl Revocation {
    /// Nothing is refused.
    pub fn none(principal: String, now: Timestamp) -> Self {
        Self {
            principal,
            issued_before: None,
            certificates: Vec::new(),
            ends: None,
            turn: 0,
            update_time: now,
        }
    }

    /// Nothing that was issued before `at` counts any more. An earlier bar is never lowered.
    #[must_use]
    pub fn barred(&self, at: Timestamp, now: Timestamp) -> Self {
        // A certificate tells its begin in whole seconds: the bar lies at the next.
        let next = Timestamp::from_second(at.as_second().saturating_add(1)).unwrap_or(at);
        let issued_before = Some(self.issued_before.map_or(next, |before| before.max(next)));
        Self { issued_before, update_time: now, ..self.current(now) }
    }

    /// One certificate does not count any more.
    ///
    /// # Errors
    /// When too many are named.
    pub fn without(&self, revoked: RevokedCertificate, now: Timestamp) -> Result<Self, TooManySerials> {
        let mut next = self.current(now);
        next.update_time = now;
        if next.certificates.iter().any(|known| known.serial == revoked.serial) {
            return Ok(next);
        }
        if next.certificates.len() >= SERIALS_MAX {
            return Err(TooManySerials);
        }
        next.certificates.push(revoked);
        Ok(next)
    }

    /// Open connections are cut once; certificates stay good.
    #[must_use]
    pub fn turned(&self, now: Timestamp) -> Self {
        Self { turn: self.turn.saturating_add(1), update_time: now, ..self.current(now) }
    }

    /// Nothing counts from `at` on; none: there is no end any more.
    #[must_use]
    pub fn ending(&self, at: Option<Timestamp>, now: Timestamp) -> Self {
        Self { ends: at, update_time: now, ..self.current(now) }
    }

    /// When a certificate issued now begins, Unix seconds: a little in the past for clocks that lag, and never before the bar.
    pub fn not_before(&self, now: Timestamp) -> i64 {
        let lagging = now.as_second().saturating_sub(60);
        self.issued_before.map_or(lagging, |bar| lagging.max(bar.as_second()))
    }

    /// Without what has ended by itself. A day more than that, for clocks that differ.
    fn current(&self, now: Timestamp) -> Self {
        let day_ago = now.as_second().saturating_sub(86_400);
        let mut next = self.clone();
        next.certificates.retain(|known| known.not_after.is_none_or(|end| end.as_second() > day_ago));
        next
    }
}

/// A serial number as people have it (`openssl x509 -serial`, with colons or without), in the one form that is compared. None: it is none.
pub fn serial(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
    let significant = digits.to_ascii_lowercase();
    let significant = significant.trim_start_matches('0');
    let sound = !significant.is_empty()
        && significant.bytes().all(|byte| byte.is_ascii_hexdigit())
        && significant.len().div_ceil(2) <= SERIAL_BYTES_MAX;
    let mut even = String::new();
    let _ = write!(even, "{}{significant}", if significant.len() % 2 == 1 { "0" } else { "" });
    sound.then_some(even)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn none() -> Revocation {
        Revocation::none("allmende://principal/kasse".into(), time(0))
    }

    #[test]
    fn a_serial_number_has_one_form_however_it_is_written() {
        for text in ["0A1B", "0a:1b", "A1B", "00 0a 1b", "a1b"] {
            assert_eq!(serial(text).as_deref(), Some("0a1b"), "{text}");
        }
        assert_eq!(serial("7b").as_deref(), Some("7b"));
        for bad in ["", "0", "::", "xyz", "-1", "0x0a", &"f".repeat(41), "ä"] {
            assert_eq!(serial(bad), None, "{bad}");
        }
        assert!(serial(&"f".repeat(40)).is_some());
    }

    #[test]
    fn a_bar_is_never_lowered_and_what_is_issued_after_it_counts() {
        let barred = none().barred(time(1_000), time(1_000)).barred(time(500), time(1_001));
        assert_eq!(barred.issued_before, Some(time(1_001)));
        assert!(barred.not_before(time(1_000)) >= 1_001);
        assert_eq!(barred.not_before(time(5_000)), 4_940);
    }

    #[test]
    fn single_certificates_are_named_once_until_they_have_ended_and_not_without_bound() {
        let one = |serial: &str, end: i64| RevokedCertificate {
            serial: serial.to_owned(),
            not_after: Some(time(end)),
        };
        let twice =
            none().without(one("0a", 100), time(1)).unwrap().without(one("0a", 100), time(2)).unwrap();
        assert_eq!(twice.certificates.len(), 1);
        assert!(twice.turned(time(90_000)).certificates.is_empty(), "a day after its end");
        let mut full = none();
        for number in 0..SERIALS_MAX {
            full = full.without(one(&format!("{number:04x}"), 1_000_000), time(3)).unwrap();
        }
        assert_eq!(full.without(one("ffff", 1_000_000), time(3)), Err(TooManySerials));
        assert!(full.without(one("0000", 1_000_000), time(3)).is_ok(), "known already");
    }

    proptest! {
        #[test]
        fn bars_only_rise(times in proptest::collection::vec(0_i64..10_000, 1..20)) {
            let mut revocation = none();
            for at in times {
                let next = revocation.barred(time(at), time(at));
                prop_assert!(next.issued_before >= revocation.issued_before);
                prop_assert!(next.issued_before > Some(time(at)));
                revocation = next;
            }
        }
    }
}
