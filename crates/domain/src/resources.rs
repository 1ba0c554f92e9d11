//! Amounts of compute resources: integers in base units, added and compared with checks.

use std::{
    borrow::{Borrow, Cow},
    fmt,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::extended::{EXTENDED_MAX, Extended, ResourceName};

/// Upper bound of each amount: far above any cluster, far below overflow when all members are added up.
pub const AMOUNT_MAX: i64 = 1 << 60;

/// Amounts of the resources that are given out. All are zero or more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub cpu_milli: i64,
    /// Bytes of memory.
    pub memory_bytes: i64,
    /// Bytes of volumes.
    pub storage_bytes: i64,
    /// Number of pods.
    pub pods: i64,
    /// Number of services of type `LoadBalancer`.
    #[serde(default, skip_serializing_if = "is_none")]
    pub load_balancers: i64,
    /// Devices and whatever else nodes advertise, by name.
    #[serde(default, skip_serializing_if = "Extended::is_empty")]
    pub extended: Extended,
}

/// Older readers know these amounts as nothing: what is nothing is written as before.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_none(amount: &i64) -> bool {
    *amount == 0
}

/// A sum or difference that is no amount.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{resource} would be below zero or too large")]
pub struct AmountError {
    /// Which resource, as Kubernetes names it in a ResourceQuota.
    pub resource: String,
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
    /// The names that Kubernetes gives the fixed ones in a ResourceQuota, in field order.
    pub const NAMES: [&'static str; 5] =
        ["requests.cpu", "requests.memory", "requests.storage", "pods", "services.loadbalancers"];

    /// Nothing.
    pub const ZERO: Self = Self {
        cpu_milli: 0,
        memory_bytes: 0,
        storage_bytes: 0,
        pods: 0,
        load_balancers: 0,
        extended: Extended::NONE,
    };

    /// The fixed amounts in the order of [`NAMES`](Self::NAMES).
    fn fixed(&self) -> [i64; 5] {
        [self.cpu_milli, self.memory_bytes, self.storage_bytes, self.pods, self.load_balancers]
    }

    fn from_parts(
        [cpu_milli, memory_bytes, storage_bytes, pods, load_balancers]: [i64; 5],
        extended: Extended,
    ) -> Self {
        Self { cpu_milli, memory_bytes, storage_bytes, pods, load_balancers, extended }
    }

    /// Every amount with its name in a ResourceQuota: the fixed ones, zeros included, then the extended ones that are there.
    pub fn named(&self) -> impl Iterator<Item = (Cow<'static, str>, i64)> {
        let fixed = Self::NAMES.into_iter().map(Cow::Borrowed).zip(self.fixed());
        fixed.chain(self.extended.iter().map(|(name, amount)| (Cow::Owned(name.in_quota()), amount)))
    }

    /// The amount of a resource by its name in a ResourceQuota; zero for one that is not there.
    pub fn get(&self, name: &str) -> i64 {
        self.named().find(|(own, _)| own.as_ref() == name).map_or(0, |(_, amount)| amount)
    }

    /// Sets the amount of a resource by its name in a ResourceQuota.
    ///
    /// # Errors
    /// For a name that is neither one of [`NAMES`](Self::NAMES) nor `requests.` with an extended resource.
    pub fn set(&mut self, name: &str, amount: i64) -> Result<(), AmountError> {
        let slot = match name {
            "requests.cpu" => &mut self.cpu_milli,
            "requests.memory" => &mut self.memory_bytes,
            "requests.storage" => &mut self.storage_bytes,
            "pods" => &mut self.pods,
            "services.loadbalancers" => &mut self.load_balancers,
            other => {
                let name: Option<ResourceName> =
                    other.strip_prefix("requests.").and_then(|name| name.parse().ok());
                let name = name.ok_or_else(|| AmountError { resource: other.to_owned() })?;
                self.extended.set(name, amount);
                return Ok(());
            }
        };
        *slot = amount;
        Ok(())
    }

    /// Whether any amount is more than the other's.
    pub fn exceeds(&self, other: impl Borrow<Self>) -> bool {
        let other = other.borrow();
        self.fixed().into_iter().zip(other.fixed()).any(|(mine, theirs)| mine > theirs)
            || self
                .extended
                .names_with(&other.extended)
                .into_iter()
                .any(|name| self.extended.get(name) > other.extended.get(name))
    }

    /// Whether nothing is asked for.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// Sum.
    ///
    /// # Errors
    /// When an amount passes [`AMOUNT_MAX`].
    pub fn checked_add(&self, other: impl Borrow<Self>) -> Result<Self, AmountError> {
        self.try_combine(other, i64::checked_add)
    }

    /// Difference.
    ///
    /// # Errors
    /// When an amount would fall below zero.
    pub fn checked_sub(&self, other: impl Borrow<Self>) -> Result<Self, AmountError> {
        self.try_combine(other, i64::checked_sub)
    }

    /// Difference, but never below zero.
    #[must_use]
    pub fn saturating_sub(&self, other: impl Borrow<Self>) -> Self {
        self.combine(other, |mine, theirs| mine.saturating_sub(theirs).max(0))
    }

    /// The larger amount of each.
    #[must_use]
    pub fn max(&self, other: impl Borrow<Self>) -> Self {
        self.combine(other, i64::max)
    }

    /// The smaller amount of each.
    #[must_use]
    pub fn min(&self, other: impl Borrow<Self>) -> Self {
        self.combine(other, i64::min)
    }

    /// Sum of many.
    ///
    /// # Errors
    /// As [`checked_add`](Self::checked_add).
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Result<Self, AmountError> {
        all.into_iter().try_fold(Self::ZERO, |sum, next| sum.checked_add(next))
    }

    /// Which resources of `self` (asked beside `used`) do not fit into `limit`.
    pub fn shortfalls(&self, used: &Self, limit: &Self) -> Vec<Shortfall> {
        // What is asked names every resource that can be short.
        self.named()
            .map(|(resource, asked)| {
                let (limit, used) = (limit.get(&resource), used.get(&resource));
                Shortfall { limit, used, asked, resource: resource.into_owned() }
            })
            .filter(|short| short.asked > 0 && short.used.saturating_add(short.asked) > short.limit)
            .collect()
    }

    /// The amounts that are negative or beyond [`AMOUNT_MAX`], as the proto's field names; too many extended ones are `extended`.
    pub fn fields_out_of_range(&self) -> Vec<String> {
        let fields = ["cpu_milli", "memory_bytes", "storage_bytes", "pods", "load_balancers"];
        let extended = self.extended.iter().map(|(name, amount)| (format!("extended[{name}]"), amount));
        let mut wrong: Vec<String> = fields
            .into_iter()
            .map(str::to_owned)
            .zip(self.fixed())
            .chain(extended)
            .filter(|(_, amount)| !(0..=AMOUNT_MAX).contains(amount))
            .map(|(field, _)| field)
            .collect();
        if self.extended.iter().count() > EXTENDED_MAX {
            wrong.push("extended".to_owned());
        }
        wrong
    }

    fn combine(&self, other: impl Borrow<Self>, op: impl Fn(i64, i64) -> i64) -> Self {
        let other = other.borrow();
        let mut fixed = self.fixed();
        for (slot, theirs) in fixed.iter_mut().zip(other.fixed()) {
            *slot = op(*slot, theirs);
        }
        let names = self.extended.names_with(&other.extended).into_iter();
        let extended =
            names.map(|name| (name.clone(), op(self.extended.get(name), other.extended.get(name)))).collect();
        Self::from_parts(fixed, extended)
    }

    fn try_combine(
        &self,
        other: impl Borrow<Self>,
        op: fn(i64, i64) -> Option<i64>,
    ) -> Result<Self, AmountError> {
        let other = other.borrow();
        let checked = |mine, theirs| op(mine, theirs).filter(|amount| (0..=AMOUNT_MAX).contains(amount));
        let mut fixed = self.fixed();
        for ((slot, theirs), name) in fixed.iter_mut().zip(other.fixed()).zip(Self::NAMES) {
            *slot = checked(*slot, theirs).ok_or_else(|| AmountError { resource: name.to_owned() })?;
        }
        let extended = self.extended.names_with(&other.extended).into_iter().map(|name| {
            let amount = checked(self.extended.get(name), other.extended.get(name));
            amount
                .map(|amount| (name.clone(), amount))
                .ok_or_else(|| AmountError { resource: name.in_quota() })
        });
        let extended = extended.collect::<Result<_, _>>()?;
        Ok(Self::from_parts(fixed, extended))
    }
}

/// As in a ResourceQuota, what is zero left out: `requests.cpu=1500m, requests.memory=4Gi, pods=10`.
impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (name, amount) in self.named().filter(|(_, amount)| *amount != 0) {
            write!(f, "{between}{name}={}", amount_text(&name, amount))?;
            between = ", ";
        }
        if between.is_empty() { f.write_str("0") } else { Ok(()) }
    }
}

/// An amount of the named resource as Kubernetes writes it: `1500m`, `4Gi`, `10`.
pub fn amount_text(resource: &str, amount: i64) -> String {
    match resource {
        "requests.cpu" if amount % 1000 == 0 => (amount / 1000).to_string(),
        "requests.cpu" => format!("{amount}m"),
        "requests.memory" | "requests.storage" => {
            let units = [("Ti", 1_i64 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
            let whole = |unit: i64| amount.checked_div(unit).filter(|n| n.checked_mul(unit) == Some(amount));
            let largest = units
                .into_iter()
                .filter(|_| amount != 0)
                .find_map(|(suffix, unit)| Some((whole(unit)?, suffix)));
            largest.map_or_else(|| amount.to_string(), |(number, suffix)| format!("{number}{suffix}"))
        }
        _ => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn any_resources()(
            fixed in prop::array::uniform5(0..1_000_000i64),
            devices in prop::collection::vec(("[ab]", 0..10i64), 0..3),
        ) -> Resources {
            let name = |letter: &String| format!("example.org/{letter}").parse().unwrap();
            Resources::from_parts(fixed, devices.iter().map(|(letter, amount)| (name(letter), *amount)).collect())
        }
    }

    proptest! {
        #[test]
        fn adding_and_taking_away_is_identity(a in any_resources(), b in any_resources()) {
            prop_assert_eq!(a.checked_add(&b).unwrap().checked_sub(&b).unwrap(), a);
        }

        #[test]
        fn there_is_no_shortfall_exactly_when_the_sum_fits(asked in any_resources(), used in any_resources(), limit in any_resources()) {
            let fits = asked.named().all(|(name, a)| a == 0 || a + used.get(&name) <= limit.get(&name));
            prop_assert_eq!(asked.shortfalls(&used, &limit).is_empty(), fits);
        }

        #[test]
        fn one_exceeds_the_other_exactly_when_something_is_left_over(a in any_resources(), b in any_resources()) {
            prop_assert_eq!(a.exceeds(&b), !a.saturating_sub(&b).is_zero());
            prop_assert_eq!(a.min(&b).checked_add(a.saturating_sub(&b)).unwrap(), a);
        }

        #[test]
        fn amounts_are_read_again_as_they_were_written(a in any_resources()) {
            let text = serde_json::to_string(&a).unwrap();
            prop_assert_eq!(serde_json::from_str::<Resources>(&text).unwrap(), a.clone());
            let mut named = Resources::ZERO;
            for (name, amount) in a.named() { named.set(&name, amount).unwrap(); }
            prop_assert_eq!(named, a);
        }
    }

    #[test]
    fn a_difference_below_zero_is_an_error_and_names_the_resource() {
        let one_pod = Resources { pods: 1, ..Resources::ZERO };
        assert_eq!(Resources::ZERO.checked_sub(one_pod), Err(AmountError { resource: "pods".into() }));
        let gpu = Resources {
            extended: [("nvidia.com/gpu".parse().unwrap(), 1)].into_iter().collect(),
            ..Resources::ZERO
        };
        assert_eq!(
            Resources::ZERO.checked_sub(gpu),
            Err(AmountError { resource: "requests.nvidia.com/gpu".into() })
        );
    }

    #[test]
    fn a_value_from_before_there_were_load_balancers_is_read_as_none() {
        let old = r#"{"cpu_milli":1,"memory_bytes":2,"storage_bytes":3,"pods":4}"#;
        let read: Resources = serde_json::from_str(old).unwrap();
        assert_eq!((read.load_balancers, read.extended.is_empty()), (0, true));
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
    }

    #[test]
    fn amounts_are_told_as_kubernetes_writes_them() {
        let some = Resources {
            cpu_milli: 1500,
            memory_bytes: 4 << 30,
            load_balancers: 1,
            extended: [("nvidia.com/gpu".parse().unwrap(), 2)].into_iter().collect(),
            ..Resources::ZERO
        };
        let text =
            "requests.cpu=1500m, requests.memory=4Gi, services.loadbalancers=1, requests.nvidia.com/gpu=2";
        assert_eq!(some.to_string(), text);
        assert_eq!(Resources::ZERO.to_string(), "0");
    }

    #[test]
    fn amounts_out_of_range_are_named_by_field() {
        let devices = (0..=EXTENDED_MAX).map(|i| (format!("example.org/d{i}").parse().unwrap(), -1));
        let wrong =
            Resources { pods: -1, load_balancers: i64::MAX, extended: devices.collect(), ..Resources::ZERO };
        let fields = wrong.fields_out_of_range();
        for field in ["pods", "load_balancers", "extended[example.org/d0]", "extended"] {
            assert!(fields.contains(&field.to_owned()), "{fields:?}");
        }
    }
}
