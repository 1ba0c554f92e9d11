//! Access tokens over real TLS: alone, beside certificates, with groups and with grants.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use allmende_api::authn::Issuers;
use allmende_proto::v1::{
    self, cluster_service_client::ClusterServiceClient, member_service_client::MemberServiceClient,
};
use allmende_testkit::issuer::TestIssuer;
use serde_json::{Value, json};
use support::{Api, CLUSTER, LEMGO, OPERATOR, WIEHL, reason};
use tonic::{Code, Request};

const AUDIENCE: &str = "allmende-api";
/// The tests' clock, 2026-11-24T10:00:00Z.
const NOW: i64 = 1_795_514_400;
const CLERK: &str = "allmende://issuer/lemgo/clerk";

struct World {
    api: Api,
    issuer: TestIssuer,
}

impl World {
    async fn start() -> Self {
        allmende_identity::install_crypto_provider();
        let issuer = TestIssuer::start().await;
        let file = format!(
            "[[issuer]]\nalias = \"lemgo\"\nissuer = \"{}\"\naudience = \"{AUDIENCE}\"\nalgorithms = [\"ES256\"]\n\
             groups_claim = \"groups\"\nplain_loopback = true\nunknown_key_seconds = 0\n\
             [[group]]\nissuer = \"lemgo\"\ngroup = \"Kasse\"\nmember = \"m-05766044\"\nrole = \"accountant\"\n\
             [[group]]\nissuer = \"lemgo\"\ngroup = \"Rechenzentrum\"\nrole = \"operator\"\n",
            issuer.url()
        );
        let api = Api::start_with(Issuers::parse(&file).unwrap()).await;
        api.furnished().await;
        Self { api, issuer }
    }

    fn token(&self, groups: &[&str]) -> String {
        let mut claims = self.issuer.claims("clerk", AUDIENCE, NOW);
        claims["groups"] = json!(groups);
        self.issuer.token(&claims)
    }

    /// GetMember of Lemgo, or of another.
    async fn get(&self, certificate: &str, token: &str, member: &str) -> Result<v1::Member, tonic::Status> {
        let mut members = MemberServiceClient::new(self.api.channel(certificate));
        let request = with_token(v1::GetMemberRequest { name: format!("members/{member}") }, token);
        members.get_member(request).await.map(tonic::Response::into_inner)
    }
}

fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

#[tokio::test]
async fn a_token_alone_acts_by_its_groups_and_by_grants_and_for_nobody_else() {
    let world = World::start().await;
    let lemgo = "m-05766044";
    assert_eq!(world.get("", &world.token(&["Kasse"]), lemgo).await.unwrap().name, "members/m-05766044");
    assert_eq!(world.get("", &world.token(&[]), lemgo).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(
        world.get("", &world.token(&["Kasse"]), "m-05374048").await.unwrap_err().code(),
        Code::NotFound
    );
    assert_eq!(
        world.get("", &world.token(&["Rechenzentrum"]), "m-05374048").await.unwrap().name,
        "members/m-05374048"
    );
    // Wiehl grants to Lemgo's clerk: one bookkeeper acts for many members.
    let grant = v1::Grant { principal: CLERK.into(), role: v1::Role::Viewer.into(), ..Default::default() };
    let mut wiehl = MemberServiceClient::new(world.api.channel(WIEHL));
    let parent = "members/m-05374048".to_owned();
    wiehl
        .create_grant(v1::CreateGrantRequest { parent, grant: Some(grant), ..Default::default() })
        .await
        .unwrap();
    assert!(world.get("", &world.token(&[]), "m-05374048").await.is_ok());
    let mut claims = world.issuer.claims("Clerk", AUDIENCE, NOW);
    assert_eq!(
        world.get("", &world.issuer.token(&claims), "m-05374048").await.unwrap_err().code(),
        Code::NotFound,
        "another case"
    );
    claims["sub"] = json!("clerk");
    claims["exp"] = json!(NOW - 60);
    let expired = world.get("", &world.issuer.token(&claims), "m-05374048").await.unwrap_err();
    assert_eq!((expired.code(), reason(&expired)), (Code::Unauthenticated, "TOKEN_REFUSED".into()));
}

#[tokio::test]
async fn a_members_certificate_and_a_token_must_name_the_same_member_and_give_nothing_beyond() {
    let world = World::start().await;
    let lemgo = "m-05766044";
    let (clerk, nobody) = (world.token(&["Kasse"]), world.token(&[]));
    assert!(world.get(LEMGO, &clerk, lemgo).await.is_ok());
    // A stolen token under another member's certificate, and a certificate whose member knows nothing of the token.
    let differ = [
        world.get(WIEHL, &clerk, lemgo).await,
        world.get(WIEHL, &clerk, "m-05374048").await,
        world.get(LEMGO, &nobody, lemgo).await,
        world.get(LEMGO, &nobody, "m-99999999").await,
        world.get("allmende://principal/kasse", &clerk, lemgo).await,
        world.get(OPERATOR, &clerk, lemgo).await,
    ];
    let texts: Vec<(Code, String)> = differ
        .into_iter()
        .map(Result::unwrap_err)
        .map(|status| (status.code(), status.message().to_owned()))
        .collect();
    assert!(texts.iter().all(|one| one == &texts[0]), "{texts:?}");
    assert_eq!(texts[0].0, Code::PermissionDenied);
    // Both rights of one person, but under the member's certificate only the member's.
    let both = world.token(&["Kasse", "Rechenzentrum"]);
    assert!(world.get("", &both, "m-05374048").await.is_ok());
    assert_eq!(world.get(LEMGO, &both, "m-05374048").await.unwrap_err().code(), Code::NotFound);
    assert!(world.get(OPERATOR, &both, "m-05374048").await.is_ok());
}

#[tokio::test]
async fn a_components_certificate_carries_the_callers_token_and_gives_nothing_itself() {
    let world = World::start().await;
    let portal = "allmende://component/portal";
    let alone = world.get(portal, "", "m-05766044").await.unwrap_err();
    assert_eq!(alone.code(), Code::Unauthenticated);
    assert!(world.get(portal, &world.token(&["Kasse"]), "m-05766044").await.is_ok());
    assert_eq!(world.get(portal, &world.token(&[]), "m-05766044").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn clusters_show_certificates_and_no_tokens() {
    let world = World::start().await;
    let report = || v1::ReportObservationsRequest { name: "clusters/local-1".into(), ..Default::default() };
    for certificate in [CLUSTER, "", "allmende://component/portal"] {
        let mut clusters = ClusterServiceClient::new(world.api.channel(certificate));
        let token = world.token(&["Rechenzentrum"]);
        let status = clusters.report_observations(with_token(report(), &token)).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{certificate}: {status}");
    }
    // And a cluster gets no further elsewhere with a person's token.
    let status = world.get(CLUSTER, &world.token(&["Kasse"]), "m-05766044").await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn the_audit_names_the_tokens_principal_and_the_member_it_acted_for() {
    let world = World::start().await;
    let mut grant = v1::Grant {
        principal: CLERK.into(),
        role: v1::Role::Orderer.into(),
        deputy: true,
        ..Default::default()
    };
    grant.valid_until = Some(prost_types::Timestamp { seconds: NOW + 86_400, nanos: 0 });
    let parent = "members/m-05766044".to_owned();
    let mut members = MemberServiceClient::new(world.api.channel(LEMGO));
    members
        .create_grant(v1::CreateGrantRequest { parent, grant: Some(grant), ..Default::default() })
        .await
        .unwrap();
    let mut tenants = v1::tenant_service_client::TenantServiceClient::new(world.api.channel(""));
    tenants.create_tenant(with_token(support::tenant_request(2), &world.token(&[]))).await.unwrap();
    let entry = world
        .api
        .audit()
        .await
        .into_iter()
        .find(|entry| entry["action"].as_str().unwrap().ends_with("/CreateTenant"));
    let entry: Value = entry.unwrap();
    assert_eq!(entry["actor"], CLERK);
    assert_eq!(
        (&entry["member"], &entry["role"], &entry["deputy"]),
        (&json!("m-05766044"), &json!("orderer"), &json!(true))
    );
}

#[tokio::test]
async fn keys_that_change_under_way_cost_no_call_and_an_old_token_ends() {
    let world = World::start().await;
    let old = world.token(&["Kasse"]);
    for number in 0..5 {
        assert!(world.get("", &world.token(&["Kasse"]), "m-05766044").await.is_ok(), "{number}");
        world.issuer.rotate(&format!("key-{number}"));
        assert!(world.get("", &world.token(&["Kasse"]), "m-05766044").await.is_ok(), "{number} after");
    }
    assert_eq!(world.get("", &old, "m-05766044").await.unwrap_err().code(), Code::Unauthenticated);
}
