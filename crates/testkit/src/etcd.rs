//! A real etcd of its own for a test: one process, a temporary directory, free ports on loopback.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Longest wait for etcd to answer.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running etcd; ends with the value.
#[derive(Debug)]
pub struct TestEtcd {
    child: Option<Child>,
    folder: TempDir,
    client_port: u16,
    peer_port: u16,
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

/// A free port on loopback.
///
/// # Panics
/// When the machine has none.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
    listener.local_addr().expect("the port's address").port()
}

impl TestEtcd {
    /// Starts an empty one and waits until it answers.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut etcd = Self { child: None, folder, client_port: free_port(), peer_port: free_port() };
        etcd.resume_from_disk().await;
        etcd
    }

    /// `http://127.0.0.1:…`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    /// Where its log and data lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process id, for signals.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
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
            .args(["--unsafe-no-fsync", "--log-level=warn", "--watch-progress-notify-interval=1s"])
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
            let connected = etcd_client::Client::connect([self.endpoint()], None).await;
            if let Ok(client) = connected
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
