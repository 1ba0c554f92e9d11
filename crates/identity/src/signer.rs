//! Who signs: an authority in files, or a program that asks another issuer. What comes back is checked against what was ordered.

use std::{path::PathBuf, process::Stdio, time::Duration};

use async_trait::async_trait;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use thiserror::Error;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{identity::Identity, peer::PeerCertificate, request::CertificateRequest, rules::provider};

/// Longest time of a signing program.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// Largest chain taken from it, bytes.
const CHAIN_MAX: u64 = 64 << 10;
/// An issuer may round the end up by this, seconds.
const END_SLACK: i64 = 300;

/// What is to be signed.
#[derive(Debug, Clone)]
pub struct SigningOrder {
    /// The key.
    pub request: CertificateRequest,
    /// The one name.
    pub identity: Identity,
    /// Unix time, seconds.
    pub not_before: i64,
    /// Unix time, seconds.
    pub not_after: i64,
}

/// What was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCertificate {
    /// Leaf first, PEM.
    pub chain: String,
    /// Hex, as [`PeerCertificate::serial`].
    pub serial: String,
    /// Unix time, seconds.
    pub not_before: i64,
    /// Unix time, seconds.
    pub not_after: i64,
}

/// Nothing was signed. For the log: texts may name files.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct SignError(String);

/// See the module.
#[async_trait]
pub trait Signer: Send + Sync + std::fmt::Debug {
    /// Signs.
    ///
    /// # Errors
    /// When the authority cannot be used, or what it gave is not what was ordered.
    async fn sign(&self, order: &SigningOrder) -> Result<SignedCertificate, SignError>;
}

/// An authority whose key lies in a file that the API alone can read. The files are read for each signature: a new authority needs no
/// restart.
#[derive(Debug, Clone)]
pub struct FileSigner {
    /// Certificate of the authority, PEM.
    pub cert: PathBuf,
    /// Its key on P-256, PEM.
    pub key: PathBuf,
}

#[async_trait]
impl Signer for FileSigner {
    async fn sign(&self, order: &SigningOrder) -> Result<SignedCertificate, SignError> {
        let read = async |path: &PathBuf| {
            let text = tokio::fs::read_to_string(path).await;
            text.map_err(|error| SignError(format!("{}: {error}", path.display())))
        };
        let (authority, key) = (read(&self.cert).await?, read(&self.key).await?);
        let chain = self.signed(order, &authority, &key).map_err(|error| {
            // Never the text of a parser, which could hold a part of the key.
            SignError(format!("{} and its key cannot be used to sign: {error}", self.cert.display()))
        })?;
        checked(chain, order)
    }
}

impl FileSigner {
    fn signed(&self, order: &SigningOrder, authority: &str, key: &str) -> Result<String, rcgen::Error> {
        let issuer = Issuer::from_ca_cert_pem(authority, KeyPair::from_pem(key)?)?;
        let name = order.identity.to_string();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name.rsplit('/').next().unwrap_or(&name));
        params.subject_alt_names = vec![SanType::URI(name.as_str().try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(fresh_serial()?);
        params.not_before = time(order.not_before)?;
        params.not_after = time(order.not_after)?;
        let key = SubjectPublicKeyInfo::from_der(&order.request.public_key)?;
        let leaf = params.signed_by(&key, &issuer)?.pem();
        Ok(if is_root(authority) { leaf } else { format!("{leaf}{authority}") })
    }
}

fn time(unix: i64) -> Result<OffsetDateTime, rcgen::Error> {
    OffsetDateTime::from_unix_timestamp(unix).map_err(|_| rcgen::Error::Time)
}

/// A root need not be sent along.
fn is_root(pem: &str) -> bool {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .is_ok_and(|der| X509Certificate::from_der(&der).is_ok_and(|(_, own)| own.subject() == own.issuer()))
}

/// 127 random bits: serial numbers tell nothing and never meet.
fn fresh_serial() -> Result<SerialNumber, rcgen::Error> {
    let mut bytes = [0; 16];
    provider().secure_random.fill(&mut bytes).map_err(|_| rcgen::Error::RingUnspecified)?;
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from(bytes.to_vec()))
}

/// A program that asks an issuer of its own. It gets the request in PEM on standard input, and `ALLMENDE_IDENTITY` (the URI),
/// `ALLMENDE_NOT_BEFORE` and `ALLMENDE_NOT_AFTER` (Unix time) in its environment; it writes the chain in PEM, leaf first.
#[derive(Debug, Clone)]
pub struct CommandSigner {
    /// The program, by its whole path.
    pub program: PathBuf,
}

#[async_trait]
impl Signer for CommandSigner {
    async fn sign(&self, order: &SigningOrder) -> Result<SignedCertificate, SignError> {
        let failed = |why: &dyn std::fmt::Display| SignError(format!("{}: {why}", self.program.display()));
        let chain = tokio::time::timeout(COMMAND_LIMIT, self.run(order))
            .await
            .map_err(|_| failed(&"did not end in time"))?
            .map_err(|error| failed(&error))?;
        checked(chain, order)
    }
}

impl CommandSigner {
    async fn run(&self, order: &SigningOrder) -> std::io::Result<String> {
        let mut child = tokio::process::Command::new(&self.program)
            .env("ALLMENDE_IDENTITY", order.identity.to_string())
            .env("ALLMENDE_NOT_BEFORE", order.not_before.to_string())
            .env("ALLMENDE_NOT_AFTER", order.not_after.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let write = async {
            if let Some(mut stdin) = stdin {
                stdin.write_all(order.request.pem.as_bytes()).await?;
            }
            Ok::<(), std::io::Error>(())
        };
        let read = async {
            let mut chain = String::new();
            if let Some(stdout) = stdout {
                stdout.take(CHAIN_MAX).read_to_string(&mut chain).await?;
            }
            Ok::<String, std::io::Error>(chain)
        };
        let (written, chain) = tokio::join!(write, read);
        let status = child.wait().await?;
        if !status.success() {
            return Err(std::io::Error::other(status.to_string()));
        }
        written?;
        chain
    }
}

/// Whatever signed: the leaf is for the key and the one name that were ordered, for clients alone, and ends when it should.
fn checked(chain: String, order: &SigningOrder) -> Result<SignedCertificate, SignError> {
    let wrong = |what: &str| SignError(format!("the signed certificate is not what was ordered: {what}"));
    let all: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| wrong("no chain in PEM"))?;
    let peer = PeerCertificate::of_chain(&all).ok_or_else(|| wrong("no identity"))?;
    let (_, leaf) = X509Certificate::from_der(&peer.leaf).map_err(|_| wrong("malformed"))?;
    if peer.identity != order.identity {
        return Err(wrong("another identity"));
    }
    if leaf.public_key().raw != order.request.public_key {
        return Err(wrong("another key"));
    }
    if peer.not_after > order.not_after + END_SLACK || peer.not_before < order.not_before {
        return Err(wrong("another time"));
    }
    let usage = leaf.extended_key_usage().ok().flatten();
    if !usage.is_some_and(|usage| usage.value.client_auth && !usage.value.server_auth && !usage.value.any) {
        return Err(wrong("its extended key usage is not clientAuth alone"));
    }
    let PeerCertificate { serial, not_before, not_after, .. } = peer;
    Ok(SignedCertificate { chain, serial, not_before, not_after })
}
