//! The attempts to get out of the own tenant, by their number.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod namespaces;
mod network;
mod objects;
pub(crate) mod operator;
mod pods;
mod reads;
mod rights;
mod storage;

use crate::walls::{ask::Ask, yard::Yard};

/// One attempt: many requests that try the same.
pub(crate) struct Row {
    pub(crate) id: &'static str,
    /// What is attempted.
    pub(crate) title: &'static str,
    /// How: verbs, kinds of patch, subresources, callers.
    pub(crate) tried: &'static str,
    pub(crate) asks: Vec<Ask>,
}

impl Row {
    fn new(id: &'static str, title: &'static str, tried: &'static str, asks: Vec<Ask>) -> Self {
        Self { id, title, tried, asks }
    }
}

/// All of them; the yard is read for what is there.
pub(crate) async fn all(yard: &Yard) -> Vec<Row> {
    let mut rows = namespaces::rows(yard).await;
    rows.extend(rights::rows(yard).await);
    rows.extend(pods::rows(yard).await);
    rows.extend(network::rows(yard).await);
    rows.extend(objects::rows(yard).await);
    rows.extend(storage::rows(yard).await);
    rows.extend(reads::rows(yard).await);
    rows.sort_by_key(|row| row.id);
    rows
}
