//! How long an entry is kept. The date is shown; nothing is ever deleted by itself, because the periods of the law are least ones
//! (they do not end while a tax assessment is open, § 147 Abs. 3 Satz 5 AO).

use std::fmt;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::period::{PeriodError, day_in_berlin};

/// What an entry is evidence of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EntryClass {
    /// Orders, usage, prices, closings: needed to understand the books.
    Booking,
    /// Members, rights, clusters, catalogue.
    Administration,
    /// Refused attempts.
    Refusal,
}

/// Services whose changes end in the books, and the steps of the billing worker.
const BOOKING: [&str; 9] = [
    "billing/",
    "allmende.v1.TenantService/",
    "allmende.v1.InstanceService/",
    "allmende.v1.QuotaService/",
    "allmende.v1.QuotaRequestService/",
    "allmende.v1.BudgetService/",
    "allmende.v1.UsageService/",
    "allmende.v1.BillingService/",
    "allmende.v1.InvoiceService/",
];

impl EntryClass {
    /// All classes.
    pub const ALL: [Self; 3] = [Self::Booking, Self::Administration, Self::Refusal];

    /// By the RPC, and whether it was refused.
    pub fn of(action: &str, refused: bool) -> Self {
        if refused {
            Self::Refusal
        } else if BOOKING.iter().any(|service| action.starts_with(service)) {
            Self::Booking
        } else {
            Self::Administration
        }
    }

    /// Years from the end of the calendar year.
    ///
    /// * Booking: 10, organisational documents needed to understand the books (§ 147 Abs. 1 Nr. 1 with Abs. 3 AO). The invoices
    ///   themselves: 8 (§ 14b Abs. 1 UStG and § 147 Abs. 3 AO since the BEG IV).
    /// * Administration: 6, other documents of importance for taxation (§ 147 Abs. 1 Nr. 5 with Abs. 3 AO).
    /// * Refusal: 1; no law asks for it, an attack is often found months later.
    pub fn years(self) -> i16 {
        match self {
            Self::Booking => 10,
            Self::Administration => 6,
            Self::Refusal => 1,
        }
    }

    /// The last day on which an entry of this time must be there.
    ///
    /// # Errors
    /// When the calendar ends before.
    pub fn retain_until(self, at: Timestamp) -> Result<Date, PeriodError> {
        let day = day_in_berlin(at)?;
        let year = day.year().checked_add(self.years()).ok_or(PeriodError)?;
        Date::new(year, 12, 31).map_err(|_| PeriodError)
    }
}

impl fmt::Display for EntryClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Booking => "booking",
            Self::Administration => "administration",
            Self::Refusal => "refusal",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(class: EntryClass, at: &str) -> String {
        class.retain_until(at.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn the_period_begins_at_the_end_of_the_calendar_year_in_germany() {
        assert_eq!(until(EntryClass::Booking, "2026-11-24T10:00:00Z"), "2036-12-31");
        assert_eq!(until(EntryClass::Administration, "2026-01-01T00:00:00Z"), "2032-12-31");
        // Midnight in Berlin comes an hour before that of UTC.
        assert_eq!(until(EntryClass::Refusal, "2026-12-31T23:30:00Z"), "2028-12-31");
    }

    #[test]
    fn an_order_is_of_the_books_and_a_grant_is_not() {
        assert_eq!(EntryClass::of("allmende.v1.InstanceService/CreateInstance", false), EntryClass::Booking);
        assert_eq!(
            EntryClass::of("allmende.v1.MemberService/CreateGrant", false),
            EntryClass::Administration
        );
        assert_eq!(EntryClass::of("allmende.v1.InstanceService/CreateInstance", true), EntryClass::Refusal);
    }
}
