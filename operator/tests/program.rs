//! The program as it is shipped, on a real API server, with Allmende's API away.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cluster;

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use allmende_testkit::{ca::TestCa, port::free_port};
use cluster::{admin, create, eventually, shared, tenant, until_condition};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Ends the program also when the test fails.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn answer(port: u16, path: &str) -> Option<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.ok()?;
    let mut text = String::new();
    socket.read_to_string(&mut text).await.ok()?;
    Some(text)
}

#[tokio::test]
async fn it_keeps_the_cluster_with_the_api_away_and_gives_the_lease_back_at_its_end() {
    let kubernetes = shared().await;
    let ca = TestCa::new();
    let own = ca.client("cluster", &["allmende://cluster/test"]);
    let (metrics, nobody) = (free_port(), free_port());
    let work = tempfile::tempdir().unwrap();
    let mut program = Program(
        Command::new(env!("CARGO_BIN_EXE_allmende-operator"))
            .env("KUBECONFIG", kubernetes.kubeconfig())
            .args([
                "--cluster",
                "test",
                "--namespace",
                "default",
                "--log-format",
                "text",
                "--require-walls=false",
            ])
            .arg(format!("--api=https://127.0.0.1:{nobody}"))
            .arg("--api-ca")
            .arg(ca.cert())
            .arg("--tls-cert")
            .arg(&own.cert)
            .arg("--tls-key")
            .arg(&own.key)
            .arg("--work-dir")
            .arg(work.path())
            .arg(format!("--metrics-listen=127.0.0.1:{metrics}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let api = create(kubernetes, &tenant("m-prog-prod", |_| {})).await;
    until_condition(&api, "m-prog-prod", "Ready", "True", "Converged").await;
    for probe in ["/livez", "/readyz"] {
        eventually(probe, async || {
            answer(metrics, probe).await.is_some_and(|text| text.starts_with("HTTP/1.1 200"))
        })
        .await;
    }
    let text = answer(metrics, "/metrics").await.unwrap();
    assert!(text.contains("allmende_operator_leader 1"), "{text}");
    assert!(
        text.contains(r#"allmende_operator_writes_total{kind="ResourceQuota",how="create"} 1"#),
        "{text}"
    );

    let pid = program.0.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    let asked = Instant::now();
    let mut ended = None;
    while ended.is_none() && asked.elapsed() < Duration::from_secs(40) {
        ended = program.0.try_wait().unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(ended.expect("the program ends").success(), "{ended:?}");
    let leases: Api<Lease> = Api::namespaced(admin(kubernetes).await, "default");
    let holder = leases.get("allmende-operator").await.unwrap().spec.unwrap().holder_identity;
    assert_eq!(holder.as_deref(), Some(""));
}
