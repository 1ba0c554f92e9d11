//! Settings of `allmende-billing`: flags, or environment variables with the prefix `ALLMENDE_BILLING_`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

/// Closes billing periods: rates usage, splits pots, numbers invoices and writes their documents.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "allmende-billing",
    version,
    after_help = "Example:\n  allmende-billing --etcd-endpoints http://127.0.0.1:2379 --documents-dir /var/lib/allmende/documents"
)]
pub struct Config {
    /// Endpoints of etcd, separated by commas.
    #[arg(long, env = "ALLMENDE_BILLING_ETCD_ENDPOINTS", value_delimiter = ',', required = true)]
    pub etcd_endpoints: Vec<String>,
    /// Where documents go; the API reads them from there.
    #[arg(long, env = "ALLMENDE_BILLING_DOCUMENTS_DIR")]
    pub documents_dir: PathBuf,
    /// Address of /metrics, /livez and /readyz.
    #[arg(long, env = "ALLMENDE_BILLING_METRICS_LISTEN", default_value = "0.0.0.0:9090")]
    pub metrics_listen: SocketAddr,
    /// `json` or `text`.
    #[arg(long, env = "ALLMENDE_BILLING_LOG_FORMAT", default_value = "json")]
    pub log_format: String,
    /// Filter of log lines, for example `info,allmende_billing=debug`.
    #[arg(long, env = "ALLMENDE_BILLING_LOG", default_value = "info")]
    pub log: String,
}
