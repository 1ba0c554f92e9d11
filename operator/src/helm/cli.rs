//! The Helm 4 program as a child process: real Helm semantics, one run at a time for a release, ended when this process no longer leads.

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use kube::Client;
use serde::Deserialize;
use tokio::process::Command;

use super::{
    Class, ReleaseBackend, ReleaseError, Revision, RevisionState, Target, Wanted,
    account::{RunFiles, Server, kubeconfig},
    child::{self, End, Ends},
    failure::{interrupted, timed_out, translate},
    limits,
};

/// Why nothing runs here.
const NO_LEASE: &str = "this process does not hold the lease";
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
    /// What ends a child before its time; without the lease none is started.
    pub ends: Ends,
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
        if !*self.ends.leader.borrow() {
            return Err(interrupted(NO_LEASE));
        }
        let files = RunFiles::new(&self.work)?;
        let config = kubeconfig(&self.client, &self.server, &target.namespace, limits::token(limit)).await?;
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
            .env("HELM_DATA_HOME", files.folder().join("data"));
        let finished = child::run(command, limit, &self.ends).await.map_err(|error| ReleaseError {
            class: Class::NotStarted,
            words: "Helm ist nicht zu starten: Betrieb der Genossenschaft verständigen".to_owned(),
            detail: error.to_string(),
        })?;
        match finished.end {
            End::Exited(status) if status.success() => Ok(finished.stdout),
            End::Exited(_) => Err(translate(&finished.stderr)),
            End::TimedOut => Err(timed_out(&finished.stderr)),
            End::NoLease => Err(interrupted(NO_LEASE)),
            End::Shutdown => Err(interrupted("this process ends")),
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
        self.run(target, &arguments, Some(&wanted.values), limits::run(wanted.timeout)).await.map(|_| ())
    }
}

#[async_trait]
impl ReleaseBackend for HelmCli {
    async fn history(&self, target: &Target) -> Result<Vec<Revision>, ReleaseError> {
        let arguments = ["history", target.release.as_str(), "--output", "json", "--max", "20"];
        let output = match self.run(target, &arguments, None, limits::SHORT_RUN).await {
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
        self.run(target, &arguments, None, limits::SHORT_RUN).await.map(|_| ())
    }

    async fn uninstall(&self, target: &Target) -> Result<(), ReleaseError> {
        let arguments =
            ["uninstall", target.release.as_str(), "--ignore-not-found", "--wait", "--timeout", "90s"];
        self.run(target, &arguments, None, limits::SHORT_RUN).await.map(|_| ())
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
