//! Following a range from a known revision. The watch goes on over lost connections from where it was; when etcd has compacted that
//! revision away it says so, and the caller reads anew.

use std::time::Duration;

use etcd_client::{EventType, WatchOptions};
use tokio::sync::mpsc;

use crate::{
    connection::{Store, versioned},
    envelope::Record,
    error::StoreError,
    key::{Range, Revision, Versioned},
};

/// Events that wait for a slow reader.
const BUFFER: usize = 256;
/// Pause before a lost watch is opened again.
const REOPEN: Duration = Duration::from_millis(500);

/// What happened in a range.
#[derive(Debug)]
pub enum WatchEvent<T> {
    /// A value was written.
    Put(Versioned<T>),
    /// A key was removed: its raw text and when.
    Delete(String, Revision),
    /// Nothing else happened up to this revision.
    Progress(Revision),
    /// The revision to go on from is compacted away: read the range anew and watch from there. The stream ends.
    Compacted,
    /// A value that cannot be read; the stream goes on.
    Unreadable(StoreError),
}

/// Events of one range, in order of revision, none twice. Ends after [`WatchEvent::Compacted`].
#[derive(Debug)]
pub struct WatchStream<T> {
    events: mpsc::Receiver<WatchEvent<T>>,
    task: tokio::task::JoinHandle<()>,
}

impl<T> WatchStream<T> {
    /// The next event.
    pub async fn next(&mut self) -> Option<WatchEvent<T>> {
        self.events.recv().await
    }
}

impl<T> Drop for WatchStream<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why one connection of a watch ended.
enum Ended {
    Lost,
    /// etcd ended it and said why.
    Refused(String),
    Compacted,
    NobodyListens,
}

impl Store {
    /// Follows `range` from `from` on (inclusive).
    pub fn watch<T: Record>(&self, range: &Range<T>, from: Revision) -> WatchStream<T> {
        let (sender, events) = mpsc::channel(BUFFER);
        let task = tokio::spawn(follow(self.clone(), range.clone(), from, sender));
        WatchStream { events, task }
    }
}

async fn follow<T: Record>(
    store: Store,
    range: Range<T>,
    mut next: Revision,
    sender: mpsc::Sender<WatchEvent<T>>,
) {
    loop {
        match follow_once(&store, &range, &mut next, &sender).await {
            Ended::NobodyListens => return,
            Ended::Compacted => {
                let _ = sender.send(WatchEvent::Compacted).await;
                return;
            }
            Ended::Refused(reason) => {
                tracing::warn!(reason, "etcd has ended a watch");
                tokio::time::sleep(REOPEN).await;
                // A user's token may have ended. Only a call gets a new one: the client does not look at why a watch was ended.
                let _ = store.ping().await;
            }
            Ended::Lost => tokio::time::sleep(REOPEN).await,
        }
    }
}

async fn follow_once<T: Record>(
    store: &Store,
    range: &Range<T>,
    next: &mut Revision,
    sender: &mpsc::Sender<WatchEvent<T>>,
) -> Ended {
    let options =
        WatchOptions::new().with_range(range.end()).with_start_revision(next.0).with_progress_notify();
    let Ok(mut stream) = store.client.watch_client().watch(range.prefix(), Some(options)).await else {
        return Ended::Lost;
    };
    loop {
        let response = match stream.message().await {
            Ok(Some(response)) => response,
            Ok(None) | Err(_) => return Ended::Lost,
        };
        if response.canceled() {
            return match response.compact_revision() {
                0 => Ended::Refused(response.cancel_reason().to_owned()),
                _ => Ended::Compacted,
            };
        }
        let revision = Revision(response.header().map_or(0, etcd_client::ResponseHeader::revision));
        for event in response.events() {
            let Some(kv) = event.kv() else { continue };
            let message = match event.event_type() {
                EventType::Put => versioned(kv).map_or_else(WatchEvent::Unreadable, WatchEvent::Put),
                EventType::Delete => WatchEvent::Delete(
                    String::from_utf8_lossy(kv.key()).into_owned(),
                    Revision(kv.mod_revision()),
                ),
            };
            if sender.send(message).await.is_err() {
                return Ended::NobodyListens;
            }
            // Without fragments a response holds whole revisions only: what follows begins after the last of them.
            *next = (*next).max(Revision(kv.mod_revision()).next());
        }
        if response.events().is_empty() && !response.created() {
            *next = (*next).max(revision.next());
            if sender.send(WatchEvent::Progress(revision)).await.is_err() {
                return Ended::NobodyListens;
            }
        }
    }
}
