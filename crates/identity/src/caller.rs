//! What the transport knows of a caller; put into every request of a connection.

use std::{net::SocketAddr, sync::Arc};

use http::Extensions;

use crate::{identity::Identity, peer::PeerCertificate};

/// See the module.
#[derive(Debug, Clone)]
pub struct Caller {
    /// From the verified certificate; none when none was shown.
    pub identity: Option<Identity>,
    /// That certificate.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// The other end.
    pub remote: SocketAddr,
}

impl Caller {
    /// The caller of a request, http or tonic.
    pub fn from_extensions(extensions: &Extensions) -> Option<&Self> {
        extensions.get::<Self>()
    }
}
