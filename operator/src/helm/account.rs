//! The release account's way in: a token of a short life in a kubeconfig that only this process reads, on a volatile folder.

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use allmende_crds::names;
use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, api::PostParams};

use super::{Class, ReleaseError};

/// How to reach the API server; the operator's own credentials are not part of it.
#[derive(Debug, Clone)]
pub struct Server {
    /// URL.
    pub url: String,
    /// Authorities, DER.
    pub authorities: Vec<Vec<u8>>,
}

impl Server {
    /// From the operator's own configuration.
    pub fn of(config: &kube::Config) -> Self {
        Self {
            url: config.cluster_url.to_string(),
            authorities: config.root_cert.clone().unwrap_or_default(),
        }
    }
}

/// Files of one run; removed when dropped.
#[derive(Debug)]
pub struct RunFiles {
    folder: tempfile::TempDir,
}

impl RunFiles {
    /// An own folder below the volatile one.
    pub fn new(work: &Path) -> Result<Self, ReleaseError> {
        tempfile::Builder::new()
            .prefix("helm-")
            .tempdir_in(work)
            .map(|folder| Self { folder })
            .map_err(|e| disk(&e))
    }

    /// The folder, for Helm's caches.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file that only this process may read.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf, ReleaseError> {
        let path = self.folder.path().join(name);
        let mut file = std::fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| disk(&error))?;
        file.write_all(content.as_bytes()).map_err(|error| disk(&error))?;
        Ok(path)
    }
}

fn disk(error: &std::io::Error) -> ReleaseError {
    ReleaseError {
        class: Class::NotStarted,
        words: "der Betreiber hat keinen Platz für einen Lauf; neuer Versuch folgt".to_owned(),
        detail: error.to_string(),
    }
}

/// A kubeconfig with a token of the release account that ends after `life`.
pub async fn kubeconfig(
    client: &Client,
    server: &Server,
    namespace: &str,
    life: Duration,
) -> Result<String, ReleaseError> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: Vec::new(),
            expiration_seconds: i64::try_from(life.as_secs()).ok(),
            ..Default::default()
        },
        ..Default::default()
    };
    let granted = accounts
        .create_token_request(names::RELEASE_ACCOUNT, &PostParams::default(), &request)
        .await
        .map_err(|error| ReleaseError {
            class: Class::NotStarted,
            words: "das Konto für Dienste ist noch nicht da; neuer Versuch folgt".to_owned(),
            detail: error.to_string(),
        })?;
    let token = granted.status.map(|status| status.token).unwrap_or_default();
    Ok(render(server, namespace, &token))
}

fn render(server: &Server, namespace: &str, token: &str) -> String {
    let pem: String = server
        .authorities
        .iter()
        .map(|der| {
            let body = STANDARD.encode(der);
            let lines: Vec<String> =
                body.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
            format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
        })
        .collect();
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "c", "cluster": { "server": server.url, "certificate-authority-data": STANDARD.encode(pem) } }],
        "users": [{ "name": "u", "user": { "token": token } }],
        "contexts": [{ "name": "x", "context": { "cluster": "c", "user": "u", "namespace": namespace } }],
        "current-context": "x",
    })
    .to_string()
}
