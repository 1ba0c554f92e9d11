//! The escape attempts E26–E39 on a running API: what each gets, as a table in the documentation, and that none changes anything.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod escape;
mod support;

use escape::{Table, World};
use support::document;

#[tokio::test]
async fn every_attempt_is_denied_and_changes_nothing() {
    let world = World::start().await;
    let mut table = Table::default();
    let before = world.api.dump().await;
    escape::certificates::try_all(&world, &mut table).await;
    escape::names::try_all(&world, &mut table).await;
    escape::tokens::try_all(&world, &mut table).await;
    escape::wire::try_all(&world, &mut table).await;
    assert_eq!(world.api.dump().await, before, "no attempt changes anything");
    assert!(table.rows.len() > 150, "all attempts were made: {}", table.rows.len());
    document::check("escapes-grpc.md", &format!("{INTRODUCTION}{}", table.markdown()));
}

const INTRODUCTION: &str = "# Escape attempts over gRPC

Written by the test `api/tests/escapes.rs` from the answers of a running API over real TLS, and compared in each test run
(`ALLMENDE_WRITE_DOCS=1 cargo test -p allmende-api --test escapes` writes it anew). *B* is the municipality of Lemgo; *A* is the admin of
another member, with a good certificate and a good access token of its own issuer. After all attempts the store is what it was.

";
