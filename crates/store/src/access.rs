//! How etcd is reached: where, under which TLS, as which user. Secrets come from files and are never shown.

use std::{fmt, path::PathBuf, time::Duration};

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};

use crate::error::StoreError;

/// Limit of one request, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How to reach etcd.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// `https://etcd-0.example.org:2379`, one or more; `http://` only without TLS and user.
    pub endpoints: Vec<String>,
    /// Limit of one request.
    pub timeout: Duration,
    /// Authority, certificate and key; none: plain HTTP.
    pub tls: Option<StoreTls>,
    /// The program's own user; none: etcd does not ask, or takes the certificate's common name as the user.
    pub user: Option<StoreUser>,
}

/// TLS towards etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreTls {
    authority: Vec<u8>,
    own: Option<(Vec<u8>, Vec<u8>)>,
}

/// A user of etcd.
#[derive(Clone)]
pub struct StoreUser {
    name: String,
    password: String,
}

/// The settings of a program, as they are given: files are named, not yet read.
#[derive(Debug, Clone, Default)]
pub struct EtcdAccess {
    /// As [`StoreConfig::endpoints`].
    pub endpoints: Vec<String>,
    /// Authorities of etcd's certificate, PEM.
    pub ca: Option<PathBuf>,
    /// Certificate chain of this program, PEM (P-256).
    pub cert: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<PathBuf>,
    /// Name of the user.
    pub user: Option<String>,
    /// File with the user's password; a line end after it does not count.
    pub password_file: Option<PathBuf>,
}

impl fmt::Debug for StoreTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreTls").field("own_certificate", &self.own.is_some()).finish_non_exhaustive()
    }
}

impl fmt::Debug for StoreUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreUser").field("name", &self.name).finish_non_exhaustive()
    }
}

impl StoreConfig {
    /// Plain HTTP, with the usual time limit of five seconds.
    pub fn new(endpoints: Vec<String>) -> Self {
        Self { endpoints, timeout: TIMEOUT, tls: None, user: None }
    }

    /// The client's options.
    ///
    /// # Errors
    /// [`StoreError::Settings`] with everything that does not fit together.
    pub(crate) fn options(&self) -> Result<ConnectOptions, StoreError> {
        let wrong = mismatches(&self.endpoints, self.tls.is_some(), self.user.is_some());
        if !wrong.is_empty() {
            return Err(StoreError::Settings(wrong.join("; ")));
        }
        let mut options = ConnectOptions::new()
            .with_timeout(self.timeout)
            .with_connect_timeout(self.timeout)
            .with_keep_alive(Duration::from_secs(10), Duration::from_secs(5))
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        if let Some(tls) = &self.tls {
            options = options.with_tls(tls.options());
        }
        if let Some(user) = &self.user {
            // etcd's tokens end after five minutes without a call.
            options = options.with_user(&user.name, &user.password).with_auto_token_refresh(true);
        }
        Ok(options)
    }
}

impl StoreTls {
    fn options(&self) -> TlsOptions {
        let tls = TlsOptions::new().ca_certificate(Certificate::from_pem(&self.authority));
        match &self.own {
            Some((chain, key)) => tls.identity(Identity::from_pem(chain, key)),
            None => tls,
        }
    }
}

impl EtcdAccess {
    /// Reads the files.
    ///
    /// # Errors
    /// [`StoreError::Settings`] with everything that is missing, unreadable or does not fit together; never what a file holds.
    pub fn load(self) -> Result<StoreConfig, StoreError> {
        let mut wrong = mismatches(&self.endpoints, self.ca.is_some(), self.user.is_some());
        let mut read = |what: &str, path: &Option<PathBuf>| -> Option<Vec<u8>> {
            let path = path.as_ref()?;
            match std::fs::read(path) {
                Ok(content) if !content.trim_ascii().is_empty() => return Some(content),
                Ok(_) => wrong.push(format!("{what} {} is empty", path.display())),
                Err(error) => {
                    wrong.push(format!("{what} {} cannot be read: {}", path.display(), error.kind()));
                }
            }
            None
        };
        let authority = read("etcd-ca", &self.ca);
        let (chain, key) = (read("etcd-cert", &self.cert), read("etcd-key", &self.key));
        let password = read("etcd-password-file", &self.password_file).map(String::from_utf8);
        if self.cert.is_some() != self.key.is_some() {
            wrong.push("etcd-cert and etcd-key are given together or not at all".to_owned());
        }
        if self.cert.is_some() && self.ca.is_none() {
            wrong.push("etcd-cert needs etcd-ca".to_owned());
        }
        if self.user.is_some() != self.password_file.is_some() {
            wrong.push("etcd-user and etcd-password-file are given together or not at all".to_owned());
        }
        if matches!(password, Some(Err(_))) {
            wrong.push("etcd-password-file is no text".to_owned());
        }
        if !wrong.is_empty() {
            return Err(StoreError::Settings(wrong.join("; ")));
        }
        let password = password.and_then(Result::ok);
        Ok(StoreConfig {
            endpoints: self.endpoints,
            timeout: TIMEOUT,
            tls: authority.map(|authority| StoreTls { authority, own: chain.zip(key) }),
            user: self.user.zip(password).map(|(name, text)| StoreUser {
                name,
                password: text.trim_end_matches(['\r', '\n']).to_owned(),
            }),
        })
    }
}

/// What of addresses, TLS and user does not fit together.
fn mismatches(endpoints: &[String], tls: bool, user: bool) -> Vec<String> {
    let plain = endpoints.iter().any(|endpoint| !endpoint.starts_with("https://"));
    let secure = endpoints.iter().any(|endpoint| endpoint.starts_with("https://"));
    let mut wrong = Vec::new();
    let mut refuse = |applies: bool, text: &str| {
        if applies {
            wrong.push(text.to_owned());
        }
    };
    refuse(endpoints.is_empty(), "etcd-endpoints names no endpoint");
    refuse(plain && secure, "etcd-endpoints are all https:// or all http://");
    refuse(secure && !tls, "an https:// endpoint of etcd needs etcd-ca: the authority of its certificate");
    refuse(plain && tls, "etcd-ca and an http:// endpoint of etcd exclude each other: write https://");
    refuse(plain && user, "a password is sent to etcd under TLS alone: write https:// and give etcd-ca");
    wrong
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::path::Path;

    use super::*;

    fn file(folder: &Path, name: &str, content: &str) -> Option<PathBuf> {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        Some(path)
    }

    fn at(endpoint: &str) -> EtcdAccess {
        EtcdAccess { endpoints: vec![endpoint.to_owned()], ..EtcdAccess::default() }
    }

    fn refusal(access: EtcdAccess) -> String {
        access.load().unwrap_err().to_string()
    }

    #[test]
    fn addresses_and_tls_must_fit_together() {
        let folder = tempfile::tempdir().unwrap();
        let ca = || file(folder.path(), "ca.crt", "authority");
        assert!(at("http://a:2379").load().is_ok());
        assert!(EtcdAccess { ca: ca(), ..at("https://a:2379") }.load().is_ok());
        assert!(refusal(at("https://a:2379")).contains("needs etcd-ca"));
        assert!(refusal(EtcdAccess { ca: ca(), ..at("http://a:2379") }).contains("exclude each other"));
        let both = vec!["http://a:2379".to_owned(), "https://b:2379".to_owned()];
        assert!(
            refusal(EtcdAccess { endpoints: both, ..EtcdAccess::default() }).contains("all https:// or all")
        );
        let unread = StoreConfig::new(vec!["https://a:2379".to_owned()]);
        assert!(matches!(unread.options(), Err(StoreError::Settings(_))), "also without files");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let access = EtcdAccess {
            ca: Some(folder.path().join("missing.crt")),
            cert: file(folder.path(), "empty.crt", "\n"),
            user: Some("allmende".to_owned()),
            ..at("http://a:2379")
        };
        let text = refusal(access);
        for part in [
            "exclude each other",
            "under TLS alone",
            "missing.crt cannot",
            "empty.crt is empty",
            "etcd-key",
            "etcd-user",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let access = EtcdAccess {
            ca: file(folder.path(), "ca.crt", "authority"),
            cert: file(folder.path(), "tls.crt", "chain"),
            key: file(folder.path(), "tls.key", "hunter-key"),
            user: Some("allmende".to_owned()),
            password_file: file(folder.path(), "password", "hunter2\n"),
            ..at("https://a:2379")
        };
        let config = access.load().unwrap();
        assert_eq!(config.user.as_ref().unwrap().password, "hunter2");
        let shown = format!("{config:?}");
        let bytes = format!("{:?}", "hunter-key".as_bytes());
        assert!(!shown.contains("hunter") && !shown.contains(&bytes), "{shown}");
        assert!(shown.contains("allmende"), "{shown}");
    }
}
