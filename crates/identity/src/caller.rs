//! What the transport knows of a caller; put into every request of a connection.

use std::net::SocketAddr;

use http::Extensions;

use crate::identity::Identity;

/// See the module.
#[derive(Debug, Clone)]
pub struct Caller {
    /// From the verified certificate; none when none was shown or it names nobody.
    pub identity: Option<Identity>,
    /// The other end.
    pub remote: SocketAddr,
}

impl Caller {
    /// The caller of a request, http or tonic.
    pub fn from_extensions(extensions: &Extensions) -> Option<&Self> {
        extensions.get::<Self>()
    }
}
