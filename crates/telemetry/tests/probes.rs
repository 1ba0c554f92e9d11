//! The listener for probes and metrics, asked over HTTP.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in what sets it up")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use allmende_telemetry::{Probes, register_build_info, serve};
use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn readiness_follows_the_program_and_metrics_are_open_metrics() {
    let mut registry = Registry::default();
    register_build_info(&mut registry, "api", "0.1.0");
    let ready = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&ready);
    let probes = Probes {
        registry: Arc::new(registry),
        live: Arc::new(|| true),
        ready: Arc::new(move || asked.load(Ordering::Relaxed)),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, probes, async {
        let _ = stopped.await;
    }));
    assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
    assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 503"));
    ready.store(true, Ordering::Relaxed);
    assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    let metrics = get(address, "/metrics").await;
    assert!(metrics.contains("application/openmetrics-text"), "{metrics}");
    assert!(metrics.contains(r#"allmende_build_info{program="api",version="0.1.0"} 1"#), "{metrics}");
    assert!(metrics.trim_end().ends_with("# EOF"), "{metrics}");
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), serving).await.unwrap().unwrap().unwrap();
}
