//! How full an account is: levels of 50, 80 and 100 % of what may be reserved, and which of them a change crosses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    account::QuotaAccount,
    resources::{AmountError, Resources},
};

/// The levels that are told, in per cent, ascending.
pub const LEVELS: [u8; 3] = [50, 80, 100];

/// How full one resource is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// As Kubernetes names it in a ResourceQuota.
    pub resource: String,
    /// What may be reserved in all.
    pub limit: i64,
    /// What is.
    pub reserved: i64,
}

impl Fill {
    /// Thousandths of the limit, rounded down. Something of nothing is all of it.
    pub fn per_mille(&self) -> i64 {
        match (self.reserved, self.limit) {
            (0, _) => 0,
            (_, limit) if limit <= 0 => 1000,
            (reserved, limit) => {
                let thousandths = i128::from(reserved).saturating_mul(1000);
                let ratio = thousandths.checked_div(i128::from(limit)).unwrap_or(0);
                i64::try_from(ratio).unwrap_or(i64::MAX)
            }
        }
    }

    /// The highest of [`LEVELS`] that is reached; 0 below the first.
    pub fn level(&self) -> u8 {
        let per_mille = self.per_mille();
        let is_reached = |level: &u8| per_mille >= i64::from(*level).saturating_mul(10);
        LEVELS.into_iter().rfind(is_reached).unwrap_or(0)
    }
}

/// How full each resource of an account is: those that may be reserved or are.
///
/// # Errors
/// Never for a stored account.
pub fn fills(account: &QuotaAccount) -> Result<Vec<Fill>, AmountError> {
    Ok(fills_of(&account.limit()?, &account.reserved()?))
}

/// The same for sums, for example of a whole cluster.
pub fn fills_of(limit: &Resources, reserved: &Resources) -> Vec<Fill> {
    let all = limit.max(reserved);
    all.named()
        .filter(|(_, amount)| *amount != 0)
        .map(|(resource, _)| {
            let (limit, reserved) = (limit.get(&resource), reserved.get(&resource));
            Fill { limit, reserved, resource: resource.into_owned() }
        })
        .collect()
}

/// A level that was reached, or is not reached any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// The numbers after the change.
    pub fill: Fill,
    /// One of [`LEVELS`].
    pub level: u8,
    /// Reached; else fallen below.
    pub up: bool,
}

/// What was last told of each resource of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told(BTreeMap<String, u8>);

impl Told {
    /// Takes the present numbers: every level that was crossed since the last ones, each once; ascending on the way up, descending on the
    /// way down.
    pub fn take(&mut self, fills: &[Fill]) -> Vec<Crossing> {
        let mut crossings = Vec::new();
        for fill in fills {
            let before = self.0.insert(fill.resource.clone(), fill.level()).unwrap_or(0);
            crossings.extend(between(before, fill));
        }
        // What is neither limited nor reserved any more is empty.
        let gone: Vec<String> =
            self.0.keys().filter(|name| fills.iter().all(|fill| fill.resource != **name)).cloned().collect();
        for resource in gone {
            let before = self.0.remove(&resource).unwrap_or(0);
            crossings.extend(between(before, &Fill { resource, limit: 0, reserved: 0 }));
        }
        crossings
    }
}

fn between(before: u8, fill: &Fill) -> Vec<Crossing> {
    let after = fill.level();
    let crossing = |level, up| Crossing { fill: fill.clone(), level, up };
    if after >= before {
        let reached = LEVELS.into_iter().filter(|level| (before..=after).contains(level) && *level > before);
        reached.map(|level| crossing(level, true)).collect()
    } else {
        let left =
            LEVELS.into_iter().rev().filter(|level| (after..=before).contains(level) && *level > after);
        left.map(|level| crossing(level, false)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fill(reserved: i64, limit: i64) -> Fill {
        Fill { resource: "pods".into(), limit, reserved }
    }

    fn told(crossings: &[Crossing]) -> Vec<(u8, bool)> {
        crossings.iter().map(|crossing| (crossing.level, crossing.up)).collect()
    }

    #[test]
    fn a_level_is_reached_at_exactly_its_part_and_not_before() {
        for (reserved, limit, level) in [
            (0, 10, 0),
            (4, 10, 0),
            (5, 10, 50),
            (79, 100, 50),
            (80, 100, 80),
            (99, 100, 80),
            (100, 100, 100),
            (7, 5, 100),
            (0, 0, 0),
            (1, 0, 100),
        ] {
            assert_eq!(fill(reserved, limit).level(), level, "{reserved} of {limit}");
        }
        assert_eq!(fill(i64::MAX / 2, i64::MAX).level(), 0, "no overflow");
    }

    #[test]
    fn a_leap_tells_every_level_between_and_a_change_within_a_level_none() {
        let mut seen = Told::default();
        assert_eq!(told(&seen.take(&[fill(10, 10)])), [(50, true), (80, true), (100, true)]);
        assert_eq!(told(&seen.take(&[fill(11, 10)])), []);
        assert_eq!(told(&seen.take(&[fill(6, 10)])), [(100, false), (80, false)]);
        assert_eq!(told(&seen.take(&[])), [(50, false)]);
    }

    proptest! {
        #[test]
        fn each_crossing_is_told_once_and_adds_up_to_the_present_level(steps in prop::collection::vec((0..30i64, 0..20i64), 1..30)) {
            let mut seen = Told::default();
            let mut reached: Vec<u8> = Vec::new();
            for (reserved, limit) in steps {
                let now = fill(reserved, limit);
                let fills = if reserved == 0 && limit == 0 { Vec::new() } else { vec![now.clone()] };
                for crossing in seen.take(&fills) {
                    if crossing.up {
                        prop_assert!(reached.last().is_none_or(|last| *last < crossing.level));
                        reached.push(crossing.level);
                    } else {
                        prop_assert_eq!(reached.pop(), Some(crossing.level));
                    }
                }
                prop_assert_eq!(reached.last().copied().unwrap_or(0), now.level());
            }
        }
    }
}
