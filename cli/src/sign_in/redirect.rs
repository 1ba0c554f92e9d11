//! The browser on this machine comes back to a port on loopback (RFC 8252), with a code that only we can use (PKCE, RFC 7636).

use std::{process::Stdio, time::Duration};

use allmende_identity::http_client::{percent_decoded, percent_encoded};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{Provider, Tokens, now, random};
use crate::{failure::Failure, language::Lang, output::note};

/// Longest wait for the person.
const LIMIT: Duration = Duration::from_secs(300);
/// Longest wait for one request of a browser, and its largest head.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
const HEAD_MAX: usize = 16 << 10;

/// Tells the address, opens it where that is wished, and waits for the browser to come back.
pub(crate) async fn sign_in(provider: &Provider, browser: bool, lang: Lang) -> Result<Tokens, Failure> {
    let local = |error: std::io::Error| Failure::Local(format!("127.0.0.1: {error}"));
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(local)?;
    let redirect = format!("http://127.0.0.1:{}/callback", listener.local_addr().map_err(local)?.port());
    let (verifier, state) = (random(), random());
    let address = address(provider, &redirect, &verifier, &state)?;
    note(&format!("{} {address}", lang.pick("Im Browser öffnen:", "Open in the browser:")));
    if browser {
        // Without a browser the person has the address.
        let _ = std::process::Command::new("xdg-open")
            .arg(&address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
    }
    let waited = tokio::time::timeout(LIMIT, code(&listener, &state, &provider.issuer, lang)).await;
    let code = waited.map_err(|_| {
        Failure::OutOfTime(lang.pick("niemand hat sich angemeldet", "nobody signed in").to_owned())
    })??;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", redirect.as_str()),
        ("client_id", provider.client_id.as_str()),
        ("code_verifier", verifier.as_str()),
    ];
    provider.tokens(&fields, now()).await
}

fn address(provider: &Provider, redirect: &str, verifier: &str, state: &str) -> Result<String, Failure> {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    let fields = [
        ("response_type", "code"),
        ("client_id", provider.client_id.as_str()),
        ("redirect_uri", redirect),
        ("scope", provider.scope.as_str()),
        ("state", state),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    let query: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
    let endpoint = provider.endpoint("authorization_endpoint")?;
    let mark = if endpoint.contains('?') { '&' } else { '?' };
    Ok(format!("{endpoint}{mark}{}", query.join("&")))
}

/// Waits for the answer with our state; whatever else knocks is sent away.
async fn code(listener: &TcpListener, state: &str, issuer: &str, lang: Lang) -> Result<String, Failure> {
    loop {
        let Ok((mut socket, _)) = listener.accept().await else { continue };
        let Ok(Some(target)) = tokio::time::timeout(REQUEST_LIMIT, target(&mut socket)).await else {
            continue;
        };
        match answer(&target, state, issuer) {
            None => reply(&mut socket, "404 Not Found", "").await,
            Some(outcome) => {
                let text = match &outcome {
                    Ok(_) => lang
                        .pick("Angemeldet. Dieses Fenster kann zu.", "Signed in. You may close this window."),
                    Err(_) => lang.pick("Nicht angemeldet.", "Not signed in."),
                };
                reply(&mut socket, "200 OK", text).await;
                return outcome;
            }
        }
    }
}

/// What the provider says in the address it sends the browser to; none: it is not of the provider.
fn answer(target: &str, state: &str, issuer: &str) -> Option<Result<String, Failure>> {
    let query = target.strip_prefix("/callback?")?;
    let value = |name: &str| {
        let mut values =
            query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
        let first = values.next().and_then(|(_, value)| percent_decoded(&value.replace('+', " ")));
        // Twice is nothing: somebody mixes two answers.
        if values.next().is_some() { None } else { first }
    };
    if value("state").as_deref() != Some(state) {
        return None;
    }
    // RFC 9207: an answer of another provider must not be taken for ours.
    if value("iss").is_some_and(|named| named != issuer) {
        return Some(Err(Failure::SignIn("the answer came from another provider".to_owned())));
    }
    Some(value("code").filter(|code| !code.is_empty()).ok_or_else(|| {
        Failure::SignIn(format!("the provider refused: {}", value("error").unwrap_or_default()))
    }))
}

/// The target of a GET request.
async fn target(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut part = [0_u8; 1024];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let count = socket.read(&mut part).await.ok().filter(|count| *count > 0)?;
        head.extend_from_slice(&part[..count]);
        if head.len() > HEAD_MAX {
            return None;
        }
    }
    let text = String::from_utf8(head).ok()?;
    let mut words = text.lines().next()?.split(' ');
    if words.next() == Some("GET") { words.next().map(str::to_owned) } else { None }
}

async fn reply(socket: &mut TcpStream, status: &str, text: &str) {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    let _ = socket.write_all(format!("{head}{text}").as_bytes()).await;
    let _ = socket.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_with_our_state_of_our_provider_is_taken() {
        let read = |target: &str| answer(target, "s1", "https://id.example").map(Result::ok);
        assert_eq!(read("/callback?code=a%2Fb&state=s1"), Some(Some("a/b".to_owned())));
        assert_eq!(
            read("/callback?code=a&state=s1&iss=https%3A%2F%2Fid.example"),
            Some(Some("a".to_owned()))
        );
        assert_eq!(read("/callback?code=a&state=s1&iss=https%3A%2F%2Fevil.example"), Some(None));
        assert_eq!(read("/callback?error=access_denied&state=s1"), Some(None));
        assert_eq!(read("/callback?code=a&code=b&state=s1"), Some(None));
        for stranger in [
            "/callback?code=a&state=s2",
            "/callback?code=a",
            "/favicon.ico",
            "/",
            "/callback?code=a&state=s1&state=s2",
        ] {
            assert_eq!(read(stranger), None, "{stranger}");
        }
    }
}
