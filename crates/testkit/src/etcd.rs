//! A real etcd of its own for a test: one process, a temporary directory, free ports on loopback.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use etcd_client::{Certificate, Client, ConnectOptions, Identity, Permission, TlsOptions};
use tempfile::TempDir;

use crate::{
    ca::{Leaf, TestCa},
    port::free_port,
};

/// Longest wait for etcd to answer.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running etcd; ends with the value.
#[derive(Debug)]
pub struct TestEtcd {
    child: Option<Child>,
    folder: TempDir,
    client_port: u16,
    peer_port: u16,
    tls: Option<EtcdTls>,
    /// Further flags.
    flags: Vec<String>,
}

/// Certificates of an etcd that speaks with none but who has one of its authority.
#[derive(Debug)]
struct EtcdTls {
    authority: PathBuf,
    server: Leaf,
    /// Of its administrator: the common name is etcd's superuser.
    root: Leaf,
}

impl EtcdTls {
    fn flags(&self) -> Vec<String> {
        vec![
            format!("--cert-file={}", self.server.cert.display()),
            format!("--key-file={}", self.server.key.display()),
            format!("--trusted-ca-file={}", self.authority.display()),
            "--client-cert-auth".to_owned(),
            "--tls-min-version=TLS1.3".to_owned(),
            // It would call etcd itself with the server's certificate, which is none of a client.
            "--enable-grpc-gateway=false".to_owned(),
        ]
    }

    fn options(&self) -> ConnectOptions {
        let read = |path: &Path| std::fs::read(path).expect("a file of the authority");
        let identity = Identity::from_pem(read(&self.root.cert), read(&self.root.key));
        let tls = TlsOptions::new().ca_certificate(Certificate::from_pem(read(&self.authority)));
        ConnectOptions::new().with_tls(tls.identity(identity))
    }
}

/// A copy of an etcd's data, taken while it stood still.
#[derive(Debug)]
pub struct Backup(TempDir);

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(status.success(), "cp -a {} {}", from.display(), to.display());
}

/// The folder of built tools: `$ALLMENDE_CACHE/bin`, by default `~/.cache/allmende/bin`.
pub fn tools() -> PathBuf {
    let cache = std::env::var_os("ALLMENDE_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/allmende"),
        PathBuf::from,
    );
    cache.join("bin")
}

/// A tool that `make tools` builds.
///
/// # Panics
/// When it is not there: a test without its real tool must fail, not pass.
pub fn tool(name: &str) -> PathBuf {
    let path = tools().join(name);
    assert!(path.is_file(), "{} is missing: run `make tools`", path.display());
    path
}

impl TestEtcd {
    /// Starts an empty one and waits until it answers.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        Self::start_as(None, &["--unsafe-no-fsync"]).await
    }

    /// As [`start`](Self::start), with these flags and on a disk that is waited for: for what measures.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_durable(flags: &[&str]) -> Self {
        Self::start_as(None, flags).await
    }

    /// As [`start`](Self::start), under TLS: it answers none but who has a certificate of this authority.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with_tls(ca: &TestCa) -> Self {
        let (server, root) = (ca.server("etcd"), ca.client("root", &[]));
        Self::start_as(Some(EtcdTls { authority: ca.cert(), server, root }), &["--unsafe-no-fsync"]).await
    }

    async fn start_as(tls: Option<EtcdTls>, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut etcd =
            Self { child: None, folder, client_port: free_port(), peer_port: free_port(), tls, flags };
        etcd.resume_from_disk().await;
        etcd
    }

    /// `http://127.0.0.1:…`, or `https://` under TLS.
    pub fn endpoint(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.client_port)
    }

    /// Makes users, each with the right to the keys that begin with its prefix, and has etcd ask for them from now on.
    ///
    /// # Panics
    /// When etcd refuses.
    pub async fn require_users(&self, users: &[(&str, &str, &str)]) {
        let client = self.connect().await.expect("etcd answers its administrator");
        let mut auth = client.auth_client();
        auth.user_add("root", "of the administrator", None).await.expect("the superuser");
        auth.role_add("root").await.expect("the superuser's role");
        auth.user_grant_role("root", "root").await.expect("the superuser's role");
        for (name, password, prefix) in users {
            auth.user_add(*name, *password, None).await.expect("a user");
            auth.role_add(*name).await.expect("a role");
            let keys = Permission::read_write(*prefix).with_prefix();
            auth.role_grant_permission(*name, keys).await.expect("the role's keys");
            auth.user_grant_role(*name, *name).await.expect("the user's role");
        }
        auth.auth_enable().await.expect("etcd asks for users");
    }

    /// Gives a user a password; the tokens that it got with the one before end.
    ///
    /// # Panics
    /// When etcd refuses.
    pub async fn set_password(&self, name: &str, password: &str) {
        let client = self.connect().await.expect("etcd answers its administrator");
        client.auth_client().user_change_password(name, password).await.expect("a password");
    }

    /// Takes a user away.
    ///
    /// # Panics
    /// When etcd refuses.
    pub async fn remove_user(&self, name: &str) {
        let client = self.connect().await.expect("etcd answers its administrator");
        client.auth_client().user_delete(name).await.expect("a user less");
    }

    async fn connect(&self) -> Result<Client, etcd_client::Error> {
        Client::connect([self.endpoint()], self.tls.as_ref().map(EtcdTls::options)).await
    }

    /// Where its log and data lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process id, for signals.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its metrics, in the text form of Prometheus; only without TLS.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn metrics(&self) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let address = ("127.0.0.1", self.client_port);
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("etcd answers");
        let request = b"GET /metrics HTTP/1.0\r\nHost: etcd\r\n\r\n";
        stream.write_all(request).await.expect("etcd answers");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("etcd answers");
        text
    }

    /// SIGKILL, at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal such as `STOP` or `CONT`.
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().expect("etcd runs").to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(status.success(), "kill -s {name} {pid}");
    }

    /// Starts it (again) on its data and waits until it answers.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn resume_from_disk(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("etcd.log"))
            .expect("etcd's log");
        let client = self.endpoint();
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        let child = Command::new(tool("etcd"))
            .arg("--name=test")
            .arg(format!("--data-dir={}", self.folder.path().join("data").display()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=test={peer}"))
            .args(self.tls.as_ref().map(EtcdTls::flags).unwrap_or_default())
            .args(&self.flags)
            .args(["--log-level=warn", "--watch-progress-notify-interval=1s"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("etcd starts");
        self.child = Some(child);
        self.wait_until_it_answers().await;
    }

    /// Stops it, keeps a copy of its data, and starts it again.
    ///
    /// # Panics
    /// When the data cannot be copied or it does not start.
    pub async fn back_up(&mut self) -> Backup {
        let backup = Backup(tempfile::tempdir().expect("a temporary directory"));
        self.kill();
        copy(&self.folder.path().join("data"), &backup.0.path().join("data"));
        self.resume_from_disk().await;
        backup
    }

    /// Stops it, puts its data back to a copy, and starts it again: all that came since is lost.
    ///
    /// # Panics
    /// When the data cannot be copied or it does not start.
    pub async fn restore(&mut self, backup: &Backup) {
        self.kill();
        let data = self.folder.path().join("data");
        std::fs::remove_dir_all(&data).expect("etcd's data");
        copy(&backup.0.path().join("data"), &data);
        self.resume_from_disk().await;
    }

    async fn wait_until_it_answers(&mut self) {
        let begun = Instant::now();
        loop {
            if let Ok(client) = self.connect().await
                && client.kv_client().get("ready", None).await.is_ok()
            {
                return;
            }
            if let Some(child) = &mut self.child
                && let Ok(Some(status)) = child.try_wait()
            {
                let log = std::fs::read_to_string(self.folder.path().join("etcd.log")).unwrap_or_default();
                panic!("etcd ended with {status}: {log}");
            }
            assert!(begun.elapsed() < START_LIMIT, "etcd did not answer within {START_LIMIT:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for TestEtcd {
    fn drop(&mut self) {
        self.kill();
    }
}
