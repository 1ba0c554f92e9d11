//! Invoices: lines, VAT by category on the sum, totals. A draft becomes issued once and never changes after.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    ids::MemberId,
    issuer::Issuer,
    member::{BillTo, TaxProfile, VatCategory},
    money::{Cents, MicroEuro, MoneyError, Quantity, Ratio},
    period::Period,
};

/// Draft or issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InvoiceState {
    /// May be made anew; has no number.
    Draft,
    /// Has a number and never changes.
    Issued,
}

/// One line (BG-25).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceLine {
    /// BT-126.
    pub id: u32,
    /// BT-153.
    pub title: String,
    /// BT-129.
    pub quantity: Quantity,
    /// BT-130.
    pub unit_code: String,
    /// BT-146.
    pub unit_price: MicroEuro,
    /// BT-131.
    pub net: Cents,
    /// BT-151.
    pub vat_category: VatCategory,
    /// BT-152, percent × 100.
    pub vat_rate_basis_points: i32,
    /// BT-133; may be empty.
    pub accounting_reference: String,
    /// Tenant, instance or pot; may be empty.
    pub subject: String,
    /// Resolution of the price list or key.
    pub resolution: String,
}

/// One row of the VAT breakdown (BG-23).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VatBreakdown {
    /// BT-118.
    pub category: VatCategory,
    /// BT-119, percent × 100.
    pub rate_basis_points: i32,
    /// BT-116.
    pub taxable: Cents,
    /// BT-117 = round2(BT-116 × rate), on the sum and never by line (BR-CO-17).
    pub tax: Cents,
    /// BT-120; empty for S.
    pub exemption_reason: String,
}

/// A rendered document of an issued invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentReference {
    /// `xrechnung`, `json`, `csv`.
    pub format: String,
    /// Name in the document store.
    pub name: String,
    /// Hex.
    pub sha256: String,
    /// Bytes.
    pub size: i64,
}

/// See the module. One stored value with all its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// Id under the member: the number once issued, `draft-…` before.
    pub id: String,
    /// Whose.
    pub member: MemberId,
    /// For which month.
    pub period: Period,
    /// Draft or issued.
    pub state: InvoiceState,
    /// BT-1; empty for a draft.
    pub number: String,
    /// BT-3: 380.
    pub type_code: u16,
    /// BT-2.
    pub issue_date: Date,
    /// BT-9.
    pub due_date: Date,
    /// BG-4, frozen with the invoice.
    pub issuer: Issuer,
    /// BG-7, frozen with the invoice.
    pub bill_to: BillTo,
    /// BG-25.
    pub lines: Vec<InvoiceLine>,
    /// BG-23.
    pub vat_breakdown: Vec<VatBreakdown>,
    /// BT-109.
    pub net: Cents,
    /// BT-110.
    pub vat: Cents,
    /// BT-112.
    pub gross: Cents,
    /// After rendering.
    pub documents: Vec<DocumentReference>,
    /// Chained to the record before in its number range, hex; empty for a draft.
    pub record_digest: String,
    /// When the draft was made.
    pub create_time: Timestamp,
}

/// A line before it has a number and a tax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftLine {
    /// BT-153.
    pub title: String,
    /// BT-129.
    pub quantity: Quantity,
    /// BT-130.
    pub unit_code: String,
    /// BT-146.
    pub unit_price: MicroEuro,
    /// BT-131.
    pub net: Cents,
    /// BT-133.
    pub accounting_reference: String,
    /// For what.
    pub subject: String,
    /// By which resolution.
    pub resolution: String,
}

/// What heads a draft.
#[derive(Debug, Clone)]
pub struct DraftHead<'a> {
    /// For which month.
    pub period: Period,
    /// Who pays.
    pub bill_to: &'a BillTo,
    /// Who issues.
    pub issuer: &'a Issuer,
    /// How it is taxed, by the date of supply.
    pub tax: &'a TaxProfile,
    /// BT-2.
    pub issue_date: Date,
    /// When it is made.
    pub now: Timestamp,
}

impl Invoice {
    /// Makes a draft with totals.
    ///
    /// # Errors
    /// When an amount cannot be computed.
    pub fn draft(head: &DraftHead<'_>, lines: Vec<DraftLine>) -> Result<Self, MoneyError> {
        let lines: Vec<InvoiceLine> =
            (1u32..).zip(lines).map(|(id, line)| numbered(id, line, head.tax)).collect();
        let vat_breakdown = breakdown(&lines, &head.tax.exemption_reason)?;
        let net = Cents::sum(lines.iter().map(|line| line.net))?;
        let vat = Cents::sum(vat_breakdown.iter().map(|row| row.tax))?;
        let due_date = head
            .issue_date
            .checked_add(jiff::Span::new().days(i64::from(head.issuer.payment_days)))
            .map_err(|_| MoneyError)?;
        Ok(Self {
            id: draft_id(head.period, head.bill_to),
            member: head.bill_to.member.clone(),
            period: head.period,
            state: InvoiceState::Draft,
            number: String::new(),
            type_code: 380,
            issue_date: head.issue_date,
            due_date,
            issuer: head.issuer.clone(),
            bill_to: head.bill_to.clone(),
            lines,
            vat_breakdown,
            net,
            vat,
            gross: net.checked_add(vat)?,
            documents: Vec::new(),
            record_digest: String::new(),
            create_time: head.now,
        })
    }

    /// `members/{member}/invoices/{id}`.
    pub fn name(&self) -> String {
        format!("members/{}/invoices/{}", self.member, self.id)
    }

    /// What its recipient is told and what it is digested by: neither when the draft was made nor where its documents lie.
    #[must_use]
    pub fn record(&self) -> Self {
        Self {
            documents: Vec::new(),
            record_digest: String::new(),
            create_time: Timestamp::UNIX_EPOCH,
            ..self.clone()
        }
    }

    /// The record without its number: the same for the draft that was reviewed and the invoice that was issued.
    #[must_use]
    pub fn content(&self) -> Self {
        Self { id: String::new(), number: String::new(), state: InvoiceState::Draft, ..self.record() }
    }

    /// The draft with its number. The digest over the record is the caller's, who has the hash function.
    #[must_use]
    pub fn issued(&self, number: &str) -> Self {
        Self { id: number.to_owned(), number: number.to_owned(), state: InvoiceState::Issued, ..self.clone() }
    }
}

/// The id of the one draft of a bill-to in a period.
pub fn draft_id(period: Period, bill_to: &BillTo) -> String {
    format!("draft-{period}-{}", bill_to.id)
}

fn numbered(id: u32, line: DraftLine, tax: &TaxProfile) -> InvoiceLine {
    InvoiceLine {
        id,
        title: line.title,
        quantity: line.quantity,
        unit_code: line.unit_code,
        unit_price: line.unit_price,
        net: line.net,
        vat_category: tax.category,
        vat_rate_basis_points: tax.rate_basis_points,
        accounting_reference: line.accounting_reference,
        subject: line.subject,
        resolution: line.resolution,
    }
}

fn breakdown(lines: &[InvoiceLine], exemption_reason: &str) -> Result<Vec<VatBreakdown>, MoneyError> {
    let mut sums: BTreeMap<(VatCategory, i32), Cents> = BTreeMap::new();
    for line in lines {
        let sum = sums.entry((line.vat_category, line.vat_rate_basis_points)).or_default();
        *sum = sum.checked_add(line.net)?;
    }
    sums.into_iter()
        .map(|((category, rate_basis_points), taxable)| {
            let exact =
                Ratio::whole(taxable.0).checked_mul(Ratio::new(i128::from(rate_basis_points), 10_000)?)?;
            Ok(VatBreakdown {
                category,
                rate_basis_points,
                taxable,
                tax: Cents(exact.round_half_away()?),
                exemption_reason: exemption_reason.to_owned(),
            })
        })
        .collect()
}
