//! Rules that divide the pool, and what they would do.

use std::collections::BTreeMap;

use allmende_domain::{
    ids::{ClusterId, MemberId, PoolRuleId},
    quota::{
        capacity::{PlannedShrink, ShrinkPlan},
        division::Division,
        outlook::Outlook,
        rule::{Basis, FixedAmount, Overcommit, PoolRule, RulePart},
        run::{PoolRun, PoolRunState},
    },
};
use allmende_proto::v1;
use jiff::{Timestamp, civil::Date};

use super::{
    fields::{Fields, time},
    resources,
};
use crate::{app::pool::Divided, names};

/// A rule to record or to look at.
pub fn read(
    fields: &mut Fields,
    id: Option<PoolRuleId>,
    message: Option<&v1::PoolRule>,
    now: Timestamp,
) -> Option<PoolRule> {
    let message = fields.needed("pool_rule", message)?;
    let valid_from = fields.date("pool_rule.valid_from", &message.valid_from);
    let parts: Vec<Option<RulePart>> =
        message.parts.iter().enumerate().map(|(index, part)| read_part(fields, index, part)).collect();
    let fixed: Vec<Option<FixedAmount>> =
        message.fixed.iter().enumerate().map(|(index, fixed)| read_fixed(fields, index, fixed)).collect();
    let mut number = |field: &str, value: i32| {
        let read = u32::try_from(value);
        read.map_err(|_| fields.wrong(format!("pool_rule.{field}"), "must not be negative")).ok()
    };
    let reserve_permille = number("reserve_permille", message.reserve_permille);
    let resolve_days = number("resolve_days", message.resolve_days);
    let overcommit: Vec<Option<(String, u32)>> = message
        .overcommit_permille
        .iter()
        .map(|(name, permille)| {
            Some((name.clone(), number(&format!("overcommit_permille[{name}]"), *permille)?))
        })
        .collect();
    let rule = PoolRule {
        id: id?,
        valid_from: valid_from?,
        resolution: message.resolution.trim().to_owned(),
        parts: parts.into_iter().collect::<Option<_>>()?,
        fixed: fixed.into_iter().collect::<Option<_>>()?,
        reserve_permille: reserve_permille?,
        overcommit: Overcommit(overcommit.into_iter().collect::<Option<_>>()?),
        resolve_days: u16::try_from(resolve_days?).unwrap_or(u16::MAX),
        create_time: now,
    };
    fields.wrong_under("pool_rule", rule.violations());
    Some(rule)
}

fn read_part(fields: &mut Fields, index: usize, part: &v1::PoolRulePart) -> Option<RulePart> {
    let path = format!("pool_rule.parts[{index}]");
    let basis = match v1::pool_rule_part::Basis::try_from(part.basis) {
        Ok(v1::pool_rule_part::Basis::Shares) => Some(Basis::Shares),
        Ok(v1::pool_rule_part::Basis::Equal) => Some(Basis::Equal),
        Ok(v1::pool_rule_part::Basis::Inhabitants) => {
            let edition = fields.date(&format!("{path}.register_edition"), &part.register_edition);
            edition.map(|edition| Basis::Inhabitants {
                edition,
                counties_without_members: part.counties_without_members,
            })
        }
        Ok(v1::pool_rule_part::Basis::Unspecified) | Err(_) => {
            fields.wrong(format!("{path}.basis"), "must be one of the bases of a rule");
            None
        }
    };
    let permille = u32::try_from(part.permille);
    let permille =
        permille.map_err(|_| fields.wrong(format!("{path}.permille"), "must be 1 to 1000 thousandths")).ok();
    Some(RulePart { basis: basis?, permille: permille? })
}

fn read_fixed(fields: &mut Fields, index: usize, fixed: &v1::FixedEntitlement) -> Option<FixedAmount> {
    let path = format!("pool_rule.fixed[{index}]");
    let member = read_member(fields, &format!("{path}.member"), &fixed.member);
    let cluster: Option<ClusterId> = names::cluster(&fixed.cluster)
        .map_err(|_| fields.wrong(format!("{path}.cluster"), "must be clusters/{cluster}"))
        .ok();
    let amount = resources::read(fields, &format!("{path}.amount"), fixed.amount.as_ref());
    Some(FixedAmount { member: member?, cluster: cluster?, amount: amount? })
}

fn read_member(fields: &mut Fields, path: &str, name: &str) -> Option<MemberId> {
    names::member(name).map_err(|_| fields.wrong(path, "must be members/{member}")).ok()
}

/// Other shares than those on record.
pub fn read_shares(fields: &mut Fields, shares: &BTreeMap<String, i64>) -> BTreeMap<MemberId, i64> {
    let mut read = BTreeMap::new();
    for (name, count) in shares {
        let path = format!("shares[{name}]");
        let member = read_member(fields, &path, name);
        if !(0..=1_000_000).contains(count) {
            fields.wrong(path, "must be 0 to 1000000");
        } else if let Some(member) = member {
            read.insert(member, *count);
        }
    }
    read
}

/// Who comes down to what, for a capacity below what is promised.
pub fn read_plan(fields: &mut Fields, message: &v1::ShrinkPlan, today: Date) -> Option<ShrinkPlan> {
    let resolve_by = fields.date("plan.resolve_by", &message.resolve_by);
    let shrink: Vec<Option<PlannedShrink>> = message
        .shrink
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            let path = format!("plan.shrink[{index}]");
            let member = read_member(fields, &format!("{path}.member"), &entry.member);
            let guaranteed =
                resources::read(fields, &format!("{path}.guaranteed"), entry.guaranteed.as_ref());
            Some(PlannedShrink { member: member?, guaranteed: guaranteed? })
        })
        .collect();
    let plan = ShrinkPlan {
        resolution: message.resolution.trim().to_owned(),
        resolve_by: resolve_by?,
        shrink: shrink.into_iter().collect::<Option<_>>()?,
    };
    fields.wrong_under("plan", plan.violations(today));
    Some(plan)
}

/// A rule as a message.
pub fn write(rule: &PoolRule) -> v1::PoolRule {
    v1::PoolRule {
        name: format!("poolRules/{}", rule.id),
        valid_from: rule.valid_from.to_string(),
        resolution: rule.resolution.clone(),
        parts: rule.parts.iter().map(write_part).collect(),
        fixed: rule
            .fixed
            .iter()
            .map(|fixed| v1::FixedEntitlement {
                member: format!("members/{}", fixed.member),
                cluster: format!("clusters/{}", fixed.cluster),
                amount: Some(resources::write(&fixed.amount)),
            })
            .collect(),
        reserve_permille: whole(rule.reserve_permille),
        overcommit_permille: rule
            .overcommit
            .0
            .iter()
            .map(|(resource, permille)| (resource.clone(), whole(*permille)))
            .collect(),
        resolve_days: i32::from(rule.resolve_days),
        create_time: Some(time(rule.create_time)),
    }
}

fn write_part(part: &RulePart) -> v1::PoolRulePart {
    let (basis, register_edition, counties_without_members) = match part.basis {
        Basis::Shares => (v1::pool_rule_part::Basis::Shares, String::new(), false),
        Basis::Equal => (v1::pool_rule_part::Basis::Equal, String::new(), false),
        Basis::Inhabitants { edition, counties_without_members } => {
            (v1::pool_rule_part::Basis::Inhabitants, edition.to_string(), counties_without_members)
        }
    };
    let permille = whole(part.permille);
    v1::PoolRulePart { basis: basis.into(), permille, register_edition, counties_without_members }
}

fn whole(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A division with what it would do.
pub fn write_divided(divided: &Divided) -> v1::ClusterDivision {
    let division = &divided.division;
    v1::ClusterDivision {
        cluster: format!("clusters/{}", division.cluster),
        capacity: Some(resources::write(&division.capacity)),
        ceiling: Some(resources::write(&division.ceiling)),
        divided: Some(resources::write(&division.divided)),
        reserve: Some(resources::write(&division.reserve)),
        members: divided.outlook.iter().map(|outlook| write_member(division, outlook)).collect(),
    }
}

fn write_member(division: &Division, outlook: &Outlook) -> v1::MemberDivision {
    let row = division.rows.iter().find(|row| row.member == outlook.member);
    let parts = row.map(|row| row.parts.as_slice()).unwrap_or_default();
    v1::MemberDivision {
        member: format!("members/{}", outlook.member),
        before: Some(resources::write(&outlook.before)),
        after: Some(resources::write(&outlook.after)),
        gains: Some(resources::write(&outlook.gains)),
        loses: Some(resources::write(&outlook.loses)),
        reserved: Some(resources::write(&outlook.bound)),
        over: Some(resources::write(&outlook.over)),
        fixed: row.map(|row| resources::write(&row.fixed)),
        parts: parts
            .iter()
            .map(|part| v1::DivisionPart {
                weight: part.weight,
                weights: i64::try_from(part.weights).unwrap_or(i64::MAX),
                amount: Some(resources::write(&part.amount)),
            })
            .collect(),
    }
}

/// A run as a message.
pub fn write_run(run: &PoolRun) -> v1::PoolRun {
    let state = match run.state {
        PoolRunState::Dividing => v1::pool_run::State::Dividing,
        PoolRunState::Settling => v1::pool_run::State::Settling,
        PoolRunState::Done => v1::pool_run::State::Done,
    };
    v1::PoolRun {
        name: format!("poolRules/{}/runs/{}", run.rule, run.effective),
        state: state.into(),
        entitlements_done: whole(run.done),
        entitlements_total: whole(run.total),
        unsettled: whole(run.unsettled),
        start_time: Some(time(run.start_time)),
        end_time: run.end_time.map(time),
    }
}
