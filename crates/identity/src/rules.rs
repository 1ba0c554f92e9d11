//! By which rules a peer is admitted: at its handshake, and again whenever they change while it is connected.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use rustls::{
    CertificateError, ServerConfig, SignatureScheme,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::SingleCertAndKey,
    version::TLS13,
};
use rustls_pki_types::{SignatureVerificationAlgorithm, UnixTime, alg_id};

use crate::{bars::Bars, material::Material, peer::PeerCertificate, server_tls::TlsError};

/// Application protocol: HTTP/2 and nothing else.
pub(crate) const ALPN: &[u8] = b"h2";

/// ECDSA on P-256 with SHA-256: the one algorithm of client certificates and their authorities.
static P256: LazyLock<Vec<&'static dyn SignatureVerificationAlgorithm>> = LazyLock::new(|| {
    let all = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    let fits = |algorithm: &&&dyn SignatureVerificationAlgorithm| {
        algorithm.public_key_alg_id() == alg_id::ECDSA_P256
            && algorithm.signature_alg_id() == alg_id::ECDSA_SHA256
    };
    all.iter().filter(fits).copied().collect()
});

/// The same, to check a signature with.
pub(crate) fn p256() -> &'static dyn SignatureVerificationAlgorithm {
    P256[0]
}

type Scheme = (SignatureScheme, &'static [&'static dyn SignatureVerificationAlgorithm]);
static P256_SCHEME: LazyLock<[Scheme; 1]> =
    LazyLock::new(|| [(SignatureScheme::ECDSA_NISTP256_SHA256, P256.as_slice())]);

/// P-256 first, as the platforms' certificates are of that curve.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    let kx_groups = vec![aws_lc_rs::kx_group::SECP256R1, aws_lc_rs::kx_group::X25519];
    Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
}

/// Why a peer that was admitted is admitted no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Its certificate's time is over.
    Expired,
    /// Its certificate is on the revocation list.
    Revoked,
    /// Its certificate is refused by a bar over its identity, or what its identity may do has changed.
    Barred,
    /// The rules changed: its authority is gone, the list that would speak for it is outdated or missing.
    Untrusted,
}

impl Cut {
    /// All of them, in the order of [`Self::index`].
    pub const ALL: [Self; 4] = [Self::Expired, Self::Revoked, Self::Barred, Self::Untrusted];

    /// For a label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Barred => "barred",
            Self::Untrusted => "untrusted",
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Expired => 0,
            Self::Revoked => 1,
            Self::Barred => 2,
            Self::Untrusted => 3,
        }
    }
}

/// One generation of the rules. Handshakes and connections that live are judged by the same.
#[derive(Debug)]
pub struct Rules {
    config: Arc<ServerConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
    bars: Arc<Bars>,
    /// When the first of the revocation lists is outdated; from then on it refuses everybody with a certificate.
    lists_end: Option<i64>,
}

impl Rules {
    pub(crate) fn of(material: &Material, bars: Arc<Bars>) -> Result<Self, TlsError> {
        let mut provider = provider();
        let server_provider = Arc::clone(&provider);
        let algorithms = WebPkiSupportedAlgorithms { all: &P256, mapping: &*P256_SCHEME };
        Arc::make_mut(&mut provider).signature_verification_algorithms = algorithms;
        let mut verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&material.authorities), provider)
                .allow_unauthenticated();
        if !material.lists.is_empty() {
            // Strict: an outdated list refuses, and so does an authority of the chain that has no list in the file.
            verifier = verifier.with_crls(material.lists.iter().cloned()).enforce_revocation_expiration();
        }
        let verifier = verifier.build().map_err(|error| TlsError(format!("client authorities: {error}")))?;
        let mut config = ServerConfig::builder_with_provider(server_provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| TlsError(error.to_string()))?
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&material.own))));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // No resumption: every connection shows its certificate anew, to the revocation list of the day.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let lists_end = material.expiries.lists.iter().map(|end| end.at).min();
        Ok(Self { config: Arc::new(config), verifier, bars, lists_end })
    }

    /// For handshakes.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// A handshake knows everything but the bars.
    pub(crate) fn bars_nobody(&self) -> bool {
        self.bars.are_none()
    }

    pub(crate) fn lists_end(&self) -> Option<i64> {
        self.lists_end
    }

    /// Cheap: by times alone.
    pub(crate) fn outlived(&self, peer: &PeerCertificate, now: i64) -> Option<Cut> {
        let barred = || self.bars.have_ended(peer, now).then_some(Cut::Barred);
        (peer.not_after < now).then_some(Cut::Expired).or_else(barred)
    }

    /// Whether a peer would still be admitted at this Unix time, as if it shook hands now.
    pub(crate) fn judge(&self, peer: &PeerCertificate, now: i64) -> Result<(), Cut> {
        if self.bars.refuse(peer, now) {
            return Err(Cut::Barred);
        }
        let seconds = u64::try_from(now).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        match self.verifier.verify_client_cert(&peer.leaf, &peer.intermediates, time) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(error)) => Err(match error {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Cut::Expired,
                CertificateError::Revoked => Cut::Revoked,
                _ => Cut::Untrusted,
            }),
            Err(_) => Err(Cut::Untrusted),
        }
    }
}
