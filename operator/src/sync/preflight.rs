//! What the preflight found is told to the API: when it changed, and all of it after a reconnect.

use std::time::Duration;

use allmende_proto::v1::{self, cluster_service_client::ClusterServiceClient, preflight_check};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use tokio::sync::watch;
use tonic::{Code, transport::Channel};

use super::{fence::Known, seconds};
use crate::preflight::{
    NAME, keep,
    report::{Check, Report, State},
};

/// How often the report is looked at. It is one ConfigMap, which the Job writes about once a week.
const EVERY: Duration = Duration::from_secs(10);
/// What the API keeps of a detail, characters.
const DETAIL_MAX: usize = 1000;
/// What the API keeps of a remedy, characters.
const REMEDY_MAX: usize = 2000;

/// Tells the last report.
pub struct PreflightTeller {
    /// Kubernetes.
    pub client: Client,
    /// The operator's own namespace, in which the report lies.
    pub namespace: String,
    /// Id of this cluster in the API.
    pub cluster: String,
    /// The API.
    pub channel: Channel,
    /// Which store and epoch is followed.
    pub followed: watch::Receiver<Option<Known>>,
    /// Whether this process leads: another one tells otherwise.
    pub leader: watch::Receiver<bool>,
}

impl PreflightTeller {
    /// Tells for ever; ends with the follower.
    pub async fn run(mut self) {
        let mut told: Option<Report> = None;
        loop {
            tokio::select! {
                // Another store or a reconnect: what it knows of us is unknown.
                changed = self.followed.changed() => {
                    if changed.is_err() { return; }
                    told = None;
                }
                () = tokio::time::sleep(EVERY) => {}
            }
            let known = self.followed.borrow().clone();
            let Some(known) = known.filter(|_| *self.leader.borrow()) else { continue };
            let Some(report) = self.report().await.filter(|report| told.as_ref() != Some(report)) else {
                continue;
            };
            match self.send(&known, &report).await {
                Ok(()) => told = Some(report),
                Err(status) if status.code() == Code::InvalidArgument => {
                    tracing::warn!(%status, "the preflight's report was refused; the next one is told again");
                    told = Some(report);
                }
                Err(status) => tracing::info!(%status, "the preflight's report is told again"),
            }
        }
    }

    async fn report(&self) -> Option<Report> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        match api.get_opt(NAME).await {
            Ok(map) => keep::read(&map?),
            Err(error) => {
                tracing::info!(%error, "the preflight's report is read again");
                None
            }
        }
    }

    async fn send(&self, known: &Known, report: &Report) -> Result<(), tonic::Status> {
        let request = v1::ReportObservationsRequest {
            name: format!("clusters/{}", self.cluster),
            store_id: known.store_id.clone(),
            epoch: known.epoch,
            preflight: Some(message(report)),
            ..Default::default()
        };
        ClusterServiceClient::new(self.channel.clone()).report_observations(request).await.map(|_| ())
    }
}

fn message(report: &Report) -> v1::PreflightReport {
    let check = |check: &Check| v1::PreflightCheck {
        id: check.id.clone(),
        title: check.title.clone(),
        state: match check.state {
            State::Passed => preflight_check::State::Passed,
            State::Warning => preflight_check::State::Warning,
            State::NotProven => preflight_check::State::NotProven,
            State::Failed => preflight_check::State::Failed,
        }
        .into(),
        detail: check.detail.chars().take(DETAIL_MAX).collect(),
        remedy: check.remedy.chars().take(REMEDY_MAX).collect(),
    };
    v1::PreflightReport {
        check_time: Some(seconds(report.time)),
        program_version: report.program_version.clone(),
        kubernetes_version: report.kubernetes_version.clone(),
        checks: report.checks.iter().map(check).collect(),
    }
}
