//! The Leitweg-ID (BT-10 of invoices to public bodies): `Grob[-Fein]-Prüfziffer`, KoSIT format 2.0.2.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A Leitweg-ID whose check digits were recomputed and compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LeitwegId(String);

/// Why a text is no Leitweg-ID.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LeitwegError {
    /// Not of the form `Grob[-Fein]-Prüfziffer`.
    #[error(
        "must be Grobadressierung (2 to 12 digits), optionally - and Feinadressierung (1 to 30 of 0-9, A-Z, a-z), - and 2 check digits"
    )]
    Form,
    /// Well formed, but mistyped.
    #[error(
        "check digits {found} do not fit: they would be {expected}; compare with the recipient's own writing"
    )]
    CheckDigits {
        /// What was given.
        found: String,
        /// What the algorithm gives.
        expected: String,
    },
}

/// ISO 7064 MOD 97-10 over Grob and Fein, letters as 10 to 35, with `00` appended: 98 − remainder.
fn check_digits(body: &str) -> Option<String> {
    let mut remainder: u32 = 0;
    for character in body.chars().chain("00".chars()) {
        let value = character.to_digit(36)?;
        let shift = if value < 10 { 10 } else { 100 };
        remainder = remainder.checked_mul(shift)?.checked_add(value)?.checked_rem(97)?;
    }
    Some(format!("{:02}", 98u32.checked_sub(remainder)?))
}

impl FromStr for LeitwegId {
    type Err = LeitwegError;

    fn from_str(text: &str) -> Result<Self, LeitwegError> {
        let parts: Vec<&str> = text.split('-').collect();
        let (coarse, fine, check) = match parts.as_slice() {
            [coarse, check] => (*coarse, "", *check),
            [coarse, fine, check] if !fine.is_empty() => (*coarse, *fine, *check),
            _ => return Err(LeitwegError::Form),
        };
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let well_formed = (2..=12).contains(&coarse.len())
            && digits(coarse)
            && fine.len() <= 30
            && fine.bytes().all(|b| b.is_ascii_alphanumeric())
            && check.len() == 2
            && digits(check);
        if !well_formed {
            return Err(LeitwegError::Form);
        }
        let expected = check_digits(&format!("{coarse}{fine}")).ok_or(LeitwegError::Form)?;
        // Compare with the canonical digits: "number mod 97 is 1" alone would also take 00, 01 and 99.
        if expected == check {
            Ok(Self(text.to_owned()))
        } else {
            Err(LeitwegError::CheckDigits { found: check.to_owned(), expected })
        }
    }
}

impl TryFrom<String> for LeitwegId {
    type Error = LeitwegError;

    fn try_from(text: String) -> Result<Self, LeitwegError> {
        text.parse()
    }
}

impl From<LeitwegId> for String {
    fn from(id: LeitwegId) -> Self {
        id.0
    }
}

impl LeitwegId {
    /// The text as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LeitwegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn of_all_hundred_check_digits_exactly_the_computed_ones_are_taken(coarse in "[0-9]{2,12}", fine in "(-[0-9A-Za-z]{1,30})?") {
            let taken: Vec<LeitwegId> =
                (0..100).filter_map(|check| format!("{coarse}{fine}-{check:02}").parse().ok()).collect();
            prop_assert_eq!(taken.len(), 1);
            prop_assert!(taken.iter().all(|id| (2..=98).contains(&id.as_str()[id.as_str().len() - 2..].parse::<u8>().unwrap())));
        }

        #[test]
        fn one_mistyped_digit_or_two_exchanged_neighbours_are_found(coarse in "[0-9]{2,12}", at in 0..12usize, digit in 0..10u8) {
            let valid = format!("{coarse}-{}", check_digits(&coarse).unwrap());
            prop_assert!(valid.parse::<LeitwegId>().is_ok());
            let at = at % coarse.len();
            let mut mistyped = valid.clone().into_bytes();
            mistyped[at] = b'0' + digit;
            let mut exchanged = valid.clone().into_bytes();
            exchanged.swap(at, (at + 1) % coarse.len());
            for wrong in [mistyped, exchanged].map(|bytes| String::from_utf8(bytes).unwrap()) {
                // The last and the first digit are no neighbours.
                if wrong != valid && (at + 1 < coarse.len() || wrong.as_bytes()[0] == valid.as_bytes()[0]) {
                    prop_assert!(wrong.parse::<LeitwegId>().is_err(), "{} for {}", wrong, valid);
                }
            }
        }

        #[test]
        fn any_text_is_taken_as_it_is_or_refused(text in "\\PC{0,50}") {
            if let Ok(id) = text.parse::<LeitwegId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn the_published_and_computed_examples_are_valid() {
        for good in [
            "04011000-1234512345-06",
            "04011000-12345-03",
            "04011000-12345ABCXYZ-86",
            "991-33333TEST-33",
            "9930-87",
            "1234567890-54321-40",
            "05766044-KST4711-12",
            "05334002-ORG01-08",
            "034590003003-68",
            "01051044-48",
            "03455-15",
        ] {
            assert!(good.parse::<LeitwegId>().is_ok(), "{good}: {:?}", good.parse::<LeitwegId>());
        }
    }

    #[test]
    fn wrong_digits_and_wrong_forms_are_refused() {
        for bad in [
            "04011000-1234512345-07",
            "04011000-21345-03",
            "04011000-00059-01",
            "04011000-12_45-03",
            "04011000--12345-03",
            "0401100A-12345-03",
            "1234567890123-45",
            "99000000-01944-98",
            "99000000-05676-98",
            "991-12345-67",
            "",
            "04011000",
        ] {
            assert!(bad.parse::<LeitwegId>().is_err(), "{bad}");
        }
        let error = "04011000-1234512345-07".parse::<LeitwegId>().unwrap_err();
        assert_eq!(error, LeitwegError::CheckDigits { found: "07".into(), expected: "06".into() });
    }
}
