//! Settings of `allmende-api`: flags, or environment variables with the prefix `ALLMENDE_API_`.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use allmende_identity::{
    client::ClientTls,
    signer::{CommandSigner, FileSigner, Signer},
};
use allmende_store::EtcdAccess;
use clap::Parser;

/// Serves the gRPC API of Allmende.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "allmende-api",
    version,
    after_help = "Example:\n  allmende-api --etcd-endpoints http://127.0.0.1:2379 --tls-cert tls.crt --tls-key tls.key \\\n    --client-ca ca.crt --documents-dir /var/lib/allmende/documents"
)]
pub struct Config {
    /// Address of the gRPC API (TLS 1.3).
    #[arg(long, env = "ALLMENDE_API_LISTEN", default_value = "0.0.0.0:8443")]
    pub listen: SocketAddr,
    /// Address of gRPC health, without TLS: for probes only.
    #[arg(long, env = "ALLMENDE_API_HEALTH_LISTEN", default_value = "0.0.0.0:8444")]
    pub health_listen: SocketAddr,
    /// Address of /metrics, /livez and /readyz.
    #[arg(long, env = "ALLMENDE_API_METRICS_LISTEN", default_value = "0.0.0.0:9090")]
    pub metrics_listen: SocketAddr,
    /// Endpoints of etcd, separated by commas.
    #[arg(long, env = "ALLMENDE_API_ETCD_ENDPOINTS", value_delimiter = ',', required = true)]
    pub etcd_endpoints: Vec<String>,
    /// Authorities of etcd's certificate, PEM. Needed for https:// endpoints.
    #[arg(long, env = "ALLMENDE_API_ETCD_CA")]
    pub etcd_ca: Option<PathBuf>,
    /// Certificate chain by which etcd knows this program, PEM (P-256); with --etcd-key.
    #[arg(long, env = "ALLMENDE_API_ETCD_CERT")]
    pub etcd_cert: Option<PathBuf>,
    /// Its key, PEM: readable by this program alone.
    #[arg(long, env = "ALLMENDE_API_ETCD_KEY")]
    pub etcd_key: Option<PathBuf>,
    /// User of etcd; with --etcd-password-file. Without it etcd takes the certificate's common name, if it asks at all.
    #[arg(long, env = "ALLMENDE_API_ETCD_USER")]
    pub etcd_user: Option<String>,
    /// File with that user's password.
    #[arg(long, env = "ALLMENDE_API_ETCD_PASSWORD_FILE")]
    pub etcd_password_file: Option<PathBuf>,
    /// What etcd takes in one transaction (its --max-txn-ops): so many changes are committed together. 0, the default: each by itself, until
    /// histories with lost answers are always linearizable in groups too (docs/adr/0021).
    #[arg(long, env = "ALLMENDE_API_ETCD_MAX_TXN_OPS", default_value_t = 0)]
    pub etcd_max_txn_ops: usize,
    /// Read everything from etcd: for stores whose entities do not fit into a gibibyte, and to look for defects.
    #[arg(long, env = "ALLMENDE_API_NO_INDEX")]
    pub no_index: bool,
    /// Certificate chain of the server, PEM.
    #[arg(long, env = "ALLMENDE_API_TLS_CERT")]
    pub tls_cert: PathBuf,
    /// Private key of the server, PEM.
    #[arg(long, env = "ALLMENDE_API_TLS_KEY")]
    pub tls_key: PathBuf,
    /// Authorities of client certificates, PEM.
    #[arg(long, env = "ALLMENDE_API_CLIENT_CA")]
    pub client_ca: PathBuf,
    /// Revocation list, PEM. Without it nothing is revoked.
    #[arg(long, env = "ALLMENDE_API_CRL")]
    pub crl: Option<PathBuf>,
    /// Certificate of the authority that signs for clusters which join and for service accounts, PEM; with --signer-key.
    #[arg(
        long,
        env = "ALLMENDE_API_SIGNER_CERT",
        requires = "signer_key",
        conflicts_with = "signer_command"
    )]
    pub signer_cert: Option<PathBuf>,
    /// Its key on P-256, PEM: readable by this program alone.
    #[arg(long, env = "ALLMENDE_API_SIGNER_KEY", requires = "signer_cert")]
    pub signer_key: Option<PathBuf>,
    /// Program that signs in place of an authority in files: request on standard input, chain on standard output.
    #[arg(long, env = "ALLMENDE_API_SIGNER_COMMAND")]
    pub signer_command: Option<PathBuf>,
    /// Life of a cluster's certificate, hours.
    #[arg(long, env = "ALLMENDE_API_CLUSTER_CERTIFICATE_HOURS", default_value_t = 24, value_parser = clap::value_parser!(i64).range(1..=720))]
    pub cluster_certificate_hours: i64,
    /// Trusted issuers of access tokens and their groups, TOML. Without it only certificates are taken.
    #[arg(long, env = "ALLMENDE_API_ISSUERS")]
    pub issuers: Option<PathBuf>,
    /// Where the billing worker puts the documents of issued invoices.
    #[arg(long, env = "ALLMENDE_API_DOCUMENTS_DIR")]
    pub documents_dir: PathBuf,
    /// Ed25519 key that signs the heads of the audit, PEM (PKCS #8). Without it entries are written, and neither sealed nor signed.
    #[arg(long, env = "ALLMENDE_API_AUDIT_KEY")]
    pub audit_key: Option<PathBuf>,
    /// Where sealed segments of the audit go when they are old, for example file:///var/lib/allmende/audit. Without it they stay in etcd.
    #[arg(long, env = "ALLMENDE_API_AUDIT_OBJECTS")]
    pub audit_objects: Option<String>,
    /// How old they are then, days; 0: those that lie there are read, and no more are moved.
    #[arg(long, env = "ALLMENDE_API_AUDIT_MOVE_AFTER_DAYS", default_value_t = 30, value_parser = clap::value_parser!(i64).range(0..=3650))]
    pub audit_move_after_days: i64,
    /// Take orders only of members whose signed processing agreement (AVV, Art. 28 DSGVO) is on record.
    #[arg(long, env = "ALLMENDE_API_REQUIRE_PROCESSING_AGREEMENT")]
    pub require_processing_agreement: bool,
    /// `json` or `text`.
    #[arg(long, env = "ALLMENDE_API_LOG_FORMAT", default_value = "json")]
    pub log_format: String,
    /// Filter of log lines, for example `info,allmende_api=debug`.
    #[arg(long, env = "ALLMENDE_API_LOG", default_value = "info")]
    pub log: String,
    /// Longest time that a drain waits for calls under way, seconds.
    #[arg(long, env = "ALLMENDE_API_DRAIN_SECONDS", default_value_t = 20)]
    pub drain_seconds: u64,
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

    /// The files of TLS towards etcd.
    pub fn etcd_tls(&self) -> Option<ClientTls> {
        let own = self.etcd_cert.clone().zip(self.etcd_key.clone());
        self.etcd_ca.clone().map(|ca| ClientTls { ca, own })
    }

    /// Who signs for clusters and service accounts; none: their certificates come from elsewhere.
    pub fn signer(&self) -> Option<Arc<dyn Signer>> {
        match (&self.signer_cert, &self.signer_key, &self.signer_command) {
            (Some(cert), Some(key), _) => Some(Arc::new(FileSigner { cert: cert.clone(), key: key.clone() })),
            (_, _, Some(program)) => Some(Arc::new(CommandSigner { program: program.clone() })),
            _ => None,
        }
    }
}
