//! An issuer of access tokens in this process, on loopback: discovery, key set, rotation, and tokens as wrong as a test wants them.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A key to sign with.
#[derive(Clone)]
pub struct SigningKey {
    /// Its id.
    pub kid: String,
    key: EncodingKey,
    /// Its public half.
    pub public: Value,
}

impl SigningKey {
    /// A fresh P-256 key.
    ///
    /// # Panics
    /// When there is no randomness.
    pub fn fresh(kid: &str) -> Self {
        let pair = rcgen::KeyPair::generate().expect("a key");
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        let jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).expect("a public key");
        let mut public = serde_json::to_value(jwk).expect("JSON");
        public["kid"] = json!(kid);
        public["use"] = json!("sig");
        Self { kid: kid.to_owned(), key, public }
    }

    /// `header.claims.signature`, whatever they say; the signature is ES256 of this key.
    ///
    /// # Panics
    /// When the key cannot sign.
    pub fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, Algorithm::ES256).expect("a signature");
        format!("{message}.{signature}")
    }
}

#[derive(Default)]
struct Shared {
    url: String,
    published: Mutex<Vec<Value>>,
    reads: AtomicU64,
    away: AtomicBool,
}

/// See the module.
pub struct TestIssuer {
    shared: Arc<Shared>,
    current: Mutex<SigningKey>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for TestIssuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestIssuer {
    /// Listens on a free port of loopback.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let key = SigningKey::fresh("one");
        let shared = Arc::new(Shared {
            url: format!("http://{address}"),
            published: Mutex::new(vec![key.public.clone()]),
            ..Shared::default()
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(socket, Arc::clone(&serving)));
            }
        });
        Self { shared, current: Mutex::new(key), task }
    }

    /// `iss`.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// How often the key set was read.
    pub fn reads(&self) -> u64 {
        self.shared.reads.load(Ordering::SeqCst)
    }

    /// Answers 503 from now on, or no longer.
    pub fn set_away(&self, away: bool) {
        self.shared.away.store(away, Ordering::SeqCst);
    }

    /// Signs with a fresh key from now on and publishes only that one; gives the old one.
    pub fn rotate(&self, kid: &str) -> SigningKey {
        let fresh = SigningKey::fresh(kid);
        *lock(&self.shared.published) = vec![fresh.public.clone()];
        std::mem::replace(&mut *lock(&self.current), fresh)
    }

    /// Publishes this key set as it is.
    pub fn publish(&self, keys: Vec<Value>) {
        *lock(&self.shared.published) = keys;
    }

    /// The key in use.
    pub fn key(&self) -> SigningKey {
        lock(&self.current).clone()
    }

    /// The header of a good token.
    pub fn header(&self) -> Value {
        json!({ "alg": "ES256", "typ": "at+jwt", "kid": self.key().kid })
    }

    /// The claims of a good token, issued at `now` for ten minutes.
    pub fn claims(&self, subject: &str, audience: &str, now: i64) -> Value {
        json!({
            "iss": self.url(), "sub": subject, "aud": audience, "client_id": "allmende-cli",
            "iat": now, "nbf": now, "exp": now + 600, "jti": subject,
        })
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.key().sign(&self.header().to_string(), &claims.to_string())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request, one answer.
async fn answer(mut socket: TcpStream, shared: Arc<Shared>) {
    let mut request = Vec::new();
    let mut part = [0_u8; 1024];
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        match socket.read(&mut part).await {
            Ok(count) if count > 0 && request.len() < 16 << 10 => request.extend_from_slice(&part[..count]),
            _ => return,
        }
    }
    let (status, body) = if shared.away.load(Ordering::SeqCst) {
        ("503 Service Unavailable", Value::Null)
    } else if request.starts_with(b"GET /.well-known/openid-configuration ") {
        ("200 OK", json!({ "issuer": shared.url, "jwks_uri": format!("{}/keys", shared.url) }))
    } else if request.starts_with(b"GET /keys ") {
        shared.reads.fetch_add(1, Ordering::SeqCst);
        ("200 OK", json!({ "keys": *lock(&shared.published) }))
    } else {
        ("404 Not Found", Value::Null)
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = socket.shutdown().await;
}
