//! Usage segments and costs.

use allmende_domain::{
    ids::{BillToId, MemberId},
    usage::{Meter, UsageSegment},
};
use allmende_proto::v1;

use super::fields::{Fields, time};

/// A segment to import.
pub fn read_segment(fields: &mut Fields, path: &str, message: &v1::UsageSegment) -> Option<UsageSegment> {
    if message.id.is_empty() || message.id.len() > 200 {
        fields.wrong(format!("{path}.id"), "must have 1 to 200 characters: it makes the segment count once");
    }
    let member = message.member.strip_prefix("members/").unwrap_or_default();
    let member: Option<MemberId> = fields.parse(&format!("{path}.member"), member);
    let meter: Option<Meter> = fields.parse(&format!("{path}.meter"), &message.meter);
    if !(1..=1_000_000_000_000).contains(&message.amount_milli) {
        fields.wrong(format!("{path}.amount_milli"), "must be 1 to 1000000000000");
    }
    let interval = message.interval.as_ref();
    let start =
        fields.time(&format!("{path}.interval.start_time"), interval.and_then(|i| i.start_time.as_ref()));
    let end = fields.time(&format!("{path}.interval.end_time"), interval.and_then(|i| i.end_time.as_ref()));
    if let (Some(start), Some(end)) = (start, end)
        && end <= start
    {
        fields.wrong(format!("{path}.interval.end_time"), "must be after start_time (half-open)");
    }
    if message.subject.chars().count() > 200 {
        fields.wrong(format!("{path}.subject"), "must have at most 200 characters");
    }
    let bill_to = if message.bill_to.is_empty() {
        "main"
    } else {
        message.bill_to.rsplit_once('/').map_or(message.bill_to.as_str(), |(_, id)| id)
    };
    let bill_to: Option<BillToId> = fields.parse(&format!("{path}.bill_to"), bill_to);
    Some(UsageSegment {
        id: message.id.clone(),
        member: member?,
        meter: meter?,
        amount_milli: message.amount_milli,
        start: start?,
        end: end?,
        subject: message.subject.clone(),
        bill_to: bill_to?,
        accounting_reference: String::new(),
    })
}

/// A segment as a message.
pub fn write_segment(segment: &UsageSegment) -> v1::UsageSegment {
    v1::UsageSegment {
        id: segment.id.clone(),
        member: format!("members/{}", segment.member),
        meter: segment.meter.to_string(),
        amount_milli: segment.amount_milli,
        interval: Some(v1::Interval {
            start_time: Some(time(segment.start)),
            end_time: Some(time(segment.end)),
        }),
        subject: segment.subject.clone(),
        bill_to: format!("members/{}/billTos/{}", segment.member, segment.bill_to),
    }
}
