//! Money as integers: cents for amounts, millionths of a euro for unit prices, exact fractions between, and one rounding place.

use std::{cmp::Ordering, fmt};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A sum or product that no longer fits: a defect or an absurd input, never rounded away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an amount is too large to be computed")]
pub struct MoneyError;

/// Hundredths of a euro; may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cents(pub i64);

/// Millionths of a euro: unit prices have more places than amounts (BT-146).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroEuro(pub i64);

/// A thousandth of a thousandth: quantities on a line (BT-129) have at most six places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(pub i64);

const MICRO: i64 = 1_000_000;

impl Cents {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Sum.
    ///
    /// # Errors
    /// On overflow.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_add(other.0).map(Self).ok_or(MoneyError)
    }

    /// Difference; may be negative.
    ///
    /// # Errors
    /// On overflow.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_sub(other.0).map(Self).ok_or(MoneyError)
    }

    /// Sum of many.
    ///
    /// # Errors
    /// On overflow.
    pub fn sum(all: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        all.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

/// `-1234.50`: a decimal point, two places, as EN 16931 documents have it.
impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.0, 2, 2))
    }
}

/// At least two places, at most six.
impl fmt::Display for MicroEuro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.0, 6, 2))
    }
}

/// As few places as needed.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.0, 6, 0))
    }
}

/// `value / 10^places` with trailing zeros cut down to `keep` places.
fn decimal(value: i64, places: usize, keep: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = places.saturating_add(1));
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(places));
    let needed = fraction.trim_end_matches('0').len().max(keep);
    let fraction = fraction.get(..needed).unwrap_or(fraction);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// An exact fraction, lowest terms, positive denominator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    numerator: i128,
    denominator: i128,
}

impl Ratio {
    /// Nothing.
    pub const ZERO: Self = Self { numerator: 0, denominator: 1 };

    /// `numerator / denominator`.
    ///
    /// # Errors
    /// When the denominator is zero or a number cannot be negated.
    pub fn new(numerator: i128, denominator: i128) -> Result<Self, MoneyError> {
        let divisor = gcd(numerator, denominator)?;
        let numerator = numerator.checked_div(divisor).ok_or(MoneyError)?;
        let denominator = denominator.checked_div(divisor).ok_or(MoneyError)?;
        if denominator < 0 {
            let negate = |n: i128| n.checked_neg().ok_or(MoneyError);
            return Ok(Self { numerator: negate(numerator)?, denominator: negate(denominator)? });
        }
        Ok(Self { numerator, denominator })
    }

    /// A whole number.
    pub fn whole(number: i64) -> Self {
        Self { numerator: i128::from(number), denominator: 1 }
    }

    /// Numerator in lowest terms.
    pub fn numerator(self) -> i128 {
        self.numerator
    }

    /// Denominator in lowest terms, positive.
    pub fn denominator(self) -> i128 {
        self.denominator
    }

    /// Sum.
    ///
    /// # Errors
    /// On overflow.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        let left = self.numerator.checked_mul(other.denominator).ok_or(MoneyError)?;
        let right = other.numerator.checked_mul(self.denominator).ok_or(MoneyError)?;
        let denominator = self.denominator.checked_mul(other.denominator).ok_or(MoneyError)?;
        Self::new(left.checked_add(right).ok_or(MoneyError)?, denominator)
    }

    /// Product.
    ///
    /// # Errors
    /// On overflow.
    pub fn checked_mul(self, other: Self) -> Result<Self, MoneyError> {
        let numerator = self.numerator.checked_mul(other.numerator).ok_or(MoneyError)?;
        let denominator = self.denominator.checked_mul(other.denominator).ok_or(MoneyError)?;
        Self::new(numerator, denominator)
    }

    /// The one rounding place: to a whole number, half away from zero.
    ///
    /// # Errors
    /// When the result does not fit.
    pub fn round_half_away(self) -> Result<i64, MoneyError> {
        let magnitude = self.numerator.checked_abs().ok_or(MoneyError)?;
        let double =
            magnitude.checked_mul(2).and_then(|n| n.checked_add(self.denominator)).ok_or(MoneyError)?;
        let whole =
            double.checked_div(self.denominator.checked_mul(2).ok_or(MoneyError)?).ok_or(MoneyError)?;
        let signed = if self.numerator < 0 { whole.checked_neg().ok_or(MoneyError)? } else { whole };
        i64::try_from(signed).map_err(|_| MoneyError)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator.cmp(&1) {
            Ordering::Equal => write!(f, "{}", self.numerator),
            Ordering::Less | Ordering::Greater => write!(f, "{}/{}", self.numerator, self.denominator),
        }
    }
}

/// Zero only when both are zero, which makes the division above fail as it should.
fn gcd(a: i128, b: i128) -> Result<i128, MoneyError> {
    let mut a = a.checked_abs().ok_or(MoneyError)?;
    let mut b = b.checked_abs().ok_or(MoneyError)?;
    while b != 0 {
        (a, b) = (b, a.checked_rem(b).ok_or(MoneyError)?);
    }
    Ok(a)
}

impl Quantity {
    /// Rounded to six places.
    ///
    /// # Errors
    /// On overflow.
    pub fn of(exact: Ratio) -> Result<Self, MoneyError> {
        exact.checked_mul(Ratio::whole(MICRO))?.round_half_away().map(Self)
    }

    /// As a fraction.
    ///
    /// # Errors
    /// Never; the signature is that of the computation.
    pub fn ratio(self) -> Result<Ratio, MoneyError> {
        Ratio::new(i128::from(self.0), i128::from(MICRO))
    }

    /// Quantity × unit price before rounding, in euros.
    ///
    /// # Errors
    /// On overflow.
    pub fn exact_price(self, price: MicroEuro) -> Result<Ratio, MoneyError> {
        self.ratio()?.checked_mul(Ratio::new(i128::from(price.0), i128::from(MICRO))?)
    }

    /// BT-131 = round2(BT-129 × BT-146).
    ///
    /// # Errors
    /// On overflow.
    pub fn priced(self, price: MicroEuro) -> Result<Cents, MoneyError> {
        self.exact_price(price)?.checked_mul(Ratio::whole(100))?.round_half_away().map(Cents)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_go_away_from_zero() {
        let cents = |n: i128, d: i128| Ratio::new(n, d).unwrap().round_half_away().unwrap();
        assert_eq!([cents(1169, 2), cents(-1169, 2), cents(1, 3), cents(-2, 3)], [585, -585, 0, -1]);
    }

    #[test]
    fn amounts_read_as_documents_have_them() {
        assert_eq!(Cents(-5).to_string(), "-0.05");
        assert_eq!(Cents(2_480_001).to_string(), "24800.01");
        assert_eq!(MicroEuro(12_300).to_string(), "0.0123");
        assert_eq!(MicroEuro(45_000_000).to_string(), "45.00");
        assert_eq!(Quantity(5_760_000_000).to_string(), "5760");
        assert_eq!(Quantity(500_000).to_string(), "0.5");
    }

    proptest! {
        #[test]
        fn rounding_is_never_more_than_half_away(n in -1_000_000_000i128..1_000_000_000, d in 1i128..10_000) {
            let rounded = i128::from(Ratio::new(n, d).unwrap().round_half_away().unwrap());
            prop_assert!((rounded * d - n).abs() * 2 <= d);
        }

        #[test]
        fn sums_of_fractions_do_not_depend_on_the_order(a in -999i128..999, b in 1i128..99, c in -999i128..999, d in 1i128..99) {
            let (x, y) = (Ratio::new(a, b).unwrap(), Ratio::new(c, d).unwrap());
            prop_assert_eq!(x.checked_add(y).unwrap(), y.checked_add(x).unwrap());
        }
    }
}
