//! Two replicas of the API before one etcd that forgets nothing, and who kills and pauses them.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use allmende_identity::client::{ClientTls, channel};
use allmende_testkit::{ca::TestCa, etcd::TestEtcd, port::free_port};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tonic::transport::Channel;

use crate::{
    process::{Program, signal},
    seed::Draw,
    wait::until,
};

/// See the module.
#[derive(Debug)]
pub struct Replicas {
    programs: [Mutex<Program>; 2],
    endpoints: [String; 2],
    /// The store.
    pub etcd: TestEtcd,
    ca: TestCa,
    _folder: TempDir,
}

/// How often somebody was killed and paused.
#[derive(Debug, Default)]
pub struct Faults {
    /// SIGKILL.
    pub kills: AtomicU64,
    /// SIGSTOP.
    pub pauses: AtomicU64,
}

impl Replicas {
    /// Starts them and waits until both answer.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn start() -> Self {
        allmende_identity::install_crypto_provider();
        let (etcd, ca, folder) = (TestEtcd::start().await, TestCa::new(), tempfile::tempdir().unwrap());
        let ports = [free_port(), free_port()];
        let server = ca.server("api");
        let programs = ports.map(|port| {
            let flag = |name: &str, value: &dyn std::fmt::Display| format!("--{name}={value}");
            let own = |name: &str| format!("--{name}=127.0.0.1:{}", free_port());
            let arguments = vec![
                flag("listen", &format!("127.0.0.1:{port}")),
                own("health-listen"),
                own("metrics-listen"),
                flag("etcd-endpoints", &etcd.endpoint()),
                flag("tls-cert", &server.cert.display()),
                flag("tls-key", &server.key.display()),
                flag("client-ca", &ca.cert().display()),
                flag("documents-dir", &folder.path().join("documents").display()),
                flag("log", &"warn"),
            ];
            let log = folder.path().join(format!("api-{port}.log"));
            Mutex::new(Program::start("allmende-api", arguments, Vec::new(), log))
        });
        let endpoints = ports.map(|port| format!("https://localhost:{port}"));
        let replicas = Self { programs, endpoints, etcd, ca, _folder: folder };
        for port in ports {
            until("a replica listens", async || {
                tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
            })
            .await;
        }
        replicas
    }

    /// Connections of an identity to each of the replicas.
    ///
    /// # Panics
    /// When its certificate cannot be made.
    pub fn channels(&self, identity: &str) -> [Channel; 2] {
        let own: (PathBuf, PathBuf) = {
            let leaf = self.ca.client(&identity.replace(['/', ':'], "_"), &[identity]);
            (leaf.cert, leaf.key)
        };
        self.endpoints.clone().map(|endpoint| {
            channel(&endpoint, ClientTls { ca: self.ca.cert(), own: Some(own.clone()) }).unwrap()
        })
    }

    /// Kills and pauses one after another until told to end; then both run.
    pub async fn disturb(&self, mut draw: Draw, ended: Arc<AtomicBool>, faults: &Faults) {
        while !ended.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(200 + draw.from_one_to(1_300))).await;
            let mut program = self.programs[usize::from(draw.either())].lock().await;
            if draw.from_one_to(3) == 1 {
                program.kill();
                faults.kills.fetch_add(1, Ordering::SeqCst);
                program.start_again();
            } else {
                let pid = program.pid().to_string();
                signal("STOP", &pid);
                tokio::time::sleep(Duration::from_millis(50 + draw.from_one_to(2_500))).await;
                signal("CONT", &pid);
                faults.pauses.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}
