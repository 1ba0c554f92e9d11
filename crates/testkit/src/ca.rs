//! A certificate authority for tests: P-256, files in a temporary directory.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

pub use rcgen;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber,
};
use tempfile::TempDir;
use time::OffsetDateTime;

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
    /// Serial number of its own certificate.
    serial: u64,
    /// What follows its leaves in their chain, PEM: its own certificate, when that is not a root.
    chain: String,
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
        let (params, key) = (authority_params("test authority"), KeyPair::generate().expect("a key"));
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self::with(params, key, &certificate, 0, String::new())
    }

    /// Another authority under this one; its leaves come with its certificate.
    ///
    /// # Panics
    /// When the machine has no place for its files.
    pub fn intermediate(&self) -> Self {
        let (mut params, key) = (authority_params("test intermediate"), KeyPair::generate().expect("a key"));
        let serial = self.next_serial.fetch_add(1, Ordering::Relaxed);
        params.serial_number = Some(SerialNumber::from(serial));
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Self::with(params, key, &certificate, serial, certificate.clone())
    }

    fn with(params: CertificateParams, key: KeyPair, certificate: &str, serial: u64, chain: String) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(folder.path().join("ca.crt"), certificate).expect("ca.crt");
        std::fs::write(folder.path().join("ca.key"), key.serialize_pem()).expect("ca.key");
        let issuer = Issuer::new(params, key);
        Self { issuer, folder, next_serial: AtomicU64::new(1000), serial, chain }
    }

    /// Its own certificate and key.
    pub fn own(&self) -> Leaf {
        Leaf { cert: self.cert(), key: self.folder.path().join("ca.key"), serial: self.serial }
    }

    /// A caller's, changed at will before it is signed.
    pub fn changed_client(&self, file: &str, uri: &str, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = client_params(&[uri]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        self.sign_with(file, params, &KeyPair::generate().expect("a key"))
    }

    /// A caller's with this key.
    pub fn client_with_key(&self, file: &str, uri: &str, key: &KeyPair) -> Leaf {
        let mut params = client_params(&[uri]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign_with(file, params, key)
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
        self.write_list(revoked, rcgen::date_time_ymd(if current { 2999 } else { 2021 }, 1, 1))
    }

    /// The same, outdated from `end` on.
    pub fn revocation_list_until(&self, revoked: &[&Leaf], end: SystemTime) -> PathBuf {
        self.write_list(revoked, end.into())
    }

    fn write_list(&self, revoked: &[&Leaf], next_update: OffsetDateTime) -> PathBuf {
        let entry = |leaf: &&Leaf| RevokedCertParams {
            serial_number: SerialNumber::from(leaf.serial),
            revocation_time: rcgen::date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update,
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
        params.extended_key_usages = vec![usage];
        self.sign_with(file, params, &KeyPair::generate().expect("a key"))
    }

    fn sign_with(&self, file: &str, mut params: CertificateParams, key: &KeyPair) -> Leaf {
        params.distinguished_name.push(DnType::CommonName, file);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let serial = self.next_serial.fetch_add(1, Ordering::Relaxed);
        params.serial_number = Some(SerialNumber::from(serial));
        let certificate = params.signed_by(key, &self.issuer).expect("a certificate");
        let leaf = Leaf {
            cert: self.folder.path().join(format!("{file}.crt")),
            key: self.folder.path().join(format!("{file}.key")),
            serial,
        };
        let chain = format!("{}{}", certificate.pem(), self.chain);
        std::fs::write(&leaf.cert, chain).expect("certificate file");
        std::fs::write(&leaf.key, key.serialize_pem()).expect("key file");
        leaf
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// One that vouches for itself.
///
/// # Panics
/// When a file cannot be written.
pub fn self_signed_client(folder: &Path, uri: &str) -> Leaf {
    let (mut params, key) = (client_params(&[uri]), KeyPair::generate().expect("a key"));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.self_signed(&key).expect("a certificate");
    let leaf = Leaf { cert: folder.join("self.crt"), key: folder.join("self.key"), serial: 0 };
    std::fs::write(&leaf.cert, certificate.pem()).expect("certificate file");
    std::fs::write(&leaf.key, key.serialize_pem()).expect("key file");
    leaf
}

fn client_params(uris: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names =
        uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("a URI of ASCII characters"))).collect();
    params
}
