//! The server's certificates, authorities and revocation list, read from files and read again without dropping a call.

use std::{
    path::PathBuf,
    sync::{Arc, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject};
use thiserror::Error;

/// Where the files lie. Kubelet swaps them behind symbolic links.
#[derive(Debug, Clone)]
pub struct ServerTlsPaths {
    /// Chain of the server, leaf first, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Authorities of client certificates, PEM.
    pub client_ca: PathBuf,
    /// Revocation lists of all client authorities, PEM. An outdated one refuses every client certificate.
    pub crl: Option<PathBuf>,
}

/// TLS cannot be set up; names the file, never its content.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct TlsError(pub(crate) String);

/// The present configuration; new connections get the newest, old ones keep theirs.
#[derive(Debug, Clone)]
pub struct ServerTls {
    paths: ServerTlsPaths,
    current: Arc<RwLock<Arc<ServerConfig>>>,
    /// Times of the files just before they were first read: a change between that and the first look is a change.
    loaded: Vec<Option<SystemTime>>,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file lacks or does not fit.
    pub fn load(paths: ServerTlsPaths) -> Result<Self, TlsError> {
        let loaded = stamps(&paths);
        let config = Arc::new(build(&paths)?);
        Ok(Self { paths, current: Arc::new(RwLock::new(config)), loaded })
    }

    /// What the next connection uses.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current
            .read()
            .map_or_else(|poisoned| Arc::clone(&poisoned.into_inner()), |config| Arc::clone(&config))
    }

    /// Reads the files again. On an error the present configuration stays.
    ///
    /// # Errors
    /// When a file lacks or does not fit.
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = Arc::new(build(&self.paths)?);
        match self.current.write() {
            Ok(mut current) => *current = config,
            Err(poisoned) => *poisoned.into_inner() = config,
        }
        Ok(())
    }

    /// Reloads whenever a file has changed; looks every `interval`. Ends with the task it runs in.
    pub async fn watch_files(self, interval: Duration) {
        let mut seen = self.loaded.clone();
        loop {
            tokio::time::sleep(interval).await;
            let now = stamps(&self.paths);
            if now == seen {
                continue;
            }
            match self.reload() {
                Ok(()) => {
                    seen = now;
                    tracing::info!("certificates were read again");
                }
                // Half-written files: the old ones serve on, and the next look tries again.
                Err(error) => tracing::warn!(%error, "changed certificates cannot be used yet"),
            }
        }
    }
}

fn stamps(paths: &ServerTlsPaths) -> Vec<Option<SystemTime>> {
    [&paths.cert, &paths.key, &paths.client_ca]
        .into_iter()
        .chain(paths.crl.iter())
        .map(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok())
        .collect()
}

/// P-256 first, as the platforms' certificates are of that curve.
fn provider() -> Arc<CryptoProvider> {
    let kx_groups = vec![aws_lc_rs::kx_group::SECP256R1, aws_lc_rs::kx_group::X25519];
    Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
}

fn build(paths: &ServerTlsPaths) -> Result<ServerConfig, TlsError> {
    let provider = provider();
    let mut roots = RootCertStore::empty();
    for authority in certificates(&paths.client_ca)? {
        roots.add(authority).map_err(|error| TlsError(format!("{}: {error}", paths.client_ca.display())))?;
    }
    let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated();
    if let Some(path) = &paths.crl {
        // Strict: an outdated list, or a leaf whose authority has none in the file, is refused.
        verifier = verifier
            .with_crls(revocation_lists(path)?)
            .only_check_end_entity_revocation()
            .enforce_revocation_expiration();
    }
    let verifier =
        verifier.build().map_err(|error| TlsError(format!("{}: {error}", paths.client_ca.display())))?;
    let chain = certificates(&paths.cert)?;
    let key = PrivateKeyDer::from_pem_file(&paths.key).map_err(|error| unreadable(&paths.key, &error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| TlsError(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| TlsError(format!("{}: {error}", paths.cert.display())))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // No resumption: every connection shows its certificate anew, to the revocation list of the day.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// One list or several, so that each authority can have its own.
fn revocation_lists(path: &std::path::Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let all: Vec<_> = CertificateRevocationListDer::pem_file_iter(path)
        .map_err(|error| unreadable(path, &error))?
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(path, &error))?;
    if all.is_empty() {
        Err(TlsError(format!("{}: holds no revocation list", path.display())))
    } else {
        Ok(all)
    }
}

pub(crate) fn certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|error| unreadable(path, &error))?
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(path, &error))?;
    if all.is_empty() { Err(TlsError(format!("{}: holds no certificate", path.display()))) } else { Ok(all) }
}

pub(crate) fn unreadable(path: &std::path::Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError(format!("{}: {error}", path.display()))
}
