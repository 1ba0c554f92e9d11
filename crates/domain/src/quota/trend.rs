//! Where an account is heading: what was reserved at the end of past days, and when it would be full if it went on so. Integers only.

use std::collections::BTreeMap;

use jiff::{ToSpan, civil::Date};
use serde::{Deserialize, Serialize};

use super::level::Fill;
use crate::{
    ids::{ClusterId, MemberId},
    resources::Resources,
};

/// Days that a trend looks back.
pub const DAYS: i64 = 28;
/// Changes that are kept: one a day at most, and one from before the first day that a trend looks at.
const KEPT_MAX: usize = 40;
/// Beyond this nobody can foresee anything: ten years.
const FORESEEN_DAYS_MAX: i64 = 3_650;

/// What was reserved in one account, by the day (in Berlin) at which it became so; a day without a change is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaHistory {
    /// Whose.
    pub member: MemberId,
    /// On which cluster.
    pub cluster: ClusterId,
    /// At the end of that day, or last seen on it.
    pub days: BTreeMap<Date, Resources>,
}

/// When a resource is full at the present slope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// Growth over `days`; not above zero: no end can be foreseen.
    pub growth: i64,
    /// Over how many days.
    pub days: i64,
    /// The first day on which the limit is reached. None where it cannot be foreseen: flat, falling, too short a time, or too far away.
    pub full_on: Option<Date>,
}

impl QuotaHistory {
    /// Nothing yet.
    pub fn empty(member: MemberId, cluster: ClusterId) -> Self {
        Self { member, cluster, days: BTreeMap::new() }
    }

    /// With what is reserved on `day`. The same as before when nothing changed since the last day that is kept.
    #[must_use]
    pub fn with(&self, day: Date, reserved: &Resources) -> Self {
        let mut next = self.clone();
        if self.days.last_key_value().is_some_and(|(last, held)| *last > day || held == reserved) {
            return next;
        }
        next.days.insert(day, reserved.clone());
        while next.days.len() > KEPT_MAX {
            next.days.pop_first();
        }
        next
    }

    /// When the resource of `fill`, which says what is reserved `today`, is full.
    pub fn forecast(&self, fill: &Fill, today: Date) -> Forecast {
        let from = today.checked_sub(DAYS.days()).unwrap_or(today);
        // What held on the first day; where the account is younger, its first day.
        let before = self.days.range(..=from).next_back().map(|(_, amounts)| (from, amounts));
        let Some((since, amounts)) =
            before.or_else(|| self.days.first_key_value().map(|(day, amounts)| (*day, amounts)))
        else {
            return Forecast { growth: 0, days: 0, full_on: None };
        };
        let days = since.until(today).map_or(0, |span| i64::from(span.get_days()));
        let growth = fill.reserved.saturating_sub(amounts.get(&fill.resource));
        Forecast { growth, days, full_on: full_on(fill, growth, days, today) }
    }
}

/// `today` where it is full already; else after as many whole days as what is free takes at `growth` in `days`.
fn full_on(fill: &Fill, growth: i64, days: i64, today: Date) -> Option<Date> {
    let free = fill.limit.saturating_sub(fill.reserved);
    if free <= 0 {
        return Some(today);
    }
    if growth <= 0 || days <= 0 {
        return None;
    }
    let needed = i128::from(free).checked_mul(i128::from(days))?;
    let left = needed.checked_add(i128::from(growth))?.checked_sub(1)?.checked_div(i128::from(growth))?;
    let left = i64::try_from(left).ok().filter(|left| *left <= FORESEEN_DAYS_MAX)?;
    today.checked_add(left.days()).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn pods(count: i64) -> Resources {
        Resources { pods: count, ..Resources::ZERO }
    }

    fn history(days: &[(Date, i64)]) -> QuotaHistory {
        let empty = QuotaHistory::empty("m-05766044".parse().unwrap(), "local-1".parse().unwrap());
        days.iter().fold(empty, |history, (day, count)| history.with(*day, &pods(*count)))
    }

    fn fill(reserved: i64) -> Fill {
        Fill { resource: "pods".into(), limit: 100, reserved }
    }

    #[test]
    fn it_is_full_when_what_is_free_is_used_up_at_the_slope_of_four_weeks() {
        let history = history(&[(date(2026, 9, 1), 20), (date(2026, 11, 10), 40), (date(2026, 11, 20), 48)]);
        // Four weeks before the 24th, 20 were reserved: 28 in 28 days, 52 are free.
        let forecast = history.forecast(&fill(48), date(2026, 11, 24));
        assert_eq!(forecast, Forecast { growth: 28, days: 28, full_on: Some(date(2027, 1, 15)) });
    }

    #[test]
    fn a_younger_account_is_looked_at_from_its_first_day() {
        let history = history(&[(date(2026, 11, 14), 0), (date(2026, 11, 20), 30)]);
        let forecast = history.forecast(&fill(30), date(2026, 11, 24));
        assert_eq!((forecast.growth, forecast.days), (30, 10));
        assert_eq!(forecast.full_on, Some(date(2026, 12, 18)), "70 free at 3 a day: 24 days");
    }

    #[test]
    fn what_is_flat_falls_or_has_no_past_cannot_be_foreseen_and_what_is_full_is_full_today() {
        let flat = history(&[(date(2026, 9, 1), 50)]);
        let today = date(2026, 11, 24);
        assert_eq!(flat.forecast(&fill(50), today).full_on, None);
        assert_eq!(flat.forecast(&fill(40), today).full_on, None);
        assert_eq!(history(&[]).forecast(&fill(40), today).full_on, None);
        assert_eq!(history(&[(today, 10)]).forecast(&fill(40), today).full_on, None, "no day has passed");
        assert_eq!(flat.forecast(&fill(100), today).full_on, Some(today));
        let slow = Fill { resource: "pods".into(), limit: 1_000_000, reserved: 51 };
        assert_eq!(flat.forecast(&slow, today).full_on, None, "in more than ten years");
    }

    #[test]
    fn a_day_without_a_change_is_not_kept_and_old_ones_go() {
        let start = date(2026, 1, 1);
        let days: Vec<(Date, i64)> =
            (0..100).map(|i| (start.checked_add(i.days()).unwrap(), i / 2)).collect();
        let kept = history(&days);
        assert_eq!(kept.days.len(), KEPT_MAX);
        assert_eq!(kept.with(date(2026, 12, 1), &pods(49)), kept);
        assert_eq!(kept.with(date(2026, 1, 1), &pods(7)), kept, "a clock that went back changes nothing");
    }

    proptest! {
        #[test]
        fn on_the_foreseen_day_the_slope_has_reached_the_limit_and_the_day_before_it_had_not(
            before in 0..90i64, now in 0..99i64,
        ) {
            let today = date(2026, 11, 24);
            let forecast = history(&[(date(2026, 9, 1), before)]).forecast(&fill(now), today);
            let Some(day) = forecast.full_on else {
                prop_assert!(now <= before || (100 - now) * 28 > FORESEEN_DAYS_MAX * (now - before));
                return Ok(());
            };
            let days = i64::from(today.until(day).unwrap().get_days());
            prop_assert!(now * 28 + (now - before) * days >= 100 * 28);
            prop_assert!(now * 28 + (now - before) * (days - 1) < 100 * 28);
        }
    }
}
