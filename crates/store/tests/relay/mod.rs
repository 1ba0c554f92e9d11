//! A TCP relay in front of etcd that can lose the answers: what is sent arrives and is applied, and nobody hears of it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::AbortHandle,
};

/// See the module. Ends with the value.
pub(crate) struct Relay {
    endpoint: String,
    losing: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
    accepting: AbortHandle,
}

impl Relay {
    /// Relays to `upstream`, as `http://127.0.0.1:…`.
    pub(crate) async fn to(upstream: &str) -> Self {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let losing = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (lose, open) = (losing.clone(), connections.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let connection = tokio::spawn(connect(client, upstream.clone(), lose.clone()));
                open.lock().unwrap().push(connection.abort_handle());
            }
        });
        Self { endpoint, losing, connections, accepting: accepting.abort_handle() }
    }

    pub(crate) fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// From now on every answer is lost.
    pub(crate) fn lose_answers(&self) {
        self.losing.store(true, Ordering::SeqCst);
    }

    /// Answers get through again, on new connections: in the old ones bytes are missing.
    pub(crate) fn heal(&self) {
        self.losing.store(false, Ordering::SeqCst);
        for connection in self.connections.lock().unwrap().drain(..) {
            connection.abort();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.heal();
    }
}

async fn connect(client: TcpStream, upstream: String, losing: Arc<AtomicBool>) {
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // In one task, so that ending it closes both sides at once.
    tokio::select! {
        () = pump(from_client, to_server, None) => {}
        () = pump(from_server, to_client, Some(losing)) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, losing: Option<Arc<AtomicBool>>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if losing.as_ref().is_some_and(|losing| losing.load(Ordering::SeqCst)) {
            continue;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
