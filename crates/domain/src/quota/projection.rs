//! What a reservation costs over a span of a budget year: the same rating as an invoice's, month by month, each with the price list in
//! force then (announced lists included).

use std::{collections::BTreeSet, fmt, str::FromStr};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    ids::{BillToId, MemberId, PriceListId},
    money::{Cents, MoneyError},
    period::{Period, PeriodError},
    price::{PriceList, in_force},
    rating::{RatingError, rate},
    resources::Resources,
    usage::{FactKind, LifecycleFact, UsageSegment, cut, segments_of_life},
};

/// A budget year (Haushaltsjahr): the calendar year in Europe/Berlin (§ 78 GO NRW and its like in the other Länder).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BudgetYear(i16);

/// A text that is no budget year.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("must be a year such as 2026")]
pub struct YearError;

impl BudgetYear {
    /// The year that a time falls into, in Berlin.
    ///
    /// # Errors
    /// Outside the years 2000 to 2199.
    pub fn of_time(time: Timestamp) -> Result<Self, PeriodError> {
        Ok(Self(Period::of_time(time)?.first_day().year()))
    }

    /// The year after it.
    #[must_use]
    pub fn following(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The year before it.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Its months, January first.
    ///
    /// # Errors
    /// Outside the years 2000 to 2199.
    pub fn periods(self) -> Result<Vec<Period>, PeriodError> {
        (1..=12).map(|month| Period::of_day(Date::new(self.0, month, 1).map_err(|_| PeriodError)?)).collect()
    }

    /// First moment.
    ///
    /// # Errors
    /// As [`periods`](Self::periods).
    pub fn start(self) -> Result<Timestamp, PeriodError> {
        self.periods()?.first().ok_or(PeriodError)?.start()
    }

    /// First moment after it.
    ///
    /// # Errors
    /// As [`periods`](Self::periods).
    pub fn end(self) -> Result<Timestamp, PeriodError> {
        self.periods()?.last().ok_or(PeriodError)?.end()
    }
}

impl FromStr for BudgetYear {
    type Err = YearError;

    fn from_str(text: &str) -> Result<Self, YearError> {
        let sound = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        let year: i16 = if sound { text.parse().map_err(|_| YearError)? } else { return Err(YearError) };
        Self(year).periods().map_err(|_| YearError)?;
        Ok(Self(year))
    }
}

impl TryFrom<String> for BudgetYear {
    type Error = YearError;

    fn try_from(text: String) -> Result<Self, YearError> {
        text.parse()
    }
}

impl From<BudgetYear> for String {
    fn from(year: BudgetYear) -> Self {
        year.to_string()
    }
}

impl fmt::Display for BudgetYear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

/// What is paid for: amounts, and for a workspace its namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// What is reserved.
    pub amounts: Resources,
    /// Whether it is a workspace, for which the namespace is billed too.
    pub workspace: bool,
}

/// Money with the price lists that it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Projection {
    /// Net.
    pub net: Cents,
    /// Every list that a month of it was priced with.
    pub price_lists: BTreeSet<PriceListId>,
}

/// Why something has no price. Unknown is not zero.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProjectionError {
    /// No price list is in force in a month of the span.
    #[error("no price list is in force in {0}")]
    NoPriceList(Period),
    /// The list lacks a price, or a number is too large.
    #[error(transparent)]
    Rating(#[from] RatingError),
}

impl From<MoneyError> for ProjectionError {
    fn from(error: MoneyError) -> Self {
        Self::Rating(error.into())
    }
}

impl From<PeriodError> for ProjectionError {
    fn from(error: PeriodError) -> Self {
        Self::Rating(error.into())
    }
}

/// What `charge` costs from `from` to `until`, as far as that lies in `year`.
///
/// # Errors
/// See [`ProjectionError`].
pub fn project(
    member: &MemberId,
    charge: &Charge,
    (from, until): (Timestamp, Timestamp),
    year: BudgetYear,
    lists: &[PriceList],
) -> Result<Projection, ProjectionError> {
    let (from, until) = (from.max(year.start()?), until.min(year.end()?));
    if from >= until {
        return Ok(Projection::default());
    }
    let fact = ready(member, charge, from)?;
    let segments = segments_of_life(&[fact], until)?;
    priced(&segments, year, lists)
}

/// What usage costs in a year.
///
/// # Errors
/// See [`ProjectionError`].
pub fn priced(
    segments: &[UsageSegment],
    year: BudgetYear,
    lists: &[PriceList],
) -> Result<Projection, ProjectionError> {
    let mut sum = Projection::default();
    for period in year.periods()? {
        let parts: Vec<UsageSegment> = segments.iter().filter_map(|segment| cut(segment, period)).collect();
        if parts.is_empty() {
            continue;
        }
        let list = in_force(lists, period.first_day()).ok_or(ProjectionError::NoPriceList(period))?;
        for line in rate(&parts, period, list)? {
            sum.net = sum.net.checked_add(line.net)?;
        }
        sum.price_lists.insert(list.id.clone());
    }
    Ok(sum)
}

/// The life that a charge would have, as the fact it begins with.
fn ready(member: &MemberId, charge: &Charge, from: Timestamp) -> Result<LifecycleFact, ProjectionError> {
    let uid = "00000000-0000-4000-8000-000000000000".parse().map_err(|_| MoneyError)?;
    let bill_to: BillToId = "main".parse().map_err(|_| MoneyError)?;
    Ok(LifecycleFact {
        id: "projection".to_owned(),
        member: member.clone(),
        subject: String::new(),
        uid,
        kind: FactKind::Ready,
        generation: 1,
        occurred: from,
        received: from,
        amounts: charge.amounts.clone(),
        workspace: charge.workspace,
        bill_to,
        accounting_reference: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::{
        money::MicroEuro,
        price::{MeterPrice, PriceUnit},
        usage::Meter,
    };

    fn list(id: &str, from: Date, micro: i64) -> PriceList {
        PriceList {
            id: id.parse().unwrap(),
            valid_from: from,
            resolution: "B-2026-01".to_owned(),
            prices: vec![MeterPrice {
                meter: Meter::Vcpu,
                unit: PriceUnit::Month,
                price: MicroEuro(micro),
                title: "vCPU".to_owned(),
            }],
        }
    }

    fn cpus(count: i64) -> Charge {
        let amounts = Resources { cpu_milli: count * 1000, ..Resources::ZERO };
        Charge { amounts, workspace: false }
    }

    #[test]
    fn each_month_has_the_price_of_the_list_in_force_then_announced_ones_included() {
        let lists = [list("alt", date(2026, 1, 1), 10_000_000), list("neu", date(2026, 12, 1), 20_000_000)];
        let year: BudgetYear = "2026".parse().unwrap();
        let from = "2026-11".parse::<Period>().unwrap().start().unwrap();
        let member = "m-05766044".parse().unwrap();
        let found = project(&member, &cpus(2), (from, year.end().unwrap()), year, &lists).unwrap();
        assert_eq!(found.net, Cents(2 * 1000 + 2 * 2000));
        assert_eq!(found.price_lists.len(), 2);
    }

    #[test]
    fn what_lies_in_another_year_costs_nothing_in_this_one_and_a_month_without_list_has_no_price() {
        let year: BudgetYear = "2026".parse().unwrap();
        let member = "m-05766044".parse().unwrap();
        let span = (year.end().unwrap(), year.following().end().unwrap());
        let lists = [list("alt", date(2026, 3, 1), 10_000_000)];
        assert_eq!(project(&member, &cpus(2), span, year, &lists).unwrap(), Projection::default());
        let whole = (year.start().unwrap(), year.end().unwrap());
        let missing = project(&member, &cpus(2), whole, year, &lists).unwrap_err();
        assert_eq!(missing, ProjectionError::NoPriceList("2026-01".parse().unwrap()));
    }

    #[test]
    fn a_year_is_a_calendar_year_in_berlin() {
        let year: BudgetYear = "2026".parse().unwrap();
        assert_eq!(year.start().unwrap().to_string(), "2025-12-31T23:00:00Z");
        assert_eq!(BudgetYear::of_time(year.start().unwrap()).unwrap(), year);
        assert_eq!(BudgetYear::of_time(year.end().unwrap()).unwrap(), year.following());
        for bad in ["26", "20266", "1999", "2026-01", "", "zwei"] {
            assert!(bad.parse::<BudgetYear>().is_err(), "{bad}");
        }
    }
}
