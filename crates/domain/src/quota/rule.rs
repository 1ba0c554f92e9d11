//! By what the pool is divided: a dated rule with the number of its resolution (Beschluss-Nr.).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{ClusterId, MemberId, PoolRuleId},
    price::dated,
    resources::{AmountError, Resources},
    violation::FieldViolation,
};

/// The whole, in thousandths.
pub const WHOLE: u32 = 1_000;
/// Largest overcommit factor: ten times what is there.
const OVERCOMMIT_MAX: u32 = 10 * WHOLE;
/// Most fixed amounts in one rule: a rule is one stored value.
const FIXED_MAX: usize = 2_000;
/// Most parts of a mix.
const PARTS_MAX: usize = 8;
/// Longest time that a member below what it has reserved is given.
const RESOLVE_DAYS_MAX: u16 = 730;

/// By what a part weighs the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// Shares in force on the first day.
    Shares,
    /// Inhabitants by an edition of the register.
    Inhabitants {
        /// Its territorial status.
        edition: Date,
        /// A county counts without those of its municipalities that are members themselves: else their inhabitants count twice.
        counties_without_members: bool,
    },
    /// All the same.
    Equal,
}

/// One part of a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulePart {
    /// By what.
    pub basis: Basis,
    /// Thousandths of what is left behind the fixed amounts.
    pub permille: u32,
}

/// What a member gets whatever it weighs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedAmount {
    /// Who.
    pub member: MemberId,
    /// Where.
    pub cluster: ClusterId,
    /// How much.
    pub amount: Resources,
}

/// How much more than the capacity is promised, by resource; 1.0 where nothing was decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Overcommit(pub BTreeMap<String, u32>);

impl Overcommit {
    /// Thousandths of the capacity that may be promised of a resource.
    pub fn permille(&self, resource: &str) -> u32 {
        self.0.get(resource).copied().unwrap_or(WHOLE)
    }

    /// What may be promised of a capacity, rounded down.
    ///
    /// # Errors
    /// When an amount no longer fits.
    pub fn ceiling(&self, capacity: &Resources) -> Result<Resources, AmountError> {
        scaled(capacity, |resource| self.permille(resource))
    }

    /// Field paths below `overcommit`.
    fn violations(&self) -> Vec<FieldViolation> {
        let mut wrong = Vec::new();
        for (resource, permille) in &self.0 {
            let field = format!("overcommit[{resource}]");
            if Resources::default().set(resource, 0).is_err() {
                let known = Resources::NAMES.join(", ");
                wrong.push(FieldViolation::new(
                    field,
                    format!("names no resource: known are {known}, and requests.{{extended resource}}"),
                ));
            } else if !(WHOLE..=OVERCOMMIT_MAX).contains(permille) {
                let text = format!("must be {WHOLE} to {OVERCOMMIT_MAX} thousandths of the capacity");
                wrong.push(FieldViolation::new(field, text));
            }
        }
        wrong
    }
}

/// Each amount times its thousandths, rounded down.
pub(super) fn scaled(amounts: &Resources, permille: impl Fn(&str) -> u32) -> Result<Resources, AmountError> {
    let mut out = Resources::ZERO;
    for (resource, amount) in amounts.named() {
        let too_large = || AmountError { resource: resource.to_string() };
        let product =
            i128::from(amount).checked_mul(i128::from(permille(&resource))).ok_or_else(too_large)?;
        let part = product.checked_div(i128::from(WHOLE)).ok_or_else(too_large)?;
        out.set(&resource, i64::try_from(part).map_err(|_| too_large())?)?;
    }
    out.checked_add(Resources::ZERO)
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRule {
    /// Permanent.
    pub id: PoolRuleId,
    /// First day of a month: entitlements change with a period.
    pub valid_from: Date,
    /// Beschluss-Nr.
    pub resolution: String,
    /// Of what is left behind the fixed amounts; add up to 1000, or there are none.
    pub parts: Vec<RulePart>,
    /// Come first.
    pub fixed: Vec<FixedAmount>,
    /// Thousandths of what may be promised that nobody gets: for failures, upkeep and what comes.
    pub reserve_permille: u32,
    /// By resource.
    pub overcommit: Overcommit,
    /// Days from the first day on, within which a member must come down to its new entitlement.
    pub resolve_days: u16,
    /// When it was recorded.
    pub create_time: Timestamp,
}

impl PoolRule {
    /// Everything that is wrong; paths as in the proto message `PoolRule`.
    pub fn violations(&self) -> Vec<FieldViolation> {
        let mut wrong = dated(self.valid_from, &self.resolution);
        if self.resolution.chars().count() > 100 {
            wrong.push(FieldViolation::new("resolution", "must have at most 100 characters"));
        }
        if self.reserve_permille >= WHOLE {
            wrong.push(FieldViolation::new(
                "reserve_permille",
                format!("must be less than {WHOLE}: else nothing is left to divide"),
            ));
        }
        if self.resolve_days > RESOLVE_DAYS_MAX {
            wrong.push(FieldViolation::new("resolve_days", format!("must be at most {RESOLVE_DAYS_MAX}")));
        }
        wrong.extend(self.overcommit.violations());
        self.check_parts(&mut wrong);
        self.check_fixed(&mut wrong);
        wrong
    }

    fn check_parts(&self, wrong: &mut Vec<FieldViolation>) {
        if self.parts.is_empty() && self.fixed.is_empty() {
            wrong.push(FieldViolation::new("parts", "a rule needs parts, fixed amounts, or both"));
        }
        if self.parts.len() > PARTS_MAX {
            wrong.push(FieldViolation::new("parts", format!("must be at most {PARTS_MAX}")));
        }
        for (index, part) in self.parts.iter().enumerate() {
            if !(1..=WHOLE).contains(&part.permille) {
                let text = format!("must be 1 to {WHOLE} thousandths");
                wrong.push(FieldViolation::new(format!("parts[{index}].permille"), text));
            }
            if self.parts.iter().take(index).any(|other| other.basis == part.basis) {
                wrong.push(FieldViolation::new(format!("parts[{index}].basis"), "is there twice"));
            }
        }
        let sum: u64 = self.parts.iter().map(|part| u64::from(part.permille)).fold(0, u64::saturating_add);
        if !self.parts.is_empty() && sum != u64::from(WHOLE) {
            let text = format!("the thousandths must add up to {WHOLE}, not {sum}");
            wrong.push(FieldViolation::new("parts", text));
        }
    }

    fn check_fixed(&self, wrong: &mut Vec<FieldViolation>) {
        if self.fixed.len() > FIXED_MAX {
            wrong.push(FieldViolation::new("fixed", format!("must be at most {FIXED_MAX}")));
            return;
        }
        let mut seen = BTreeSet::new();
        for (index, fixed) in self.fixed.iter().enumerate() {
            if !seen.insert((&fixed.member, &fixed.cluster)) {
                let text = "the same member is there twice for this cluster";
                wrong.push(FieldViolation::new(format!("fixed[{index}].member"), text));
            }
            for field in fixed.amount.fields_out_of_range() {
                let path = format!("fixed[{index}].amount.{field}");
                wrong.push(FieldViolation::new(path, "must be zero or more, and not absurdly large"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn rule() -> PoolRule {
        PoolRule {
            id: "2027".parse().unwrap(),
            valid_from: date(2027, 1, 1),
            resolution: "GV 12/2026".to_owned(),
            parts: vec![
                RulePart { basis: Basis::Shares, permille: 600 },
                RulePart { basis: Basis::Equal, permille: 400 },
            ],
            fixed: Vec::new(),
            reserve_permille: 100,
            overcommit: Overcommit::default(),
            resolve_days: 90,
            create_time: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_sound_rule_has_no_violation() {
        assert_eq!(rule().violations(), []);
    }

    #[test]
    fn all_that_is_wrong_is_named_at_once() {
        let fixed = FixedAmount {
            member: "aaa".parse().unwrap(),
            cluster: "c".parse().unwrap(),
            amount: Resources { pods: -1, ..Resources::ZERO },
        };
        let bad = PoolRule {
            valid_from: date(2027, 1, 2),
            resolution: " ".to_owned(),
            parts: vec![
                RulePart { basis: Basis::Shares, permille: 0 },
                RulePart { basis: Basis::Shares, permille: 999 },
            ],
            fixed: vec![fixed.clone(), fixed],
            reserve_permille: 1_000,
            overcommit: Overcommit([("cpu".to_owned(), 1_500), ("pods".to_owned(), 999)].into()),
            resolve_days: 731,
            ..rule()
        };
        let fields: Vec<String> = bad.violations().into_iter().map(|v| v.field).collect();
        assert_eq!(
            fields,
            [
                "valid_from",
                "resolution",
                "reserve_permille",
                "resolve_days",
                "overcommit[cpu]",
                "overcommit[pods]",
                "parts[0].permille",
                "parts[1].basis",
                "parts",
                "fixed[0].amount.pods",
                "fixed[1].member",
                "fixed[1].amount.pods",
            ]
        );
        let nothing = PoolRule { parts: Vec::new(), ..rule() };
        assert_eq!(nothing.violations()[0].field, "parts");
    }

    proptest! {
        #[test]
        fn what_may_be_promised_is_the_capacity_where_nothing_was_decided(cpu in 0..1i64 << 40, permille in 1_000..=10_000u32) {
            let capacity = Resources { cpu_milli: cpu, pods: 7, ..Resources::ZERO };
            prop_assert_eq!(Overcommit::default().ceiling(&capacity).unwrap(), capacity.clone());
            let decided = Overcommit([("requests.cpu".to_owned(), permille)].into()).ceiling(&capacity).unwrap();
            prop_assert_eq!(decided.cpu_milli, cpu * i64::from(permille) / 1_000);
            prop_assert_eq!(decided.pods, 7);
        }
    }

    #[test]
    fn a_promise_that_no_longer_fits_is_refused() {
        let capacity = Resources { pods: crate::resources::AMOUNT_MAX, ..Resources::ZERO };
        assert!(Overcommit([("pods".to_owned(), 2_000)].into()).ceiling(&capacity).is_err());
    }
}
