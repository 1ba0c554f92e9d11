//! The pool divided by a rule: exact fractions, floors, and the units left over to the largest remainders, ties by ascending member id.
//!
//! Each part of a mix is divided by itself, so that a member's number can be checked by hand: its weight, the sum of all weights, and what
//! that is of the part. CPU is divided in thousandths, memory and storage in MiB, everything else in units; what is less than a unit
//! stays in the reserve. The members' amounts add up to what is divided, exactly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::rule::{Basis, PoolRule, WHOLE, scaled};
use crate::{
    allocate::{AllocateError, split},
    ids::{ClusterId, MemberId},
    resources::{AmountError, Resources, Shortfall},
};

/// Bytes of memory and storage that are given out together.
const MEBIBYTE: i64 = 1 << 20;

/// A member as a rule sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Who.
    pub member: MemberId,
    /// AGS or Kreisschlüssel; empty for other bodies.
    pub register_key: String,
    /// In force on the day.
    pub shares: i64,
    /// By the rule's edition of the register.
    pub inhabitants: i64,
}

/// One part of what a member gets, as it is checked by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRow {
    /// What the member weighs.
    pub weight: i64,
    /// What all weigh together.
    pub weights: i128,
    /// What it gets of this part.
    pub amount: Resources,
}

/// What one member gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DivisionRow {
    /// Who.
    pub member: MemberId,
    /// Whatever it weighs.
    pub fixed: Resources,
    /// In the order of the rule's parts.
    pub parts: Vec<PartRow>,
    /// All of it.
    pub total: Resources,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Division {
    /// Of this cluster.
    pub cluster: ClusterId,
    /// What the cluster has.
    pub capacity: Resources,
    /// What may be promised of it.
    pub ceiling: Resources,
    /// What is divided: the sum of the rows.
    pub divided: Resources,
    /// What nobody gets: `ceiling` − `divided`.
    pub reserve: Resources,
    /// By ascending member id.
    pub rows: Vec<DivisionRow>,
}

/// Why a capacity cannot be divided.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DivideError {
    /// The fixed amounts are more than there is.
    #[error("the fixed amounts are more than what is divided")]
    FixedExceeds(Vec<Shortfall>),
    /// Nobody weighs anything in this part.
    #[error("parts[{0}]: nobody weighs anything by it: {1}")]
    Part(usize, AllocateError),
    /// A fixed amount of somebody who takes no part.
    #[error("fixed: {0} is no member on that day")]
    FixedForNobody(MemberId),
    /// Numbers too large.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

/// Divides what may be promised of one cluster.
///
/// # Errors
/// See [`DivideError`].
pub fn divide(
    rule: &PoolRule,
    cluster: &ClusterId,
    capacity: &Resources,
    seats: &[Seat],
) -> Result<Division, DivideError> {
    let mut seats: Vec<&Seat> = seats.iter().collect();
    seats.sort_by(|one, other| one.member.cmp(&other.member));
    let ceiling = rule.overcommit.ceiling(capacity)?;
    let given = WHOLE.saturating_sub(rule.reserve_permille);
    let promised = scaled(&ceiling, |_| given)?;
    let fixed = fixed_on(rule, cluster, &seats)?;
    let fixed_sum = Resources::sum(fixed.values().copied())?;
    let short = fixed_sum.shortfalls(&Resources::ZERO, &promised);
    if !short.is_empty() {
        return Err(DivideError::FixedExceeds(short));
    }
    let rest =
        if rule.parts.is_empty() { Resources::ZERO } else { in_units(&promised.checked_sub(&fixed_sum)?)? };
    let columns = columns(rule, &rest, &seats)?;
    let rows = seats
        .iter()
        .enumerate()
        .map(|(position, seat)| {
            let fixed = fixed.get(&seat.member).map_or(Resources::ZERO, |amount| (*amount).clone());
            let parts: Vec<PartRow> =
                columns.iter().filter_map(|column| column.get(position)).cloned().collect();
            let total = Resources::sum(parts.iter().map(|part| &part.amount))?.checked_add(&fixed)?;
            Ok(DivisionRow { member: seat.member.clone(), fixed, parts, total })
        })
        .collect::<Result<Vec<_>, AmountError>>()?;
    let divided = fixed_sum.checked_add(&rest)?;
    let reserve = ceiling.checked_sub(&divided)?;
    Ok(Division { cluster: cluster.clone(), capacity: capacity.clone(), ceiling, divided, reserve, rows })
}

/// The fixed amounts of this cluster, all of members that take part.
fn fixed_on<'a>(
    rule: &'a PoolRule,
    cluster: &ClusterId,
    seats: &[&Seat],
) -> Result<BTreeMap<&'a MemberId, &'a Resources>, DivideError> {
    let own = rule.fixed.iter().filter(|fixed| fixed.cluster == *cluster);
    own.map(|fixed| {
        if seats.binary_search_by(|seat| seat.member.cmp(&fixed.member)).is_err() {
            return Err(DivideError::FixedForNobody(fixed.member.clone()));
        }
        Ok((&fixed.member, &fixed.amount))
    })
    .collect()
}

/// One column a part, one row a seat.
fn columns(rule: &PoolRule, rest: &Resources, seats: &[&Seat]) -> Result<Vec<Vec<PartRow>>, DivideError> {
    let permilles: Vec<i64> = rule.parts.iter().map(|part| i64::from(part.permille)).collect();
    if permilles.is_empty() {
        return Ok(Vec::new());
    }
    let mut columns = Vec::with_capacity(rule.parts.len());
    for (index, part) in rule.parts.iter().enumerate() {
        let weights = weights(part.basis, seats);
        let sum = weights.iter().map(|weight| i128::from(*weight)).sum();
        let row = |weight: &i64| PartRow { weight: *weight, weights: sum, amount: Resources::ZERO };
        let mut column: Vec<PartRow> = weights.iter().map(row).collect();
        for (resource, amount) in rest.named() {
            let too_large = || AmountError { resource: resource.to_string() };
            let unit = unit_of(&resource);
            let units = i128::from(amount.checked_div(unit).ok_or_else(too_large)?);
            let failed = |error| DivideError::Part(index, error);
            let of_parts = split(units, &permilles).map_err(failed)?;
            let own = of_parts.get(index).copied().unwrap_or_default();
            let amounts = split(own, &weights).map_err(failed)?;
            for (row, units) in column.iter_mut().zip(amounts) {
                let amount =
                    units.checked_mul(i128::from(unit)).and_then(|amount| i64::try_from(amount).ok());
                row.amount.set(&resource, amount.ok_or_else(too_large)?)?;
            }
        }
        columns.push(column);
    }
    Ok(columns)
}

/// What each seat weighs.
fn weights(basis: Basis, seats: &[&Seat]) -> Vec<i64> {
    let inhabitants = |seat: &Seat, without_members: bool| {
        let is_county = seat.register_key.len() == 5;
        if !(is_county && without_members) {
            return seat.inhabitants;
        }
        let own = seats.iter().filter(|other| {
            other.register_key.len() == 8 && other.register_key.starts_with(&seat.register_key)
        });
        let counted = own.fold(0i64, |sum, other| sum.saturating_add(other.inhabitants));
        seat.inhabitants.saturating_sub(counted).max(0)
    };
    seats
        .iter()
        .map(|seat| match basis {
            Basis::Shares => seat.shares,
            Basis::Inhabitants { counties_without_members, .. } => {
                inhabitants(seat, counties_without_members)
            }
            Basis::Equal => 1,
        })
        .collect()
}

/// What a resource is given out in.
fn unit_of(resource: &str) -> i64 {
    match resource {
        "requests.memory" | "requests.storage" => MEBIBYTE,
        _ => 1,
    }
}

/// Whole units only.
fn in_units(amounts: &Resources) -> Result<Resources, AmountError> {
    let mut out = Resources::ZERO;
    for (resource, amount) in amounts.named() {
        let too_large = || AmountError { resource: resource.to_string() };
        let rest = amount.checked_rem(unit_of(&resource)).ok_or_else(too_large)?;
        out.set(&resource, amount.checked_sub(rest).ok_or_else(too_large)?)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, civil::date};
    use proptest::prelude::*;

    use super::*;
    use crate::quota::rule::{FixedAmount, Overcommit, RulePart};

    fn rule(parts: Vec<RulePart>) -> PoolRule {
        PoolRule {
            id: "r".parse().unwrap(),
            valid_from: date(2027, 1, 1),
            resolution: "GV 1".to_owned(),
            parts,
            fixed: Vec::new(),
            reserve_permille: 0,
            overcommit: Overcommit::default(),
            resolve_days: 90,
            create_time: Timestamp::UNIX_EPOCH,
        }
    }

    fn part(basis: Basis, permille: u32) -> RulePart {
        RulePart { basis, permille }
    }

    const INHABITANTS: Basis = Basis::Inhabitants {
        edition: jiff::civil::Date::constant(2023, 11, 30),
        counties_without_members: true,
    };

    fn seat(member: &str, key: &str, shares: i64, inhabitants: i64) -> Seat {
        Seat { member: member.parse().unwrap(), register_key: key.to_owned(), shares, inhabitants }
    }

    fn cpu(amount: i64) -> Resources {
        Resources { cpu_milli: amount, ..Resources::ZERO }
    }

    fn amounts(division: &Division) -> Vec<(String, i64)> {
        division.rows.iter().map(|row| (row.member.to_string(), row.total.cpu_milli)).collect()
    }

    fn divided(rule: &PoolRule, capacity: &Resources, seats: &[Seat]) -> Result<Division, DivideError> {
        divide(rule, &"c".parse().unwrap(), capacity, seats)
    }

    #[test]
    fn the_unit_left_over_goes_to_the_largest_remainder_and_ties_to_the_lower_member_id() {
        let by_shares = rule(vec![part(Basis::Shares, 1_000)]);
        let seats = [seat("ccc", "", 1, 0), seat("aaa", "", 1, 0), seat("bbb", "", 1, 0)];
        let division = divided(&by_shares, &cpu(100), &seats).unwrap();
        assert_eq!(amounts(&division), [("aaa".into(), 34), ("bbb".into(), 33), ("ccc".into(), 33)]);
        // 100 · 3/7 = 42.86, 100 · 2/7 = 28.57 twice: the first and the lower id of the others.
        let seats = [seat("ccc", "", 2, 0), seat("bbb", "", 2, 0), seat("aaa", "", 3, 0)];
        let division = divided(&by_shares, &cpu(100), &seats).unwrap();
        assert_eq!(amounts(&division), [("aaa".into(), 43), ("bbb".into(), 29), ("ccc".into(), 28)]);
    }

    #[test]
    fn a_mix_is_the_sum_of_its_parts_and_each_is_checked_by_hand() {
        let mix = rule(vec![part(Basis::Shares, 600), part(Basis::Equal, 400)]);
        let seats = [seat("aaa", "", 3, 0), seat("bbb", "", 1, 0)];
        let division = divided(&mix, &cpu(1_000), &seats).unwrap();
        let row = &division.rows[0];
        assert_eq!((row.parts[0].weight, row.parts[0].weights, row.parts[0].amount.cpu_milli), (3, 4, 450));
        assert_eq!((row.parts[1].weight, row.parts[1].weights, row.parts[1].amount.cpu_milli), (1, 2, 200));
        assert_eq!(row.total.cpu_milli, 650);
    }

    #[test]
    fn a_county_counts_without_its_municipalities_that_are_members() {
        let by_people = rule(vec![part(INHABITANTS, 1_000)]);
        let seats = [seat("k-05766", "05766", 1, 300), seat("m-05766044", "05766044", 1, 100)];
        let division = divided(&by_people, &cpu(300), &seats).unwrap();
        assert_eq!(amounts(&division), [("k-05766".into(), 200), ("m-05766044".into(), 100)]);
    }

    #[test]
    fn fixed_amounts_come_first_and_the_reserve_belongs_to_nobody() {
        let fixed = |member: &str, amount| FixedAmount {
            member: member.parse().unwrap(),
            cluster: "c".parse().unwrap(),
            amount: cpu(amount),
        };
        let both = PoolRule {
            fixed: vec![fixed("bbb", 300)],
            reserve_permille: 100,
            ..rule(vec![part(Basis::Equal, 1_000)])
        };
        let seats = [seat("aaa", "", 1, 0), seat("bbb", "", 1, 0)];
        let division = divided(&both, &cpu(1_000), &seats).unwrap();
        assert_eq!(amounts(&division), [("aaa".into(), 300), ("bbb".into(), 600)]);
        assert_eq!((division.divided.cpu_milli, division.reserve.cpu_milli), (900, 100));
        let stranger = PoolRule { fixed: vec![fixed("zzz", 1)], ..both.clone() };
        assert!(matches!(divided(&stranger, &cpu(1_000), &seats), Err(DivideError::FixedForNobody(_))));
        let too_much = PoolRule { fixed: vec![fixed("bbb", 901)], ..both };
        assert!(matches!(divided(&too_much, &cpu(1_000), &seats), Err(DivideError::FixedExceeds(_))));
    }

    #[test]
    fn a_part_by_which_nobody_weighs_anything_is_named() {
        let mix = rule(vec![part(Basis::Shares, 500), part(INHABITANTS, 500)]);
        let error = divided(&mix, &cpu(10), &[seat("aaa", "", 1, 0)]).unwrap_err();
        assert_eq!(error, DivideError::Part(1, AllocateError::NoWeight));
    }

    proptest! {
        #[test]
        fn the_members_amounts_add_up_to_what_is_divided_and_never_pass_the_ceiling(
            capacity in (0..1i64 << 50, 0..1i64 << 50, 0..1i64 << 50, 0..100_000i64),
            weights in prop::collection::vec((1..1_000_000i64, 0..4_000_000i64), 1..40),
            mix in 1..999u32, reserve in 0..1_000u32, overcommit in 1_000..4_000u32,
        ) {
            let (cpu_milli, memory_bytes, storage_bytes, pods) = capacity;
            let capacity = Resources { cpu_milli, memory_bytes, storage_bytes, pods, ..Resources::ZERO };
            let seats: Vec<Seat> = weights.iter().enumerate()
                .map(|(n, (shares, people))| seat(&format!("m{n:03}"), "", *shares, *people + 1)).collect();
            let rule = PoolRule {
                reserve_permille: reserve,
                overcommit: Overcommit([("requests.cpu".to_owned(), overcommit)].into()),
                ..rule(vec![part(Basis::Shares, mix), part(INHABITANTS, 1_000 - mix)])
            };
            let division = divided(&rule, &capacity, &seats).unwrap();
            let sum = Resources::sum(division.rows.iter().map(|row| &row.total)).unwrap();
            prop_assert_eq!(&sum, &division.divided);
            prop_assert_eq!(sum.checked_add(&division.reserve).unwrap(), rule.overcommit.ceiling(&capacity).unwrap());
            for row in &division.rows {
                prop_assert_eq!(row.total.memory_bytes % MEBIBYTE, 0);
                for (part, of) in row.parts.iter().zip([mix, 1_000 - mix]) {
                    // Not a unit or more from the exact fraction of the part, which is itself within a unit.
                    let exact = i128::from(division.divided.cpu_milli) * i128::from(of) * i128::from(part.weight);
                    let got = i128::from(part.amount.cpu_milli) * 1_000 * part.weights;
                    prop_assert!((got - exact).abs() < 2 * 1_000 * part.weights);
                }
            }
        }

        #[test]
        fn the_order_in_which_members_are_named_does_not_matter(mut weights in prop::collection::vec(1..1_000i64, 2..20), total in 0..100_000i64) {
            let seats = |weights: &[i64]| -> Vec<Seat> { weights.iter().enumerate().map(|(n, w)| seat(&format!("m{n:03}"), "", *w, 0)).collect() };
            weights.sort_unstable();
            let mut turned = seats(&weights);
            turned.reverse();
            let by_shares = rule(vec![part(Basis::Shares, 1_000)]);
            prop_assert_eq!(divided(&by_shares, &cpu(total), &seats(&weights)).unwrap(), divided(&by_shares, &cpu(total), &turned).unwrap());
        }
    }
}
