//! Who calls: TLS 1.3 with client certificates, access tokens, and the identity that a verified one names.
//!
//! * [`Identity`] is read from the one `allmende://` URI in a *verified* leaf certificate or from a verified token, and from nothing else.
//! * [`ServerTls`] and [`Acceptor`] are the server's side: reload, revocation (also of connections that live), handshakes apart from the
//!   accept loop.
//! * [`token`] checks access tokens of configured issuers, which name an identity as well.
//! * [`signer`] and [`CertificateRequest`]: how a certificate comes to be.
//! * [`client`] is the callers' side.

pub mod acceptor;
mod bars;
mod caller;
pub mod client;
mod expiry;
pub mod http_client;
mod identity;
mod live;
mod material;
mod peer;
mod request;
mod rules;
mod server_tls;
pub mod signer;
pub mod token;

pub use acceptor::{Acceptor, AcceptorLimits, Connection, HandshakeCounts};
pub use bars::{Bar, Bars};
pub use caller::Caller;
pub use expiry::Expiry;
pub use identity::Identity;
pub use material::ServerTlsPaths;
pub use peer::PeerCertificate;
pub use request::{CertificateRequest, KeyAndRequest, RequestError};
pub use rules::{Cut, Rules};
pub use server_tls::{ServerTls, TlsError};

/// Chooses the one crypto provider of the process. To be called first thing in `main`; a second call changes nothing.
pub fn install_crypto_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
