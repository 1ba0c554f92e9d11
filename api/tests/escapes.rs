//! The escape attempts E26–E39 on a running API: what each gets, as a table in the documentation, and that none changes anything.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod escape;
mod support;

use allmende_proto::v1::{self, audit_service_client::AuditServiceClient};
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
    escape::frames::try_all(&world, &mut table).await;
    escape::wire::try_all(&world, &mut table).await;
    assert_eq!(world.api.dump().await, before, "no attempt changes anything");
    audited(&world).await;
    assert!(table.rows.len() > 150, "all attempts were made: {}", table.rows.len());
    document::check("escapes-grpc.md", &format!("{INTRODUCTION}{}", table.markdown()));
}

/// The victim finds the attempts on its own objects in its audit, under the attacker's real names.
async fn audited(world: &World) {
    world.api.audits.keeper(None).finish().await.unwrap();
    let mut audit = AuditServiceClient::new(world.api.channel(support::LEMGO));
    let parent = format!("members/{}", escape::B);
    let request =
        v1::ListAuditEntriesRequest { parent, refused_only: true, page_size: 500, ..Default::default() };
    let entries = audit.list_audit_entries(request).await.unwrap().into_inner().entries;
    for (actor, rpc) in [
        (support::WIEHL, "MemberService/GetMember"),
        ("allmende://issuer/a/admin", "MemberService/GetMember"),
        ("allmende://issuer/a/admin", "TenantService/DeleteTenant"),
    ] {
        let found = entries.iter().any(|entry| entry.actor == actor && entry.action.ends_with(rpc));
        assert!(found, "{actor} {rpc}: {entries:#?}");
    }
    assert!(entries.iter().all(|entry| entry.actor != support::LEMGO), "nobody else is blamed");
}

const INTRODUCTION: &str = "# Escape attempts over gRPC

Written by the test `api/tests/escapes.rs` from the answers of a running API over real TLS, and compared in each test run
(`ALLMENDE_WRITE_DOCS=1 cargo test -p allmende-api --test escapes` writes it anew). *B* is the municipality of Lemgo; *A* is the admin of
another member, with a good certificate and a good access token of its own issuer. After all attempts the store is what it was, and B finds
the attempts on its objects in its audit, counted, with the real caller.

";
