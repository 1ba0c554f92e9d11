//! The callers' side: a channel over TLS 1.3 with a client certificate. Files are read at each new connection, so that a renewed
//! certificate needs no restart.

use std::{
    future::Future,
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, version::TLS13};
use rustls_pki_types::{PrivateKeyDer, ServerName, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use crate::{
    expiry::{self, Expiry},
    material::{certificates, unreadable},
    server_tls::TlsError,
};

/// Longest wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Where a caller's files lie.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// Authorities of the server, PEM.
    pub ca: PathBuf,
    /// Own chain and key, PEM; none: no identity.
    pub own: Option<(PathBuf, PathBuf)>,
}

impl ClientTls {
    /// When what the files hold now ends; a file that cannot be read has no end.
    pub fn expiries(&self) -> Vec<Expiry> {
        let of = |path: &PathBuf, kind| -> Vec<Expiry> {
            let all = certificates(path).unwrap_or_default();
            all.iter().filter_map(|der| expiry::of_certificate(kind, der)).collect()
        };
        let own = self.own.as_ref().map(|(cert, _)| of(cert, "own-certificate"));
        own.into_iter().flatten().chain(of(&self.ca, "authority")).collect()
    }

    /// One connection, after its handshake.
    ///
    /// # Errors
    /// When a file cannot be used now, nobody answers in time, or the server's certificate does not fit the name.
    pub async fn dial(&self, host: &str, port: u16) -> io::Result<TlsStream<TcpStream>> {
        let config = self.config().map_err(io::Error::other)?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connect = async {
            let socket = TcpStream::connect((host, port)).await?;
            socket.set_nodelay(true)?;
            TlsConnector::from(Arc::new(config)).connect(name, socket).await
        };
        tokio::time::timeout(CONNECT_LIMIT, connect).await?
    }

    fn config(&self) -> Result<ClientConfig, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&self.ca)? {
            roots.add(authority).map_err(|error| unreadable(&self.ca, &error))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| TlsError(error.to_string()))?
            .with_root_certificates(roots);
        let mut config = match &self.own {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = certificates(cert)?;
                let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
                builder.with_client_auth_cert(chain, key_der).map_err(|error| unreadable(cert, &error))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

/// A channel to `endpoint` (`https://host:port`). Connects when first used, and again when the connection is lost.
///
/// # Errors
/// When the endpoint is malformed or a file cannot be used now.
pub fn channel(endpoint: &str, tls: ClientTls) -> Result<Channel, TlsError> {
    // Tell a wrong file at once, not at the first call.
    tls.config()?;
    channel_for_later(endpoint, tls)
}

/// The same, for files that may come later: without them a call cannot connect.
///
/// # Errors
/// When the endpoint is malformed.
pub fn channel_for_later(endpoint: &str, tls: ClientTls) -> Result<Channel, TlsError> {
    let uri: Uri =
        endpoint.parse().map_err(|_| TlsError(format!("{endpoint}: expected https://host:port")))?;
    if uri.scheme_str() != Some("https") || uri.host().is_none() {
        return Err(TlsError(format!("{endpoint}: expected https://host:port")));
    }
    // tonic must not add TLS of its own: the connector does.
    let plain = Endpoint::from_shared(endpoint.replacen("https://", "http://", 1))
        .map_err(|error| TlsError(format!("{endpoint}: {error}")))?
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .connect_timeout(CONNECT_LIMIT);
    Ok(plain.connect_with_connector_lazy(Connector { tls }))
}

#[derive(Debug, Clone)]
struct Connector {
    tls: ClientTls,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.tls.clone();
        Box::pin(async move {
            let host = uri.host().ok_or("no host")?.trim_matches(['[', ']']).to_owned();
            let port = uri.port_u16().unwrap_or(443);
            let stream = tls.dial(&host, port).await?;
            Ok(TokioIo::new(stream))
        })
    }
}
