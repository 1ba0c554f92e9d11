//! What a division would do, before it is voted on: who gains, who loses, and who would fall below what it has reserved.

use serde::{Deserialize, Serialize};

use super::division::Division;
use crate::{
    account::QuotaAccount,
    ids::MemberId,
    resources::{AmountError, Resources},
};

/// One member's outlook on one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// Who.
    pub member: MemberId,
    /// Its entitlement now.
    pub before: Resources,
    /// What it would be.
    pub after: Resources,
    /// More of these than now.
    pub gains: Resources,
    /// Less of these than now.
    pub loses: Resources,
    /// What it has reserved and lent of its own: the least that it needs.
    pub bound: Resources,
    /// What it would have to come down by; zero for who is not over the new entitlement.
    pub over: Resources,
}

/// Compares a division with the accounts as they are. Members without account have nothing now; accounts of members that take no part would
/// have nothing then. By ascending member id.
///
/// # Errors
/// When an amount no longer fits.
pub fn outlook(division: &Division, accounts: &[QuotaAccount]) -> Result<Vec<Outlook>, AmountError> {
    let own: std::collections::BTreeMap<&MemberId, &QuotaAccount> = accounts
        .iter()
        .filter(|account| account.cluster == division.cluster)
        .map(|account| (&account.member, account))
        .collect();
    let then: std::collections::BTreeMap<&MemberId, &Resources> =
        division.rows.iter().map(|row| (&row.member, &row.total)).collect();
    let members: std::collections::BTreeSet<&MemberId> = own.keys().chain(then.keys()).copied().collect();
    members
        .into_iter()
        .map(|member| {
            let account = own.get(member);
            let before = account.map_or(Resources::ZERO, |account| account.entitled());
            let bound = account.map_or(Ok(Resources::ZERO), |account| account.bound())?;
            let after = then.get(member).map_or(Resources::ZERO, |total| (*total).clone());
            Ok(Outlook {
                member: member.clone(),
                gains: after.saturating_sub(&before),
                loses: before.saturating_sub(&after),
                over: bound.saturating_sub(&after),
                before,
                after,
                bound,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::division::DivisionRow;

    fn cpu(amount: i64) -> Resources {
        Resources { cpu_milli: amount, ..Resources::ZERO }
    }

    #[test]
    fn who_gains_who_loses_and_who_falls_below_what_it_has_reserved() {
        let account = |member: &str, guaranteed, reserved| {
            let empty = QuotaAccount::empty(member.parse().unwrap(), "c".parse().unwrap());
            QuotaAccount { guaranteed: cpu(guaranteed), ..empty }.admit("t", cpu(reserved)).unwrap()
        };
        let row = |member: &str, total| DivisionRow {
            member: member.parse().unwrap(),
            fixed: Resources::ZERO,
            parts: Vec::new(),
            total: cpu(total),
        };
        let division = Division {
            cluster: "c".parse().unwrap(),
            capacity: cpu(30),
            ceiling: cpu(30),
            divided: cpu(30),
            reserve: Resources::ZERO,
            rows: vec![row("aaa", 12), row("bbb", 8), row("ddd", 10)],
        };
        let accounts = [account("aaa", 10, 9), account("bbb", 10, 9), account("ccc", 5, 0)];
        let seen: Vec<(String, i64, i64, i64)> = outlook(&division, &accounts)
            .unwrap()
            .into_iter()
            .map(|o| (o.member.to_string(), o.gains.cpu_milli, o.loses.cpu_milli, o.over.cpu_milli))
            .collect();
        let expected = [("aaa", 2, 0, 0), ("bbb", 0, 2, 1), ("ccc", 0, 5, 0), ("ddd", 10, 0, 0)];
        assert_eq!(
            seen,
            expected.map(|(member, gains, loses, over)| (member.to_owned(), gains, loses, over))
        );
    }
}
