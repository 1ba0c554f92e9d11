//! What a change would cost and take: the same numbers that the change itself books.

use allmende_domain::{
    account::QuotaAccount,
    catalog::FootprintPart,
    ids::BillToId,
    money::Cents,
    period::Period,
    price::{PriceList, in_force},
    rating::rate,
    resources::Resources,
    usage::{FactKind, LifecycleFact, segments_of_life},
};
use allmende_store::{Store, keys};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::AppError;

/// See the module. Kept in the receipt, so that a repeated call answers the same.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Preview {
    /// Net of a full month, in cents.
    pub monthly_net: Cents,
    /// Net from now to the month's end.
    pub until_month_end_net: Cents,
    /// Meter, quantity, unit price in millionths, net.
    pub price_parts: Vec<(String, String, i64, Cents)>,
    /// What is reserved in addition.
    pub reserves: Resources,
    /// What may still be reserved after it.
    pub remaining: Resources,
    /// What the reservation consists of.
    pub footprint: Vec<FootprintPart>,
    /// Which price list; empty: none in force, prices unknown.
    pub price_list: String,
}

/// What a preview is about.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// What will be reserved in all by it.
    pub amounts: Resources,
    /// What is reserved by it now.
    pub before: Resources,
    /// Whether the namespace is billed too.
    pub workspace: bool,
    /// Parts of the amounts.
    pub footprint: Vec<FootprintPart>,
    /// The account after the change.
    pub account: &'a QuotaAccount,
}

/// Prices a subject from `now` on.
///
/// # Errors
/// When the store fails or an amount cannot be computed.
pub async fn preview(store: &Store, subject: &Subject<'_>, now: Timestamp) -> Result<Preview, AppError> {
    let period = Period::of_time(now)?;
    let (lists, _) = store.snapshot(&keys::price_lists()).await?;
    let lists: Vec<PriceList> = lists.into_iter().map(|list| list.value).collect();
    let mut preview = Preview {
        reserves: subject.amounts.saturating_sub(&subject.before),
        remaining: subject.account.available()?,
        footprint: subject.footprint.clone(),
        ..Preview::default()
    };
    let Some(list) = in_force(&lists, period.first_day()) else { return Ok(preview) };
    preview.price_list = format!("priceLists/{}", list.id);
    let (start, end) = (period.start()?, period.end()?);
    let month = rated(subject, start, end, period, list)?;
    let rest = rated(subject, now, end, period, list)?;
    preview.monthly_net = Cents::sum(month.iter().map(|line| line.net))?;
    preview.until_month_end_net = Cents::sum(rest.iter().map(|line| line.net))?;
    preview.price_parts = month
        .into_iter()
        .map(|line| (line.meter.to_string(), line.quantity.to_string(), line.price.0, line.net))
        .collect();
    Ok(preview)
}

fn rated(
    subject: &Subject<'_>,
    from: Timestamp,
    until: Timestamp,
    period: Period,
    list: &PriceList,
) -> Result<Vec<allmende_domain::rating::RatedLine>, AppError> {
    let bill_to: BillToId = "main".parse().map_err(AppError::internal)?;
    let fact = LifecycleFact {
        id: "preview".to_owned(),
        member: subject.account.member.clone(),
        subject: String::new(),
        uid: crate::core::fresh()?,
        kind: FactKind::Ready,
        generation: 1,
        occurred: from,
        received: from,
        amounts: subject.amounts.clone(),
        workspace: subject.workspace,
        bill_to,
        accounting_reference: String::new(),
    };
    let segments = segments_of_life(&[fact], until)?;
    rate(&segments, period, list).map_err(AppError::internal)
}
