//! Settings of `allmende-billing`: flags, or environment variables with the prefix `ALLMENDE_BILLING_`.

use std::{net::SocketAddr, path::PathBuf};

use allmende_store::EtcdAccess;
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
    /// Authorities of etcd's certificate, PEM. Needed for https:// endpoints.
    #[arg(long, env = "ALLMENDE_BILLING_ETCD_CA")]
    pub etcd_ca: Option<PathBuf>,
    /// Certificate chain by which etcd knows this program, PEM (P-256); with --etcd-key.
    #[arg(long, env = "ALLMENDE_BILLING_ETCD_CERT")]
    pub etcd_cert: Option<PathBuf>,
    /// Its key, PEM: readable by this program alone.
    #[arg(long, env = "ALLMENDE_BILLING_ETCD_KEY")]
    pub etcd_key: Option<PathBuf>,
    /// User of etcd; with --etcd-password-file. Without it etcd takes the certificate's common name, if it asks at all.
    #[arg(long, env = "ALLMENDE_BILLING_ETCD_USER")]
    pub etcd_user: Option<String>,
    /// File with that user's password.
    #[arg(long, env = "ALLMENDE_BILLING_ETCD_PASSWORD_FILE")]
    pub etcd_password_file: Option<PathBuf>,
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

impl Config {
    /// How etcd is reached; its files are not read yet.
    pub fn etcd(&self) -> EtcdAccess {
        EtcdAccess {
            endpoints: self.etcd_endpoints.clone(),
            ca: self.etcd_ca.clone(),
            cert: self.etcd_cert.clone(),
            key: self.etcd_key.clone(),
            user: self.etcd_user.clone(),
            password_file: self.etcd_password_file.clone(),
        }
    }
}
