//! Service accounts of members, and certificates that are refused before their time is over: over real mTLS, with a real signer, on a real
//! etcd.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    unreachable_pub,
    missing_docs,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

mod credentials;
mod ends;
mod revocation;
mod scopes;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use allmende_identity::KeyAndRequest;
use allmende_proto::v1::{
    self, member_service_client::MemberServiceClient,
    service_account_service_client::ServiceAccountServiceClient, tenant_service_client::TenantServiceClient,
};
use allmende_testkit::ca::Leaf;
use rustls_pki_types::UnixTime;
use support::{Api, LEMGO};
use tokio_stream::StreamExt;
use tonic::{Status, transport::Channel};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

/// Longest wait for anything.
pub const LIMIT: Duration = Duration::from_secs(20);
/// Lemgo.
pub const OWNER: &str = "members/m-05766044";
/// What the tests call their account.
pub const CI: &str = "members/m-05766044/serviceAccounts/ci";
/// Whom the audit names for it.
pub const CI_PRINCIPAL: &str = "allmende://member/m-05766044/serviceaccount/ci";

pub fn now() -> i64 {
    i64::try_from(UnixTime::now().as_secs()).unwrap()
}

pub fn at(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

/// The day in Berlin, so many days from now.
pub fn day(days: i64) -> String {
    let time = jiff::Timestamp::from_second(now() + days * 86_400).unwrap();
    time.to_zoned(jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()).date().to_string()
}

/// Sets the API's clock to the handshakes' and `seconds` beyond.
pub fn clock(api: &Api, seconds: i64) {
    api.set_clock(&jiff::Timestamp::from_second(now() + seconds).unwrap().to_string());
}

/// Members, a cluster, and Lemgo's tenants prod and test.
pub async fn furnished() -> Api {
    let api = Api::start().await;
    clock(&api, 0);
    api.furnished().await;
    let mut tenants = TenantServiceClient::new(api.channel(LEMGO));
    for id in ["prod", "test"] {
        let request = v1::CreateTenantRequest { tenant_id: id.into(), ..support::tenant_request(2) };
        tenants.create_tenant(request).await.unwrap();
    }
    api
}

pub fn accounts(channel: Channel) -> ServiceAccountServiceClient<Channel> {
    ServiceAccountServiceClient::new(channel)
}

/// `tenant`: an id, or empty for the whole member.
pub fn scope(role: v1::Role, tenant: &str, read_only: bool) -> v1::ServiceAccountScope {
    let tenant = if tenant.is_empty() { String::new() } else { format!("{OWNER}/tenants/{tenant}") };
    v1::ServiceAccountScope { role: role.into(), tenant, read_only }
}

pub fn wish(id: &str, scopes: Vec<v1::ServiceAccountScope>) -> v1::CreateServiceAccountRequest {
    let account = v1::ServiceAccount { scopes, self_renew: true, ..Default::default() };
    v1::CreateServiceAccountRequest {
        parent: OWNER.into(),
        service_account_id: id.into(),
        service_account: Some(account),
        ..Default::default()
    }
}

pub async fn create(api: &Api, id: &str, scopes: Vec<v1::ServiceAccountScope>) -> v1::ServiceAccount {
    accounts(api.channel(LEMGO)).create_service_account(wish(id, scopes)).await.unwrap().into_inner()
}

/// A credential with its key.
pub struct Credential {
    pub leaf: Leaf,
    pub given: v1::IssueServiceAccountCredentialResponse,
}

impl Credential {
    pub fn name(&self) -> String {
        self.given.credential.clone().unwrap().name
    }

    pub fn end(&self) -> i64 {
        self.given.credential.clone().unwrap().expire_time.unwrap().seconds
    }
}

pub async fn issue_by(api: &Api, by: Channel, account: &str, ttl: Option<i64>) -> Result<Credential, Status> {
    let pair = KeyAndRequest::generate().unwrap();
    let request = v1::IssueServiceAccountCredentialRequest {
        parent: account.into(),
        certificate_request: pair.request.clone(),
        ttl: ttl.map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
        ..Default::default()
    };
    let given = accounts(by).issue_service_account_credential(request).await?.into_inner();
    let file = uuid::Uuid::new_v4().to_string();
    let path = |end: &str| api.ca.folder().join(format!("{file}.{end}"));
    std::fs::write(path("crt"), &given.certificate_chain).unwrap();
    std::fs::write(path("key"), &pair.key).unwrap();
    Ok(Credential { leaf: Leaf { cert: path("crt"), key: path("key"), serial: 0 }, given })
}

/// By Lemgo itself.
pub async fn issue(api: &Api, account: &str) -> Credential {
    issue_by(api, api.channel(LEMGO), account, None).await.unwrap()
}

/// An account with these scopes, and a channel as it.
pub async fn signed_in(api: &Api, id: &str, scopes: Vec<v1::ServiceAccountScope>) -> Channel {
    let account = create(api, id, scopes).await;
    api.channel_as(Some(&issue(api, &account.name).await.leaf))
}

pub async fn who(channel: Channel) -> Result<v1::Caller, Status> {
    let mut members = MemberServiceClient::new(channel);
    members.get_caller(v1::GetCallerRequest {}).await.map(tonic::Response::into_inner)
}

/// A stream that its caller holds open.
pub struct Open {
    _requests: tokio::sync::mpsc::Sender<ServerReflectionRequest>,
    answers: tonic::Streaming<tonic_reflection::pb::v1::ServerReflectionResponse>,
}

impl Open {
    pub async fn by(channel: Channel) -> Self {
        let (sender, requests) = tokio::sync::mpsc::channel(4);
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        sender.send(request).await.unwrap();
        let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
        let mut client = ServerReflectionClient::new(channel);
        let mut answers = client.server_reflection_info(requests).await.unwrap().into_inner();
        answers.next().await.unwrap().unwrap();
        Self { _requests: sender, answers }
    }

    /// Waits for the end, and says after how many milliseconds it came.
    pub async fn until_cut(mut self) -> u128 {
        let begun = std::time::Instant::now();
        let cut = async { while self.answers.next().await.is_some_and(|answer| answer.is_ok()) {} };
        tokio::time::timeout(LIMIT, cut).await.expect("the stream is cut");
        begun.elapsed().as_millis()
    }

    /// Whether it answers.
    pub async fn works(&mut self) {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        self._requests.send(request).await.unwrap();
        let answer = tokio::time::timeout(LIMIT, self.answers.next()).await.unwrap();
        answer.unwrap().unwrap();
    }
}

/// A certificate that is issued within the second of a bar begins with the next one.
pub async fn comes_in(api: &Api, leaf: &Leaf) {
    let within = async {
        while who(api.channel_as(Some(leaf))).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LIMIT, within).await.expect("comes in again");
}
