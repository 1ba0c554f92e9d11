//! Access tokens against an issuer on loopback: everything that a token can be wrong in, key rotation, and an issuer that is away.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use allmende_identity::token::{
    IssuerSettings, SignatureAlgorithm, TokenError, TokenIdentity, TokenKind, TokenVerifier,
};
use allmende_testkit::issuer::{SigningKey, TestIssuer};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

const NOW: i64 = 1_790_000_000;
const AUDIENCE: &str = "https://api.allmende.example";

fn settings(issuer: &TestIssuer) -> IssuerSettings {
    IssuerSettings {
        alias: "lemgo".into(),
        issuer: issuer.url().into(),
        audience: AUDIENCE.into(),
        algorithms: vec![SignatureAlgorithm::ES256],
        token_kind: TokenKind::AtJwt,
        groups_claim: Some("groups".into()),
        clients: Vec::new(),
        require_nbf: true,
        longest_life_seconds: 3600,
        leeway_seconds: 10,
        ca: None,
        refresh_seconds: 300,
        unknown_key_seconds: 0,
        keys_usable_seconds: 3600,
        plain_loopback: true,
    }
}

struct World {
    issuer: TestIssuer,
    verifier: TokenVerifier,
}

impl World {
    async fn start(change: impl FnOnce(&mut IssuerSettings)) -> Self {
        allmende_identity::install_crypto_provider();
        let issuer = TestIssuer::start().await;
        let mut settings = settings(&issuer);
        change(&mut settings);
        let verifier = TokenVerifier::new(vec![settings]).unwrap();
        Self { issuer, verifier }
    }

    fn claims(&self) -> Value {
        self.issuer.claims("clerk", AUDIENCE, NOW)
    }

    async fn verify(&self, token: &str) -> Result<TokenIdentity, TokenError> {
        self.verifier.verify(token, NOW).await
    }

    /// A good token but for these claims; `null` takes the claim away.
    async fn with(&self, claim: &str, value: Value) -> Result<TokenIdentity, TokenError> {
        let mut claims = self.claims();
        claims[claim] = value;
        if claims[claim].is_null() {
            claims.as_object_mut().unwrap().remove(claim);
        }
        self.verify(&self.issuer.token(&claims)).await
    }

    async fn with_header(&self, field: &str, value: Value) -> Result<TokenIdentity, TokenError> {
        let mut header = self.issuer.header();
        header[field] = value;
        let token = self.issuer.key().sign(&header.to_string(), &self.claims().to_string());
        self.verify(&token).await
    }
}

fn is_claim(outcome: &Result<TokenIdentity, TokenError>, name: &str) -> bool {
    matches!(outcome, Err(TokenError::Claim { claim, .. }) if claim == name)
}

#[tokio::test]
async fn a_good_token_names_issuer_subject_and_groups() {
    let world = World::start(|_| {}).await;
    let found = world.with("groups", json!(["Kasse", "IT"])).await.unwrap();
    assert_eq!(found.identity().to_string(), "allmende://issuer/lemgo/clerk");
    assert_eq!(found.groups, ["Kasse", "IT"]);
    assert_eq!(found.expires, NOW + 600);
    assert!(world.with("groups", Value::Null).await.unwrap().groups.is_empty());
    assert!(world.with("aud", json!(["https://other.example", AUDIENCE])).await.is_ok());
}

#[tokio::test]
async fn every_needed_claim_that_lacks_or_has_another_type_is_refused() {
    let world = World::start(|_| {}).await;
    for claim in ["iss", "sub", "aud", "exp", "nbf", "iat"] {
        for wrong in [Value::Null, json!(""), json!([]), json!({}), json!(true), json!([1]), json!(1.5)] {
            let outcome = world.with(claim, wrong.clone()).await;
            let good = if claim == "iss" {
                matches!(outcome, Err(TokenError::UnknownIssuer))
            } else {
                is_claim(&outcome, claim)
            };
            assert!(good, "{claim} {wrong}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn times_are_whole_numbers_and_must_hold_now() {
    let world = World::start(|_| {}).await;
    for wrong in [json!((NOW + 600).to_string()), json!(-1), json!(NOW - 11), json!(0), json!(NOW + 100_000)]
    {
        assert!(is_claim(&world.with("exp", wrong.clone()).await, "exp"), "exp {wrong}");
    }
    for wrong in [json!((NOW + 60).to_string()), json!(NOW + 60), json!(-5)] {
        assert!(is_claim(&world.with("nbf", wrong.clone()).await, "nbf"), "nbf {wrong}");
    }
    assert!(is_claim(&world.with("iat", json!(NOW + 60)).await, "iat"));
    assert!(world.with("exp", json!(NOW - 9)).await.is_ok(), "within the leeway");
    assert!(world.with("nbf", json!(NOW + 9)).await.is_ok(), "within the leeway");
    // No number of JSON that a float could hold: the claims cannot even be read.
    let text = world.claims().to_string().replace(&(NOW + 600).to_string(), "1e400");
    let token = world.issuer.key().sign(&world.issuer.header().to_string(), &text);
    assert_eq!(world.verify(&token).await, Err(TokenError::Malformed));
}

#[tokio::test]
async fn audience_and_issuer_must_be_ours_letter_by_letter() {
    let world = World::start(|_| {}).await;
    for wrong in [
        json!("https://API.allmende.example"),
        json!(format!("{AUDIENCE}/")),
        json!(["a", "b"]),
        json!([AUDIENCE, 1]),
    ] {
        assert!(is_claim(&world.with("aud", wrong.clone()).await, "aud"), "{wrong}");
    }
    for wrong in [format!("{}/", world.issuer.url()), "https://evil.example".to_owned()] {
        assert_eq!(world.with("iss", json!(wrong)).await, Err(TokenError::UnknownIssuer), "{wrong}");
    }
}

#[tokio::test]
async fn groups_are_an_array_of_texts_or_the_token_is_refused() {
    let world = World::start(|_| {}).await;
    for wrong in
        [json!("Kasse"), json!(["Kasse", null]), json!([["Kasse"]]), json!(5), json!({}), json!([""])]
    {
        assert!(is_claim(&world.with("groups", wrong.clone()).await, "groups"), "{wrong}");
    }
    assert!(is_claim(&world.with("sub", json!("a\u{0}b")).await, "sub"));
    assert!(is_claim(&world.with("sub", json!("a".repeat(256))).await, "sub"));
}

#[tokio::test]
async fn the_algorithm_is_ours_to_choose() {
    let world = World::start(|_| {}).await;
    for wrong in ["none", "None", "HS256", "HS512", "RS256", "ES384", "EdDSA", "ES256K", ""] {
        assert_eq!(world.with_header("alg", json!(wrong)).await, Err(TokenError::Algorithm), "{wrong}");
    }
    // The public key as a shared secret.
    let public = world.issuer.key().public.to_string();
    let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": "one" }).to_string();
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(world.claims().to_string()));
    let secret = jsonwebtoken::EncodingKey::from_secret(public.as_bytes());
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &secret, jsonwebtoken::Algorithm::HS256).unwrap();
    assert_eq!(world.verify(&format!("{message}.{signature}")).await, Err(TokenError::Algorithm));
    // An unsigned one.
    let header = json!({ "alg": "none" }).to_string();
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(world.claims().to_string()));
    assert_eq!(world.verify(&format!("{message}.")).await, Err(TokenError::Malformed));
}

#[tokio::test]
async fn a_key_set_may_not_bring_shared_secrets_or_keys_for_something_else() {
    let world = World::start(|settings| {
        settings.algorithms = vec![SignatureAlgorithm::ES256, SignatureAlgorithm::RS256]
    })
    .await;
    let mut encryption = world.issuer.key().public;
    encryption["use"] = json!("enc");
    let secret = json!({ "kty": "oct", "kid": "one", "k": "AAAA", "alg": "HS256" });
    world.issuer.publish(vec![
        secret,
        encryption,
        json!({ "kty": "nonsense", "kid": "one" }),
        SigningKey::fresh("two").public,
    ]);
    assert_eq!(world.verify(&world.issuer.token(&world.claims())).await, Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn an_id_token_and_headers_that_point_elsewhere_are_refused() {
    let world = World::start(|_| {}).await;
    for wrong in [json!("JWT"), json!(""), json!("jwt"), json!("logout+jwt")] {
        assert_eq!(world.with_header("typ", wrong.clone()).await, Err(TokenError::WrongType), "{wrong}");
    }
    for field in ["jku", "x5u", "crit", "jwk", "x5c"] {
        assert_eq!(
            world.with_header(field, json!("https://evil.example/keys")).await,
            Err(TokenError::Malformed),
            "{field}"
        );
    }
    for kid in ["two", "", "../../etc/passwd", "one\u{0}", "' OR 1=1"] {
        assert_eq!(world.with_header("kid", json!(kid)).await, Err(TokenError::UnknownKey), "{kid}");
    }
}

#[tokio::test]
async fn keycloak_marks_its_access_tokens_in_a_claim() {
    let world = World::start(|settings| settings.token_kind = TokenKind::Keycloak).await;
    let sign = |kind: &str| {
        let mut claims = world.claims();
        claims["typ"] = json!(kind);
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": "one" });
        world.issuer.key().sign(&header.to_string(), &claims.to_string())
    };
    assert!(world.verify(&sign("Bearer")).await.is_ok());
    assert_eq!(world.verify(&sign("ID")).await, Err(TokenError::WrongType));
    assert_eq!(world.verify(&sign("Refresh")).await, Err(TokenError::WrongType));
}

#[tokio::test]
async fn programs_can_be_limited_and_a_missing_nbf_allowed() {
    let world = World::start(|settings| {
        settings.clients = vec!["allmende-cli".into()];
        settings.require_nbf = false;
    })
    .await;
    assert!(world.with("nbf", Value::Null).await.is_ok());
    assert!(is_claim(&world.with("nbf", json!("soon")).await, "nbf"));
    assert!(is_claim(&world.with("client_id", json!("other")).await, "client_id"));
    assert!(is_claim(&world.with("client_id", Value::Null).await, "azp"));
}

#[tokio::test]
async fn a_signature_of_another_key_or_of_other_words_is_refused() {
    let world = World::start(|_| {}).await;
    let attacker = SigningKey::fresh("one");
    let forged = attacker.sign(&world.issuer.header().to_string(), &world.claims().to_string());
    assert_eq!(world.verify(&forged).await, Err(TokenError::Signature));
    let good = world.issuer.token(&world.claims());
    let (head, signature) = good.rsplit_once('.').unwrap();
    let mut other = world.claims();
    other["sub"] = json!("boss");
    let payload = URL_SAFE_NO_PAD.encode(other.to_string());
    let swapped = format!("{}.{payload}.{signature}", head.split_once('.').unwrap().0);
    assert_eq!(world.verify(&swapped).await, Err(TokenError::Signature));
    for torn in [head, "", "..", "a.b", "a.b.c.d", &good[1..], &format!("{good}.x"), &format!("{head}.")] {
        assert!(world.verify(torn).await.is_err(), "{torn}");
    }
}

#[tokio::test]
async fn a_new_key_is_found_at_once_and_the_old_one_ends() {
    let world = World::start(|_| {}).await;
    let before = world.issuer.token(&world.claims());
    assert!(world.verify(&before).await.is_ok());
    world.issuer.rotate("two");
    assert!(world.verify(&world.issuer.token(&world.claims())).await.is_ok(), "an unknown key makes us look");
    assert_eq!(world.verify(&before).await, Err(TokenError::UnknownKey), "no longer published");
}

#[tokio::test]
async fn a_stream_of_unknown_keys_is_no_stream_of_requests() {
    let world = World::start(|settings| settings.unknown_key_seconds = 3600).await;
    assert!(world.verify(&world.issuer.token(&world.claims())).await.is_ok());
    for number in 0..50 {
        assert_eq!(world.with_header("kid", json!(number.to_string())).await, Err(TokenError::UnknownKey));
    }
    assert_eq!(world.issuer.reads(), 1);
}

#[tokio::test]
async fn the_last_keys_serve_while_the_issuer_is_away_for_as_long_as_was_said() {
    let world = World::start(|_| {}).await;
    world.issuer.set_away(true);
    let token = world.issuer.token(&world.claims());
    assert_eq!(world.verify(&token).await, Err(TokenError::KeysUnavailable));
    assert_eq!(world.verifier.key_ages(), [("lemgo".to_owned(), None)]);
    world.issuer.set_away(false);
    assert!(world.verify(&token).await.is_ok());
    world.issuer.set_away(true);
    assert!(world.verify(&token).await.is_ok());
    assert_eq!(world.with_header("kid", json!("two")).await, Err(TokenError::UnknownKey));
    assert!(world.verifier.key_ages()[0].1.is_some());
    let short =
        World::start(|settings| (settings.refresh_seconds, settings.keys_usable_seconds) = (1, 1)).await;
    let token = short.issuer.token(&short.claims());
    assert!(short.verify(&token).await.is_ok());
    short.issuer.set_away(true);
    let too_old = async {
        while short.verify(&token).await != Err(TokenError::KeysUnavailable) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), too_old).await.unwrap();
}

#[tokio::test]
async fn the_background_reads_new_keys_without_a_call() {
    let world = World::start(|settings| settings.refresh_seconds = 1).await;
    let task = tokio::spawn(world.verifier.clone().keep_fresh());
    let read_twice = async {
        while world.issuer.reads() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), read_twice).await.unwrap();
    task.abort();
}

#[tokio::test]
async fn wrong_settings_are_named_all_at_once() {
    let issuer = TestIssuer::start().await;
    let mut wrong = settings(&issuer);
    wrong.alias = "Lemgo".into();
    wrong.algorithms.clear();
    wrong.leeway_seconds = 31;
    wrong.plain_loopback = false;
    let text = TokenVerifier::new(vec![wrong]).unwrap_err().to_string();
    for part in ["alias", "algorithms", "leeway_seconds", "https://"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(TokenVerifier::new(vec![settings(&issuer), settings(&issuer)]).is_err(), "twice the same");
}
