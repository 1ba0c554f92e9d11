//! The index: the hot ranges of the store in memory, kept by one watch from a known revision.
//!
//! It answers the reads of calls (see [`consistency`](crate::consistency)) without asking etcd. Where it cannot promise what a call
//! needs — it is not loaded, it hears nothing, it is beyond its room — the read goes to etcd: it is slower then, never silently old.

mod feed;
mod fence;
mod rows;

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use etcd_client::Client;
use tokio::sync::{Notify, watch};

use self::{fence::Fence, rows::Rows};
use crate::{
    connection::Store,
    consistency::{Call, Owed},
    envelope::Record,
    error::StoreError,
    key::{Key, Range, Revision, Versioned},
    keys,
};

/// Most bytes of keys and values, unless told otherwise.
const BYTES_MAX: usize = 1 << 30;
/// Longest wait of a read for the index.
const LAG_MAX: Duration = Duration::from_secs(2);
/// A reader who asks for no fence trusts an index that has heard from etcd within this time.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// See the module. Shared by all clones of a store; ends with the last.
pub(crate) struct Index {
    inner: Arc<Inner>,
    feed: tokio::task::JoinHandle<()>,
}

/// What readers and the feed share.
struct Inner {
    client: Arc<Client>,
    rows: RwLock<Rows>,
    /// Everything up to this revision is in `rows`; −1: nothing is loaded.
    applied: watch::Sender<i64>,
    /// When etcd last said something.
    heard: Mutex<Instant>,
    /// The newest revision that a reader waits for.
    wanted: AtomicI64,
    wake: Notify,
    /// The store has gone back behind what was read from it: all is read anew.
    went_back: AtomicBool,
    fence: Arc<Fence>,
    acknowledged: AtomicI64,
    fallbacks: AtomicU64,
    fences: AtomicU64,
    bytes_max: usize,
}

/// The state of the index, for metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IndexState {
    /// Whether reads are answered from it.
    pub loaded: bool,
    /// Values held.
    pub rows: usize,
    /// Bytes of keys and values, and about what holds them.
    pub bytes: usize,
    /// Everything up to this revision is known.
    pub revision: i64,
    /// Since etcd last said something about it.
    pub silence: Duration,
    /// Reads of calls that had to go to etcd, though the index holds their range.
    pub fallbacks: u64,
    /// Linearizable reads of the revision that were asked for by calls; etcd was asked less often.
    pub fences: u64,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Index").field(&self.state()).finish()
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.feed.abort();
    }
}

impl Index {
    pub(crate) fn spawn(client: Arc<Client>, bytes_max: usize) -> Self {
        let inner = Arc::new(Inner {
            client,
            rows: RwLock::default(),
            applied: watch::Sender::new(-1),
            heard: Mutex::new(Instant::now()),
            wanted: AtomicI64::new(0),
            wake: Notify::new(),
            went_back: AtomicBool::new(false),
            fence: Arc::default(),
            acknowledged: AtomicI64::new(0),
            fallbacks: AtomicU64::new(0),
            fences: AtomicU64::new(0),
            bytes_max,
        });
        let feed = tokio::spawn(feed::keep(Arc::clone(&inner)));
        Self { inner, feed }
    }

    /// The reads of this process from now on see what was written at this revision.
    pub(crate) fn acknowledge(&self, Revision(revision): Revision) {
        self.inner.acknowledged.fetch_max(revision, Ordering::SeqCst);
    }

    /// Up to where readers see it; none: it answers nothing.
    pub(crate) fn applied(&self) -> Option<i64> {
        Some(*self.inner.applied.borrow()).filter(|applied| *applied >= 0)
    }

    /// The newest revision that this process knows of.
    pub(crate) fn acknowledged(&self) -> Revision {
        Revision(self.inner.acknowledged.load(Ordering::SeqCst))
    }

    /// The rows, when they are as new as `call` needs. None: ask etcd.
    async fn rows_for(&self, call: &Call) -> Option<RwLockReadGuard<'_, Rows>> {
        let current = self.inner.catch_up(call).await;
        if !current {
            self.inner.fallbacks.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let rows = self.inner.rows();
        let applied = *self.inner.applied.borrow();
        // It may have been emptied since.
        if applied < call.at_least().0 {
            return None;
        }
        call.saw(Revision(applied));
        Some(rows)
    }

    pub(crate) async fn find<T: Record>(
        &self,
        key: &Key<T>,
    ) -> Option<Result<Option<Versioned<T>>, StoreError>> {
        let call = Call::current().filter(|_| keys::is_hot(key.raw()))?;
        let row = self.rows_for(&call).await?.get(key.raw());
        Some(row.map(|row| row.versioned(key.raw())).transpose())
    }

    pub(crate) async fn range<T: Record>(
        &self,
        range: &Range<T>,
        after: Option<&str>,
        limit: usize,
    ) -> Option<Result<(Vec<Versioned<T>>, Revision), StoreError>> {
        let call = Call::current().filter(|_| keys::is_hot(range.prefix()))?;
        let (found, at) = {
            let rows = self.rows_for(&call).await?;
            (rows.range((range.prefix(), &range.end()), after, limit), *self.inner.applied.borrow())
        };
        let rows: Result<Vec<_>, _> = found.iter().map(|(raw, row)| row.versioned(raw)).collect();
        Some(rows.map(|rows| (rows, Revision(at))))
    }

    pub(crate) fn state(&self) -> IndexState {
        let inner = &self.inner;
        let rows = inner.rows();
        let revision = *inner.applied.borrow();
        IndexState {
            loaded: revision >= 0,
            rows: rows.len(),
            bytes: rows.bytes(),
            revision,
            silence: inner.silence(),
            fallbacks: inner.fallbacks.load(Ordering::Relaxed),
            fences: inner.fences.load(Ordering::Relaxed),
        }
    }
}

impl Inner {
    fn rows(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn silence(&self) -> Duration {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Whether the rows are as new as `call` needs, after a bounded wait.
    async fn catch_up(&self, call: &Call) -> bool {
        let applied = *self.applied.borrow();
        if applied < 0 {
            return false;
        }
        let owed = call.take_owed();
        if owed == Owed::Fence || self.silence() > SILENCE_MAX {
            self.fences.fetch_add(1, Ordering::Relaxed);
            match self.fence.revision(&self.client).await {
                Ok(Revision(revision)) if revision < applied => {
                    call.owe_fence();
                    self.went_back.store(true, Ordering::SeqCst);
                    self.wake.notify_one();
                    return false;
                }
                Ok(revision) => call.raise(revision),
                Err(_) => {
                    call.owe_fence();
                    return false;
                }
            }
        }
        if owed == Owed::Own {
            call.raise(Revision(self.acknowledged.load(Ordering::SeqCst)));
        }
        let Revision(wanted) = call.at_least();
        self.reached(wanted).await
    }

    async fn reached(&self, wanted: i64) -> bool {
        if *self.applied.borrow() >= wanted {
            return true;
        }
        self.wanted.fetch_max(wanted, Ordering::SeqCst);
        self.wake.notify_one();
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|applied| *applied >= wanted);
        matches!(tokio::time::timeout(LAG_MAX, reached).await, Ok(Ok(_)))
    }
}

impl Store {
    /// The same store with an index: calls read from memory. Only within a runtime; clones share it.
    #[must_use]
    pub fn indexed(self) -> Self {
        self.indexed_within(BYTES_MAX)
    }

    /// As [`indexed`](Self::indexed), with at most so many bytes: a store that is larger is read from etcd.
    #[must_use]
    pub fn indexed_within(mut self, bytes: usize) -> Self {
        self.index = Some(Arc::new(Index::spawn(Arc::clone(&self.client), bytes)));
        self
    }

    /// The index, for metrics; none: there is none.
    pub fn index_state(&self) -> Option<IndexState> {
        self.index.as_deref().map(Index::state)
    }

    /// Waits until the index answers; at once when there is none.
    pub async fn index_loaded(&self) {
        if let Some(index) = &self.index {
            let _ = index.inner.applied.subscribe().wait_for(|applied| *applied >= 0).await;
        }
    }
}
