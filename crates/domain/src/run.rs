//! The closing of a period (Abrechnungslauf): a state machine whose every step is safe to repeat, and the computation of its drafts.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    allocate::AllocateError,
    ids::{BillToId, MemberId},
    invoice::{DraftHead, DraftLine, Invoice},
    issuer::Issuer,
    key::AllocationKey,
    member::{BillTo, Member},
    money::{Cents, MicroEuro, MoneyError, Quantity},
    period::Period,
    pot::{MemberWeights, Pot},
    price::{PriceList, in_force},
    rating::{RatedLine, RatingError, rate},
    usage::UsageSegment,
};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RunState {
    /// Accepted.
    Pending,
    /// The cut is being frozen.
    Freezing,
    /// Usage is being priced.
    Rating,
    /// Pots are being split.
    Allocating,
    /// Drafts are being written.
    Drafting,
    /// Drafts lie for review.
    Review,
    /// Drafts get numbers, one transaction each.
    Issuing,
    /// Documents are being rendered.
    Rendering,
    /// Done.
    Closed,
    /// Cannot go on; the message says why.
    Failed,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Of which month; also its id.
    pub period: Period,
    /// Where it stands.
    pub state: RunState,
    /// Revision of the frozen cut; 0 before.
    pub cut_revision: i64,
    /// SHA-256 over all inputs, hex.
    pub cut_digest: String,
    /// SHA-256 over all invoices in order, hex.
    pub result_digest: String,
    /// How many invoices there will be.
    pub invoices_total: i64,
    /// How many of them the present step has done.
    pub invoices_done: i64,
    /// Sum of the invoices: added up, never computed anew.
    pub net: Cents,
    /// The same.
    pub vat: Cents,
    /// The same.
    pub gross: Cents,
    /// For people.
    pub message: String,
    /// BT-2 of its invoices.
    pub issue_date: Date,
    /// Why it was started although a watermark was missing; empty in the normal case.
    pub watermark_decision: String,
    /// When it was accepted.
    pub create_time: Timestamp,
    /// When it was closed.
    pub end_time: Option<Timestamp>,
}

/// All inputs of a run, as they were at the cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Of which month.
    pub period: Period,
    /// Who issues.
    pub issuer: Issuer,
    /// Sorted by id.
    pub members: Vec<Member>,
    /// All bill-tos.
    pub bill_tos: Vec<BillTo>,
    /// All price lists.
    pub price_lists: Vec<PriceList>,
    /// All keys.
    pub keys: Vec<AllocationKey>,
    /// The pots of the period.
    pub pots: Vec<Pot>,
    /// All usage that touches the period.
    pub segments: Vec<UsageSegment>,
}

/// Why a run cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RunError {
    /// No price list began before the period.
    #[error("no price list is in force in {0}")]
    NoPriceList(Period),
    /// A pot names a key that is not there or not in force yet.
    #[error("pot {pot}: key {key} is not in force")]
    NoKey {
        /// Which pot.
        pot: String,
        /// Which key.
        key: String,
    },
    /// No tax profile covers the period.
    #[error("member {0} has no tax profile for this period")]
    NoTaxProfile(MemberId),
    /// Usage names a bill-to that is not there.
    #[error("member {member} has no bill-to {bill_to}")]
    NoBillTo {
        /// Whose.
        member: MemberId,
        /// Which.
        bill_to: BillToId,
    },
    /// Usage of somebody who is no member.
    #[error("usage of {0}, who is no member")]
    NoMember(MemberId),
    /// See [`RatingError`].
    #[error(transparent)]
    Rating(#[from] RatingError),
    /// See [`AllocateError`].
    #[error("pot {pot}: {error}")]
    Allocate {
        /// Which pot.
        pot: String,
        /// Why.
        error: AllocateError,
    },
    /// Numbers too large.
    #[error(transparent)]
    Amount(#[from] MoneyError),
}

/// The first bill-to of every member; gets the member's parts of the pots.
const MAIN: &str = "main";

impl Run {
    /// A new one.
    pub fn accepted(period: Period, issue_date: Date, watermark_decision: &str, now: Timestamp) -> Self {
        Self {
            period,
            state: RunState::Pending,
            cut_revision: 0,
            cut_digest: String::new(),
            result_digest: String::new(),
            invoices_total: 0,
            invoices_done: 0,
            net: Cents::ZERO,
            vat: Cents::ZERO,
            gross: Cents::ZERO,
            message: String::new(),
            issue_date,
            watermark_decision: watermark_decision.to_owned(),
            create_time: now,
            end_time: None,
        }
    }
}

impl Cut {
    /// Members who take part: those with shares on the period's first day.
    fn participants(&self) -> Vec<&Member> {
        self.members.iter().filter(|member| member.shares_at(self.period.first_day()) > 0).collect()
    }

    /// The prices in force in the period.
    ///
    /// # Errors
    /// When no list began before it.
    pub fn price_list(&self) -> Result<&PriceList, RunError> {
        in_force(&self.price_lists, self.period.first_day()).ok_or(RunError::NoPriceList(self.period))
    }

    /// All drafts of the run, sorted by member and bill-to. Pure: the same cut gives the same drafts.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn drafts(&self, issue_date: Date, now: Timestamp) -> Result<Vec<Invoice>, RunError> {
        let list = self.price_list()?;
        let rated = self.rated(list)?;
        let mut lines: BTreeMap<(MemberId, BillToId), Vec<DraftLine>> = BTreeMap::new();
        for (member, usage) in &rated {
            for line in usage {
                let target = lines.entry((member.clone(), line.bill_to.clone())).or_default();
                target.push(usage_line(line, &list.resolution));
            }
        }
        self.add_pots(&rated, &mut lines)?;
        lines
            .into_iter()
            .map(|((member, bill_to), lines)| self.draft(&member, &bill_to, lines, issue_date, now))
            .collect()
    }

    /// Priced usage by member, every participant included.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn rated(&self, list: &PriceList) -> Result<BTreeMap<MemberId, Vec<RatedLine>>, RunError> {
        let mut by_member: BTreeMap<MemberId, Vec<UsageSegment>> =
            self.participants().into_iter().map(|member| (member.id.clone(), Vec::new())).collect();
        for segment in &self.segments {
            by_member.entry(segment.member.clone()).or_default().push(segment.clone());
        }
        by_member
            .into_iter()
            .map(|(member, segments)| Ok((member, rate(&segments, self.period, list)?)))
            .collect()
    }

    fn add_pots(
        &self,
        rated: &BTreeMap<MemberId, Vec<RatedLine>>,
        lines: &mut BTreeMap<(MemberId, BillToId), Vec<DraftLine>>,
    ) -> Result<(), RunError> {
        let participants = self.participants();
        let weights = weights(&participants, rated, self.period)?;
        let main: BillToId = MAIN.parse().map_err(|_| MoneyError)?;
        for pot in self.pots.iter().filter(|pot| pot.period == self.period) {
            let key = self
                .keys
                .iter()
                .find(|key| key.id == pot.key && key.valid_from <= self.period.first_day())
                .ok_or_else(|| RunError::NoKey { pot: pot.id.to_string(), key: pot.key.to_string() })?;
            let splits = pot
                .split(key, &weights)
                .map_err(|error| RunError::Allocate { pot: pot.id.to_string(), error })?;
            for split in splits {
                for (member, part) in participants.iter().zip(split.parts) {
                    if part != Cents::ZERO {
                        let target = lines.entry((member.id.clone(), main.clone())).or_default();
                        target.push(pot_line(&split.title, part, pot, key)?);
                    }
                }
            }
        }
        Ok(())
    }

    fn draft(
        &self,
        member: &MemberId,
        bill_to: &BillToId,
        lines: Vec<DraftLine>,
        issue_date: Date,
        now: Timestamp,
    ) -> Result<Invoice, RunError> {
        let owner = self
            .members
            .iter()
            .find(|m| m.id == *member)
            .ok_or_else(|| RunError::NoMember(member.clone()))?;
        let recipient = self
            .bill_tos
            .iter()
            .find(|b| b.member == *member && b.id == *bill_to)
            .ok_or_else(|| RunError::NoBillTo { member: member.clone(), bill_to: bill_to.clone() })?;
        // Tax follows the date of supply: the month's last day, as a month is supplied when it is over.
        let tax = owner
            .tax_profile_at(self.period.last_day())
            .ok_or_else(|| RunError::NoTaxProfile(member.clone()))?;
        let head =
            DraftHead { period: self.period, bill_to: recipient, issuer: &self.issuer, tax, issue_date, now };
        Ok(Invoice::draft(&head, lines)?)
    }
}

fn weights(
    participants: &[&Member],
    rated: &BTreeMap<MemberId, Vec<RatedLine>>,
    period: Period,
) -> Result<Vec<MemberWeights>, MoneyError> {
    participants
        .iter()
        .map(|member| {
            let usage = rated.get(&member.id).map(Vec::as_slice).unwrap_or_default();
            Ok(MemberWeights {
                inhabitants: member.population.as_ref().map_or(0, |population| population.inhabitants),
                shares: member.shares_at(period.first_day()),
                usage: Cents::sum(usage.iter().map(|line| line.net))?,
            })
        })
        .collect()
}

fn usage_line(line: &RatedLine, resolution: &str) -> DraftLine {
    DraftLine {
        title: line.title.clone(),
        quantity: line.quantity,
        unit_code: line.unit.code().to_owned(),
        unit_price: line.price,
        net: line.net,
        accounting_reference: line.accounting_reference.clone(),
        subject: line.subject.clone(),
        resolution: resolution.to_owned(),
    }
}

/// One piece at the member's part. A refund has quantity −1, since a price is never negative (BR-27).
fn pot_line(title: &str, part: Cents, pot: &Pot, key: &AllocationKey) -> Result<DraftLine, MoneyError> {
    let price = part.0.checked_abs().and_then(|cents| cents.checked_mul(10_000)).ok_or(MoneyError)?;
    Ok(DraftLine {
        title: title.to_owned(),
        quantity: Quantity(if part.0 < 0 { -1_000_000 } else { 1_000_000 }),
        unit_code: "C62".to_owned(),
        unit_price: MicroEuro(price),
        net: part,
        accounting_reference: String::new(),
        subject: format!("pots/{}", pot.id),
        resolution: format!("{}; {}", pot.resolution, key.resolution),
    })
}
