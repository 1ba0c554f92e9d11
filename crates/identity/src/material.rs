//! What the server's files hold, each part read by itself: a broken one leaves the others to be renewed.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{RootCertStore, crypto::CryptoProvider, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject};

use crate::{
    expiry::{self, Expiry},
    server_tls::TlsError,
};

/// Where the files lie. Kubelet swaps them behind symbolic links.
#[derive(Debug, Clone)]
pub struct ServerTlsPaths {
    /// Chain of the server, leaf first, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Authorities of client certificates, PEM. During a change of authority both, the old and the new one.
    pub client_ca: PathBuf,
    /// Revocation lists of all client authorities, PEM. An outdated one refuses every client certificate.
    pub crl: Option<PathBuf>,
}

impl ServerTlsPaths {
    /// What tells one state of the files from another. By content: a copied file may keep its time.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for path in [&self.cert, &self.key, &self.client_ca].into_iter().chain(self.crl.iter()) {
            std::fs::read(path).ok().hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// All parts, as last read soundly.
#[derive(Debug, Clone)]
pub(crate) struct Material {
    pub(crate) own: Arc<CertifiedKey>,
    pub(crate) authorities: Arc<RootCertStore>,
    pub(crate) lists: Arc<Vec<CertificateRevocationListDer<'static>>>,
    pub(crate) expiries: Expiries,
}

/// Ends of each part's validity.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expiries {
    own: Vec<Expiry>,
    authorities: Vec<Expiry>,
    pub(crate) lists: Vec<Expiry>,
}

impl Expiries {
    pub(crate) fn all(&self) -> Vec<Expiry> {
        [&self.own, &self.authorities, &self.lists].into_iter().flatten().cloned().collect()
    }
}

impl Material {
    /// Reads everything; all of it must be sound.
    pub(crate) fn read(paths: &ServerTlsPaths, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let (own, own_ends) = own(paths, provider)?;
        let (authorities, authority_ends) = authorities(&paths.client_ca)?;
        let (lists, list_ends) = lists(paths.crl.as_deref())?;
        let expiries = Expiries { own: own_ends, authorities: authority_ends, lists: list_ends };
        Ok(Self { own, authorities, lists, expiries })
    }

    /// Reads every part anew. What cannot be used stays as it was, and is told.
    pub(crate) fn renewed(&self, paths: &ServerTlsPaths, provider: &CryptoProvider) -> (Self, Vec<TlsError>) {
        let (mut next, mut errors) = (self.clone(), Vec::new());
        match own(paths, provider) {
            Ok(read) => (next.own, next.expiries.own) = read,
            Err(error) => errors.push(error),
        }
        match authorities(&paths.client_ca) {
            Ok(read) => (next.authorities, next.expiries.authorities) = read,
            Err(error) => errors.push(error),
        }
        match lists(paths.crl.as_deref()) {
            Ok(read) => (next.lists, next.expiries.lists) = read,
            Err(error) => errors.push(error),
        }
        (next, errors)
    }
}

type Read<T> = Result<(T, Vec<Expiry>), TlsError>;

fn own(paths: &ServerTlsPaths, provider: &CryptoProvider) -> Read<Arc<CertifiedKey>> {
    let chain = certificates(&paths.cert)?;
    let expiries = chain.iter().filter_map(|der| expiry::of_certificate("own-certificate", der)).collect();
    let key = PrivateKeyDer::from_pem_file(&paths.key).map_err(|error| unreadable(&paths.key, &error))?;
    // Also fails when the key is not the certificate's: the two files are swapped one after the other.
    let own =
        CertifiedKey::from_der(chain, key, provider).map_err(|error| unreadable(&paths.cert, &error))?;
    Ok((Arc::new(own), expiries))
}

fn authorities(path: &Path) -> Read<Arc<RootCertStore>> {
    let all = certificates(path)?;
    let expiries = all.iter().filter_map(|der| expiry::of_certificate("authority", der)).collect();
    let mut roots = RootCertStore::empty();
    for authority in all {
        roots.add(authority).map_err(|error| unreadable(path, &error))?;
    }
    Ok((Arc::new(roots), expiries))
}

/// One list or several, so that each authority can have its own.
fn lists(path: Option<&Path>) -> Read<Arc<Vec<CertificateRevocationListDer<'static>>>> {
    let Some(path) = path else { return Ok((Arc::default(), Vec::new())) };
    let all: Vec<_> = CertificateRevocationListDer::pem_file_iter(path)
        .map_err(|error| unreadable(path, &error))?
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(path, &error))?;
    if all.is_empty() {
        return Err(TlsError(format!("{}: holds no revocation list", path.display())));
    }
    let expiries = all
        .iter()
        .map(|der| {
            expiry::of_list(der)
                .ok_or_else(|| TlsError(format!("{}: a revocation list without an end", path.display())))
        })
        .collect::<Result<_, _>>()?;
    Ok((Arc::new(all), expiries))
}

pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|error| unreadable(path, &error))?
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(path, &error))?;
    if all.is_empty() { Err(TlsError(format!("{}: holds no certificate", path.display()))) } else { Ok(all) }
}

pub(crate) fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError(format!("{}: {error}", path.display()))
}
