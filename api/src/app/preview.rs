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

use super::obstacle::Obstacle;
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
    /// Net from now to the calendar year's end; none where a month has no price.
    #[serde(default)]
    pub until_year_end_net: Option<Cents>,
    /// The months that it adds up.
    #[serde(default)]
    pub months: Vec<MonthPrice>,
    /// What it would be refused for; in a preview only.
    #[serde(default)]
    pub obstacles: Vec<Obstacle>,
}

/// What a change costs in one month, from now on in the present one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthPrice {
    /// Which.
    pub period: Period,
    /// Net.
    pub net: Cents,
    /// The list in force in it, announced ones included.
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
    preview.months = months(subject, now, period, &lists)?;
    // A month without a list has no price: then nobody knows what the year costs.
    let is_whole = preview.months.last().is_some_and(|last| last.period.first_day().month() == 12);
    if is_whole {
        preview.until_year_end_net = Some(Cents::sum(preview.months.iter().map(|month| month.net))?);
    }
    Ok(preview)
}

/// The months from now to the year's end, each by the list in force in it; ends before the first that has none.
fn months(
    subject: &Subject<'_>,
    now: Timestamp,
    first: Period,
    lists: &[PriceList],
) -> Result<Vec<MonthPrice>, AppError> {
    let mut months = Vec::new();
    let (mut period, year) = (first, first.first_day().year());
    while period.first_day().year() == year {
        let Some(list) = in_force(lists, period.first_day()) else { break };
        let lines = rated(subject, now.max(period.start()?), period.end()?, period, list)?;
        let net = Cents::sum(lines.iter().map(|line| line.net))?;
        months.push(MonthPrice { period, net, price_list: format!("priceLists/{}", list.id) });
        period = period.following()?;
    }
    Ok(months)
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
