//! A gate between a program and its etcd that counts requests and can hold one of them: the moment of a fault to the request.
//!
//! etcd speaks gRPC over plain HTTP/2 here, so every request begins with one HEADERS frame of its own.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// What a client sends before its first frame.
const PREFACE: usize = 24;
/// Length, kind, flags and stream of a frame.
const FRAME_HEAD: usize = 9;
/// Kind of a frame that begins a request.
const HEADERS: u8 = 1;

/// Which half of a request is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The request: nothing was done.
    Request,
    /// The answer: it was done, and nobody was told.
    Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Open,
    /// Requests pass until the first answer arrives.
    Muted,
    /// Nothing passes.
    Held,
}

#[derive(Debug)]
struct Shared {
    flow: watch::Sender<Flow>,
    count: Mutex<Count>,
}

#[derive(Debug, Default)]
struct Count {
    seen: u64,
    armed: Option<(u64, Lost)>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Gate {
    port: u16,
    shared: Arc<Shared>,
}

impl Gate {
    /// Stands before `upstream` (`host:port`).
    ///
    /// # Panics
    /// When there is no port.
    pub async fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { flow: watch::Sender::new(Flow::Open), count: Mutex::default() });
        let (accepting, upstream) = (Arc::clone(&shared), upstream.to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&upstream).await else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(requests(from_client, to_server, Arc::clone(&accepting)));
                tokio::spawn(answers(from_server, to_client, Arc::clone(&accepting)));
            }
        });
        Self { port, shared }
    }

    /// `http://127.0.0.1:…`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Requests so far.
    pub fn seen(&self) -> u64 {
        self.shared.count.lock().unwrap().seen
    }

    /// Holds at the `nth` request from now on.
    pub fn arm(&self, nth: u64, lost: Lost) {
        let mut count = self.shared.count.lock().unwrap();
        count.armed = Some((count.seen + nth, lost));
    }

    /// Comes back when it holds.
    pub async fn held(&self) {
        let _ = self.shared.flow.subscribe().wait_for(|flow| *flow == Flow::Held).await;
    }

    /// Lets new connections pass again; what was held is dropped.
    pub fn open(&self) {
        self.shared.count.lock().unwrap().armed = None;
        self.shared.flow.send_replace(Flow::Open);
    }
}

impl Shared {
    /// Counts a request; tells whether it is the one to stop at.
    fn pass(&self) -> Option<Lost> {
        let mut count = self.count.lock().unwrap();
        count.seen += 1;
        match count.armed {
            Some((at, lost)) if at == count.seen => Some(lost),
            _ => None,
        }
    }

    async fn until(&self, wanted: impl FnMut(&Flow) -> bool) {
        let _ = self.flow.subscribe().wait_for(wanted).await;
    }
}

/// From the program to etcd, frame by frame. Ends the connection after it was held.
async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: Arc<Shared>) {
    let mut preface = [0; PREFACE];
    if from.read_exact(&mut preface).await.is_err() || to.write_all(&preface).await.is_err() {
        return;
    }
    loop {
        let mut head = [0; FRAME_HEAD];
        if from.read_exact(&mut head).await.is_err() {
            return;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut body = vec![0; length as usize];
        if from.read_exact(&mut body).await.is_err() {
            return;
        }
        if head[3] == HEADERS {
            match shared.pass() {
                Some(Lost::Request) => _ = shared.flow.send_replace(Flow::Held),
                Some(Lost::Answer) => _ = shared.flow.send_replace(Flow::Muted),
                None => {}
            }
        }
        if *shared.flow.borrow() == Flow::Held {
            return shared.until(|flow| *flow == Flow::Open).await;
        }
        if to.write_all(&head).await.is_err() || to.write_all(&body).await.is_err() {
            return;
        }
    }
}

/// From etcd to the program. The first answer after a muted request holds everything.
async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: Arc<Shared>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if *shared.flow.borrow() != Flow::Open {
            shared.flow.send_replace(Flow::Held);
            return shared.until(|flow| *flow == Flow::Open).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
