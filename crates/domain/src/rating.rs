//! Rating: usage segments × prices → priced quantities. Exact until the quantity is rounded to six places; then one rounding to cents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    ids::BillToId,
    money::{Cents, MicroEuro, MoneyError, Quantity, Ratio},
    period::{Period, PeriodError},
    price::{MeterPrice, PriceList, PriceUnit},
    usage::{Meter, UsageSegment, cut},
};

/// What is billed together: one line on an invoice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    bill_to: BillToId,
    subject: String,
    accounting_reference: String,
    meter: Meter,
}

/// A priced quantity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RatedLine {
    /// Who pays.
    pub bill_to: BillToId,
    /// For what; empty for imported usage that names none.
    pub subject: String,
    /// BT-133.
    pub accounting_reference: String,
    /// What.
    pub meter: Meter,
    /// BT-153.
    pub title: String,
    /// BT-129.
    pub quantity: Quantity,
    /// For which BT-130 is given.
    pub unit: PriceUnit,
    /// BT-146.
    pub price: MicroEuro,
    /// BT-131.
    pub net: Cents,
}

/// Why usage cannot be rated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RatingError {
    /// The price list in force has no price for something that was used: unknown is not zero.
    #[error("price list {list} has no price for {meter}")]
    NoPrice {
        /// Which list.
        list: String,
        /// Which meter.
        meter: Meter,
    },
    /// Numbers too large.
    #[error(transparent)]
    Amount(#[from] MoneyError),
    /// No such period.
    #[error(transparent)]
    Period(#[from] PeriodError),
}

/// Rates the parts of `segments` that lie in `period`. Lines come in the order of bill-to, subject, accounting reference, meter.
///
/// # Errors
/// See [`RatingError`].
pub fn rate(
    segments: &[UsageSegment],
    period: Period,
    list: &PriceList,
) -> Result<Vec<RatedLine>, RatingError> {
    // Unit-seconds in thousandths: whole numbers, so that splitting an interval changes nothing.
    let mut sums: BTreeMap<Group, i128> = BTreeMap::new();
    for segment in segments.iter().filter_map(|segment| cut(segment, period)) {
        let micros =
            segment.end.as_microsecond().checked_sub(segment.start.as_microsecond()).ok_or(MoneyError)?;
        let used = i128::from(micros).checked_mul(i128::from(segment.amount_milli)).ok_or(MoneyError)?;
        let group = Group {
            bill_to: segment.bill_to,
            subject: segment.subject,
            accounting_reference: segment.accounting_reference,
            meter: segment.meter,
        };
        let sum = sums.entry(group).or_default();
        *sum = sum.checked_add(used).ok_or(MoneyError)?;
    }
    sums.into_iter().map(|(group, used)| line(group, used, period, list)).collect()
}

fn line(group: Group, used: i128, period: Period, list: &PriceList) -> Result<RatedLine, RatingError> {
    let price = list
        .price(group.meter)
        .ok_or_else(|| RatingError::NoPrice { list: list.id.to_string(), meter: group.meter })?;
    let quantity = Quantity::of(exact_quantity(used, price, period)?)?;
    Ok(RatedLine {
        bill_to: group.bill_to,
        subject: group.subject,
        accounting_reference: group.accounting_reference,
        meter: group.meter,
        title: price.title.clone(),
        quantity,
        unit: price.unit,
        price: price.price,
        net: quantity.priced(price.price)?,
    })
}

/// `used` is in thousandths × microseconds.
fn exact_quantity(used: i128, price: &MeterPrice, period: Period) -> Result<Ratio, RatingError> {
    let seconds = match price.unit {
        PriceUnit::Hour => 3600,
        PriceUnit::Month => period.seconds()?,
    };
    let denominator = i128::from(seconds).checked_mul(1_000_000_000).ok_or(MoneyError)?;
    Ok(Ratio::new(used, denominator)?)
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, civil::date};
    use proptest::prelude::*;

    use super::*;

    fn list() -> PriceList {
        let price =
            |meter, unit, price| MeterPrice { meter, unit, price: MicroEuro(price), title: "x".into() };
        PriceList {
            id: "l".parse().unwrap(),
            valid_from: date(2026, 1, 1),
            resolution: "r".into(),
            prices: vec![
                price(Meter::Vcpu, PriceUnit::Hour, 12_300),
                price(Meter::StorageGib, PriceUnit::Month, 89_000),
            ],
        }
    }

    fn segment(meter: Meter, amount_milli: i64, start: i64, end: i64) -> UsageSegment {
        UsageSegment {
            id: format!("{start}"),
            member: "m-05766044".parse().unwrap(),
            meter,
            amount_milli,
            start: Timestamp::from_second(start).unwrap(),
            end: Timestamp::from_second(end).unwrap(),
            subject: String::new(),
            bill_to: "main".parse().unwrap(),
            accounting_reference: String::new(),
        }
    }

    proptest! {
        #[test]
        fn splitting_an_interval_changes_nothing(amount in 1i64..100_000, from in 0i64..2_000_000, length in 2i64..900_000, at in 1i64..899_999) {
            let period: Period = "2026-09".parse().unwrap();
            let start = period.start().unwrap().as_second() + from;
            let middle = start + at.min(length - 1);
            for meter in [Meter::Vcpu, Meter::StorageGib] {
                let whole = rate(&[segment(meter, amount, start, start + length)], period, &list()).unwrap();
                let halves = [segment(meter, amount, start, middle), segment(meter, amount, middle, start + length)];
                prop_assert_eq!(whole, rate(&halves, period, &list()).unwrap());
            }
        }
    }

    #[test]
    fn a_full_month_of_a_monthly_price_is_one_month_in_every_month() {
        for month in ["2026-09", "2026-10", "2027-03"] {
            let period: Period = month.parse().unwrap();
            let all = segment(
                Meter::StorageGib,
                512_000,
                period.start().unwrap().as_second(),
                period.end().unwrap().as_second(),
            );
            let lines = rate(&[all], period, &list()).unwrap();
            assert_eq!(
                (lines[0].quantity.to_string().as_str(), lines[0].net),
                ("512", Cents(4557)),
                "{month}"
            );
        }
    }

    #[test]
    fn what_has_no_price_is_an_error_and_not_free() {
        let period: Period = "2026-09".parse().unwrap();
        let start = period.start().unwrap().as_second();
        let used = [segment(Meter::Namespace, 1000, start, start + 1)];
        assert!(matches!(
            rate(&used, period, &list()),
            Err(RatingError::NoPrice { meter: Meter::Namespace, .. })
        ));
    }
}
