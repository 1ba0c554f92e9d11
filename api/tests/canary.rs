//! The canary: secrets pass through the API in every way that they do and that they should not, and afterwards no log line at any level,
//! no answer to a refused call, no audit entry, no metric and no stored value has a piece of one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod canary_net;
mod support;

use std::collections::BTreeMap;

use allmende_api::authn::Issuers;
use allmende_identity::KeyAndRequest;
use allmende_proto::v1::{
    self, audit_service_client::AuditServiceClient, certificate_service_client::CertificateServiceClient,
    instance_service_client::InstanceServiceClient, member_service_client::MemberServiceClient,
    tenant_service_client::TenantServiceClient,
};
use allmende_testkit::{issuer::TestIssuer, log::Log};
use canary_net::{FILTER, Secrets};
use jiff::Timestamp;
use serde_json::json;
use support::{Api, LEMGO, OPERATOR, WIEHL, reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{Request, Status};

const AUDIENCE: &str = "allmende-api";
const CLUSTER_NAME: &str = "clusters/local-1";
/// Public: what every join token begins with.
const JOIN_PREFIX: &str = "allmende-join-";

struct World {
    api: Api,
    issuer: TestIssuer,
    secrets: Secrets,
    /// Refused calls, all that was said.
    answers: Vec<(&'static str, String)>,
}

/// A text that is nobody's by chance.
fn canary(what: &str) -> String {
    format!("{what}{}", uuid::Uuid::new_v4().simple())
}

fn now() -> i64 {
    i64::try_from(rustls_pki_types::UnixTime::now().as_secs()).unwrap()
}

impl World {
    async fn start() -> Self {
        allmende_identity::install_crypto_provider();
        let issuer = TestIssuer::start().await;
        let file = format!(
            "[[issuer]]\nalias = \"lemgo\"\nissuer = \"{}\"\naudience = \"{AUDIENCE}\"\nalgorithms = [\"ES256\"]\n\
             groups_claim = \"groups\"\nplain_loopback = true\nunknown_key_seconds = 0\n\
             [[group]]\nissuer = \"lemgo\"\ngroup = \"Technik\"\nmember = \"m-05766044\"\nrole = \"admin\"\n",
            issuer.url()
        );
        let api = Api::start_with(Issuers::parse(&file).unwrap()).await;
        api.set_clock(&Timestamp::from_second(now()).unwrap().to_string());
        api.furnished().await;
        let mut secrets = Secrets::default();
        let pem = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
        secrets.add_key("key of the authority", &pem(api.ca.own().key));
        secrets.add_key("key of the server", &pem(api.ca.folder().join("server.key")));
        Self { api, issuer, secrets, answers: Vec::new() }
    }

    fn refused<T>(&mut self, what: &'static str, outcome: Result<T, Status>) -> Status {
        let Err(status) = outcome else { panic!("{what} was not refused") };
        let details = String::from_utf8_lossy(status.details()).into_owned();
        self.answers.push((what, format!("{status:?} {} {details}", status.message())));
        status
    }

    /// The parts of a token, each secret; the claims' texts in the clear are the issuer's and public.
    fn token(&mut self, name: &str, change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut claims = self.issuer.claims("clerk", AUDIENCE, now());
        claims["groups"] = json!(["Technik"]);
        claims["jti"] = json!(canary("jti"));
        change(&mut claims);
        let token = self.issuer.token(&claims);
        self.secrets.add(name, &token);
        token
    }

    async fn get_with(&self, authorization: &str) -> Result<v1::Member, Status> {
        let mut request = Request::new(v1::GetMemberRequest { name: "members/m-05766044".into() });
        request.metadata_mut().insert("authorization", authorization.parse().unwrap());
        let mut members = MemberServiceClient::new(self.api.channel(""));
        members.get_member(request).await.map(tonic::Response::into_inner)
    }

    async fn access_tokens(&mut self) {
        let good = self.token("good access token", |_| {});
        self.get_with(&format!("Bearer {good}")).await.unwrap();
        let mut order = Request::new(support::tenant_request(2));
        order.metadata_mut().insert("authorization", format!("Bearer {good}").parse().unwrap());
        TenantServiceClient::new(self.api.channel("")).create_tenant(order).await.unwrap();

        let expired = self.token("expired access token", |claims| claims["exp"] = json!(now() - 900));
        let foreign = self.token("access token of another issuer", |claims| {
            claims["iss"] = json!("https://elsewhere.example");
        });
        let malformed = self.token("access token with wrong claims", |claims| claims["aud"] = json!(7));
        let mut forged = good.clone();
        forged.truncate(good.len() - 20);
        forged.push_str("AAAAAAAAAAAAAAAAAAAA");
        let (opaque, basic, huge) = (canary("opaque"), canary("basic"), canary("huge").repeat(600));
        for (name, text) in [("opaque token", &opaque), ("password", &basic), ("huge token", &huge)] {
            self.secrets.add(name, text);
        }
        for (what, text) in [
            ("expired", format!("Bearer {expired}")),
            ("foreign", format!("Bearer {foreign}")),
            ("malformed", format!("Bearer {malformed}")),
            ("forged", format!("Bearer {forged}")),
            ("opaque", format!("Bearer {opaque}")),
            ("two words", format!("Bearer {opaque} {opaque}")),
            ("no scheme", opaque.clone()),
            ("basic", format!("Basic {basic}")),
            ("huge", format!("Bearer {huge}")),
        ] {
            let outcome = self.get_with(&text).await;
            self.refused(what, outcome);
        }
        self.issuer.set_away(true);
        self.issuer.rotate("two");
        let unknown = self.token("access token of a key that cannot be read", |_| {});
        let outcome = self.get_with(&format!("Bearer {unknown}")).await;
        self.refused("keys away", outcome);
    }

    async fn join_token(&mut self, name: &str) -> String {
        let request = v1::CreateJoinTokenRequest { parent: CLUSTER_NAME.into(), ..Default::default() };
        let mut operator = CertificateServiceClient::new(self.api.channel(OPERATOR));
        let token = operator.create_join_token(request).await.unwrap().into_inner().join_token;
        self.secrets.add(name, token.strip_prefix(JOIN_PREFIX).unwrap());
        token
    }

    async fn joining(&mut self) {
        let (replaced, good) =
            (self.join_token("replaced join token").await, self.join_token("join token").await);
        let invented = canary("invented");
        self.secrets.add("invented join token", &invented);
        let pair = KeyAndRequest::generate().unwrap();
        self.secrets.add_key("key of a cluster", &pair.key);
        let mut anonymous = CertificateServiceClient::new(self.api.channel(""));
        let join = |name: &str, token: &str, request: &str| v1::JoinClusterRequest {
            name: name.into(),
            join_token: token.into(),
            certificate_request: request.into(),
            request_id: uuid::Uuid::new_v4().to_string(),
        };
        for (what, request) in [
            ("replaced", join(CLUSTER_NAME, &replaced, &pair.request)),
            ("elsewhere", join("clusters/local-2", &good, &pair.request)),
            ("invented", join(CLUSTER_NAME, &invented, &pair.request)),
            (
                "invented with the prefix",
                join(CLUSTER_NAME, &format!("{JOIN_PREFIX}{invented}"), &pair.request),
            ),
            // What people paste by mistake: the key instead of the request.
            ("key for request", join(CLUSTER_NAME, &good, &pair.key)),
        ] {
            let outcome = anonymous.join_cluster(request).await;
            self.refused(what, outcome);
        }
        let request = join(CLUSTER_NAME, &good, &pair.request);
        anonymous.join_cluster(request.clone()).await.unwrap();
        anonymous.join_cluster(request).await.unwrap();
        let outcome = anonymous.join_cluster(join(CLUSTER_NAME, &good, &pair.request)).await;
        self.refused("used", outcome);
    }

    /// Texts in fields: a page token, parameters, and a record in the store that cannot be read.
    async fn fields(&mut self) {
        let (page, parameter, record) = (canary("page"), canary("GEHEIM"), canary("record"));
        for (name, text) in [("page token", &page), ("content of a record", &record)] {
            self.secrets.add(name, text);
        }
        let mut members = MemberServiceClient::new(self.api.channel(OPERATOR));
        let outcome =
            members.list_members(v1::ListMembersRequest { page_token: page, ..Default::default() }).await;
        assert_eq!(reason(&self.refused("page token", outcome)), "PAGE_TOKEN_INVALID");

        let mut order = support::instance_request("db");
        order.instance.as_mut().unwrap().parameters_json = json!({ "database": parameter }).to_string();
        let outcome = InstanceServiceClient::new(self.api.channel(LEMGO)).create_instance(order).await;
        let status = outcome.unwrap_err();
        assert!(!support::wrong_fields(&status).is_empty(), "{status}");
        // Whoever sent it may be told what is wrong with it; nobody else.
        self.secrets.add("refused parameter", &parameter);

        let stored = self.stored().await;
        let key = |(key, text): (&String, &String)| {
            (key.contains("m-05374048") && text.contains("\"kind\":\"member\"")).then(|| key.clone())
        };
        let key = stored.iter().find_map(key).expect("the record of Wiehl");
        let client = etcd_client::Client::connect([self.api.etcd.endpoint()], None).await.unwrap();
        let broken = json!({ "format": 1, "kind": "member", "value": { "id": [record] } }).to_string();
        let before = stored[&key].clone();
        client.kv_client().put(key.as_str(), broken, None).await.unwrap();
        let get = v1::GetMemberRequest { name: "members/m-05374048".into() };
        let outcome = members.get_member(get).await;
        assert_eq!(reason(&self.refused("internal", outcome)), "INTERNAL");
        client.kv_client().put(key, before, None).await.unwrap();
    }

    async fn stored(&self) -> BTreeMap<String, String> {
        let client = etcd_client::Client::connect([self.api.etcd.endpoint()], None).await.unwrap();
        let all = etcd_client::GetOptions::new().with_all_keys();
        let all = client.kv_client().get("", Some(all)).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        all.kvs().iter().map(|kv| (text(kv.key()), text(kv.value()))).collect()
    }

    /// The audit as its readers get it.
    async fn audit(&self) -> String {
        let mut all = String::new();
        for (identity, parent) in
            [(OPERATOR, "members/-"), (WIEHL, "members/m-05374048"), (LEMGO, "members/m-05766044")]
        {
            let request =
                v1::ListAuditEntriesRequest { parent: parent.into(), page_size: 500, ..Default::default() };
            let mut audit = AuditServiceClient::new(self.api.channel(identity));
            all += &format!("{:?}\n", audit.list_audit_entries(request).await.unwrap().into_inner());
        }
        all
    }

    async fn metrics(&self) -> String {
        let mut socket = tokio::net::TcpStream::connect(self.api.metrics).await.unwrap();
        socket.write_all(b"GET /metrics HTTP/1.0\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        text
    }
}

#[tokio::test]
async fn a_secret_that_passes_is_in_no_log_no_answer_no_audit_no_metric_and_no_stored_value() {
    let log = Log::set(FILTER);
    let mut world = World::start().await;
    world.access_tokens().await;
    world.joining().await;
    world.fields().await;
    world.api.audits.keeper(None).pass(false).await.unwrap();

    let text = log.text();
    // The net is whole: it has the lines of ours and of the libraries, and finds what is there.
    for of in ["DEBUG", "allmende_api", "internal error", "h2::", "hyper_util::", "caller="] {
        assert!(text.contains(of), "the log has nothing of {of}");
    }
    let probe = canary("probe");
    world.secrets.add("probe", &probe);
    tracing::debug!(piece = &probe[7..20], "a piece of a secret");
    let found = world.secrets.found(&log.text());
    assert!(found.iter().any(|one| one.starts_with("probe: ")), "the net finds a piece");

    let mut leaks: Vec<String> = Vec::new();
    let mut look = |place: &str, text: &str| {
        leaks.extend(world.secrets.found(text).into_iter().map(|found| format!("{place}: {found}")));
    };
    look("log", &text);
    for (what, answer) in &world.answers {
        look(&format!("answer to {what}"), answer);
    }
    let (audit, metrics, stored) = (world.audit().await, world.metrics().await, world.stored().await);
    for of in ["JoinCluster", "CreateJoinToken", "CreateTenant"] {
        assert!(audit.contains(of), "the audit has {of}");
    }
    assert!(metrics.contains("allmende_api_"), "{metrics}");
    for of in ["/credential/", "/audit/", "/receipt/", "/desired/"] {
        assert!(
            stored.iter().any(|(key, _)| key.contains(of)),
            "of {of} something is stored: {:?}",
            stored.keys()
        );
    }
    look("audit", &audit);
    look("metrics", &metrics);
    for (key, value) in &stored {
        look("stored key", key);
        look("stored value", value);
    }
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    println!(
        "{} log bytes, {} answers, {} stored values, no secret",
        text.len(),
        world.answers.len(),
        stored.len()
    );
}
