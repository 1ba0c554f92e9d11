//! What a preflight is told: flags, those of the Job also as `ALLMENDE_PREFLIGHT_…`.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};

/// How the report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Checks whether a cluster is fit for members, with the current kubeconfig or a pod's account
///
/// Ends with 0 when nothing failed, with 1 when something did, with 2 when the cluster is not reached. Nothing stays on the cluster but,
/// with --save-in, the report.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "allmende-operator preflight",
    version,
    after_help = "Examples:
  before anything is installed, as an administrator:
    allmende-operator preflight --image registry.example.org/allmende/operator:0.1.0 --registry registry.example.org
  for a program:
    allmende-operator preflight -o json | jq '.checks[] | select(.state == \"failed\")'
  that members can sign in to the cluster:
    allmende-operator preflight --member-token-file token --oidc-issuer https://login.example.org"
)]
pub struct PreflightSettings {
    /// How the report is printed
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,
    /// This program's image, for the pods that try the network; without it the network is not tried
    #[arg(long, env = "ALLMENDE_PREFLIGHT_IMAGE")]
    pub image: Option<String>,
    /// Secrets of the probe's namespace that the image is pulled with
    #[arg(long, env = "ALLMENDE_PREFLIGHT_IMAGE_PULL_SECRETS", value_delimiter = ',', value_name = "NAME")]
    pub image_pull_secret: Vec<String>,
    /// Namespace of those pods; made and removed when it is not there. Never one in which other accounts can be used
    #[arg(long, env = "ALLMENDE_PREFLIGHT_NAMESPACE", default_value = super::NAME, value_name = "NAMESPACE")]
    pub probe_namespace: String,
    /// Longest wait for a pod to run, seconds
    #[arg(long, env = "ALLMENDE_PREFLIGHT_PODS_WITHIN", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub pods_within: u64,
    /// How long a network policy may take until it is enforced, seconds
    #[arg(long, env = "ALLMENDE_PREFLIGHT_ENFORCED_WITHIN", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=120))]
    pub enforced_within: u64,
    /// Registries (`host` or `host:port`) of charts and images
    #[arg(long, env = "ALLMENDE_PREFLIGHT_REGISTRIES", value_delimiter = ',')]
    pub registry: Vec<String>,
    /// Registries that are spoken to without TLS
    #[arg(
        long,
        env = "ALLMENDE_PREFLIGHT_PLAIN_HTTP_REGISTRIES",
        value_delimiter = ',',
        value_name = "REGISTRY"
    )]
    pub plain_http_registry: Vec<String>,
    /// Issuer of the members' tokens, for the snippet to copy
    #[arg(
        long,
        env = "ALLMENDE_PREFLIGHT_OIDC_ISSUER",
        default_value = "https://login.example.org/realms/allmende",
        value_name = "URL"
    )]
    pub oidc_issuer: String,
    /// Audience of those tokens
    #[arg(
        long,
        env = "ALLMENDE_PREFLIGHT_OIDC_AUDIENCE",
        default_value = "allmende-cli",
        value_name = "AUDIENCE"
    )]
    pub oidc_audience: String,
    /// File with a member's token: shows that the cluster knows members
    #[arg(long, value_name = "FILE")]
    pub member_token_file: Option<PathBuf>,
    /// Namespace in which the report is kept as ConfigMap `allmende-preflight`, from where the operator tells it to the API
    #[arg(long, env = "ALLMENDE_PREFLIGHT_SAVE_IN", value_name = "NAMESPACE")]
    pub save_in: Option<String>,
    /// End with 0 whatever was found: for Jobs, whose report is what counts
    #[arg(long)]
    pub always_succeed: bool,
}

impl PreflightSettings {
    /// Longest wait for a pod to run.
    #[must_use]
    pub fn pods_within(&self) -> Duration {
        Duration::from_secs(self.pods_within)
    }

    /// How long a network policy may take.
    #[must_use]
    pub fn enforced_within(&self) -> Duration {
        Duration::from_secs(self.enforced_within)
    }
}
