//! The ledger of a budget counted anew from the records: what was used so far by the facts, and what lives on by the price lists of now.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    budget::{Budget, Commitment},
    projection::{Charge, Projection, ProjectionError, priced, project},
};
use crate::{
    money::Cents,
    price::PriceList,
    usage::{LifecycleFact, UsageSegment, segments_of},
};

/// Everything that a ledger is counted from. Facts and imported usage may be those of all recipients of the member.
#[derive(Debug, Clone, Copy)]
pub struct Records<'a> {
    /// Lifecycle facts.
    pub facts: &'a [LifecycleFact],
    /// Imported usage.
    pub imported: &'a [UsageSegment],
    /// Tenants and instances of this recipient that are not being deleted.
    pub living: &'a BTreeMap<String, Charge>,
    /// All price lists.
    pub lists: &'a [PriceList],
}

/// A holder whose number in the ledger is another than the records give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Tenant or instance.
    pub holder: String,
    /// As the ledger has it.
    pub ledger: Cents,
    /// As the records give it.
    pub records: Cents,
}

impl Budget {
    /// The same limit with commitments counted from the records. It may be over its limit then: that is said, not refused.
    ///
    /// # Errors
    /// When an amount is too large. A month without price list leaves what falls into it unpriced.
    pub fn counted(&self, records: Records<'_>, now: Timestamp) -> Result<Self, ProjectionError> {
        let mut used = self.used(records, now)?;
        let mut next = Self {
            holders: BTreeMap::new(),
            ended: BTreeMap::new(),
            ended_others: Cents::ZERO,
            counted: Some(now),
            ..self.clone()
        };
        for (holder, charge) in records.living {
            let span = (now, self.year.end()?);
            let ahead = known(project(&self.member, charge, span, self.year, records.lists))?;
            let permission =
                self.holders.get(holder).map(|present| present.permission.clone()).unwrap_or_default();
            let commitment = Commitment {
                charge: charge.clone(),
                since: now,
                settled: used.remove(holder).unwrap_or_default(),
                ahead: ahead.net,
                price_lists: ahead.price_lists,
                permission,
            };
            next.holders.insert(holder.clone(), commitment);
        }
        for (holder, spent) in used {
            next.keep_ended(&holder, spent)?;
        }
        Ok(next)
    }

    /// Which numbers differ from those of a count of the records. All are of the whole year, so that time alone is no difference;
    /// `tolerance` is what rounding and the minutes between order and readiness may make.
    ///
    /// # Errors
    /// When an amount is too large.
    pub fn drift(&self, counted: &Self, tolerance: Cents) -> Result<Vec<Drift>, ProjectionError> {
        let mut all: BTreeMap<&str, (Cents, Cents)> = BTreeMap::new();
        for (holder, commitment) in &self.holders {
            all.entry(holder).or_default().0 = commitment.net()?;
        }
        for (holder, commitment) in &counted.holders {
            all.entry(holder).or_default().1 = commitment.net()?;
        }
        for (holder, spent) in &self.ended {
            let sum = &mut all.entry(holder).or_default().0;
            *sum = sum.checked_add(*spent)?;
        }
        for (holder, spent) in &counted.ended {
            let sum = &mut all.entry(holder).or_default().1;
            *sum = sum.checked_add(*spent)?;
        }
        let differs = |(ledger, records): &(Cents, Cents)| {
            ledger.0.saturating_sub(records.0).saturating_abs() > tolerance.0
        };
        Ok(all
            .into_iter()
            .filter(|(_, pair)| differs(pair))
            .map(|(holder, (ledger, records))| Drift { holder: holder.to_owned(), ledger, records })
            .collect())
    }

    /// What was used in the year up to `now`, by subject.
    fn used(&self, records: Records<'_>, now: Timestamp) -> Result<BTreeMap<String, Cents>, ProjectionError> {
        let until = now.min(self.year.end()?);
        let mut by_subject: BTreeMap<String, Vec<UsageSegment>> = BTreeMap::new();
        let segments = segments_of(records.facts, until)?;
        for segment in segments.iter().chain(records.imported).filter(|one| one.bill_to == self.bill_to) {
            by_subject.entry(segment.subject.clone()).or_default().push(segment.clone());
        }
        by_subject
            .into_iter()
            .map(|(subject, segments)| Ok((subject, known(priced(&segments, self.year, records.lists))?.net)))
            .collect()
    }
}

/// A price that nobody knows is none; a number that is too large is an error.
fn known(found: Result<Projection, ProjectionError>) -> Result<Projection, ProjectionError> {
    match found {
        Err(ProjectionError::NoPriceList(_)) => Ok(Projection::default()),
        Err(ProjectionError::Rating(crate::rating::RatingError::NoPrice { .. })) => Ok(Projection::default()),
        other => other,
    }
}
