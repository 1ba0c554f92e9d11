//! Budgets and their numbers.

use allmende_domain::{
    money::{Cents, MoneyError},
    quota::budget::{Budget, Commitment, Mode},
};
use allmende_proto::v1;

use super::{
    fields::{Fields, time},
    resources::{self, money},
};

/// Most money of one limit: a thousand times what the largest city of Germany spends in a year, far below overflow.
const CENTS_MAX: i64 = 1_000_000_000_000_000;

/// Reads an amount of money of zero or more.
pub fn read_money(fields: &mut Fields, path: &str, message: Option<&v1::Money>) -> Option<Cents> {
    let message = fields.needed(path, message)?;
    let euro = matches!(message.currency_code.as_str(), "" | "EUR");
    if !euro {
        fields.wrong(format!("{path}.currency_code"), "must be EUR");
    }
    let sound = (0..=CENTS_MAX).contains(&message.cents);
    if !sound {
        fields.wrong(format!("{path}.cents"), format!("must be 0 to {CENTS_MAX}"));
    }
    (euro && sound).then_some(Cents(message.cents))
}

/// A budget with all its parts.
pub fn write(budget: &Budget, etag: String) -> Result<v1::Budget, MoneyError> {
    let mut ended: Vec<v1::EndedCommitment> = budget
        .ended
        .iter()
        .map(|(subject, net)| v1::EndedCommitment { subject: subject.clone(), net: Some(money(*net)) })
        .collect();
    if budget.ended_others != Cents::ZERO {
        ended.push(v1::EndedCommitment { subject: String::new(), net: Some(money(budget.ended_others)) });
    }
    let permissions = budget.permissions.iter().map(|(request, permission)| v1::BudgetPermission {
        request: request.clone(),
        holder: permission.holder.clone(),
        net: Some(money(permission.cents)),
        expire_time: Some(time(permission.valid_until)),
    });
    Ok(v1::Budget {
        commitments: budget.holders.iter().map(|(holder, one)| commitment(holder, one)).collect(),
        ended,
        permissions: permissions.collect(),
        ..summary(budget, etag)?
    })
}

/// A budget with its sums alone.
pub fn summary(budget: &Budget, etag: String) -> Result<v1::Budget, MoneyError> {
    let mode = budget.limit.as_ref().map_or(v1::budget::Mode::Unspecified, |limit| match limit.mode {
        Mode::Block => v1::budget::Mode::Block,
        Mode::Ask => v1::budget::Mode::Ask,
        Mode::Report => v1::budget::Mode::Report,
    });
    Ok(v1::Budget {
        name: budget.name(),
        limit: budget.limit.as_ref().map(|limit| money(limit.cents)),
        mode: mode.into(),
        resolution: budget.limit.as_ref().map(|limit| limit.resolution.clone()).unwrap_or_default(),
        committed: Some(money(budget.committed()?)),
        remaining: budget.remaining()?.map(money),
        commitments: Vec::new(),
        ended: Vec::new(),
        permissions: Vec::new(),
        unpriced: i32::try_from(budget.unpriced()).unwrap_or(i32::MAX),
        count_time: budget.counted.map(time),
        etag,
    })
}

fn commitment(holder: &str, one: &Commitment) -> v1::BudgetCommitment {
    v1::BudgetCommitment {
        holder: holder.to_owned(),
        resources: Some(resources::write(&one.charge.amounts)),
        since_time: Some(time(one.since)),
        settled: Some(money(one.settled)),
        ahead: Some(money(one.ahead)),
        price_lists: one.price_lists.iter().map(|list| format!("priceLists/{list}")).collect(),
        request: one.permission.clone(),
    }
}
