//! A registry that holds one chart, by its digest, and the chart: objects that need no running pod.

use std::{path::Path, process::Command, sync::Arc};

use allmende_testkit::etcd::tool;
use axum::{
    Router,
    body::Bytes,
    extract::{Path as UrlPath, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// Two maps, a service and a policy: several writes, and nothing that a kubelet would have to run.
const TEMPLATES: [(&str, &str); 4] = [
    (
        "one.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Values.fullnameOverride }}-one\n  labels: { app.kubernetes.io/instance: {{ .Release.Name }} }\ndata:\n  size: {{ .Values.size | quote }}\n",
    ),
    (
        "two.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Values.fullnameOverride }}-two\ndata:\n  secret: {{ .Values.existingSecret }}\n",
    ),
    (
        "service.yaml",
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Values.fullnameOverride }}\nspec:\n  selector: { app: none }\n  ports: [{ port: 80 }]\n",
    ),
    (
        "policy.yaml",
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {{ .Values.fullnameOverride }}\nspec:\n  podSelector: { matchLabels: { app: none } }\n  policyTypes: [Ingress]\n",
    ),
];

struct Blob {
    digest: String,
    media_type: &'static str,
    content: Vec<u8>,
}

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    /// `host:port`, without TLS.
    pub host: String,
    /// `oci://…@sha256:…`.
    pub chart: String,
}

impl Registry {
    /// Packs the chart and serves it.
    ///
    /// # Panics
    /// When Helm does not pack it.
    pub async fn start(folder: &Path) -> Self {
        let content = packed(folder);
        let config = json!({ "name": "note", "version": "1.0.0", "apiVersion": "v2" }).to_string();
        let (config, content) = (blob(CONFIG, config.into_bytes()), blob(CONTENT, content));
        let part = |blob: &Blob| json!({ "mediaType": blob.media_type, "digest": blob.digest, "size": blob.content.len() });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": part(&config), "layers": [part(&content)],
        });
        let manifest = blob(MANIFEST, manifest.to_string().into_bytes());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let chart = format!("oci://{host}/charts/note@{}", manifest.digest);
        let router = Router::new()
            .route("/v2/", get(|| async { "{}" }))
            .route("/v2/charts/note/{kind}/{digest}", get(serve))
            .with_state(Arc::new([manifest, config, content]));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { host, chart }
    }
}

async fn serve(
    UrlPath((_, digest)): UrlPath<(String, String)>,
    State(blobs): State<Arc<[Blob; 3]>>,
) -> Response {
    let Some(blob) = blobs.iter().find(|blob| blob.digest == digest) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, blob.media_type.to_owned()),
        (header::CONTENT_LENGTH, blob.content.len().to_string()),
        (HeaderName::from_static("docker-content-digest"), blob.digest.clone()),
    ];
    (headers, Bytes::from(blob.content.clone())).into_response()
}

fn blob(media_type: &'static str, content: Vec<u8>) -> Blob {
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&content)));
    Blob { digest, media_type, content }
}

fn packed(folder: &Path) -> Vec<u8> {
    let chart = folder.join("note");
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    std::fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: note\nversion: 1.0.0\n").unwrap();
    std::fs::write(chart.join("values.yaml"), "size: none\n").unwrap();
    for (name, text) in TEMPLATES {
        std::fs::write(chart.join("templates").join(name), text).unwrap();
    }
    let output =
        Command::new(tool("helm")).arg("package").arg(&chart).arg("-d").arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(folder.join("note-1.0.0.tgz")).unwrap()
}
