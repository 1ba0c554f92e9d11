//! A validating webhook that allows everything, counts the writes of the operator and of Helm, and can hold one of them: the moment of a
//! fault to the write.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use allmende_testkit::{ca::TestCa, kubernetes::TestKubernetes};
use axum::{Router, body::Bytes, extract::State, http::header, response::IntoResponse, routing::post};
use k8s_openapi::{ByteString, api::admissionregistration::v1::ValidatingWebhookConfiguration};
use kube::{Api, Client, api::PostParams};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Name of the account that Helm runs as, in every services namespace.
const RELEASE_ACCOUNT: &str = ":allmende-release";

/// Whose write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// The operator itself.
    Operator,
    /// Helm, as the release account.
    Helm,
}

/// A write under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Whose.
    pub writer: Writer,
    /// `create`, `update`, `delete`.
    pub operation: String,
    /// Plural, with the subresource after a slash.
    pub resource: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    Nothing,
    Holds(Write),
    Verdict(bool),
}

#[derive(Debug, Default)]
struct Count {
    operator: u64,
    helm: u64,
    armed: Option<(Writer, u64)>,
}

#[derive(Debug)]
struct Shared {
    operator: String,
    count: Mutex<Count>,
    held: watch::Sender<Held>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Shared>);

impl Admission {
    /// Serves it and tells the API server. `operator` is the operator's user.
    ///
    /// # Panics
    /// When it cannot be served or registered.
    pub async fn install(kubernetes: &TestKubernetes, ca: &TestCa, operator: &str) -> Self {
        let shared = Arc::new(Shared {
            operator: operator.to_owned(),
            count: Mutex::default(),
            held: watch::Sender::new(Held::Nothing),
        });
        let listener = TlsListener::on_loopback(ca).await;
        let url = format!("https://localhost:{}/", listener.tcp.local_addr().unwrap().port());
        let router = Router::new().route("/", post(review)).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let client = Client::try_from(kubernetes.admin().await).unwrap();
        let api: Api<ValidatingWebhookConfiguration> = Api::all(client);
        let authority = ByteString(std::fs::read(ca.cert()).unwrap());
        api.create(&PostParams::default(), &configuration(&url, &authority, operator)).await.unwrap();
        Self(shared)
    }

    /// Writes of one so far.
    pub fn seen(&self, writer: Writer) -> u64 {
        let count = self.0.count.lock().unwrap();
        match writer {
            Writer::Operator => count.operator,
            Writer::Helm => count.helm,
        }
    }

    /// Holds at the `nth` write from the beginning.
    pub fn arm(&self, writer: Writer, nth: u64) {
        self.0.count.lock().unwrap().armed = Some((writer, nth));
    }

    /// Comes back with the write that is held.
    ///
    /// # Panics
    /// When the webhook is gone.
    pub async fn held(&self) -> Write {
        let mut held = self.0.held.subscribe();
        let found = held.wait_for(|held| matches!(held, Held::Holds(_))).await.unwrap();
        let Held::Holds(write) = &*found else { unreachable!("waited for it") };
        write.clone()
    }

    /// Lets the held write be done, or refuses it.
    pub fn decide(&self, allowed: bool) {
        self.0.held.send_replace(Held::Verdict(allowed));
    }
}

fn configuration(url: &str, authority: &ByteString, operator: &str) -> ValidatingWebhookConfiguration {
    let ours = format!(
        "request.userInfo.username == '{operator}' || request.userInfo.username.endsWith('{RELEASE_ACCOUNT}')"
    );
    let object = json!({
        "metadata": { "name": "moments" },
        "webhooks": [{
            "name": "moments.tests.allmende.eu",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 30,
            "clientConfig": { "url": url, "caBundle": authority },
            "rules": [{
                "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "operations": ["CREATE", "UPDATE", "DELETE"],
            }],
            "matchConditions": [
                { "name": "ours", "expression": ours },
                { "name": "work", "expression": "!(request.resource.resource in ['leases', 'events']) && !(has(request.dryRun) && request.dryRun)" },
                // Mints a token and leaves nothing.
                { "name": "no-token", "expression": "!(has(request.subResource) && request.subResource == 'token')" },
            ],
        }],
    });
    serde_json::from_value(object).unwrap()
}

async fn review(State(shared): State<Arc<Shared>>, body: Bytes) -> impl IntoResponse {
    let review: Value = serde_json::from_slice(&body).unwrap();
    let request = &review["request"];
    let allowed = match shared.pass(request) {
        None => true,
        Some(write) => {
            let mut held = shared.held.subscribe();
            shared.held.send_replace(Held::Holds(write));
            let verdict = held.wait_for(|held| matches!(held, Held::Verdict(_))).await;
            verdict.is_ok_and(|verdict| *verdict == Held::Verdict(true))
        }
    };
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": { "uid": request["uid"], "allowed": allowed, "status": { "message": "held by a test" } },
    });
    ([(header::CONTENT_TYPE, "application/json")], answer.to_string())
}

impl Shared {
    /// Counts a write; gives it back when it is the one to hold.
    fn pass(&self, request: &Value) -> Option<Write> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut count = self.count.lock().unwrap();
        let (writer, seen) = if text(&request["userInfo"]["username"]) == self.operator {
            (Writer::Operator, &mut count.operator)
        } else {
            (Writer::Helm, &mut count.helm)
        };
        *seen += 1;
        let seen = *seen;
        if count.armed != Some((writer, seen)) {
            return None;
        }
        count.armed = None;
        let subresource = request["subResource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
        Some(Write {
            writer,
            operation: text(&request["operation"]).to_lowercase(),
            resource: format!("{}{subresource}", text(&request["resource"]["resource"])),
            namespace: text(&request["namespace"]),
            name: text(&request["name"]),
        })
    }
}

struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl TlsListener {
    async fn on_loopback(ca: &TestCa) -> Self {
        let leaf = ca.server("admission");
        let chain = vec![CertificateDer::from_pem_file(&leaf.cert).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&leaf.key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { tcp, tls: TlsAcceptor::from(Arc::new(config)) }
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((socket, address)) = self.tcp.accept().await
                && let Ok(stream) = self.tls.accept(socket).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
