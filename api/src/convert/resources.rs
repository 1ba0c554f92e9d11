//! Resources, conditions, money, previews.

use std::collections::BTreeMap;

use allmende_domain::{
    extended::{Extended, ResourceName},
    money::Cents,
    observation::Condition,
    resources::Resources,
};
use allmende_proto::v1;

use super::fields::{Fields, time};
use crate::app::{obstacle::Obstacle, preview::MonthPrice};

/// Reads amounts; negative and absurd ones are wrong, each by its field.
pub fn read(fields: &mut Fields, path: &str, resources: Option<&v1::Resources>) -> Option<Resources> {
    let message = fields.needed(path, resources)?;
    let mut unnamed = false;
    for name in message.extended.keys() {
        if let Err(error) = name.parse::<ResourceName>() {
            unnamed = true;
            fields.wrong(format!("{path}.extended"), error);
        }
    }
    let amounts = Resources {
        cpu_milli: message.cpu_milli,
        memory_bytes: message.memory_bytes,
        storage_bytes: message.storage_bytes,
        pods: message.pods,
        load_balancers: message.load_balancers,
        extended: read_extended(&message.extended),
    };
    let wrong = amounts.fields_out_of_range();
    for field in &wrong {
        fields.wrong(format!("{path}.{field}"), "must be zero or more, and no more than a cluster can have");
    }
    (wrong.is_empty() && !unnamed).then_some(amounts)
}

/// The extended amounts under names that are names.
pub fn read_extended(amounts: &BTreeMap<String, i64>) -> Extended {
    amounts.iter().filter_map(|(name, amount)| Some((name.parse().ok()?, *amount))).collect()
}

/// Amounts as a message.
pub fn write(resources: &Resources) -> v1::Resources {
    v1::Resources {
        cpu_milli: resources.cpu_milli,
        memory_bytes: resources.memory_bytes,
        storage_bytes: resources.storage_bytes,
        pods: resources.pods,
        load_balancers: resources.load_balancers,
        extended: resources.extended.iter().map(|(name, amount)| (name.to_string(), amount)).collect(),
    }
}

/// Money as a message.
pub fn money(cents: Cents) -> v1::Money {
    v1::Money { currency_code: "EUR".to_owned(), cents: cents.0 }
}

/// A condition as a message.
pub fn condition(condition: &Condition) -> v1::Condition {
    v1::Condition {
        r#type: condition.kind.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_transition_time: condition.last_transition_time.map(time),
        observed_generation: condition.observed_generation,
    }
}

/// A condition as the operator sent it.
pub fn read_condition(message: &v1::Condition) -> Condition {
    let at = message.last_transition_time.as_ref();
    Condition {
        kind: message.r#type.clone(),
        status: message.status.clone(),
        reason: message.reason.clone(),
        message: message.message.clone(),
        last_transition_time: at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok()),
        observed_generation: message.observed_generation,
    }
}

/// A preview as a message.
pub fn preview(preview: &crate::app::preview::Preview) -> v1::Preview {
    let known = !preview.price_list.is_empty();
    v1::Preview {
        monthly_net: known.then(|| money(preview.monthly_net)),
        until_month_end_net: known.then(|| money(preview.until_month_end_net)),
        price_parts: preview
            .price_parts
            .iter()
            .map(|(meter, quantity, price, net)| v1::PricePart {
                meter: meter.clone(),
                quantity: quantity.clone(),
                unit_price_micro_euro: *price,
                net: Some(money(*net)),
            })
            .collect(),
        reserves: Some(write(&preview.reserves)),
        remaining: Some(write(&preview.remaining)),
        footprint_parts: super::catalog::footprint(&preview.footprint),
        price_list: preview.price_list.clone(),
        until_year_end_net: preview.until_year_end_net.map(money),
        months: preview.months.iter().map(month).collect(),
        obstacles: preview.obstacles.iter().map(obstacle).collect(),
    }
}

fn month(month: &MonthPrice) -> v1::MonthPrice {
    v1::MonthPrice {
        period: month.period.to_string(),
        net: Some(money(month.net)),
        price_list: month.price_list.clone(),
    }
}

fn obstacle(obstacle: &Obstacle) -> v1::Obstacle {
    v1::Obstacle {
        reason: obstacle.reason.clone(),
        description: obstacle.description.clone(),
        role: obstacle.role.clone(),
        remedy: obstacle.remedy.clone(),
    }
}
