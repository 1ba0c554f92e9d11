//! Usage of the past, brought in by the treasurer: source named, audited, counted once by id, into open periods only.

use allmende_domain::{period::Period, usage::UsageSegment};
use allmende_store::{PeriodState, StoredSegment, Txn, Versioned, keys};
use std::collections::{BTreeMap, BTreeSet};

use super::Usages;
use crate::{context::Context, convert::fields::Fields, core::Change, error::AppError};

/// Segments in one transaction: each is one write and one compare; periods, receipt and audit need room too.
const CHUNK: usize = 60;

/// A whole import.
#[derive(Debug)]
pub struct Import {
    /// Where the facts come from.
    pub source: String,
    /// All of them.
    pub segments: Vec<UsageSegment>,
}

/// How many counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Imported {
    /// New.
    pub imported: i64,
    /// There before with the same content.
    pub already_counted: i64,
}

impl Usages {
    /// Imports all segments, or none when one is wrong. Interrupted, it may be sent again: what is there counts once.
    ///
    /// # Errors
    /// All wrong segments at once: unknown members or bill-tos, closed periods, an id with other content.
    pub async fn import(
        &self,
        context: &Context,
        change: &Change,
        import: &Import,
    ) -> Result<Imported, AppError> {
        let periods = self.check(import).await?;
        let mut counted = Imported::default();
        let mut fresh = Vec::new();
        for segment in &import.segments {
            if self.core.store.find(&keys::segment(&segment.member, &segment.id)).await?.is_some() {
                counted.already_counted += 1;
            } else {
                fresh.push(segment);
            }
        }
        counted.imported = i64::try_from(fresh.len()).unwrap_or(i64::MAX);
        if change.validate_only {
            return Ok(counted);
        }
        for (number, chunk) in fresh.chunks(CHUNK).enumerate() {
            let mut txn = Txn::new();
            for (period, state) in &periods {
                txn = txn.expect_as_read(&keys::period(*period), state.as_ref());
            }
            for segment in chunk {
                let key = keys::segment(&segment.member, &segment.id);
                let stored = StoredSegment {
                    segment: (*segment).clone(),
                    source: import.source.clone(),
                    received: context.now,
                };
                txn = txn.expect_absent(&key).put(&key, &stored);
            }
            if number == 0 {
                let summary = format!("{} Verbrauchswerte aus {}", fresh.len(), import.source);
                txn = txn.and(change.audit(context.row.rpc, None, "usage", summary, &import.source));
            }
            match self.core.store.commit(txn).await? {
                allmende_store::Commit::Committed(_) => {}
                // A twin import or a closing period: sending again tells which.
                allmende_store::Commit::Conflict => return Err(AppError::Contention),
            }
        }
        Ok(counted)
    }

    /// Checks everything before anything is stored; gives the periods as read, for the compares.
    async fn check(
        &self,
        import: &Import,
    ) -> Result<BTreeMap<Period, Option<Versioned<PeriodState>>>, AppError> {
        let mut fields = Fields::new();
        if import.source.trim().is_empty() {
            fields.wrong("source", "is needed: where the facts come from, for the audit");
        }
        let mut periods = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (index, segment) in import.segments.iter().enumerate() {
            let path = format!("segments[{index}]");
            if !seen.insert((&segment.member, &segment.id)) {
                fields.wrong(format!("{path}.id"), "is there twice");
            }
            if self.core.store.find(&keys::bill_to(&segment.member, &segment.bill_to)).await?.is_none() {
                fields.wrong(format!("{path}.member"), "there is no such member or bill-to");
            }
            let stored = self.core.store.find(&keys::segment(&segment.member, &segment.id)).await?;
            if stored.is_some_and(|stored| stored.value.segment != *segment) {
                fields.wrong(format!("{path}.id"), "is there with other content: an id counts once");
                continue;
            }
            let mut period = Period::of_time(segment.start)?;
            loop {
                if let std::collections::btree_map::Entry::Vacant(unread) = periods.entry(period) {
                    unread.insert(self.core.store.find(&keys::period(period)).await?);
                }
                if periods.get(&period).is_some_and(|p| p.as_ref().is_some_and(|state| state.value.closed)) {
                    fields.wrong(format!("{path}.interval"), format!("period {period} is closed"));
                }
                if segment.end <= period.end()? {
                    break;
                }
                period = period.following()?;
            }
        }
        fields.finish(Some(periods))
    }
}
