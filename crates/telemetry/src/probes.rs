//! `/metrics` (OpenMetrics), `/livez` and `/readyz` on a plain listener of their own.

use std::{future::Future, sync::Arc};

use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse,
    routing::get,
};
use prometheus_client::{encoding::text::encode, metrics::info::Info, registry::Registry};
use tokio::net::TcpListener;

/// What the probes answer with.
#[derive(Clone)]
pub struct Probes {
    /// All metrics of the program.
    pub registry: Arc<Registry>,
    /// Does the program make progress? A restart helps when not.
    pub live: Arc<dyn Fn() -> bool + Send + Sync>,
    /// May it be given work?
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Says which program in which version this is: `allmende_build_info{program="api",version="0.1.0"} 1`.
pub fn register_build_info(registry: &mut Registry, program: &'static str, version: &'static str) {
    let info = Info::new(vec![("program", program), ("version", version)]);
    registry.register("allmende_build", "Program and version", info);
}

/// Serves until `shutdown` ends.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    probes: Probes,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|State(probes): State<Probes>| async move { answer((probes.live)()) }))
        .route("/readyz", get(|State(probes): State<Probes>| async move { answer((probes.ready)()) }))
        .with_state(probes);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

async fn metrics(State(probes): State<Probes>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &probes.registry) {
        Ok(()) => (
            StatusCode::OK,
            [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")],
            text,
        ),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(CONTENT_TYPE, "text/plain")],
            "metrics cannot be written".to_owned(),
        ),
    }
}

fn answer(good: bool) -> (StatusCode, &'static str) {
    if good { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not now\n") }
}
