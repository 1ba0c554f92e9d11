//! Reading fields: each failure is noted with its path, and reading goes on, so that all wrong fields are told at once.

use std::{fmt::Display, str::FromStr};

use allmende_domain::violation::FieldViolation;
use jiff::{Timestamp, civil::Date};

use crate::error::AppError;

/// Collects what is wrong.
#[derive(Debug, Default)]
pub struct Fields {
    wrong: Vec<FieldViolation>,
}

impl Fields {
    /// Nothing is wrong yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes one wrong field.
    pub fn wrong(&mut self, field: impl Into<String>, description: impl Display) {
        self.wrong.push(FieldViolation::new(field, description.to_string()));
    }

    /// Notes violations that the domain found, below a path.
    pub fn wrong_under(&mut self, path: &str, violations: Vec<FieldViolation>) {
        self.wrong.extend(violations.into_iter().map(|violation| violation.under(path)));
    }

    /// Notes one violation as it is.
    pub fn push(&mut self, violation: FieldViolation) {
        self.wrong.push(violation);
    }

    /// Reads a text with a grammar of its own.
    pub fn parse<T>(&mut self, field: &str, text: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        text.parse().map_err(|error: T::Err| self.wrong(field, error)).ok()
    }

    /// Reads an ISO date.
    pub fn date(&mut self, field: &str, text: &str) -> Option<Date> {
        text.parse().map_err(|_| self.wrong(field, "must be a date such as 2026-01-01")).ok()
    }

    /// A message that must be there.
    pub fn needed<'a, T>(&mut self, field: &str, value: Option<&'a T>) -> Option<&'a T> {
        if value.is_none() {
            self.wrong(field, "is needed");
        }
        value
    }

    /// Reads a time that must be there.
    pub fn time(&mut self, field: &str, time: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
        let time = self.needed(field, time)?;
        match Timestamp::new(time.seconds, time.nanos) {
            Ok(time) => Some(time),
            Err(_) => {
                self.wrong(field, "is no time");
                None
            }
        }
    }

    /// Ends reading: everything wrong as one error, or the value. A value that is absent although nothing was noted is a defect.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, AppError> {
        match value {
            Some(value) if self.wrong.is_empty() => Ok(value),
            None if self.wrong.is_empty() => {
                Err(AppError::internal("a message was not read and nothing was wrong"))
            }
            _ => Err(AppError::Invalid(self.wrong)),
        }
    }

    /// Ends checking.
    pub fn check(self) -> Result<(), AppError> {
        self.finish(Some(()))
    }

    /// Whether anything is wrong so far.
    pub fn is_sound(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// A time as a message.
pub fn time(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}
