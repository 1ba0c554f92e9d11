//! The Helm 4 program as a child process: real Helm semantics, one run at a time for a release, ended when this process no longer leads.

use std::{path::PathBuf, process::Stdio, time::Duration};

use async_trait::async_trait;
use kube::Client;
use serde::Deserialize;
use tokio::{io::AsyncReadExt, process::Command, sync::watch};

use super::{
    ReleaseBackend, ReleaseError, Revision, RevisionState, Target, Wanted,
    account::{RunFiles, Server, kubeconfig},
    failure::translate,
};

/// Longest run of a question or a removal.
const SHORT_RUN: Duration = Duration::from_secs(120);
/// What a run may take beyond Helm's own limit before it is ended.
const GRACE: Duration = Duration::from_secs(30);
/// Output that is read of one run.
const OUTPUT_MAX: u64 = 1 << 20;
/// Revisions that Helm keeps: release records are secrets of the services namespace and have a size.
const HISTORY_MAX: &str = "5";

/// See the module.
#[derive(Clone)]
pub struct HelmCli {
    /// The program.
    pub program: PathBuf,
    /// Mints tokens of release accounts.
    pub client: Client,
    /// The API server as the child reaches it.
    pub server: Server,
    /// A volatile folder.
    pub work: PathBuf,
    /// Registries that are asked over plain HTTP: laboratories only.
    pub plain_http_registries: Vec<String>,
    /// Whether this process leads; a lost lease ends the child.
    pub leader: watch::Receiver<bool>,
}

#[derive(Deserialize)]
struct HistoryRow {
    revision: i64,
    status: String,
}

impl HelmCli {
    async fn run(
        &self,
        target: &Target,
        arguments: &[&str],
        values: Option<&str>,
        limit: Duration,
    ) -> Result<String, ReleaseError> {
        let files = RunFiles::new(&self.work)?;
        // Ten minutes is the shortest life that the API server gives.
        let seconds = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX).max(600);
        let config = kubeconfig(&self.client, &self.server, &target.namespace, seconds).await?;
        let config = files.write("kubeconfig", &config)?;
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--namespace").arg(&target.namespace).arg("--kubeconfig").arg(&config);
        if let Some(values) = values {
            command.arg("--values").arg(files.write("values.json", values)?);
        }
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", files.folder())
            .env("HELM_CACHE_HOME", files.folder().join("cache"))
            .env("HELM_CONFIG_HOME", files.folder().join("config"))
            .env("HELM_DATA_HOME", files.folder().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        self.finish(command, limit.saturating_add(GRACE)).await
    }

    async fn finish(&self, mut command: Command, limit: Duration) -> Result<String, ReleaseError> {
        let broken = |error: std::io::Error| ReleaseError {
            words: "Helm ist nicht zu starten: Betrieb der Genossenschaft verständigen".to_owned(),
            detail: error.to_string(),
        };
        let mut child = command.spawn().map_err(broken)?;
        let (mut out, mut err) = (String::new(), String::new());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let read = async {
            let (mut stdout, mut stderr) = (stdout, stderr);
            let one = async {
                if let Some(pipe) = &mut stdout {
                    let _ = pipe.take(OUTPUT_MAX).read_to_string(&mut out).await;
                }
            };
            let two = async {
                if let Some(pipe) = &mut stderr {
                    let _ = pipe.take(OUTPUT_MAX).read_to_string(&mut err).await;
                }
            };
            futures::join!(one, two);
            child.wait().await
        };
        let mut leader = self.leader.clone();
        let ended = tokio::select! {
            ended = tokio::time::timeout(limit, read) => ended,
            _ = leader.wait_for(|leads| !*leads) => {
                let words = "der Betreiber wechselt gerade; neuer Versuch folgt".to_owned();
                return Err(ReleaseError { words, detail: "the lease was lost during a run".to_owned() });
            }
        };
        match ended {
            Err(_) => Err(translate("timed out: the run was ended")),
            Ok(Err(error)) => Err(broken(error)),
            Ok(Ok(status)) if status.success() => Ok(out),
            Ok(Ok(_)) => Err(translate(&err)),
        }
    }

    async fn apply(
        &self,
        target: &Target,
        wanted: &Wanted,
        verb: &str,
        more: &[&str],
    ) -> Result<(), ReleaseError> {
        let timeout = format!("{}s", wanted.timeout.as_secs());
        let mut arguments = vec![
            verb,
            target.release.as_str(),
            wanted.chart.as_str(),
            "--wait=watcher",
            "--timeout",
            &timeout,
        ];
        arguments.extend_from_slice(more);
        let host = wanted.chart.trim_start_matches("oci://").split('/').next().unwrap_or_default();
        if self.plain_http_registries.iter().any(|registry| registry == host) {
            arguments.push("--plain-http");
        }
        self.run(target, &arguments, Some(&wanted.values), wanted.timeout).await.map(|_| ())
    }
}

#[async_trait]
impl ReleaseBackend for HelmCli {
    async fn history(&self, target: &Target) -> Result<Vec<Revision>, ReleaseError> {
        let arguments = ["history", target.release.as_str(), "--output", "json", "--max", "20"];
        let output = match self.run(target, &arguments, None, SHORT_RUN).await {
            Ok(output) => output,
            Err(error) if error.detail.contains("release: not found") => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let rows: Vec<HistoryRow> =
            serde_json::from_str(&output).map_err(|error| translate(&error.to_string()))?;
        Ok(rows.into_iter().map(|row| Revision { number: row.revision, state: state(&row.status) }).collect())
    }

    async fn install(&self, target: &Target, wanted: &Wanted) -> Result<(), ReleaseError> {
        self.apply(target, wanted, "install", &[]).await
    }

    async fn upgrade(&self, target: &Target, wanted: &Wanted) -> Result<(), ReleaseError> {
        self.apply(target, wanted, "upgrade", &["--rollback-on-failure", "--history-max", HISTORY_MAX]).await
    }

    async fn rollback(&self, target: &Target, revision: i64) -> Result<(), ReleaseError> {
        let revision = revision.to_string();
        let arguments =
            ["rollback", target.release.as_str(), revision.as_str(), "--wait=hookOnly", "--timeout", "60s"];
        self.run(target, &arguments, None, SHORT_RUN).await.map(|_| ())
    }

    async fn uninstall(&self, target: &Target) -> Result<(), ReleaseError> {
        let arguments =
            ["uninstall", target.release.as_str(), "--ignore-not-found", "--wait", "--timeout", "90s"];
        self.run(target, &arguments, None, SHORT_RUN).await.map(|_| ())
    }
}

fn state(text: &str) -> RevisionState {
    match text {
        "deployed" => RevisionState::Deployed,
        "superseded" => RevisionState::Superseded,
        "failed" => RevisionState::Failed,
        "pending-install" => RevisionState::PendingInstall,
        "pending-upgrade" => RevisionState::PendingUpgrade,
        "pending-rollback" => RevisionState::PendingRollback,
        "uninstalling" => RevisionState::Uninstalling,
        _ => RevisionState::Other,
    }
}
