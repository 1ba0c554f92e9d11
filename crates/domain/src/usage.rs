//! Usage: reserved amounts × time. Lifecycle facts become half-open segments of UTC; segments are cut at the period's ends.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{BillToId, MemberId, Uid},
    money::{MoneyError, Ratio},
    period::Period,
    resources::Resources,
};

/// What is measured. The order is that of the lines on an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Meter {
    /// Virtual CPUs.
    #[serde(rename = "vcpu")]
    Vcpu,
    /// GiB of memory.
    #[serde(rename = "memory-gib")]
    MemoryGib,
    /// GiB of volumes.
    #[serde(rename = "storage-gib")]
    StorageGib,
    /// Workspace namespaces.
    #[serde(rename = "namespace")]
    Namespace,
}

impl Meter {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Vcpu, Self::MemoryGib, Self::StorageGib, Self::Namespace];

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vcpu => "vcpu",
            Self::MemoryGib => "memory-gib",
            Self::StorageGib => "storage-gib",
            Self::Namespace => "namespace",
        }
    }
}

impl FromStr for Meter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|meter| meter.as_str() == text)
            .ok_or("must be vcpu, memory-gib, storage-gib or namespace")
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount of one meter over a half-open span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageSegment {
    /// Counts once per member.
    pub id: String,
    /// Whose.
    pub member: MemberId,
    /// What.
    pub meter: Meter,
    /// Thousandths of the meter's unit.
    pub amount_milli: i64,
    /// From (inclusive).
    pub start: Timestamp,
    /// To (exclusive).
    pub end: Timestamp,
    /// Tenant or instance; empty for imported usage that names none.
    pub subject: String,
    /// Who pays.
    pub bill_to: BillToId,
    /// BT-133; may be empty.
    pub accounting_reference: String,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FactKind {
    /// First ready: from here on it is billed.
    Ready,
    /// Other amounts are in force.
    Resized,
    /// Its deletion was accepted: billing ends.
    Ended,
    /// Everything of it is gone; tells nothing about money.
    Gone,
}

/// A lifecycle fact as the API keeps it: the time bounded by its own records, the amounts from its own records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleFact {
    /// SHA-256, hex: counts once.
    pub id: String,
    /// Whose.
    pub member: MemberId,
    /// Tenant or instance, resource name.
    pub subject: String,
    /// Which life of it.
    pub uid: Uid,
    /// What happened.
    pub kind: FactKind,
    /// At which generation.
    pub generation: u64,
    /// When, UTC.
    pub occurred: Timestamp,
    /// When the API learned of it.
    pub received: Timestamp,
    /// What is reserved from then on.
    pub amounts: Resources,
    /// Whether it is a workspace, for which the namespace is billed too.
    pub workspace: bool,
    /// Who pays.
    pub bill_to: BillToId,
    /// BT-133; may be empty.
    pub accounting_reference: String,
}

const GIB: i128 = 1 << 30;

/// Thousandths of a GiB, rounded once, half away from zero.
fn gib_milli(bytes: i64) -> Result<i64, MoneyError> {
    Ratio::new(i128::from(bytes).checked_mul(1000).ok_or(MoneyError)?, GIB)?.round_half_away()
}

impl LifecycleFact {
    /// Amounts by meter, zero ones left out.
    fn meters(&self) -> Result<Vec<(Meter, i64)>, MoneyError> {
        let namespace = if self.workspace { 1000 } else { 0 };
        let all = [
            (Meter::Vcpu, self.amounts.cpu_milli),
            (Meter::MemoryGib, gib_milli(self.amounts.memory_bytes)?),
            (Meter::StorageGib, gib_milli(self.amounts.storage_bytes)?),
            (Meter::Namespace, namespace),
        ];
        Ok(all.into_iter().filter(|(_, amount)| *amount > 0).collect())
    }
}

/// The segments of one life (one `uid`), from first ready to the accepted delete, or to `until` while it lives.
///
/// # Errors
/// When an amount cannot be computed.
pub fn segments_of_life(facts: &[LifecycleFact], until: Timestamp) -> Result<Vec<UsageSegment>, MoneyError> {
    let mut facts: Vec<&LifecycleFact> = facts.iter().filter(|fact| fact.kind != FactKind::Gone).collect();
    facts.sort_by_key(|fact| (fact.occurred, fact.generation, fact.kind));
    let Some(first) = facts.iter().position(|fact| fact.kind == FactKind::Ready) else {
        return Ok(Vec::new());
    };
    let end = facts
        .iter()
        .find(|fact| fact.kind == FactKind::Ended)
        .map_or(until, |ended| ended.occurred.min(until));
    let amounts: Vec<&&LifecycleFact> =
        facts.iter().skip(first).filter(|fact| fact.kind != FactKind::Ended).collect();
    let mut segments = Vec::new();
    for (index, fact) in amounts.iter().enumerate() {
        let next = amounts.get(index.saturating_add(1)).map_or(end, |next| next.occurred.min(end));
        if fact.occurred >= next {
            continue;
        }
        for (meter, amount_milli) in fact.meters()? {
            segments.push(UsageSegment {
                id: format!("{}/{meter}", fact.id),
                member: fact.member.clone(),
                meter,
                amount_milli,
                start: fact.occurred,
                end: next,
                subject: fact.subject.clone(),
                bill_to: fact.bill_to.clone(),
                accounting_reference: fact.accounting_reference.clone(),
            });
        }
    }
    Ok(segments)
}

/// The segments of many facts, life by life.
///
/// # Errors
/// As [`segments_of_life`].
pub fn segments_of(facts: &[LifecycleFact], until: Timestamp) -> Result<Vec<UsageSegment>, MoneyError> {
    let mut lives: std::collections::BTreeMap<&str, Vec<LifecycleFact>> = std::collections::BTreeMap::new();
    for fact in facts {
        lives.entry(fact.uid.as_str()).or_default().push(fact.clone());
    }
    let mut all = Vec::new();
    for life in lives.values() {
        all.extend(segments_of_life(life, until)?);
    }
    Ok(all)
}

/// The part of a segment within a period; none when it lies outside.
pub fn cut(segment: &UsageSegment, period: Period) -> Option<UsageSegment> {
    let start = segment.start.max(period.start().ok()?);
    let end = segment.end.min(period.end().ok()?);
    (start < end).then(|| UsageSegment { start, end, ..segment.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(kind: FactKind, generation: u64, at: &str, cpu_milli: i64) -> LifecycleFact {
        LifecycleFact {
            id: format!("{kind:?}{generation}"),
            member: "m-05766044".parse().unwrap(),
            subject: "members/m-05766044/tenants/prod/instances/db".into(),
            uid: "0192f0c1-2345-7abc-8def-0123456789ab".parse().unwrap(),
            kind,
            generation,
            occurred: at.parse().unwrap(),
            received: at.parse().unwrap(),
            amounts: Resources { cpu_milli, ..Resources::ZERO },
            workspace: false,
            bill_to: "main".parse().unwrap(),
            accounting_reference: String::new(),
        }
    }

    #[test]
    fn a_life_is_billed_from_ready_to_the_accepted_delete_with_the_amounts_of_the_time() {
        let facts = [
            fact(FactKind::Gone, 3, "2026-09-20T12:10:00Z", 0),
            fact(FactKind::Ended, 3, "2026-09-20T12:00:00Z", 0),
            fact(FactKind::Resized, 2, "2026-09-10T00:00:00Z", 2000),
            fact(FactKind::Ready, 1, "2026-09-05T06:00:00Z", 1000),
        ];
        let until = "2026-10-01T00:00:00Z".parse().unwrap();
        let spans: Vec<(String, String, i64)> = segments_of(&facts, until)
            .unwrap()
            .into_iter()
            .map(|s| (s.start.to_string(), s.end.to_string(), s.amount_milli))
            .collect();
        assert_eq!(
            spans,
            [
                ("2026-09-05T06:00:00Z".into(), "2026-09-10T00:00:00Z".into(), 1000),
                ("2026-09-10T00:00:00Z".into(), "2026-09-20T12:00:00Z".into(), 2000),
            ]
        );
    }

    #[test]
    fn what_was_never_ready_is_never_billed() {
        let facts = [fact(FactKind::Ended, 2, "2026-09-20T12:00:00Z", 0)];
        assert!(segments_of(&facts, "2026-10-01T00:00:00Z".parse().unwrap()).unwrap().is_empty());
    }

    #[test]
    fn a_segment_is_cut_at_the_berlin_month() {
        let facts = [fact(FactKind::Ready, 1, "2026-08-05T00:00:00Z", 1000)];
        let segments = segments_of(&facts, "2026-12-01T00:00:00Z".parse().unwrap()).unwrap();
        let part = cut(&segments[0], "2026-10".parse().unwrap()).unwrap();
        assert_eq!((part.end.as_second() - part.start.as_second()) / 3600, 745);
        assert!(cut(&segments[0], "2026-07".parse().unwrap()).is_none());
    }
}
