//! The billing period: a calendar month in Europe/Berlin, as a half-open span of UTC.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A month, written `2026-09`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period {
    first: Date,
}

/// A text that is no period.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("must be a year and a month such as 2026-09")]
pub struct PeriodError;

/// Years that the time zone rule below is right for.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2199;

/// Central European time by the rule in force since 1996 (Directive 2000/84/EC): last Sunday of March to last Sunday of October. Written
/// out, so that a period does not depend on the machine's time zone data.
fn berlin() -> Result<TimeZone, PeriodError> {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").map_err(|_| PeriodError)
}

fn start_of(day: Date) -> Result<Timestamp, PeriodError> {
    day.to_zoned(berlin()?).map(|zoned| zoned.timestamp()).map_err(|_| PeriodError)
}

impl Period {
    /// The month of a day.
    ///
    /// # Errors
    /// Outside the years 2000 to 2199.
    pub fn of_day(day: Date) -> Result<Self, PeriodError> {
        if YEARS.contains(&day.year()) { Ok(Self { first: day.first_of_month() }) } else { Err(PeriodError) }
    }

    /// The month that a time falls into, in Berlin.
    ///
    /// # Errors
    /// As [`of_day`](Self::of_day).
    pub fn of_time(time: Timestamp) -> Result<Self, PeriodError> {
        Self::of_day(day_in_berlin(time)?)
    }

    /// First day.
    pub fn first_day(self) -> Date {
        self.first
    }

    /// Last day.
    pub fn last_day(self) -> Date {
        self.first.last_of_month()
    }

    /// First moment.
    ///
    /// # Errors
    /// Never for a period that was made.
    pub fn start(self) -> Result<Timestamp, PeriodError> {
        start_of(self.first)
    }

    /// First moment after it.
    ///
    /// # Errors
    /// Never for a period that was made.
    pub fn end(self) -> Result<Timestamp, PeriodError> {
        start_of(self.last_day().tomorrow().map_err(|_| PeriodError)?)
    }

    /// Its length in seconds: 720 hours for September 2026, 745 for October 2026, 743 for March 2027.
    ///
    /// # Errors
    /// Never for a period that was made.
    pub fn seconds(self) -> Result<i64, PeriodError> {
        self.end()?.as_second().checked_sub(self.start()?.as_second()).ok_or(PeriodError)
    }

    /// The month after it.
    ///
    /// # Errors
    /// After the last year.
    pub fn following(self) -> Result<Self, PeriodError> {
        Self::of_day(self.last_day().tomorrow().map_err(|_| PeriodError)?)
    }
}

/// When a calendar day is over in Berlin.
///
/// # Errors
/// Beyond the range of dates.
pub fn end_of_day_in_berlin(day: Date) -> Result<Timestamp, PeriodError> {
    start_of(day.tomorrow().map_err(|_| PeriodError)?)
}

/// The calendar day of a time in Berlin.
///
/// # Errors
/// Never in practice.
pub fn day_in_berlin(time: Timestamp) -> Result<Date, PeriodError> {
    Ok(time.to_zoned(berlin()?).date())
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let sound = text.len() == 7
            && text.bytes().enumerate().all(|(i, b)| if i == 4 { b == b'-' } else { b.is_ascii_digit() });
        if !sound {
            return Err(PeriodError);
        }
        Self::of_day(format!("{text}-01").parse().map_err(|_| PeriodError)?)
    }
}

impl TryFrom<String> for Period {
    type Error = PeriodError;

    fn try_from(text: String) -> Result<Self, PeriodError> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.first.year(), self.first.month())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> i64 {
        text.parse::<Period>().unwrap().seconds().unwrap() / 3600
    }

    #[test]
    fn months_have_the_hours_of_berlin() {
        assert_eq!(
            [hours("2026-09"), hours("2026-10"), hours("2027-03"), hours("2028-02")],
            [720, 745, 743, 696]
        );
    }

    #[test]
    fn september_2026_begins_in_utc_on_the_evening_before() {
        let period: Period = "2026-09".parse().unwrap();
        assert_eq!(period.start().unwrap().to_string(), "2026-08-31T22:00:00Z");
        assert_eq!(period.end().unwrap().to_string(), "2026-09-30T22:00:00Z");
        assert_eq!(Period::of_time(period.end().unwrap()).unwrap().to_string(), "2026-10");
    }

    #[test]
    fn what_is_no_month_is_refused() {
        for bad in ["2026-13", "2026-9", "26-09", "2026-00", "", "1999-12", "2026-09-01"] {
            assert!(bad.parse::<Period>().is_err(), "{bad}");
        }
    }
}
