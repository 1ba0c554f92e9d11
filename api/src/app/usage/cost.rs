//! Usage and cost so far, with the prices in force.

use allmende_domain::{
    ids::MemberId,
    money::Cents,
    period::Period,
    price::{PriceList, in_force},
    rating::rate,
    usage::UsageSegment,
};
use allmende_proto::v1;
use allmende_store::keys;
use jiff::Timestamp;

use super::{Usages, segments_in};
use crate::{
    authz::Scope,
    context::Context,
    convert::{fields::time, resources::money},
    error::AppError,
    pagination::{Page, PageRequest},
};

impl Usages {
    /// A member's usage in a period, by time.
    ///
    /// # Errors
    /// Refusal, no such period, a page token of another list.
    pub async fn list(
        &self,
        context: &Context,
        member: &MemberId,
        (name, period): (&str, &str),
        page: &PageRequest,
    ) -> Result<Page<UsageSegment>, AppError> {
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        let (period, until) = span(period, context.now)?;
        let mut segments = segments_in(&self.core.store, member, period, until).await?;
        segments.sort_by_key(position);
        let rows = segments
            .into_iter()
            .filter(|segment| page.after().is_none_or(|after| position(segment).as_str() > after))
            .take(page.limit())
            .collect();
        Ok(page.page(rows, position))
    }

    /// What a member's usage costs in a period, or so far in the running one.
    ///
    /// # Errors
    /// Refusal, no such period, no price list in force.
    pub async fn cost(
        &self,
        context: &Context,
        member: &MemberId,
        request: &v1::GetCostRequest,
    ) -> Result<v1::Cost, AppError> {
        self.core.authorizer.require(context, Scope::Member(member, &request.parent)).await?;
        let (period, until) = span(&request.period, context.now)?;
        let segments = segments_in(&self.core.store, member, period, until).await?;
        let (lists, _) = self.core.store.snapshot(&keys::price_lists()).await?;
        let lists: Vec<PriceList> = lists.into_iter().map(|list| list.value).collect();
        let Some(list) = in_force(&lists, period.first_day()) else {
            let description = format!("no price list is in force in {period}: the treasurer creates one");
            return Err(AppError::WrongState { resource: request.parent.clone(), description });
        };
        let lines = rate(&segments, period, list).map_err(AppError::internal)?;
        Ok(v1::Cost {
            period: period.to_string(),
            as_of: Some(time(until)),
            net: Some(money(Cents::sum(lines.iter().map(|line| line.net))?)),
            price_list: format!("priceLists/{}", list.id),
            lines: lines
                .into_iter()
                .map(|line| v1::CostLine {
                    subject: line.subject,
                    meter: line.meter.to_string(),
                    quantity: line.quantity.to_string(),
                    unit_price_micro_euro: line.price.0,
                    net: Some(money(line.net)),
                })
                .collect(),
        })
    }
}

/// The period asked for (the running one when none), and up to when it is known.
fn span(period: &str, now: Timestamp) -> Result<(Period, Timestamp), AppError> {
    let period = if period.is_empty() {
        Period::of_time(now)?
    } else {
        period.parse().map_err(|error| AppError::invalid("period", format!("{error}")))?
    };
    Ok((period, period.end()?.min(now)))
}

/// Ascending by time, unique by id.
fn position(segment: &UsageSegment) -> String {
    format!("{:020} {} {}", segment.start.as_second(), segment.meter, segment.id)
}
