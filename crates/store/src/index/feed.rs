//! Keeps the rows: reads them once at one revision, then follows all changes from there.
//!
//! A response of the watch holds whole revisions, and readers see all of it at once: never a half of a transaction. When etcd has
//! compacted away where the watch stood, or is not the store any more that was read, everything is read anew.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use etcd_client::{Event, EventType, GetOptions, WatchOptions, WatchResponse};
use sha2::{Digest, Sha256};

use super::{Inner, rows::Rows};
use crate::{error::StoreError, key::Revision, keys};

/// Rows that one request of the first read asks for.
const PAGE: i64 = 500;
/// Pause after a failure.
const AGAIN: Duration = Duration::from_millis(200);
/// When nobody waits, etcd is asked this often whether something was missed.
const IDLE: Duration = Duration::from_millis(500);
/// When somebody waits for a revision at which nothing of ours changed.
const WANTED: Duration = Duration::from_millis(5);
/// The same once more, when the answer does not come.
const ASKED: Duration = Duration::from_millis(50);
/// Largest response: a page of large values, and after a pause of the watch up to a thousand revisions.
const RESPONSE_MAX: usize = 256 << 20;

/// The last value that came, to know the store again after a lost connection.
struct Mark {
    key: Vec<u8>,
    revision: i64,
    digest: [u8; 32],
}

impl Mark {
    fn of(kv: &etcd_client::KeyValue) -> Self {
        let digest = Sha256::digest(kv.value()).into();
        Self { key: kv.key().to_vec(), revision: kv.mod_revision(), digest }
    }
}

enum Ended {
    /// The connection: go on from where it was, if the store is the same.
    Lost,
    /// Read everything anew.
    Anew,
    /// The store is larger than the room for it.
    TooLarge,
}

/// Runs until its task ends.
pub(super) async fn keep(inner: Arc<Inner>) {
    let mut told = String::new();
    loop {
        match inner.load().await {
            Ok(mut mark) => {
                told.clear();
                let ended = inner.follow(&mut mark).await;
                inner.empty();
                if matches!(ended, Ended::TooLarge) {
                    return;
                }
                tracing::info!("the index is read anew");
            }
            Err(StoreError::Limit(reason)) => {
                tracing::error!(reason, "the store is larger than the room of the index: reads go to etcd");
                inner.empty();
                return;
            }
            Err(error) => {
                let text = error.to_string();
                if text != told {
                    tracing::warn!(%error, "the index cannot be read right now: reads go to etcd");
                    told = text;
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

impl Inner {
    /// Reads all hot ranges at one revision.
    async fn load(&self) -> Result<Option<Mark>, StoreError> {
        self.went_back.store(false, Ordering::SeqCst);
        let mut rows = Rows::default();
        let (mut at, mut mark): (i64, Option<Mark>) = (0, None);
        let mut client = self.client.kv_client().max_decoding_message_size(RESPONSE_MAX);
        for (mut begin, end) in keys::hot_spans() {
            loop {
                let options = GetOptions::new().with_range(end.clone()).with_limit(PAGE).with_revision(at);
                let response = client.get(begin, Some(options)).await.map_err(StoreError::read)?;
                if at == 0 {
                    at = response.header().map_or(0, etcd_client::ResponseHeader::revision);
                }
                for kv in response.kvs() {
                    let raw = kv.key_str().map_err(StoreError::read)?;
                    rows.put(raw, kv.value(), Revision(kv.mod_revision()));
                    if mark.as_ref().is_none_or(|mark| mark.revision < kv.mod_revision()) {
                        mark = Some(Mark::of(kv));
                    }
                }
                if rows.bytes() > self.bytes_max {
                    return Err(StoreError::Limit(format!("more than {} bytes", self.bytes_max)));
                }
                match response.kvs().last() {
                    Some(last) if response.more() => {
                        begin = format!("{}\0", last.key_str().map_err(StoreError::read)?)
                    }
                    _ => break,
                }
            }
        }
        tracing::info!(rows = rows.len(), bytes = rows.bytes(), revision = at, "the index is loaded");
        *self.rows.write().unwrap_or_else(PoisonError::into_inner) = rows;
        self.hear();
        self.applied.send_replace(at);
        Ok(mark)
    }

    fn empty(&self) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        self.applied.send_replace(-1);
        *rows = Rows::default();
    }

    fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    async fn follow(&self, mark: &mut Option<Mark>) -> Ended {
        loop {
            match self.follow_once(mark).await {
                Ended::Lost => tokio::time::sleep(AGAIN).await,
                ended => return ended,
            }
            // A user's token may have ended; only a call gets a new one. And it may be another store by now.
            match self.is_known(mark.as_ref()).await {
                Ok(true) => {}
                Ok(false) => return Ended::Anew,
                Err(error) => tracing::debug!(%error, "etcd does not answer the index"),
            }
        }
    }

    /// Whether the last value that was seen still lies where it lay: a store that was put back may have other revisions of the same number.
    async fn is_known(&self, mark: Option<&Mark>) -> Result<bool, StoreError> {
        let Some(mark) = mark else { return Ok(false) };
        let options = GetOptions::new().with_revision(mark.revision);
        match self.client.kv_client().get(mark.key.clone(), Some(options)).await {
            Ok(response) => Ok(response.kvs().first().is_some_and(|kv| {
                kv.mod_revision() == mark.revision
                    && <[u8; 32]>::from(Sha256::digest(kv.value())) == mark.digest
            })),
            // Compacted, or in the future of a store that was put back.
            Err(etcd_client::Error::GRpcStatus(status)) if status.message().contains("mvcc") => Ok(false),
            Err(error) => Err(StoreError::read(error)),
        }
    }

    async fn follow_once(&self, mark: &mut Option<Mark>) -> Ended {
        let (begin, end) = keys::everything();
        let next = self.applied.borrow().saturating_add(1);
        let options = WatchOptions::new().with_range(end).with_start_revision(next).with_progress_notify();
        let mut client = self.client.watch_client().max_decoding_message_size(RESPONSE_MAX);
        let Ok(mut stream) = client.watch(begin, Some(options)).await else { return Ended::Lost };
        let mut ask_at = tokio::time::Instant::now() + IDLE;
        loop {
            let response = tokio::select! {
                response = stream.message() => response,
                () = tokio::time::sleep_until(ask_at) => {
                    if stream.request_progress().await.is_err() {
                        return Ended::Lost;
                    }
                    ask_at = tokio::time::Instant::now() + if self.is_wanted() { ASKED } else { IDLE };
                    continue;
                }
                () = self.wake.notified() => {
                    if self.went_back.load(Ordering::SeqCst) {
                        return Ended::Anew;
                    }
                    ask_at = ask_at.min(tokio::time::Instant::now() + WANTED);
                    continue;
                }
            };
            let Ok(Some(response)) = response else { return Ended::Lost };
            if let Some(ended) = self.take(&response, mark) {
                return ended;
            }
            ask_at = tokio::time::Instant::now() + if self.is_wanted() { WANTED } else { IDLE };
        }
    }

    /// Whether a reader waits for a revision that has not come yet.
    fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst) > *self.applied.borrow()
    }

    /// Takes one response of the watch; gives why it ends, when it does.
    fn take(&self, response: &WatchResponse, mark: &mut Option<Mark>) -> Option<Ended> {
        if response.canceled() {
            return Some(if response.compact_revision() == 0 { Ended::Lost } else { Ended::Anew });
        }
        self.hear();
        if response.created() {
            return None;
        }
        let applied = *self.applied.borrow();
        if response.events().is_empty() {
            let revision = response.header().map_or(0, etcd_client::ResponseHeader::revision);
            if revision < applied {
                return Some(Ended::Anew);
            }
            self.applied.send_replace(revision);
            return None;
        }
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let mut newest = applied;
        for event in response.events() {
            newest = newest.max(apply(&mut rows, event));
        }
        let put = response.events().iter().rev().filter(|event| event.event_type() == EventType::Put);
        if let Some(kv) = put.filter_map(Event::kv).next() {
            *mark = Some(Mark::of(kv));
        }
        let bytes = rows.bytes();
        // Before the rows may be read: whoever sees them sees the revision too.
        self.applied.send_replace(newest);
        drop(rows);
        if bytes > self.bytes_max {
            tracing::error!(bytes, "the store is larger than the room of the index: reads go to etcd");
            return Some(Ended::TooLarge);
        }
        None
    }
}

fn apply(rows: &mut Rows, event: &Event) -> i64 {
    let Some(kv) = event.kv() else { return 0 };
    if let Ok(raw) = kv.key_str() {
        match event.event_type() {
            EventType::Put if keys::is_hot(raw) => rows.put(raw, kv.value(), Revision(kv.mod_revision())),
            EventType::Put => {}
            EventType::Delete => rows.delete(raw),
        }
    }
    kv.mod_revision()
}
