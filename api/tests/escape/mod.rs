//! The world of the escape attempts, and the table of what each got.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a part of a test")]

pub mod certificates;
pub mod frames;
pub mod names;
pub mod tokens;
pub mod wire;

use std::fmt::Write;

use allmende_api::authn::Issuers;
use allmende_identity::client::{ClientTls, channel};
use allmende_proto::v1::{self, member_service_client::MemberServiceClient};
use allmende_testkit::{ca::Leaf, issuer::TestIssuer};
use serde_json::{Value, json};
use tonic::{Code, Status, transport::Channel};

use crate::support::{self, Api, LEMGO, OPERATOR, WIEHL, document::code_text, raw, reason};

/// What tokens must be for.
pub const AUDIENCE: &str = "allmende-api";
/// The tests' clock, 2026-11-24T10:00:00Z.
pub const NOW: i64 = 1_795_514_400;
/// The victim: B of the list of attempts. Wiehl's admin is A.
pub const B: &str = "m-05766044";
/// The attacker.
pub const A: &str = "m-05374048";

/// Both members sign in with tokens too; each has an issuer of its own.
pub struct World {
    pub api: Api,
    pub issuer_a: TestIssuer,
    pub issuer_b: TestIssuer,
    /// B's operation and invoice, grant and so on: names that only B should be able to use.
    pub operation: String,
    pub grant: String,
    /// A page token of B's list of bill-tos.
    pub cursor: String,
}

/// One row: what was tried, and the answer.
pub struct Row {
    id: &'static str,
    attempt: String,
    answer: String,
}

/// All rows so far.
#[derive(Default)]
pub struct Table {
    pub rows: Vec<Row>,
}

impl World {
    pub async fn start() -> Self {
        allmende_identity::install_crypto_provider();
        let (issuer_a, issuer_b) = (TestIssuer::start().await, TestIssuer::start().await);
        let issuer = |alias: &str, url: &str, member: &str| {
            format!(
                "[[issuer]]\nalias = \"{alias}\"\nissuer = \"{url}\"\naudience = \"{AUDIENCE}\"\nalgorithms = [\"ES256\"]\n\
                 groups_claim = \"groups\"\nplain_loopback = true\nunknown_key_seconds = 0\n\
                 [[group]]\nissuer = \"{alias}\"\ngroup = \"IT\"\nmember = \"{member}\"\nrole = \"admin\"\n"
            )
        };
        let file = format!("{}{}", issuer("a", issuer_a.url(), A), issuer("b", issuer_b.url(), B));
        let api = Api::start_with(Issuers::parse(&file).unwrap()).await;
        api.furnished().await;
        let mut tenants = v1::tenant_service_client::TenantServiceClient::new(api.channel(LEMGO));
        let created = tenants.create_tenant(support::tenant_request(2)).await.unwrap().into_inner();
        let mut instances = v1::instance_service_client::InstanceServiceClient::new(api.channel(LEMGO));
        instances.create_instance(support::instance_request("db")).await.unwrap();
        let clerk = v1::Grant {
            principal: "allmende://principal/kasse".into(),
            role: v1::Role::Viewer.into(),
            ..Default::default()
        };
        let request = v1::CreateGrantRequest {
            parent: format!("members/{B}"),
            grant: Some(clerk),
            ..Default::default()
        };
        let grant =
            MemberServiceClient::new(api.channel(LEMGO)).create_grant(request).await.unwrap().into_inner();
        let cursor = cursor(&api).await;
        Self {
            api,
            issuer_a,
            issuer_b,
            operation: created.operation.unwrap().name,
            grant: grant.name,
            cursor,
        }
    }

    /// Claims of A's admin.
    pub fn claims_a(&self) -> Value {
        let mut claims = self.issuer_a.claims("admin", AUDIENCE, NOW);
        claims["groups"] = json!(["IT"]);
        claims
    }

    /// A good token of A's admin.
    pub fn token_a(&self) -> String {
        self.issuer_a.token(&self.claims_a())
    }

    /// A good token of B's admin: stolen.
    pub fn token_b(&self) -> String {
        let mut claims = self.issuer_b.claims("admin", AUDIENCE, NOW);
        claims["groups"] = json!(["IT"]);
        self.issuer_b.token(&claims)
    }

    /// A channel with a certificate as it lies.
    pub fn channel_with(&self, leaf: &Leaf) -> Channel {
        let tls = ClientTls { ca: self.api.ca.cert(), own: Some((leaf.cert.clone(), leaf.key.clone())) };
        channel(&format!("https://localhost:{}", self.api.address.port()), tls).unwrap()
    }

    /// A's, with its certificate.
    pub fn channel_a(&self) -> Channel {
        self.api.channel(WIEHL)
    }

    /// GetMember, the simplest thing that is somebody's.
    pub async fn get_member(
        &self,
        channel: Channel,
        member: &str,
        metadata: &[(&'static str, &str)],
    ) -> Status {
        raw::call_with(
            channel,
            "/allmende.v1.MemberService/GetMember",
            named(&format!("members/{member}")),
            metadata,
        )
        .await
    }

    /// With a token and no certificate, for A's own member: what a good token gets.
    pub async fn own_with(&self, token: &str) -> Status {
        let value = format!("Bearer {token}");
        self.get_member(self.api.channel(""), A, &[("authorization", &value)]).await
    }
}

async fn cursor(api: &Api) -> String {
    let mut members = MemberServiceClient::new(api.channel(LEMGO));
    let bill_to = support::member_request("x", "05766044-KST4711-12").bill_to;
    let parent = format!("members/{B}");
    let request = v1::CreateBillToRequest {
        parent: parent.clone(),
        bill_to_id: "schulen".into(),
        bill_to,
        ..Default::default()
    };
    members.create_bill_to(request).await.unwrap();
    let request = v1::ListBillTosRequest { parent, page_size: 1, ..Default::default() };
    members.list_bill_tos(request).await.unwrap().into_inner().next_page_token
}

/// A message whose first field is this text.
pub fn named(text: &str) -> Vec<u8> {
    let mut body = vec![0x0a];
    let mut length = text.len();
    while length >= 0x80 {
        body.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    body.push(u8::try_from(length).unwrap());
    body.extend_from_slice(text.as_bytes());
    body
}

/// What the attacker learns.
pub fn answer(status: &Status) -> String {
    use std::error::Error;
    if let Some(mut cause) = status.source() {
        // TLS errors lie deep in the chain of causes.
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let text = cause.to_string();
        let tls = text.contains("alert")
            || text.contains("certificate")
            || text.contains("reset")
            || text.contains("closed");
        return if text.contains("header_list_way_too_large") {
            "the connection is ended: headers too large".to_owned()
        } else if tls {
            "the connection is refused".to_owned()
        } else {
            format!("the call is ended: {text}")
        };
    }
    match reason(status) {
        reason if reason.is_empty() => format!("`{}`", code_text(status.code())),
        reason if reason == code_text(status.code()) => format!("`{reason}`"),
        reason => format!("`{}` ({reason})", code_text(status.code())),
    }
}

impl Table {
    /// Notes a denied attempt.
    ///
    /// # Panics
    /// When it was not denied, or with a defect.
    pub fn denied(&mut self, id: &'static str, attempt: impl Into<String>, status: &Status) {
        let attempt = attempt.into();
        let defect = matches!(status.code(), Code::Internal) || status.message().contains("incident");
        assert!(status.code() != Code::Ok && !defect, "{id} {attempt}: {status}");
        self.row(id, attempt, answer(status));
    }

    /// Notes several attempts that must all get the same answer.
    pub fn all_denied(&mut self, id: &'static str, attempt: impl Into<String>, statuses: &[Status]) {
        let attempt = attempt.into();
        let mut answers: Vec<String> = statuses.iter().map(answer).collect();
        for status in statuses {
            assert!(!matches!(status.code(), Code::Ok | Code::Internal), "{id} {attempt}: {status}");
        }
        answers.sort();
        answers.dedup();
        self.row(id, attempt, format!("{} ({} calls)", answers.join(", "), statuses.len()));
    }

    /// Notes what was found otherwise.
    pub fn row(&mut self, id: &'static str, attempt: impl Into<String>, answer: impl Into<String>) {
        self.rows.push(Row { id, attempt: attempt.into(), answer: answer.into() });
    }

    /// As the documentation shows it.
    pub fn markdown(&self) -> String {
        let mut text = "| id | attempt | answer |\n|---|---|---|\n".to_owned();
        for Row { id, attempt, answer } in &self.rows {
            writeln!(text, "| {id} | {} | {answer} |", attempt.replace('|', "\\|")).unwrap();
        }
        text
    }
}

/// Nothing of the cooperative's is A's, whatever it calls itself.
pub const COOPERATIVE: &str = OPERATOR;
