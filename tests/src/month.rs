//! The month that is closed: the one before the present.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// A calendar month in Berlin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month(Date);

impl Month {
    /// The last one that is over.
    ///
    /// # Panics
    /// When the machine does not know Berlin's time.
    #[allow(clippy::disallowed_methods, reason = "the programs under test go by the machine's clock")]
    pub fn last() -> Self {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let today = Timestamp::now().to_zoned(berlin).date();
        Self(today.first_of_month().yesterday().unwrap().first_of_month())
    }

    /// `2026-09`.
    pub fn period(self) -> String {
        self.0.strftime("%Y-%m").to_string()
    }

    /// `runs/2026-09`.
    pub fn run(self) -> String {
        format!("runs/{}", self.period())
    }

    /// Noon of a day, UTC, seconds since 1970.
    ///
    /// # Panics
    /// When the month has no such day.
    pub fn noon(self, day: i8) -> i64 {
        let date = self.0.with().day(day).build().unwrap();
        date.at(12, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp().as_second()
    }
}
