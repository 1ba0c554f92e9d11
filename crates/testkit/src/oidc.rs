//! A real OpenID provider: npm `oidc-provider`, run by node as a child, with a person at a browser who agrees to everything.

use std::{path::PathBuf, process::Stdio, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

/// Longest wait for the start, and for the person.
const LIMIT: Duration = Duration::from_secs(60);

/// See the module. Ends with its test.
#[derive(Debug)]
pub struct OidcProvider {
    issuer: String,
    _child: Child,
}

/// Where `deploy/local/tools/install oidc` puts the provider.
fn folder() -> PathBuf {
    let cache = std::env::var_os("ALLMENDE_CACHE").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/allmende"));
    cache.or(home).unwrap_or_default().join("npm")
}

impl OidcProvider {
    /// Starts it on a free port. None, with a word on standard error, where it is not installed and `CI` is not set.
    ///
    /// # Panics
    /// When it is not installed and `CI` is set, or does not start.
    pub async fn start() -> Option<Self> {
        let folder = folder();
        if !folder.join("node_modules/oidc-provider").is_dir() {
            let words = "oidc-provider is not installed: deploy/local/tools/install oidc";
            assert!(std::env::var_os("CI").is_none(), "{words}");
            eprintln!("skipped: {words}");
            return None;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/oidc/provider.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let first = tokio::time::timeout(LIMIT, lines.next_line()).await.expect("a start in time");
        let said: Value = serde_json::from_str(&first.expect("output").expect("a line")).expect("JSON");
        let issuer = said["issuer"].as_str().expect("an issuer").to_owned();
        // It may say more: a closed pipe would end it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(Self { issuer, _child: child })
    }

    /// `iss`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs with a fresh key from now on; the one before stays published until the next time.
    pub async fn rotate(&self) {
        self.control("rotate").await;
    }

    /// Who sits at the browser from now on.
    pub async fn person(&self, id: &str) {
        self.control(&format!("person?id={id}")).await;
    }

    /// The person opens this address and clicks through; gives the address of the last page and its status.
    ///
    /// # Panics
    /// When the pages go round in circles.
    pub async fn visit(&self, url: &str) -> (String, u64) {
        let mut encoded = String::new();
        for byte in url.bytes() {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        let page = self.control(&format!("visit?url={encoded}")).await;
        (page["url"].as_str().expect("an address").to_owned(), page["status"].as_u64().expect("a status"))
    }

    /// An access token and an ID token of the person.
    ///
    /// # Panics
    /// When the provider gives none.
    pub async fn tokens(&self) -> (String, String) {
        let answer = self.control("tokens").await;
        let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        (text("access_token"), text("id_token"))
    }

    async fn control(&self, what: &str) -> Value {
        let host = self.issuer.strip_prefix("http://").expect("http");
        let exchange = async {
            let mut socket = TcpStream::connect(host).await?;
            let request =
                format!("POST /control/{what} HTTP/1.0\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n");
            socket.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await?;
            Ok::<String, std::io::Error>(answer)
        };
        let answer =
            tokio::time::timeout(LIMIT, exchange).await.expect("an answer in time").expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        assert!(head.contains(" 200 "), "{what}: {head} {body}");
        serde_json::from_str(body).expect("JSON")
    }
}

/// A claim of a token, without any check.
///
/// # Panics
/// When it is no token.
pub fn claim(token: &str, name: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    let bytes = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice::<Value>(&bytes).expect("JSON")[name].clone()
}
