//! A member's standing beside its shares: whether it has signed the processing agreement, and when it leaves.
//!
//! Leaving has three dates. Up to the last day all goes on. From then to the end of the grace nothing new is ordered, and the member
//! deletes its workloads and takes its data along. Then its rights end, the cooperative's operator may delete what is left, and the invoices
//! stay, readable for the cooperative alone, until their own retention ends (Art. 17 Abs. 3 Buchst. b, Art. 18 DSGVO).

use jiff::{Timestamp, ToSpan, civil::Date};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{member::Member, violation::FieldViolation};

/// Days of grace where nothing else was decided.
pub const GRACE_DAYS: u16 = 90;
/// Longest grace.
pub const GRACE_DAYS_MAX: u16 = 730;
/// Years that an invoice is kept from the end of the calendar year of its issue: § 14b Abs. 1 Satz 1 UStG and § 147 Abs. 3 AO for
/// Buchungsbelege, 8 since the BEG IV (BGBl. 2024 I Nr. 323); before 10. A least period: nothing is deleted by itself.
const INVOICE_YEARS: i16 = 8;

/// The processing agreement (Auftragsverarbeitung, Art. 28 DSGVO) that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessingAgreement {
    /// When both had signed.
    pub signed_on: Date,
    /// Which text: the cooperative's own numbering.
    pub version: String,
}

/// A member leaves (Austritt).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    /// Last day of the membership.
    pub last_day: Date,
    /// Last day on which the member may still act: delete, export.
    pub grace_until: Date,
    /// For people and the audit.
    pub reason: String,
    /// When it was recorded.
    pub decided_at: Timestamp,
}

/// Why a member may not order.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OrderBar {
    /// See text.
    #[error("has left on {0}: nothing new is ordered; delete what is left and export the data")]
    Left(Date),
    /// See text.
    #[error(
        "has no signed processing agreement (AVV) on record: have the cooperative's operator enter it, with its date and version"
    )]
    NoProcessingAgreement,
    /// See text.
    #[error("has a processing agreement that is signed on {0} only")]
    NotYetSigned(Date),
}

impl ProcessingAgreement {
    /// What is wrong with it; paths as in the proto message.
    pub fn violations(&self) -> Vec<FieldViolation> {
        let length = self.version.trim().chars().count();
        if (1..=50).contains(&length) {
            Vec::new()
        } else {
            vec![FieldViolation::new("version", "must have 1 to 50 characters: which text was signed")]
        }
    }
}

impl Departure {
    /// Records it on `today`; all wrong fields at once, paths as in the request.
    ///
    /// # Errors
    /// A day in the past, a grace that is too long, no reason.
    pub fn new(
        last_day: Date,
        grace_days: u16,
        reason: &str,
        (today, now): (Date, Timestamp),
    ) -> Result<Self, Vec<FieldViolation>> {
        let mut wrong = Vec::new();
        if last_day < today {
            wrong.push(FieldViolation::new("last_day", "must not lie in the past"));
        }
        if grace_days > GRACE_DAYS_MAX {
            wrong.push(FieldViolation::new("grace_days", format!("must be at most {GRACE_DAYS_MAX}")));
        }
        let length = reason.trim().chars().count();
        if !(1..=500).contains(&length) {
            wrong.push(FieldViolation::new("reason", "must have 1 to 500 characters"));
        }
        let Ok(grace_until) = last_day.checked_add(i64::from(grace_days).days()) else {
            wrong.push(FieldViolation::new("last_day", "lies too far ahead"));
            return Err(wrong);
        };
        if wrong.is_empty() {
            Ok(Self { last_day, grace_until, reason: reason.trim().to_owned(), decided_at: now })
        } else {
            Err(wrong)
        }
    }

    /// Whether the membership has ended.
    pub fn has_left(&self, today: Date) -> bool {
        self.last_day < today
    }

    /// Whether the member's rights have ended too.
    pub fn grace_is_over(&self, today: Date) -> bool {
        self.grace_until < today
    }
}

impl Member {
    /// Whether it may order on this day; `needs_agreement`: the cooperative asks for a signed processing agreement first.
    ///
    /// # Errors
    /// See [`OrderBar`].
    pub fn may_order(&self, today: Date, needs_agreement: bool) -> Result<(), OrderBar> {
        if let Some(departure) = self.departure.as_ref().filter(|departure| departure.has_left(today)) {
            return Err(OrderBar::Left(departure.last_day));
        }
        match &self.processing_agreement {
            None if needs_agreement => Err(OrderBar::NoProcessingAgreement),
            Some(agreement) if needs_agreement && today < agreement.signed_on => {
                Err(OrderBar::NotYetSigned(agreement.signed_on))
            }
            _ => Ok(()),
        }
    }

    /// Whether its rights have ended: it has left and the grace is over.
    pub fn is_gone(&self, today: Date) -> bool {
        self.departure.as_ref().is_some_and(|departure| departure.grace_is_over(today))
    }
}

/// The last day on which an invoice of this date must be there; none where the calendar ends before.
pub fn invoice_retained_until(issued: Date) -> Option<Date> {
    Date::new(issued.year().checked_add(INVOICE_YEARS)?, 12, 31).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn leaving(last_day: Date, grace_days: u16) -> Departure {
        Departure::new(last_day, grace_days, "Fusion", (date(2026, 11, 24), Timestamp::UNIX_EPOCH)).unwrap()
    }

    #[test]
    fn the_last_day_and_the_last_day_of_the_grace_still_count() {
        let departure = leaving(date(2026, 12, 31), 90);
        assert_eq!(departure.grace_until, date(2027, 3, 31));
        assert!(!departure.has_left(date(2026, 12, 31)) && departure.has_left(date(2027, 1, 1)));
        assert!(!departure.grace_is_over(date(2027, 3, 31)) && departure.grace_is_over(date(2027, 4, 1)));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let today = (date(2026, 11, 24), Timestamp::UNIX_EPOCH);
        let wrong = Departure::new(date(2026, 11, 23), 1_000, " ", today).unwrap_err();
        let fields: Vec<&str> = wrong.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["last_day", "grace_days", "reason"]);
    }

    #[test]
    fn an_invoice_of_2026_is_kept_to_the_end_of_2034() {
        assert_eq!(invoice_retained_until(date(2026, 1, 1)), Some(date(2034, 12, 31)));
        assert_eq!(invoice_retained_until(date(2026, 12, 31)), Some(date(2034, 12, 31)));
    }

    proptest! {
        #[test]
        fn who_has_no_rights_any_more_has_left_before(days in 0i64..2_000, grace in 0u16..=GRACE_DAYS_MAX) {
            let departure = leaving(date(2026, 12, 31), grace);
            let today = date(2026, 11, 24).checked_add(days.days()).unwrap();
            prop_assert!(!departure.grace_is_over(today) || departure.has_left(today));
        }
    }
}
