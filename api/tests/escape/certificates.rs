//! E26, E36: certificates, and certificates beside tokens.

use allmende_testkit::ca::{TestCa, self_signed_client};

use super::{A, B, Table, World};
use crate::support::{LEMGO, WIEHL};

pub async fn try_all(world: &World, table: &mut Table) {
    certificates(world, table).await;
    pairs(world, table).await;
}

async fn certificates(world: &World, table: &mut Table) {
    let ca = &world.api.ca;
    table.denied("E26", "no certificate, no token", &world.get_member(world.api.channel(""), B, &[]).await);
    let other = TestCa::new();
    let folder = tempfile::tempdir().unwrap();
    for (attempt, leaf) in [
        ("a certificate of another authority that names B", other.client("b", &[LEMGO])),
        ("B's certificate, expired", ca.expired_client("old", LEMGO)),
        ("self-signed, names B", self_signed_client(folder.path(), LEMGO)),
        ("a good certificate without the usage clientAuth", ca.server("a-server")),
        ("a certificate that names A and B", ca.client("two", &[WIEHL, LEMGO])),
        ("a certificate that names B in capitals", ca.client("capitals", &["ALLMENDE://MEMBER/M-05766044"])),
        ("a certificate that names a token's subject", ca.client("subject", &["allmende://issuer/b/admin"])),
        ("a component's certificate alone", ca.client("portal", &["allmende://component/portal"])),
        ("A's certificate", ca.client("a", &[WIEHL])),
    ] {
        table.denied("E26", attempt, &world.get_member(world.channel_with(&leaf), B, &[]).await);
    }
    let token = format!("Bearer {}", world.token_a());
    let header = [("authorization", token.as_str())];
    table.denied("E26", "A's token alone", &world.get_member(world.api.channel(""), B, &header).await);
    let portal = world.api.channel("allmende://component/portal");
    table.denied(
        "E26",
        "A's token under a component's certificate",
        &world.get_member(portal, B, &header).await,
    );
    let cluster = "/allmende.v1.ClusterService/ReportObservations";
    let status = crate::support::raw::call_with(
        world.api.channel(""),
        cluster,
        super::named("clusters/local-1"),
        &header,
    )
    .await;
    table.denied("E26", "a token alone where a cluster's certificate is needed", &status);
}

async fn pairs(world: &World, table: &mut Table) {
    let (of_a, of_b) = (format!("Bearer {}", world.token_a()), format!("Bearer {}", world.token_b()));
    for (attempt, certificate, token, member) in [
        ("A's certificate with B's token, for B", WIEHL, &of_b, B),
        ("A's certificate with B's token, for A", WIEHL, &of_b, A),
        ("B's certificate with A's token, for B", LEMGO, &of_a, B),
        ("B's certificate with A's token, for A", LEMGO, &of_a, A),
        ("a principal's certificate with A's token, for A", "allmende://principal/kasse", &of_a, A),
        ("the cooperative's certificate with A's token, for B", super::COOPERATIVE, &of_a, B),
        ("a cluster's certificate with A's token, for A", "allmende://cluster/local-1", &of_a, A),
    ] {
        let header = [("authorization", token.as_str())];
        table.denied(
            "E36",
            attempt,
            &world.get_member(world.api.channel(certificate), member, &header).await,
        );
    }
    let header = [("authorization", of_a.as_str())];
    assert_eq!(
        world.get_member(world.channel_a(), A, &header).await.code(),
        tonic::Code::Ok,
        "the pair that fits"
    );
}
