//! The program, started by its flags against an etcd that takes certificates and users alone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use allmende_testkit::{ca::TestCa, etcd::TestEtcd, port::free_port};

const LIMIT: Duration = Duration::from_secs(60);

fn program(folder: &tempfile::TempDir, endpoint: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_allmende-billing"));
    command
        .arg(format!("--etcd-endpoints={endpoint}"))
        .arg(format!("--documents-dir={}", folder.path().join("documents").display()))
        .stdin(Stdio::null());
    command
}

fn is_ready(port: u16) -> bool {
    let Ok(mut connection) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let asked = connection.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.is_ok() && connection.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_follows_an_etcd_under_tls_as_its_own_user() {
    let (ca, folder) = (TestCa::new(), tempfile::tempdir().unwrap());
    let etcd = TestEtcd::start_with_tls(&ca).await;
    etcd.require_users(&[("allmende", "a password", "/allmende/")]).await;
    let (own, password, port) = (ca.client("worker", &[]), folder.path().join("password"), free_port());
    std::fs::write(&password, "a password\n").unwrap();
    let mut process = program(&folder, &etcd.endpoint())
        .arg(format!("--metrics-listen=127.0.0.1:{port}"))
        .arg(format!("--etcd-ca={}", ca.cert().display()))
        .arg(format!("--etcd-cert={}", own.cert.display()))
        .arg(format!("--etcd-key={}", own.key.display()))
        .env("ALLMENDE_BILLING_ETCD_USER", "allmende")
        .env("ALLMENDE_BILLING_ETCD_PASSWORD_FILE", &password)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let mut ended = None;
    while !is_ready(port) && ended.is_none() && begun.elapsed() < LIMIT {
        ended = process.try_wait().unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ready = is_ready(port);
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(ready, "not within {LIMIT:?}; ended: {ended:?}");
}

#[test]
fn settings_that_do_not_fit_together_end_the_start_with_all_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(&folder, "https://127.0.0.1:1").arg("--etcd-user=allmende").output().unwrap();
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "{told}");
    assert!(told.contains("needs etcd-ca") && told.contains("etcd-password-file"), "{told}");
}
