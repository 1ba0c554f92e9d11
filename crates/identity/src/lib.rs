//! Who calls: TLS 1.3 with client certificates, access tokens, and the identity that a verified one names.
//!
//! * [`Identity`] is read from the one `allmende://` URI in a *verified* leaf certificate or from a verified token, and from nothing else.
//! * [`ServerTls`] and [`Acceptor`] are the server's side: reload, revocation, handshakes apart from the accept loop.
//! * [`token`] checks access tokens of configured issuers, which name an identity as well.
//! * [`client`] is the callers' side.

pub mod acceptor;
mod caller;
pub mod client;
pub mod http_client;
mod identity;
mod server_tls;
pub mod token;

pub use acceptor::{Acceptor, AcceptorLimits, HandshakeCounts};
pub use caller::Caller;
pub use identity::Identity;
pub use server_tls::{ServerTls, ServerTlsPaths, TlsError};

/// Chooses the one crypto provider of the process. To be called first thing in `main`; a second call changes nothing.
pub fn install_crypto_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
