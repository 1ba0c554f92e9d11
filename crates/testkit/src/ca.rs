//! A certificate authority for tests: P-256, files in a temporary directory.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use tempfile::TempDir;

/// Chain and key of one party, as files.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// PEM.
    pub cert: PathBuf,
    /// PEM.
    pub key: PathBuf,
    /// Serial number of the certificate.
    pub serial: u64,
}

/// The authority.
#[derive(Debug)]
pub struct TestCa {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
    next_serial: AtomicU64,
}

impl Default for TestCa {
    fn default() -> Self {
        Self::new()
    }
}

impl TestCa {
    /// A fresh one.
    ///
    /// # Panics
    /// When the machine has no place for its files.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(folder.path().join("ca.crt"), certificate.pem()).expect("ca.crt");
        Self { issuer: Issuer::new(params, key), folder, next_serial: AtomicU64::new(1) }
    }

    /// Its certificate, PEM.
    pub fn cert(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Where its files lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// For a server on loopback.
    pub fn server(&self, file: &str) -> Leaf {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).expect("names of the server");
        self.sign(file, params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For a caller with these identity texts (one, unless a test wants a wrong certificate).
    pub fn client(&self, file: &str, uris: &[&str]) -> Leaf {
        self.sign(file, client_params(uris), ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A caller's whose time is over.
    pub fn expired_client(&self, file: &str, uri: &str) -> Leaf {
        let mut params = client_params(&[uri]);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        self.sign(file, params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// The authority's revocation list with these certificates on it, PEM. `current`: false makes one whose time is over.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn revocation_list(&self, revoked: &[&Leaf], current: bool) -> PathBuf {
        let end = if current { 2999 } else { 2021 };
        let entry = |leaf: &&Leaf| RevokedCertParams {
            serial_number: SerialNumber::from(leaf.serial),
            revocation_time: rcgen::date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(end, 1, 1),
            crl_number: SerialNumber::from(self.next_serial.fetch_add(1, Ordering::Relaxed)),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("a revocation list");
        let path = self.folder.path().join("ca.crl");
        std::fs::write(&path, list.pem().expect("PEM")).expect("ca.crl");
        path
    }

    fn sign(&self, file: &str, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Leaf {
        params.distinguished_name.push(DnType::CommonName, file);
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let serial = self.next_serial.fetch_add(1, Ordering::Relaxed);
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let leaf = Leaf {
            cert: self.folder.path().join(format!("{file}.crt")),
            key: self.folder.path().join(format!("{file}.key")),
            serial,
        };
        std::fs::write(&leaf.cert, certificate.pem()).expect("certificate file");
        std::fs::write(&leaf.key, key.serialize_pem()).expect("key file");
        leaf
    }
}

fn client_params(uris: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names =
        uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("a URI of ASCII characters"))).collect();
    params
}
