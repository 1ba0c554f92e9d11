//! Settings of the program: flags, each also as `ALLMENDE_OPERATOR_…`.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use clap::Parser;

/// The operator of one cluster.
#[derive(Debug, Clone, Parser)]
#[command(name = "allmende-operator", version, about)]
pub struct Settings {
    /// Id of the cluster, as registered with the API.
    #[arg(long, env = "ALLMENDE_OPERATOR_CLUSTER")]
    pub cluster: String,
    /// The API, `https://host:port`.
    #[arg(long, env = "ALLMENDE_OPERATOR_API")]
    pub api: String,
    /// Authority of the API's certificate, PEM file.
    #[arg(long, env = "ALLMENDE_OPERATOR_API_CA")]
    pub api_ca: PathBuf,
    /// The cluster's certificate, PEM file, when somebody else keeps it current.
    #[arg(
        long,
        env = "ALLMENDE_OPERATOR_TLS_CERT",
        requires = "tls_key",
        required_unless_present = "identity_secret"
    )]
    pub tls_cert: Option<PathBuf>,
    /// Its key, PEM file.
    #[arg(long, env = "ALLMENDE_OPERATOR_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Secret in the operator's namespace in which the operator keeps the cluster's certificate: it joins with the `joinToken` in it,
    /// and renews at half of the certificate's life.
    #[arg(long, env = "ALLMENDE_OPERATOR_IDENTITY_SECRET", conflicts_with = "tls_cert")]
    pub identity_secret: Option<String>,
    /// The operator's own namespace: its lease and its few own records.
    #[arg(long, env = "ALLMENDE_OPERATOR_NAMESPACE", default_value = "allmende-system")]
    pub namespace: String,
    /// Directory in memory for what Helm reads: values, credentials.
    #[arg(long, env = "ALLMENDE_OPERATOR_WORK_DIR", default_value = "/run/allmende")]
    pub work_dir: PathBuf,
    /// Helm's program.
    #[arg(long, env = "ALLMENDE_OPERATOR_HELM", default_value = "helm")]
    pub helm: PathBuf,
    /// Registries (`host:port`) that may be spoken to without TLS.
    #[arg(long, env = "ALLMENDE_OPERATOR_PLAIN_HTTP_REGISTRIES", value_delimiter = ',')]
    pub plain_http_registries: Vec<String>,
    /// Where `/metrics`, `/livez` and `/readyz` are served.
    #[arg(long, env = "ALLMENDE_OPERATOR_METRICS_LISTEN", default_value = "0.0.0.0:9090")]
    pub metrics_listen: SocketAddr,
    /// This process among its replicas; in a pod the pod's name.
    #[arg(long, env = "ALLMENDE_OPERATOR_IDENTITY", default_value = "allmende-operator")]
    pub identity: String,
    /// `json` or `text`.
    #[arg(long, env = "ALLMENDE_OPERATOR_LOG_FORMAT", default_value = "json")]
    pub log_format: String,
    /// Filter of the log, for example `info,kube=warn`.
    #[arg(long, env = "ALLMENDE_OPERATOR_LOG", default_value = "info,kube=warn")]
    pub log: String,
    /// Everything else that reconciling needs.
    #[command(flatten)]
    pub policy: Policy,
}

/// The service account that the operator runs as: `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl FromStr for OwnAccount {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("must be namespace/name of a service account"),
        }
    }
}

/// What reconciling needs to know, the same for all objects.
#[derive(Debug, Clone, Parser)]
pub struct Policy {
    /// `limits.cpu` and `limits.memory` of a quota, in thousandths of what is requested.
    #[arg(long, env = "ALLMENDE_OPERATOR_LIMIT_PER_MILLE", default_value_t = 2000, value_parser = clap::value_parser!(i64).range(1000..=16_000))]
    pub limit_per_mille: i64,
    /// Extended resources that nodes of this cluster advertise, for example `nvidia.com/gpu`: a quota that has none of them says zero.
    #[arg(long, env = "ALLMENDE_OPERATOR_EXTENDED_RESOURCES", value_delimiter = ',', value_parser = extended_resource)]
    pub extended_resources: Vec<String>,
    /// Longest time of one reconcile of a tenant, seconds.
    #[arg(long, env = "ALLMENDE_OPERATOR_RECONCILE_SECONDS", default_value_t = 60)]
    pub reconcile_seconds: u64,
    /// How long a reconcile waits for a new quota to be enforced before it comes back later, milliseconds.
    #[arg(long, env = "ALLMENDE_OPERATOR_QUOTA_WAIT_MILLIS", default_value_t = 3000)]
    pub quota_wait_millis: u64,
    /// Every object is looked at again after this time even when no event came, seconds.
    #[arg(long, env = "ALLMENDE_OPERATOR_RESYNC_SECONDS", default_value_t = 600)]
    pub resync_seconds: u64,
    /// Rights are given in a namespace only after an admission policy was seen to refuse there what it must.
    #[arg(long, env = "ALLMENDE_OPERATOR_REQUIRE_WALLS", default_value_t = true, action = clap::ArgAction::Set)]
    pub require_walls: bool,
    /// The service account that the operator runs as: in tenants' namespaces it gets the rights that it has nowhere else.
    #[arg(long, env = "ALLMENDE_OPERATOR_ACCOUNT", default_value = "allmende-system/allmende-operator")]
    pub account: OwnAccount,
    /// How many objects of one kind are reconciled at a time.
    #[arg(long, env = "ALLMENDE_OPERATOR_CONCURRENCY", default_value_t = 8)]
    pub concurrency: u16,
}

/// `domain/name`, as nodes advertise it.
fn extended_resource(text: &str) -> Result<String, String> {
    let well_formed = text.split_once('/').is_some_and(|(domain, name)| {
        let plain =
            |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        domain.contains('.')
            && !domain.starts_with("requests.")
            && !name.is_empty()
            && plain(domain)
            && plain(name)
    });
    if well_formed {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no extended resource: write nvidia.com/gpu"))
    }
}

impl Policy {
    /// Longest time of one reconcile.
    #[must_use]
    pub fn reconcile_limit(&self) -> Duration {
        Duration::from_secs(self.reconcile_seconds)
    }

    /// How long one waits for a quota within a reconcile.
    #[must_use]
    pub fn quota_wait(&self) -> Duration {
        Duration::from_millis(self.quota_wait_millis)
    }

    /// When an object is looked at again without an event.
    #[must_use]
    pub fn resync(&self) -> Duration {
        Duration::from_secs(self.resync_seconds)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            limit_per_mille: 2000,
            extended_resources: Vec::new(),
            reconcile_seconds: 60,
            quota_wait_millis: 3000,
            resync_seconds: 600,
            require_walls: true,
            account: OwnAccount {
                namespace: "allmende-system".to_owned(),
                name: "allmende-operator".to_owned(),
            },
            concurrency: 8,
        }
    }
}
