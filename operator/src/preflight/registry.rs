//! Whether the registries that charts and images come from are in reach: `GET /v2/`, which every OCI registry answers
//! (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md#determining-support>).

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::report::Verdict;

/// Longest wait for one registry.
const LIMIT: Duration = Duration::from_secs(10);

type Unreached = Box<dyn std::error::Error + Send + Sync>;

/// Asks each registry (`host` or `host:port`); `plain` ones without TLS.
pub async fn check(registries: &[String], plain: &[String]) -> Verdict {
    let mut all: Vec<(&str, bool)> = registries.iter().map(|registry| (registry.as_str(), false)).collect();
    for registry in plain {
        all.retain(|(known, _)| known != registry);
        all.push((registry, true));
    }
    let mut answers = Vec::new();
    for (registry, plain) in all {
        let answer = tokio::time::timeout(LIMIT, ask(registry, plain)).await;
        let answer = answer.unwrap_or_else(|_| Err("no answer in time".into()));
        answers.push((registry.to_owned(), answer.map_err(|error| error.to_string())));
    }
    judge(&answers)
}

/// Judges status codes and errors.
pub fn judge(answers: &[(String, Result<u16, String>)]) -> Verdict {
    if answers.is_empty() {
        return Verdict::not_proven("no registry was named", "say --registry, or set preflight.registries");
    }
    // It wants to be logged in to: it is there, and the pulls of pods have their own credentials.
    let there = |code: u16| matches!(code, 200 | 401);
    let good: Vec<&str> = answers
        .iter()
        .filter(|(_, answer)| answer.as_ref().is_ok_and(|code| there(*code)))
        .map(|(registry, _)| registry.as_str())
        .collect();
    let bad: Vec<String> = answers
        .iter()
        .filter_map(|(registry, answer)| match answer {
            Ok(code) if there(*code) => None,
            Ok(code) => Some(format!("{registry} answers {code}")),
            Err(error) => Some(format!("{registry}: {error}")),
        })
        .collect();
    if bad.is_empty() {
        return Verdict::passed(good.join(", "));
    }
    let remedy = "open the way from the cluster to the registry (firewall, proxy, certificate authority); \
                  a registry without TLS must be named in plainHttpRegistries";
    Verdict::failed(bad.join("; "), remedy)
}

async fn ask(registry: &str, plain: bool) -> Result<u16, Unreached> {
    let authority: http::uri::Authority = registry.parse()?;
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16().unwrap_or(if plain { 80 } else { 443 });
    let socket = TcpStream::connect((host.as_str(), port)).await?;
    if plain {
        return get(socket, registry).await;
    }
    let mut roots = RootCertStore::empty();
    // Some of a system's authorities may be unreadable for rustls; the others serve.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let secure = TlsConnector::from(Arc::new(tls)).connect(ServerName::try_from(host)?, socket).await?;
    get(secure, registry).await
}

async fn get<S>(stream: S, registry: &str) -> Result<u16, Unreached>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::get("/v2/").header(header::HOST, registry).body(Empty::<Bytes>::new())?;
    let status = sender.send_request(request).await.map(|response| response.status());
    driver.abort();
    Ok(status.as_ref().map(StatusCode::as_u16).map_err(ToString::to_string)?)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::{super::report::State, *};

    /// A registry that gives one answer.
    async fn registry(status: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = socket.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /v2/ HTTP/1.1\r\n"));
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            socket.write_all(answer.as_bytes()).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn a_registry_that_answers_or_asks_for_a_login_is_in_reach() {
        let (open, closed) = (registry("200 OK").await, registry("401 Unauthorized").await);
        let verdict = check(std::slice::from_ref(&open), &[open.clone(), closed.clone()]).await;
        assert_eq!(verdict, Verdict::passed(format!("{open}, {closed}")));
    }

    #[tokio::test]
    async fn everything_else_is_told_with_the_registry_and_the_reason() {
        let broken = registry("503 Service Unavailable").await;
        let nobody = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap().to_string()
        };
        let verdict = check(&[], &[broken.clone(), nobody.clone()]).await;
        assert_eq!(verdict.state, State::Failed);
        assert!(verdict.detail.contains(&format!("{broken} answers 503")), "{}", verdict.detail);
        assert!(verdict.detail.contains(&nobody), "{}", verdict.detail);
        assert_eq!(check(&[], &[]).await.state, State::NotProven);
    }
}
