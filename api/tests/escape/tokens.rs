//! E31–E33, E35: tokens without a certificate. Each would be good but for the one thing that the row names.

use allmende_testkit::issuer::SigningKey;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::{A, B, Table, World};

pub async fn try_all(world: &World, table: &mut Table) {
    assert_eq!(world.own_with(&world.token_a()).await.code(), Code::Ok, "the good token gets in");
    headers(world, table).await;
    members(world, table).await;
    signatures(world, table).await;
    times(world, table).await;
    assert_eq!(world.own_with(&world.token_a()).await.code(), Code::Ok, "and still does");
}

async fn headers(world: &World, table: &mut Table) {
    let (a, b) = (world.token_a(), world.token_b());
    let long = format!("Bearer {}", "a".repeat(64 << 10));
    let nine = format!("Bearer {}", "a".repeat(9 << 10));
    for (attempt, values) in [
        ("empty", vec![String::new()]),
        ("`Bearer ` and nothing", vec!["Bearer ".to_owned()]),
        ("twice: A's, then B's", vec![format!("Bearer {a}"), format!("Bearer {b}")]),
        ("twice the same", vec![format!("Bearer {a}"), format!("Bearer {a}")]),
        ("both in one", vec![format!("Bearer {a}, Bearer {b}")]),
        ("scheme `bearer`", vec![format!("bearer {a}")]),
        ("scheme `BEARER`", vec![format!("BEARER {a}")]),
        ("scheme `Basic`", vec!["Basic YTpi".to_owned()]),
        ("two spaces", vec![format!("Bearer  {a}")]),
        ("9 KiB", vec![nine]),
        ("64 KiB", vec![long]),
    ] {
        let metadata: Vec<(&'static str, &str)> =
            values.iter().map(|value| ("authorization", value.as_str())).collect();
        let status = world.get_member(world.api.channel(""), A, &metadata).await;
        // What is beyond the header limit ends before there is a gRPC answer.
        table.denied("E31", format!("authorization {attempt}"), &status);
    }
    let status =
        world.get_member(world.api.channel(""), A, &[("x-authorization", &format!("Bearer {a}"))]).await;
    table.denied("E31", "the token in `x-authorization`", &status);
    let status = binary(world, &format!("Bearer {a}")).await;
    table.denied("E31", "the token in `authorization-bin`", &status);
}

async fn binary(world: &World, value: &str) -> Status {
    use allmende_proto::v1::{GetMemberRequest, member_service_client::MemberServiceClient};
    let mut request = tonic::Request::new(GetMemberRequest { name: format!("members/{A}") });
    let value = tonic::metadata::MetadataValue::from_bytes(value.as_bytes());
    request.metadata_mut().insert_bin("authorization-bin", value);
    MemberServiceClient::new(world.api.channel(""))
        .get_member(request)
        .await
        .map_or_else(|status| status, |_| Status::ok(""))
}

/// The claim that stands for the member is the groups claim.
async fn members(world: &World, table: &mut Table) {
    for (attempt, value) in [
        ("missing", None),
        ("an empty array", Some(json!([]))),
        ("an empty text", Some(json!(""))),
        ("the group as a text", Some(json!("IT"))),
        ("null", Some(Value::Null)),
        ("a number", Some(json!(5))),
        ("an array in an array", Some(json!([["IT"]]))),
        ("in another case", Some(json!(["it"]))),
        ("with the issuer before it", Some(json!(["a/IT", "b/IT"]))),
    ] {
        let mut claims = world.claims_a();
        claims.as_object_mut().unwrap().remove("groups");
        if let Some(value) = value {
            claims["groups"] = value;
        }
        table.denied(
            "E32",
            format!("groups {attempt}"),
            &world.own_with(&world.issuer_a.token(&claims)).await,
        );
    }
    let mut claims = world.claims_a();
    (claims["member"], claims["members"]) = (json!(B), json!([A, B]));
    let header = format!("Bearer {}", world.issuer_a.token(&claims));
    let status = world.get_member(world.api.channel(""), B, &[("authorization", &header)]).await;
    table.denied("E32", "claims `member` and `members` that name B, for B", &status);
    for (attempt, subject) in [
        ("missing", Value::Null),
        ("empty", json!("")),
        ("an array", json!(["admin"])),
        ("a number", json!(7)),
    ] {
        let mut claims = world.claims_a();
        claims["sub"] = subject;
        table.denied("E32", format!("sub {attempt}"), &world.own_with(&world.issuer_a.token(&claims)).await);
    }
}

async fn signatures(world: &World, table: &mut Table) {
    let key = world.issuer_a.key();
    let claims = world.claims_a().to_string();
    let with = |field: &str, value: Value| {
        let mut header = world.issuer_a.header();
        header[field] = value;
        key.sign(&header.to_string(), &claims)
    };
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned =
        format!("{}.{}.", part(&json!({ "alg": "none", "typ": "at+jwt" })), URL_SAFE_NO_PAD.encode(&claims));
    let shared = {
        let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": key.kid });
        let message = format!("{}.{}", part(&header), URL_SAFE_NO_PAD.encode(&claims));
        let secret = jsonwebtoken::EncodingKey::from_secret(key.public.to_string().as_bytes());
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &secret, jsonwebtoken::Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    };
    let attacker = SigningKey::fresh(&key.kid);
    let with_claim = |claim: &str, value: &str| {
        let mut claims = world.claims_a();
        claims[claim] = json!(value);
        world.issuer_a.token(&claims)
    };
    let of_another = {
        let mut claims = world.claims_a();
        claims["iss"] = json!(world.issuer_b.url());
        world.issuer_a.token(&claims)
    };
    for (attempt, token) in [
        ("`alg: none`, unsigned", unsigned),
        ("`alg: none` in the header, signed", with("alg", json!("none"))),
        ("HS256 with the public key as the secret", shared),
        ("an algorithm that is not pinned (ES384)", with("alg", json!("ES384"))),
        ("an unknown `kid`", with("kid", json!("another"))),
        ("`kid` = ../../../../etc/passwd", with("kid", json!("../../../../etc/passwd"))),
        ("`jku` to the attacker", with("jku", json!("https://evil.example/keys"))),
        ("`x5u` to the attacker", with("x5u", json!("https://evil.example/chain"))),
        ("the attacker's own key in `jwk`", with("jwk", attacker.public.clone())),
        (
            "signed with the attacker's key under the good `kid`",
            attacker.sign(&world.issuer_a.header().to_string(), &claims),
        ),
        ("another `aud`", with_claim("aud", "another-api")),
        ("`iss` that nobody configured", with_claim("iss", "https://evil.example")),
        ("`iss` of B, signed by A's issuer", of_another),
        ("an ID token (`typ: JWT`)", with("typ", json!("JWT"))),
    ] {
        table.denied("E33", attempt, &world.own_with(&token).await);
    }
}

async fn times(world: &World, table: &mut Table) {
    let now = super::NOW;
    for (claim, attempt, value) in [
        ("exp", "as a text", json!((now + 600).to_string())),
        ("exp", "negative", json!(-1)),
        ("exp", "missing", Value::Null),
        ("exp", "passed", json!(now - 60)),
        ("exp", "a day later than is allowed", json!(now + 86_400)),
        ("exp", "a fraction", json!(1.5)),
        ("nbf", "in the future", json!(now + 300)),
        ("nbf", "in the future, as a text", json!((now + 300).to_string())),
        ("nbf", "missing", Value::Null),
        ("iat", "in the future", json!(now + 300)),
        ("iat", "missing", Value::Null),
    ] {
        let mut claims = world.claims_a();
        claims[claim] = value;
        if claims[claim].is_null() {
            claims.as_object_mut().unwrap().remove(claim);
        }
        table.denied(
            "E35",
            format!("{claim} {attempt}"),
            &world.own_with(&world.issuer_a.token(&claims)).await,
        );
    }
    let text = world.claims_a().to_string().replace(&(now + 600).to_string(), "1e400");
    let token = world.issuer_a.key().sign(&world.issuer_a.header().to_string(), &text);
    table.denied("E35", "exp 1e400", &world.own_with(&token).await);
}
