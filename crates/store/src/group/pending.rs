//! What changes of this process have written that the index does not show yet, and the changes that wait to be sent.
//!
//! A change reads through what the changes before it wrote, also where that is not committed yet: so many changes of one account are
//! decided one after another and end as one value. Such a read is a *dependency*: the later change is only sent with the earlier one or
//! after its success, and fails with it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use tokio::sync::{Notify, oneshot};

use crate::{
    error::StoreError,
    key::Revision,
    txn::{Commit, Prepared},
};

/// One change on its way. Its id stands for the revision that it will have: negative, so that no revision is mistaken for it.
#[derive(Debug)]
pub(crate) struct Ticket {
    id: i64,
    /// None: not applied, or not known to be.
    outcome: OnceLock<Option<Revision>>,
    done: Notify,
}

impl Ticket {
    pub(super) fn new(id: i64) -> Arc<Self> {
        Arc::new(Self { id, outcome: OnceLock::new(), done: Notify::new() })
    }

    pub(super) fn id(&self) -> i64 {
        self.id
    }

    pub(super) fn settle(&self, outcome: Option<Revision>) {
        let _ = self.outcome.set(outcome);
        self.done.notify_waiters();
    }

    pub(super) fn outcome(&self) -> Option<Option<Revision>> {
        self.outcome.get().copied()
    }

    /// Waits for the end; the revision when it was applied.
    pub(crate) async fn ended(&self) -> Option<Revision> {
        loop {
            let done = self.done.notified();
            tokio::pin!(done);
            done.as_mut().enable();
            if let Some(outcome) = self.outcome() {
                return outcome;
            }
            done.await;
        }
    }
}

/// What a decision read of changes that are not known to be applied yet.
#[derive(Debug, Default)]
pub(crate) struct Deciding {
    depends: Mutex<Vec<Arc<Ticket>>>,
}

tokio::task_local! {
    pub(crate) static DECIDING: Arc<Deciding>;
}

impl Deciding {
    pub(crate) fn current() -> Option<Arc<Self>> {
        DECIDING.try_with(Arc::clone).ok()
    }

    fn depend(&self, ticket: &Arc<Ticket>) {
        self.depends.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(ticket));
    }

    pub(crate) fn depends(&self) -> Vec<Arc<Ticket>> {
        self.depends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until all that was read is certain; false: some of it was not applied.
    pub(crate) async fn stands(&self) -> bool {
        for ticket in self.depends() {
            if ticket.ended().await.is_none() {
                return false;
            }
        }
        true
    }
}

/// A change that waits to be sent.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) change: Prepared,
    pub(super) depends: Vec<Arc<Ticket>>,
    pub(super) ticket: Arc<Ticket>,
    pub(super) answer: oneshot::Sender<Result<Commit, StoreError>>,
    /// Was in a group that was too much for etcd: goes by itself now.
    pub(super) alone: bool,
}

/// The last value of a key.
#[derive(Debug)]
struct Written {
    ticket: Arc<Ticket>,
    /// None: removed.
    value: Option<Arc<[u8]>>,
}

/// A value that a change of this process wrote.
pub(crate) struct Found {
    pub(crate) value: Option<Arc<[u8]>>,
    pub(crate) revision: Revision,
}

/// Why a change was not taken: what it read is not the last that was written.
#[derive(Debug)]
pub(crate) struct Overtaken {
    /// By whom.
    pub(crate) by: Arc<Ticket>,
    /// Where.
    pub(crate) key: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) queue: VecDeque<Queued>,
    written: HashMap<String, Written>,
    last_id: i64,
    pub(super) in_flight: usize,
}

impl Pending {
    /// What a decision reads of a key; none: what is committed and in the index up to `applied`.
    pub(super) fn find(&mut self, raw: &str, applied: i64, deciding: &Deciding) -> Option<Found> {
        let written = self.written.get(raw)?;
        let revision = match written.ticket.outcome() {
            None => {
                deciding.depend(&written.ticket);
                Revision(written.ticket.id)
            }
            Some(Some(revision)) if revision.0 > applied => revision,
            Some(_) => {
                self.written.remove(raw);
                return None;
            }
        };
        Some(Found { value: written.value.clone(), revision })
    }

    /// Takes a change, if it read the last that was written of all it compares.
    pub(super) fn submit(
        &mut self,
        change: Prepared,
        mut depends: Vec<Arc<Ticket>>,
        answer: oneshot::Sender<Result<Commit, StoreError>>,
    ) -> Result<(), Overtaken> {
        for (key, revision) in &change.compares {
            let Some(written) = self.written.get(key) else { continue };
            let as_read = match (written.ticket.outcome(), written.value.is_some()) {
                (None, true) => revision.0 == written.ticket.id,
                (None, false) => *revision == Revision::ABSENT,
                // A higher one is of another process, which etcd judges.
                (Some(Some(at)), true) => *revision >= at || revision.0 == written.ticket.id,
                (Some(Some(at)), false) => *revision == Revision::ABSENT || *revision > at,
                (Some(None), _) => true,
            };
            if !as_read {
                return Err(Overtaken { by: Arc::clone(&written.ticket), key: key.clone() });
            }
            if written.ticket.outcome().is_none() {
                depends.push(Arc::clone(&written.ticket));
            }
        }
        self.last_id -= 1;
        let ticket = Ticket::new(self.last_id);
        for (key, value) in &change.writes {
            let written = Written { ticket: Arc::clone(&ticket), value: value.clone() };
            if let Some(before) = self.written.insert(key.clone(), written)
                && before.ticket.outcome().is_none()
            {
                // Also where it was not read: the order of two writings must stay.
                depends.push(before.ticket);
            }
        }
        self.queue.push_back(Queued { change, depends, ticket, answer, alone: false });
        Ok(())
    }

    /// Forgets what a change wrote, when it is not applied or the index shows it.
    pub(super) fn forget(&mut self, change: &Prepared, ticket: &Arc<Ticket>) {
        for key in change.writes.keys() {
            if self.written.get(key).is_some_and(|written| Arc::ptr_eq(&written.ticket, ticket)) {
                self.written.remove(key);
            }
        }
    }

    /// Another process has changed this key: what was committed here before is not the last.
    pub(super) fn overruled(&mut self, key: &str) {
        if self.written.get(key).is_some_and(|written| written.ticket.outcome().is_some()) {
            self.written.remove(key);
        }
    }

    /// Forgets all that the index shows.
    pub(super) fn sweep(&mut self, applied: i64) {
        self.written.retain(|_, written| match written.ticket.outcome() {
            None => true,
            Some(outcome) => outcome.is_some_and(|revision| revision.0 > applied),
        });
    }

    pub(super) fn kept(&self) -> usize {
        self.written.len()
    }
}
