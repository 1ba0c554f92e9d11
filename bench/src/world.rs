//! An etcd that syncs to disk, an authority, and the programs that are measured.

use std::time::{Duration, Instant};

use allmende_identity::client::{ClientTls, channel};
use allmende_testkit::{ca::TestCa, etcd::TestEtcd, port::free_port};
use anyhow::{Result, bail};
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::{process::Process, seed};

/// The cooperative's operator.
const OPERATOR: &str = "allmende://cooperative/operator";
/// The cooperative's treasurer.
const TREASURER: &str = "allmende://cooperative/treasurer";
/// Longest wait for a program.
const START_LIMIT: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct World {
    pub(crate) etcd: TestEtcd,
    pub(crate) members: Vec<String>,
    /// Values in the store.
    pub(crate) records: usize,
    ca: TestCa,
    folder: TempDir,
}

/// A program and where it listens.
pub(crate) struct Server {
    pub(crate) process: Process,
    endpoint: String,
}

impl World {
    /// A store with so many members.
    pub(crate) async fn start(members: usize, instances: usize) -> Result<Self> {
        let etcd = TestEtcd::start_durable(&["--quota-backend-bytes=8589934592"]).await;
        let (ca, folder) = (TestCa::new(), tempfile::tempdir()?);
        let mut world = Self { etcd, ca, folder, members: seed::members(members)?, records: 0 };
        let server = world.api(&[]).await?;
        let first = world.channel(&server, &format!("allmende://member/{}", world.members[0]))?;
        seed::first_member(world.channel(&server, OPERATOR)?, first, instances).await?;
        seed::prices(world.channel(&server, TREASURER)?).await?;
        world.records = seed::copy(&world.etcd.endpoint(), &world.members).await?;
        Ok(world)
    }

    /// The API as it is shipped, with further flags.
    pub(crate) async fn api(&self, flags: &[&str]) -> Result<Server> {
        let metrics = free_port();
        let mut arguments = vec![
            format!("--health-listen=127.0.0.1:{}", free_port()),
            format!("--metrics-listen=127.0.0.1:{metrics}"),
            format!("--etcd-endpoints={}", self.etcd.endpoint()),
            format!("--documents-dir={}", self.folder.path().join("documents").display()),
            "--log=warn".to_owned(),
        ];
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let server = self.start_server("allmende-api", arguments, "--listen=127.0.0.1:").await?;
        let begun = Instant::now();
        while !flags.contains(&"--no-index")
            && !metrics_of(metrics).await?.contains("\nallmende_api_index_loaded 1")
        {
            if begun.elapsed() > START_LIMIT {
                bail!("the index was not loaded in time");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }

    /// The floor.
    pub(crate) async fn empty(&self) -> Result<Server> {
        self.start_server("allmende-bench", vec!["empty".to_owned()], "--port=").await
    }

    async fn start_server(&self, name: &str, mut arguments: Vec<String>, listen: &str) -> Result<Server> {
        let (leaf, port) = (self.ca.server("server"), free_port());
        arguments.extend([
            format!("{listen}{port}"),
            format!("--tls-cert={}", leaf.cert.display()),
            format!("--tls-key={}", leaf.key.display()),
            format!("--client-ca={}", self.ca.cert().display()),
        ]);
        let log = self.folder.path().join(format!("{name}.log"));
        let process = Process::start(name, &arguments, &log)?;
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if begun.elapsed() > START_LIMIT {
                bail!("{name} does not listen: {}", std::fs::read_to_string(log)?);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Server { process, endpoint: format!("https://localhost:{port}") })
    }

    /// A connection of its own for an identity.
    pub(crate) fn channel(&self, server: &Server, identity: &str) -> Result<Channel> {
        let leaf = self.ca.client(&identity.replace(['/', ':'], "_"), &[identity]);
        Ok(channel(&server.endpoint, ClientTls { ca: self.ca.cert(), own: Some((leaf.cert, leaf.key)) })?)
    }

    /// Connections of so many members, spread over all.
    pub(crate) fn some(&self, server: &Server, count: usize) -> Result<Vec<(String, Channel)>> {
        let step = (self.members.len() / count).max(1);
        let chosen = self.members.iter().step_by(step).take(count);
        chosen
            .map(|member| Ok((member.clone(), self.channel(server, &format!("allmende://member/{member}"))?)))
            .collect()
    }
}

/// The metrics of a program, in the text form of Prometheus; empty when it does not answer yet.
async fn metrics_of(port: u16) -> Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else {
        return Ok(String::new());
    };
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}
