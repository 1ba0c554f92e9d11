//! Access tokens of a real OpenID provider, with keys that are rotated under way.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use allmende_api::authn::Issuers;
use allmende_proto::v1::{self, member_service_client::MemberServiceClient};
use allmende_testkit::oidc::{OidcProvider, claim};
use support::{Api, reason};
use tonic::{Code, Request, transport::Channel};

async fn started(provider: &OidcProvider) -> Api {
    allmende_identity::install_crypto_provider();
    let file = format!(
        "[[issuer]]\nalias = \"kreis\"\nissuer = \"{}\"\naudience = \"allmende-api\"\nalgorithms = [\"RS256\"]\n\
         groups_claim = \"groups\"\nclients = [\"allmende-cli\"]\nplain_loopback = true\nunknown_key_seconds = 0\n\
         [[group]]\nissuer = \"kreis\"\ngroup = \"Kasse\"\nmember = \"m-05766044\"\nrole = \"accountant\"\n",
        provider.issuer()
    );
    let api = Api::start_with(Issuers::parse(&file).unwrap()).await;
    api.furnished().await;
    api
}

/// The provider lives in real time: the API's clock follows its tokens.
fn set_clock_by(api: &Api, token: &str) {
    let issued = jiff::Timestamp::from_second(claim(token, "iat").as_i64().unwrap()).unwrap();
    api.set_clock(&issued.to_string());
}

async fn who(channel: Channel, token: &str) -> Result<v1::Caller, tonic::Status> {
    let mut request = Request::new(v1::GetCallerRequest {});
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    MemberServiceClient::new(channel).get_caller(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn the_access_token_is_taken_and_the_id_token_and_another_providers_are_not() {
    let Some(provider) = OidcProvider::start().await else { return };
    let api = started(&provider).await;
    let (access, id) = provider.tokens().await;
    set_clock_by(&api, &access);
    let caller = who(api.channel(""), &access).await.unwrap();
    assert_eq!(caller.principal, "allmende://issuer/kreis/lemgo-kasse");
    assert_eq!(caller.rights[0].role(), v1::Role::Accountant);
    provider.person("jemand").await;
    let (other, _) = provider.tokens().await;
    assert!(who(api.channel(""), &other).await.unwrap().rights.is_empty());
    let Some(stranger) = OidcProvider::start().await else { return };
    let (foreign, _) = stranger.tokens().await;
    for bad in [&id, &foreign] {
        let status = who(api.channel(""), bad).await.unwrap_err();
        assert_eq!((status.code(), reason(&status)), (Code::Unauthenticated, "TOKEN_REFUSED".into()));
    }
}

#[tokio::test]
async fn keys_are_rotated_under_load_without_a_refused_call() {
    let Some(provider) = OidcProvider::start().await else { return };
    let api = started(&provider).await;
    let (first, _) = provider.tokens().await;
    set_clock_by(&api, &first);
    let token = Arc::new(std::sync::Mutex::new(first));
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (channel, token, stop, calls) = (api.channel(""), token.clone(), stop.clone(), calls.clone());
        workers.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let now = token.lock().unwrap().clone();
                who(channel.clone(), &now).await.unwrap();
                calls.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    for _ in 0..5 {
        provider.rotate().await;
        // The key before is still published: its tokens serve on until the new one is in everybody's hands.
        let (fresh, _) = provider.tokens().await;
        set_clock_by(&api, &fresh);
        *token.lock().unwrap() = fresh;
        let seen = calls.load(Ordering::SeqCst);
        let served = async {
            while calls.load(Ordering::SeqCst) < seen + 20 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), served).await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    assert!(calls.load(Ordering::SeqCst) >= 100);
}
