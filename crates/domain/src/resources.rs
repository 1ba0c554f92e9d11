//! Amounts of compute resources: integers in base units, added and compared with checks.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Upper bound of each amount: far above any cluster, far below overflow when all members are added up.
pub const AMOUNT_MAX: i64 = 1 << 60;

/// Amounts of the resources that are given out. All are zero or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub cpu_milli: i64,
    /// Bytes of memory.
    pub memory_bytes: i64,
    /// Bytes of volumes.
    pub storage_bytes: i64,
    /// Number of pods.
    pub pods: i64,
}

/// A sum or difference that is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{resource} would be below zero or too large")]
pub struct AmountError {
    /// Which resource.
    pub resource: &'static str,
}

/// One resource of which more was asked than there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortfall {
    /// As Kubernetes names it in a ResourceQuota.
    pub resource: String,
    /// What may be reserved in all, base units.
    pub limit: i64,
    /// What is reserved already.
    pub used: i64,
    /// What was asked beside it.
    pub asked: i64,
}

impl Resources {
    /// Whether any amount is more than the other's.
    pub fn exceeds(self, other: Self) -> bool {
        self.cpu_milli > other.cpu_milli
            || self.memory_bytes > other.memory_bytes
            || self.storage_bytes > other.storage_bytes
            || self.pods > other.pods
    }

    /// The names that Kubernetes gives these in a ResourceQuota, in field order.
    pub const NAMES: [&'static str; 4] = ["requests.cpu", "requests.memory", "requests.storage", "pods"];

    /// Nothing.
    pub const ZERO: Self = Self { cpu_milli: 0, memory_bytes: 0, storage_bytes: 0, pods: 0 };

    /// The amounts in the order of [`NAMES`](Self::NAMES).
    pub fn amounts(&self) -> [i64; 4] {
        [self.cpu_milli, self.memory_bytes, self.storage_bytes, self.pods]
    }

    fn from_amounts([cpu_milli, memory_bytes, storage_bytes, pods]: [i64; 4]) -> Self {
        Self { cpu_milli, memory_bytes, storage_bytes, pods }
    }

    /// Whether nothing is asked for.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// Sum.
    ///
    /// # Errors
    /// When an amount passes [`AMOUNT_MAX`].
    pub fn checked_add(self, other: Self) -> Result<Self, AmountError> {
        self.combine(other, i64::checked_add)
    }

    /// Difference.
    ///
    /// # Errors
    /// When an amount would fall below zero.
    pub fn checked_sub(self, other: Self) -> Result<Self, AmountError> {
        self.combine(other, i64::checked_sub)
    }

    /// Difference, but never below zero.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        let mut out = [0; 4];
        for ((slot, mine), theirs) in out.iter_mut().zip(self.amounts()).zip(other.amounts()) {
            *slot = mine.saturating_sub(theirs).max(0);
        }
        Self::from_amounts(out)
    }

    /// The larger amount of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        let mut out = [0; 4];
        for ((slot, mine), theirs) in out.iter_mut().zip(self.amounts()).zip(other.amounts()) {
            *slot = mine.max(theirs);
        }
        Self::from_amounts(out)
    }

    /// Sum of many.
    ///
    /// # Errors
    /// As [`checked_add`](Self::checked_add).
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Result<Self, AmountError> {
        all.into_iter().try_fold(Self::ZERO, |sum, next| sum.checked_add(*next))
    }

    /// Which resources of `self` (asked beside `used`) do not fit into `limit`.
    pub fn shortfalls(&self, used: &Self, limit: &Self) -> Vec<Shortfall> {
        let mut short = Vec::new();
        for (((resource, asked), used), limit) in
            Self::NAMES.iter().zip(self.amounts()).zip(used.amounts()).zip(limit.amounts())
        {
            if asked > 0 && used.saturating_add(asked) > limit {
                short.push(Shortfall { resource: (*resource).to_owned(), limit, used, asked });
            }
        }
        short
    }

    /// Names of the amounts that are negative or beyond [`AMOUNT_MAX`], as the proto's field names.
    pub fn fields_out_of_range(&self) -> Vec<&'static str> {
        let fields = ["cpu_milli", "memory_bytes", "storage_bytes", "pods"];
        fields
            .into_iter()
            .zip(self.amounts())
            .filter(|(_, amount)| !(0..=AMOUNT_MAX).contains(amount))
            .map(|(f, _)| f)
            .collect()
    }

    fn combine(self, other: Self, op: fn(i64, i64) -> Option<i64>) -> Result<Self, AmountError> {
        let mut out = [0; 4];
        for (((slot, mine), theirs), resource) in
            out.iter_mut().zip(self.amounts()).zip(other.amounts()).zip(Self::NAMES)
        {
            *slot =
                op(mine, theirs).filter(|a| (0..=AMOUNT_MAX).contains(a)).ok_or(AmountError { resource })?;
        }
        Ok(Self::from_amounts(out))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn any_resources()(a in 0..1_000_000i64, b in 0..1_000_000i64, c in 0..1_000_000i64, d in 0..1_000i64) -> Resources {
            Resources { cpu_milli: a, memory_bytes: b, storage_bytes: c, pods: d }
        }
    }

    proptest! {
        #[test]
        fn adding_and_taking_away_is_identity(a in any_resources(), b in any_resources()) {
            prop_assert_eq!(a.checked_add(b).unwrap().checked_sub(b).unwrap(), a);
        }

        #[test]
        fn there_is_no_shortfall_exactly_when_the_sum_fits(asked in any_resources(), used in any_resources(), limit in any_resources()) {
            let fits = asked.amounts().iter().zip(used.amounts()).zip(limit.amounts()).all(|((a, u), l)| *a == 0 || a + u <= l);
            prop_assert_eq!(asked.shortfalls(&used, &limit).is_empty(), fits);
        }
    }

    #[test]
    fn a_difference_below_zero_is_an_error_and_names_the_resource() {
        let one_pod = Resources { pods: 1, ..Resources::ZERO };
        assert_eq!(Resources::ZERO.checked_sub(one_pod), Err(AmountError { resource: "pods" }));
    }
}
