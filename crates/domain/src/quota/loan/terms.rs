//! What is offered: how much, where, from when to when, with which notice, and at what price.

use std::collections::BTreeMap;

use jiff::{ToSpan, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{ids::ClusterId, money::MicroEuro, resources::Resources, violation::FieldViolation};

/// Longest notice, in days.
pub const NOTICE_DAYS_MAX: u16 = 365;
/// Longest loan, in days: what is meant for longer is a matter for the rule that divides the pool.
pub const LENGTH_DAYS_MAX: i32 = 3 * 366;
/// Highest price of a unit and month: far above any.
const PRICE_MAX: i64 = 1_000_000_000_000;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoanTerms {
    /// Where.
    pub cluster: ClusterId,
    /// How much.
    pub amount: Resources,
    /// First day.
    pub from: Date,
    /// Last day.
    pub until: Date,
    /// Days from the call back to the day by which it must be back.
    pub notice_days: u16,
    /// By resource: per unit (vCPU, GiB, else piece) and month. Stored and shown; it is not billed by the program yet.
    pub prices: BTreeMap<String, MicroEuro>,
}

impl LoanTerms {
    /// Everything that is wrong on this day; paths as in the proto message `Loan`.
    pub fn violations(&self, today: Date) -> Vec<FieldViolation> {
        let mut wrong = Vec::new();
        for field in self.amount.fields_out_of_range() {
            let text = "must be zero or more, and not absurdly large";
            wrong.push(FieldViolation::new(format!("amount.{field}"), text));
        }
        if self.amount.is_zero() {
            wrong.push(FieldViolation::new("amount", "must lend something"));
        }
        if self.from < today {
            wrong.push(FieldViolation::new("from", "must not lie in the past"));
        }
        if self.until < self.from {
            wrong.push(FieldViolation::new("until", "must not lie before from: it is the last day"));
        } else if self.from.until(self.until).is_ok_and(|span| span.get_days() >= LENGTH_DAYS_MAX) {
            wrong.push(FieldViolation::new("until", "must be within three years"));
        }
        if self.notice_days > NOTICE_DAYS_MAX {
            let text = format!("must be at most {NOTICE_DAYS_MAX}");
            wrong.push(FieldViolation::new("notice_days", text));
        }
        for (resource, price) in &self.prices {
            let field = format!("prices[{resource}]");
            if self.amount.get(resource) <= 0 {
                wrong.push(FieldViolation::new(field, "is a price for something that is not lent"));
            } else if !(1..=PRICE_MAX).contains(&price.0) {
                let text =
                    format!("must be 1 to {PRICE_MAX} millionths of a euro; leave it out for no price");
                wrong.push(FieldViolation::new(field, text));
            }
        }
        wrong
    }

    /// The day on which the notice for the end begins: from then on nothing new is ordered on it.
    pub fn last_orders(&self) -> Date {
        self.until.saturating_sub(i64::from(self.notice_days).days()).max(self.from)
    }

    /// The day by which it must be back when it is called back on this one.
    pub fn due_after_recall(&self, today: Date) -> Date {
        today.saturating_add(i64::from(self.notice_days).days()).min(self.until.max(today))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn terms() -> LoanTerms {
        LoanTerms {
            cluster: "c".parse().unwrap(),
            amount: Resources { memory_bytes: 4 << 30, ..Resources::ZERO },
            from: date(2026, 12, 1),
            until: date(2026, 12, 31),
            notice_days: 7,
            prices: BTreeMap::new(),
        }
    }

    #[test]
    fn all_that_is_wrong_with_an_offer_is_named_at_once() {
        let today = date(2026, 11, 24);
        assert_eq!(terms().violations(today), []);
        let bad = LoanTerms {
            amount: Resources { pods: -1, ..Resources::ZERO },
            from: date(2026, 11, 23),
            until: date(2026, 11, 22),
            notice_days: 366,
            prices: [("requests.memory".to_owned(), MicroEuro(1))].into(),
            ..terms()
        };
        let fields: Vec<String> = bad.violations(today).into_iter().map(|v| v.field).collect();
        assert_eq!(fields, ["amount.pods", "from", "until", "notice_days", "prices[requests.memory]"]);
        let nothing = LoanTerms { amount: Resources::ZERO, ..terms() };
        assert_eq!(nothing.violations(today)[0].field, "amount");
        let free = LoanTerms { prices: [("requests.memory".to_owned(), MicroEuro(0))].into(), ..terms() };
        assert_eq!(free.violations(today)[0].field, "prices[requests.memory]");
        let long = LoanTerms { until: date(2030, 1, 1), ..terms() };
        assert_eq!(long.violations(today)[0].field, "until");
    }

    #[test]
    fn the_notice_ends_with_the_loan_at_the_latest() {
        assert_eq!(terms().last_orders(), date(2026, 12, 24));
        assert_eq!(terms().due_after_recall(date(2026, 12, 10)), date(2026, 12, 17));
        assert_eq!(terms().due_after_recall(date(2026, 12, 30)), date(2026, 12, 31));
        let short = LoanTerms { notice_days: 60, ..terms() };
        assert_eq!(short.last_orders(), date(2026, 12, 1), "never before it begins");
    }
}
