//! The few HTTPS requests of signing in: discovery, key set, token endpoints. Bounded in time and size, and redirects are not followed.

use std::{path::Path, sync::Arc, time::Duration};

use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use serde_json::Value;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{
    material::{certificates, unreadable},
    server_tls::TlsError,
};

/// Longest request, connection and answer together.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Largest answer.
const SIZE_LIMIT: usize = 256 << 10;

/// A request that did not work out.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct HttpError(String);

impl HttpError {
    pub(crate) fn content(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct HttpClient {
    tls: Arc<ClientConfig>,
    plain_loopback: bool,
}

impl HttpClient {
    /// Trusts the authorities in `ca`, or those of the system. `plain_loopback` also allows `http://` on loopback.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn new(ca: Option<&Path>, plain_loopback: bool) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        match ca {
            Some(path) => {
                for authority in certificates(path)? {
                    roots.add(authority).map_err(|error| unreadable(path, &error))?;
                }
            }
            // Some of a system's authorities may be unreadable for rustls; the others serve.
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: Arc::new(tls), plain_loopback })
    }

    /// The discovery document of an issuer; it must name that issuer.
    ///
    /// # Errors
    /// As [`get_json`](Self::get_json), or when the document is of another issuer.
    pub async fn discover(&self, issuer: &str) -> Result<Value, HttpError> {
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let document = self.get_json(&address).await?;
        if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err(HttpError(format!("{address} is the document of another issuer")));
        }
        Ok(document)
    }

    /// A JSON document.
    ///
    /// # Errors
    /// When it cannot be had within limits, or the answer is anything but 200 with JSON.
    pub async fn get_json(&self, address: &str) -> Result<Value, HttpError> {
        let (status, body) = self.send(Method::GET, address, None).await?;
        if status != StatusCode::OK {
            return Err(HttpError(format!("{address} answers {status}")));
        }
        serde_json::from_slice(&body).map_err(|_| HttpError(format!("{address} answers no JSON")))
    }

    /// Posts a form; gives the status and the answer's JSON (null when it has none).
    ///
    /// # Errors
    /// When there is no answer within limits.
    pub async fn post_form(
        &self,
        address: &str,
        fields: &[(&str, &str)],
    ) -> Result<(StatusCode, Value), HttpError> {
        let form: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let (status, body) = self.send(Method::POST, address, Some(form.join("&"))).await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    async fn send(
        &self,
        method: Method,
        address: &str,
        form: Option<String>,
    ) -> Result<(StatusCode, Bytes), HttpError> {
        tokio::time::timeout(TIME_LIMIT, self.exchange(method, address, form))
            .await
            .map_err(|_| HttpError(format!("{address} did not answer within {} s", TIME_LIMIT.as_secs())))?
            .map_err(|error| HttpError(format!("{address}: {error}")))
    }

    async fn exchange(
        &self,
        method: Method,
        address: &str,
        form: Option<String>,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let uri: Uri = address.parse()?;
        let host = uri.host().ok_or("no host")?.to_owned();
        let bare = host.trim_matches(['[', ']']).to_owned();
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if self.plain_loopback && is_loopback(&bare) => false,
            _ => return Err("only https:// is taken".into()),
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let host_header = uri.authority().map_or(host.as_str(), |authority| authority.as_str());
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, host_header)
            .header(header::ACCEPT, "application/json");
        if form.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let request = request.body(Full::new(Bytes::from(form.unwrap_or_default())))?;
        let socket = TcpStream::connect((bare.as_str(), port)).await?;
        if !secure {
            return over(socket, request).await;
        }
        let name = ServerName::try_from(bare)?;
        over(TlsConnector::from(Arc::clone(&self.tls)).connect(name, socket).await?, request).await
    }
}

async fn over<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), SIZE_LIMIT).collect().await?.to_bytes();
        Ok((status, body))
    }
    .await;
    driver.abort();
    answer
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// RFC 3986: everything but unreserved characters as `%XX` of its UTF-8 bytes.
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The opposite; none when a `%` is not followed by two hex digits, or the bytes are no UTF-8.
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
