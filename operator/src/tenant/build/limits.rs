//! What a container gets that does not say what it needs: a quota refuses pods that say nothing.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{LimitRange, LimitRangeItem, LimitRangeSpec},
    apimachinery::pkg::api::resource::Quantity,
};

use super::{super::validate::NamespacePlan, OBJECT_NAME, metadata};
use crate::quantity::{from_milli, from_whole};

/// Small, so that a pod without a word about resources still fits into a small quota.
const REQUEST_CPU_MILLI: i64 = 50;
const REQUEST_MEMORY_BYTES: i64 = 64 << 20;

pub(super) fn build(plan: &NamespacePlan) -> LimitRange {
    let item = LimitRangeItem {
        type_: "Container".to_owned(),
        default_request: Some(map(REQUEST_CPU_MILLI, REQUEST_MEMORY_BYTES)),
        default: Some(map(plan.limit_of(REQUEST_CPU_MILLI), plan.limit_of(REQUEST_MEMORY_BYTES))),
        ..LimitRangeItem::default()
    };
    LimitRange { metadata: metadata(plan, OBJECT_NAME), spec: Some(LimitRangeSpec { limits: vec![item] }) }
}

fn map(cpu_milli: i64, memory_bytes: i64) -> BTreeMap<String, Quantity> {
    BTreeMap::from([
        ("cpu".to_owned(), from_milli(cpu_milli)),
        ("memory".to_owned(), from_whole(memory_bytes)),
    ])
}
