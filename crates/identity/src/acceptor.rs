//! The accept loop: every handshake in its own task with a time limit, so that a silent peer holds up nobody; a bounded channel to the
//! server.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

use crate::{
    caller::Caller,
    live::Place,
    peer::PeerCertificate,
    rules::{ALPN, Rules},
    server_tls::ServerTls,
};

/// Bounds of the accept loop.
#[derive(Debug, Clone, Copy)]
pub struct AcceptorLimits {
    /// Longest handshake.
    pub handshake: Duration,
    /// Handshakes under way at once; more wait in the kernel's queue.
    pub handshakes: usize,
}

impl Default for AcceptorLimits {
    fn default() -> Self {
        Self { handshake: Duration::from_secs(10), handshakes: 256 }
    }
}

/// How handshakes ended so far.
#[derive(Debug, Default)]
pub struct HandshakeCounts {
    /// Connected.
    pub completed: AtomicU64,
    /// Refused: wrong authority, expired, revoked, old version, no HTTP/2, a certificate that names nobody …
    pub failed: AtomicU64,
    /// Never came to an end.
    pub timed_out: AtomicU64,
}

/// A connection whose peer is known. Reading and writing fail once the peer is admitted no longer.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    caller: Caller,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: Place,
}

impl Connection {
    /// Fails when the connection was cut; else wakes this task when it is.
    fn poll_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

/// Pause after an accept error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that wait for the server to take them.
const WAITING: usize = 64;

/// See the module.
#[derive(Debug)]
pub struct Acceptor {
    connections: mpsc::Receiver<io::Result<Connection>>,
    counts: Arc<HandshakeCounts>,
    task: tokio::task::JoinHandle<()>,
}

impl Acceptor {
    /// Accepts on `listener` until dropped.
    pub fn spawn(listener: TcpListener, tls: ServerTls, limits: AcceptorLimits) -> Self {
        let (sender, connections) = mpsc::channel(WAITING);
        let counts = tls.handshakes();
        let task = tokio::spawn(accept_loop(listener, tls, limits, sender));
        Self { connections, counts, task }
    }

    /// For metrics.
    pub fn counts(&self) -> Arc<HandshakeCounts> {
        Arc::clone(&self.counts)
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl tokio_stream::Stream for Acceptor {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connections.poll_recv(context)
    }
}

async fn accept_loop(
    listener: TcpListener,
    tls: ServerTls,
    limits: AcceptorLimits,
    sender: mpsc::Sender<io::Result<Connection>>,
) {
    let permits = Arc::new(Semaphore::new(limits.handshakes));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let (socket, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Streams of operators live for hours: small messages must not wait, dead peers must be noticed (by HTTP/2 keepalive).
        let _ = socket.set_nodelay(true);
        let (tls, sender) = (tls.clone(), sender.clone());
        tokio::spawn(async move {
            let counts = tls.handshakes();
            match tokio::time::timeout(limits.handshake, shake_hands(&tls, socket, remote)).await {
                Err(_elapsed) => counts.timed_out.fetch_add(1, Ordering::Relaxed),
                Ok(Err(error)) => {
                    tracing::debug!(%error, %remote, "handshake refused");
                    counts.failed.fetch_add(1, Ordering::Relaxed)
                }
                Ok(Ok(connection)) => {
                    let completed = counts.completed.fetch_add(1, Ordering::Relaxed);
                    let _ = sender.send(Ok(connection)).await;
                    completed
                }
            };
            drop(permit);
        });
    }
}

/// The handshake, and what TLS itself does not judge: the protocol, the identity, and rules that changed meanwhile.
async fn shake_hands(tls: &ServerTls, socket: TcpStream, remote: SocketAddr) -> io::Result<Connection> {
    let rules: Arc<Rules> = tls.current();
    let stream = TlsAcceptor::from(rules.config()).accept(socket).await?;
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() != Some(ALPN) {
        return Err(io::Error::other("the peer does not speak HTTP/2"));
    }
    // rustls has verified the chain; the leaf comes first.
    let certificate = match session.peer_certificates() {
        None => None,
        Some(chain) => {
            let peer = PeerCertificate::of_chain(chain);
            Some(Arc::new(peer.ok_or_else(|| io::Error::other("the certificate names nobody"))?))
        }
    };
    let place = tls
        .admit(certificate.clone(), &rules)
        .map_err(|cut| io::Error::other(format!("the certificate is {}", cut.name())))?;
    let identity = certificate.as_ref().map(|peer| peer.identity.clone());
    let cut = Box::pin(place.cut.clone().cancelled_owned());
    Ok(Connection { stream, caller: Caller { identity, certificate, remote }, cut, _place: place })
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
