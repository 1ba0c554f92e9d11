//! The connections that live, by the certificate they were admitted with: who is admitted no longer is cut off, streams included.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use crate::{peer::PeerCertificate, rules::Cut};

#[derive(Debug)]
struct Entry {
    /// None: without a certificate, so nothing can be taken from it.
    peer: Option<Arc<PeerCertificate>>,
    cut: CancellationToken,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Live {
    connections: Mutex<HashMap<u64, Entry>>,
    next: AtomicU64,
    cuts: [AtomicU64; Cut::ALL.len()],
}

/// One connection's place among the living; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    live: Arc<Live>,
    id: u64,
    pub(crate) cut: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.live.lock().remove(&self.id);
    }
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(self: &Arc<Self>, peer: Option<Arc<PeerCertificate>>) -> Place {
        let (id, cut) = (self.next.fetch_add(1, Ordering::Relaxed), CancellationToken::new());
        self.lock().insert(id, Entry { peer, cut: cut.clone() });
        Place { live: Arc::clone(self), id, cut }
    }

    /// Cuts every connection that `judge` refuses. The judging, which verifies signatures, holds up no handshake.
    pub(crate) fn sift(&self, judge: impl Fn(&PeerCertificate) -> Option<Cut>) {
        let peers: Vec<(Arc<PeerCertificate>, CancellationToken)> = self
            .lock()
            .values()
            .filter(|entry| !entry.cut.is_cancelled())
            .filter_map(|entry| Some((Arc::clone(entry.peer.as_ref()?), entry.cut.clone())))
            .collect();
        for (peer, token) in peers {
            if let Some(cut) = judge(&peer) {
                self.end(&peer, &token, cut);
            }
        }
    }

    pub(crate) fn end(&self, peer: &PeerCertificate, token: &CancellationToken, cut: Cut) {
        if token.is_cancelled() {
            return;
        }
        self.cuts[cut.index()].fetch_add(1, Ordering::Relaxed);
        token.cancel();
        tracing::warn!(identity = %peer.identity, serial = peer.serial, why = cut.name(), "connection cut");
    }

    /// How many were cut for this reason.
    pub(crate) fn cuts(&self, cut: Cut) -> u64 {
        self.cuts[cut.index()].load(Ordering::Relaxed)
    }

    /// How many live now.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }
}
