//! A client that does not give up: every call has a request id of its own and is repeated with it until an answer comes.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use allmende_identity::client::{ClientTls, channel};
use allmende_testkit::ca::TestCa;
use sha2::{Digest, Sha256};
use tonic::{Code, Response, Status, transport::Channel};

use crate::gate::{Gate, Lost};

/// The cooperative's operator.
pub const OPERATOR: &str = "allmende://cooperative/operator";
/// The cooperative's treasurer.
pub const TREASURER: &str = "allmende://cooperative/treasurer";
/// Pause between two tries.
const RETRY: Duration = Duration::from_millis(200);
/// Longest time of all tries of a call.
const LIMIT: Duration = Duration::from_secs(120);

/// At which call which of the API's requests to etcd is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Number of the call, from 1.
    pub call: u64,
    /// Request of the API since then.
    pub request: u64,
    /// Which half of it.
    pub lost: Lost,
}

/// See the module.
#[derive(Debug)]
pub struct Caller {
    ca: Arc<TestCa>,
    endpoint: String,
    gate: Gate,
    calls: Mutex<Vec<String>>,
    moment: Option<Moment>,
}

impl Caller {
    /// Calls the API at `port`; at the moment, if any, the gate of its etcd is armed.
    pub fn new(ca: Arc<TestCa>, port: u16, gate: Gate, moment: Option<Moment>) -> Self {
        Self { ca, endpoint: format!("https://localhost:{port}"), gate, calls: Mutex::default(), moment }
    }

    /// A channel of an identity; each has a connection of its own.
    ///
    /// # Panics
    /// When its certificate cannot be made.
    pub fn channel(&self, identity: &str) -> Channel {
        let own: (PathBuf, PathBuf) = {
            let leaf = self.ca.client(&identity.replace(['/', ':'], "_"), &[identity]);
            (leaf.cert, leaf.key)
        };
        channel(&self.endpoint, ClientTls { ca: self.ca.cert(), own: Some(own) }).unwrap()
    }

    /// The names of the changes so far.
    pub fn changes(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// Makes a change once, however often it has to be asked for. `name` names the change and makes its request id.
    ///
    /// # Panics
    /// When it is refused, or no answer comes.
    pub async fn change<T>(
        &self,
        name: &str,
        call: impl AsyncFn(String) -> Result<Response<T>, Status>,
    ) -> T {
        let number = {
            let mut calls = self.calls.lock().unwrap();
            assert!(!calls.iter().any(|known| known == name), "{name} is there twice");
            calls.push(name.to_owned());
            calls.len() as u64
        };
        if let Some(moment) = self.moment.filter(|moment| moment.call == number) {
            self.gate.arm(moment.request, moment.lost);
        }
        answered(name, async || call(request_id(name)).await).await
    }
}

/// Repeats a call while the API is away.
///
/// # Panics
/// When it is refused, or no answer comes.
pub async fn answered<T>(name: &str, call: impl AsyncFn() -> Result<Response<T>, Status>) -> T {
    let tries = async {
        loop {
            match call().await {
                Ok(answer) => return answer.into_inner(),
                Err(status) if may_pass(&status) => tokio::time::sleep(RETRY).await,
                Err(status) => panic!("{name}: {status}"),
            }
        }
    };
    tokio::time::timeout(LIMIT, tries).await.unwrap_or_else(|_| panic!("{name}: no answer"))
}

/// A connection that broke, or a conflict: the same may be asked again. Everything else is an answer.
fn may_pass(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Aborted
    )
}

/// The request id of a change: the same in every run.
pub fn request_id(name: &str) -> String {
    let digest = Sha256::digest(name);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
