//! Where tokens are kept: one file a context, readable by its owner alone.

use std::{
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::PathBuf,
};

use allmende_identity::http_client::percent_encoded;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{config, failure::Failure};

/// Life of a token whose provider does not say, seconds.
const LIFE: i64 = 60;

/// What the provider gave. Not `Debug`: it must not end in a log.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    #[serde(default)]
    pub(crate) id_token: Option<String>,
    /// When the access token ends, seconds since 1970.
    pub(crate) expires_at: i64,
}

impl Tokens {
    /// From a provider's answer; none when it holds no bearer token.
    pub(super) fn of(answer: &Value, issuer: &str, client_id: &str, now: i64) -> Option<Self> {
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        text("token_type").filter(|kind| kind.eq_ignore_ascii_case("bearer"))?;
        let life = answer.get("expires_in").and_then(Value::as_i64).unwrap_or(LIFE).clamp(0, 86_400);
        Some(Self {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            access_token: text("access_token")?.to_owned(),
            refresh_token: text("refresh_token").map(str::to_owned),
            id_token: text("id_token").map(str::to_owned),
            expires_at: now.saturating_add(life),
        })
    }

    /// When the ID token ends, as it says itself. It came from the provider over TLS, so nobody has to check its signature here.
    pub(super) fn id_token_end(&self) -> Option<i64> {
        let payload = self.id_token.as_deref()?.split('.').nth(1)?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        claims.get("exp")?.as_i64()
    }
}

/// See the module.
pub(crate) struct TokenFile(PathBuf);

impl TokenFile {
    /// Of a context, beside the configuration.
    pub(crate) fn of(context: &str) -> Result<Self, Failure> {
        let folder = config::path()?.with_file_name("tokens");
        Ok(Self(folder.join(format!("{}.json", percent_encoded(context)))))
    }

    /// What it holds; none when there is no file.
    pub(crate) fn read(&self) -> Result<Option<Tokens>, Failure> {
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file(&self.0, &error)),
        };
        let mode =
            std::fs::metadata(&self.0).map_err(|error| Failure::file(&self.0, &error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Failure::Usage(format!(
                "{}: is readable for others: delete it (`allmende logout`) and sign in again",
                self.0.display()
            )));
        }
        // The parser's words would repeat what the file holds.
        serde_json::from_str(&text).map(Some).map_err(|_| {
            Failure::Usage(format!(
                "{}: is damaged: `allmende logout`, then `allmende login`",
                self.0.display()
            ))
        })
    }

    /// Waits until nobody else renews; until the file that comes back is dropped nobody else does.
    pub(crate) fn lock(&self) -> Result<std::fs::File, Failure> {
        let path = self.0.with_extension("lock");
        let file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let locked = file.and_then(|file| file.lock().map(|()| file));
        locked.map_err(|error| Failure::file(&path, &error))
    }

    /// Whole or not at all, and never readable for others, not even for a moment.
    pub(crate) fn write(&self, tokens: &Tokens) -> Result<(), Failure> {
        let text = serde_json::to_string(tokens)
            .map_err(|_| Failure::Local("tokens cannot be written".to_owned()))?;
        if let Some(folder) = self.0.parent() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|error| Failure::file(folder, &error))?;
        }
        let beside = self.0.with_extension(format!("{}.new", uuid::Uuid::new_v4().simple()));
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| std::fs::rename(&beside, &self.0));
        written.map_err(|error| Failure::file(&self.0, &error))
    }

    /// Says whether there was one.
    pub(crate) fn delete(&self) -> Result<bool, Failure> {
        match std::fs::remove_file(&self.0) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Failure::file(&self.0, &error)),
        }
    }
}
