//! Less capacity than what is promised: accepted only with a plan of who must come down to what, and until when. Nothing is taken.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    account::{QuotaAccount, Target},
    cluster::Cluster,
    ids::MemberId,
    resources::{AmountError, Resources, Shortfall},
    violation::FieldViolation,
};

/// Most members in one plan: the plan is one transaction. More than that is a new division of the pool.
pub const PLAN_MAX: usize = 50;

/// One member's part of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedShrink {
    /// Who.
    pub member: MemberId,
    /// Its entitlement then.
    pub guaranteed: Resources,
}

/// Who must come down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShrinkPlan {
    /// Beschluss-Nr.
    pub resolution: String,
    /// Last day to come down.
    pub resolve_by: Date,
    /// One entry a member.
    pub shrink: Vec<PlannedShrink>,
}

/// Why a capacity was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CapacityError {
    /// Also when all have come down, more would be promised than there is.
    #[error("the plan does not bring down enough")]
    Short(Vec<Shortfall>),
    /// Entries that are no shrinking.
    #[error("the plan is wrong")]
    Plan(Vec<FieldViolation>),
    /// The sum is no amount.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

impl ShrinkPlan {
    /// What is wrong with it by itself; paths as in the proto message `ShrinkPlan`.
    pub fn violations(&self, today: Date) -> Vec<FieldViolation> {
        let mut wrong = Vec::new();
        if self.resolution.trim().is_empty() {
            wrong.push(FieldViolation::new(
                "resolution",
                "the number of the resolution (Beschluss-Nr.) is needed",
            ));
        }
        if self.resolve_by <= today {
            wrong.push(FieldViolation::new("resolve_by", "must lie ahead: who must shrink needs time"));
        }
        if self.shrink.is_empty() || self.shrink.len() > PLAN_MAX {
            let text = format!("must name 1 to {PLAN_MAX} members; for more, divide the pool anew by a rule");
            wrong.push(FieldViolation::new("shrink", text));
        }
        for (index, entry) in self.shrink.iter().enumerate() {
            if self.shrink.iter().take(index).any(|other| other.member == entry.member) {
                wrong.push(FieldViolation::new(format!("shrink[{index}].member"), "is there twice"));
            }
        }
        wrong
    }
}

/// The cluster and the accounts of the plan, in its order, with the lower capacity. Who has less reserved than its new entitlement comes
/// down at once, everybody else is over its entitlement until the date.
///
/// # Errors
/// See [`CapacityError`]; nothing is changed then.
pub fn lower(
    cluster: &Cluster,
    capacity: Resources,
    plan: &ShrinkPlan,
    accounts: &[QuotaAccount],
) -> Result<(Cluster, Vec<QuotaAccount>), CapacityError> {
    let mut wrong = Vec::new();
    let mut promised = cluster.carved.clone();
    for (index, entry) in plan.shrink.iter().enumerate() {
        let Some(account) = accounts.get(index).filter(|account| account.member == entry.member) else {
            let text = "has no entitlement on this cluster";
            wrong.push(FieldViolation::new(format!("shrink[{index}].member"), text));
            continue;
        };
        if entry.guaranteed.exceeds(account.entitled()) {
            let text = "must not be more than its present entitlement: a plan shrinks";
            wrong.push(FieldViolation::new(format!("shrink[{index}].guaranteed"), text));
            continue;
        }
        promised = promised.checked_sub(&account.guaranteed)?.checked_add(&entry.guaranteed)?;
    }
    if !wrong.is_empty() {
        return Err(CapacityError::Plan(wrong));
    }
    let mut next = Cluster { capacity, ..cluster.clone() };
    let short = promised.shortfalls(&Resources::ZERO, &next.ceiling()?);
    if !short.is_empty() {
        return Err(CapacityError::Short(short));
    }
    let mut changed = Vec::with_capacity(accounts.len());
    for (entry, account) in plan.shrink.iter().zip(accounts) {
        let target = Target {
            guaranteed: entry.guaranteed.clone(),
            resolution: plan.resolution.clone(),
            resolve_by: plan.resolve_by,
        };
        let lower = account.retarget(target, &Resources::ZERO)?;
        next.carved = next.carved.checked_sub(&account.guaranteed)?.checked_add(&lower.guaranteed)?;
        changed.push(lower);
    }
    Ok((next, changed))
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, civil::date};

    use super::*;
    use crate::cluster::CarveError;

    fn cpu(amount: i64) -> Resources {
        Resources { cpu_milli: amount, ..Resources::ZERO }
    }

    fn cluster() -> Cluster {
        Cluster {
            id: "c".parse().unwrap(),
            display_name: "c".to_owned(),
            capacity: cpu(20),
            carved: cpu(20),
            overcommit: crate::quota::rule::Overcommit::default(),
            create_time: Timestamp::UNIX_EPOCH,
        }
    }

    fn account(member: &str, reserved: i64) -> QuotaAccount {
        let empty = QuotaAccount::empty(member.parse().unwrap(), "c".parse().unwrap());
        QuotaAccount { guaranteed: cpu(10), ..empty }.admit("t", cpu(reserved)).unwrap()
    }

    fn plan(entries: &[(&str, i64)]) -> ShrinkPlan {
        let entry = |(member, amount): &(&str, i64)| PlannedShrink {
            member: member.parse().unwrap(),
            guaranteed: cpu(*amount),
        };
        ShrinkPlan {
            resolution: "GV 3".to_owned(),
            resolve_by: date(2027, 6, 30),
            shrink: entries.iter().map(entry).collect(),
        }
    }

    #[test]
    fn nothing_is_taken_who_is_over_keeps_it_and_nobody_gets_what_is_not_there() {
        let accounts = [account("aaa", 9), account("bbb", 2)];
        assert!(matches!(cluster().with_capacity(cpu(12)), Err(CarveError::Short(_))), "not without a plan");
        let both = plan(&[("aaa", 6), ("bbb", 6)]);
        assert_eq!(both.violations(date(2026, 12, 1)), []);
        let (next, changed) = lower(&cluster(), cpu(12), &both, &accounts).unwrap();
        assert_eq!((changed[0].guaranteed.clone(), changed[1].guaranteed.clone()), (cpu(9), cpu(6)));
        assert_eq!(changed[0].holders, accounts[0].holders);
        assert_eq!(next.carved, cpu(15), "more than the capacity, until aaa has come down");
        assert!(next.carve(&Resources::ZERO, &cpu(1)).is_err(), "nothing is carved meanwhile");
        let down = changed[0].change("t", cpu(6)).unwrap().settle(&Resources::ZERO).unwrap();
        assert_eq!(next.carve(&changed[0].guaranteed, &down.guaranteed).unwrap().carved, cpu(12));
    }

    #[test]
    fn a_plan_that_does_not_reach_or_that_gives_is_refused() {
        let accounts = [account("aaa", 9), account("bbb", 2)];
        let little = lower(&cluster(), cpu(12), &plan(&[("aaa", 6)]), &accounts[..1]);
        assert!(matches!(little, Err(CapacityError::Short(_))));
        let giving = lower(&cluster(), cpu(12), &plan(&[("aaa", 11)]), &accounts[..1]);
        assert!(matches!(giving, Err(CapacityError::Plan(_))));
        let stranger = lower(&cluster(), cpu(12), &plan(&[("zzz", 1)]), &[]);
        assert!(matches!(stranger, Err(CapacityError::Plan(_))));
        let twice = plan(&[("aaa", 6), ("aaa", 5)]);
        let fields: Vec<String> = twice.violations(date(2027, 6, 30)).into_iter().map(|v| v.field).collect();
        assert_eq!(fields, ["resolve_by", "shrink[1].member"]);
    }
}
