//! Commits in groups: changes that wait while others are under way go to etcd together.
//!
//! * No change waits for a timer: what comes when fewer than [`IN_FLIGHT`] groups are under way is sent at once.
//! * A group is one transaction, so either all its changes are applied or none. When a compare fails, etcd tells which: the changes that
//!   read what is old are decided anew, and those that depend on them; the others are sent again at once and never hear of it.
//! * A change whose outcome is not known keeps the rule of [`transact`](crate::Store::transact): its receipt is compared as absent in
//!   the group, so the fence of any one change shuts out the whole group.

mod form;
mod pending;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use etcd_client::{Client, TxnResponse};
use tokio::sync::oneshot;

pub(crate) use self::pending::{DECIDING, Deciding, Found, Overtaken};
use self::{form::Group, pending::Pending};
use crate::{
    connection::Store,
    error::StoreError,
    index::Index,
    key::Revision,
    txn::{Commit, OPERATIONS_MAX, Prepared},
};

/// Groups under way at once.
const IN_FLIGHT: usize = 2;
/// More values than this in memory are looked through after each group.
const SWEEP_ABOVE: usize = 1_024;

/// See the module. Shared by all clones of a store.
pub(crate) struct Committer {
    client: Arc<Client>,
    index: Option<Arc<Index>>,
    pending: Mutex<Pending>,
    operations_max: AtomicUsize,
    /// Changes that were overtaken several times are decided one after another.
    pub(crate) turnstile: tokio::sync::Mutex<()>,
    groups: AtomicU64,
    changes: AtomicU64,
}

/// How commits were grouped, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupState {
    /// Transactions that were applied.
    pub groups: u64,
    /// Changes in them.
    pub changes: u64,
}

impl Committer {
    pub(crate) fn new(client: Arc<Client>, index: Option<Arc<Index>>, operations_max: usize) -> Arc<Self> {
        Arc::new(Self {
            client,
            index,
            pending: Mutex::default(),
            operations_max: AtomicUsize::new(operations_max.max(OPERATIONS_MAX)),
            turnstile: tokio::sync::Mutex::new(()),
            groups: AtomicU64::new(0),
            changes: AtomicU64::new(0),
        })
    }

    pub(crate) fn state(&self) -> GroupState {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        GroupState { groups: count(&self.groups), changes: count(&self.changes) }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What readers see without what is kept here: where no index answers they read etcd, which shows all that is committed.
    fn applied(&self) -> i64 {
        self.index.as_ref().and_then(|index| index.applied()).unwrap_or(i64::MAX)
    }

    /// What a decision reads of a key, when a change of this process wrote it last.
    pub(crate) fn find(&self, raw: &str) -> Option<Found> {
        let deciding = Deciding::current()?;
        self.pending().find(raw, self.applied(), &deciding)
    }

    /// Queues a change; the answer comes when it is committed, or known not to be, or not known.
    pub(crate) fn submit(
        self: &Arc<Self>,
        change: Prepared,
        deciding: &Deciding,
    ) -> Result<oneshot::Receiver<Result<Commit, StoreError>>, Overtaken> {
        let (sender, answer) = oneshot::channel();
        self.pending().submit(change, deciding.depends(), sender)?;
        self.pump();
        Ok(answer)
    }

    /// Sends what can be sent.
    fn pump(self: &Arc<Self>) {
        let mut pending = self.pending();
        while pending.in_flight < IN_FLIGHT {
            let Some(group) = pending.form(self.operations_max.load(Ordering::Relaxed)) else { return };
            pending.in_flight = pending.in_flight.saturating_add(1);
            // A task of its own: a caller that goes away must not leave the others without answer.
            tokio::spawn(Arc::clone(self).send(group));
        }
    }

    async fn send(self: Arc<Self>, group: Group) {
        let outcome = self.client.kv_client().txn(group.to_etcd()).await;
        {
            let mut pending = self.pending();
            pending.in_flight = pending.in_flight.saturating_sub(1);
            match outcome {
                Ok(response) if response.succeeded() => {
                    self.applied_at(&mut pending, group, revision(&response))
                }
                Ok(response) => {
                    let at = revision(&response);
                    if let Some(index) = &self.index {
                        index.acknowledge(at);
                    }
                    part(&mut pending, group, &response);
                }
                Err(error) => self.failed(&mut pending, group, &StoreError::write(error)),
            }
            if pending.kept() > SWEEP_ABOVE {
                pending.sweep(self.applied());
            }
        }
        self.pump();
    }

    fn applied_at(&self, pending: &mut Pending, group: Group, at: Revision) {
        if let Some(index) = &self.index {
            index.acknowledge(at);
        }
        self.groups.fetch_add(1, Ordering::Relaxed);
        let shown = self.applied() >= at.0;
        for member in group.members {
            self.changes.fetch_add(1, Ordering::Relaxed);
            member.ticket.settle(Some(at));
            if shown {
                pending.forget(&member.change, &member.ticket);
            }
            let _ = member.answer.send(Ok(Commit::Committed(at)));
        }
    }

    fn failed(&self, pending: &mut Pending, group: Group, error: &StoreError) {
        let several = group.members.len() > 1;
        for mut member in group.members.into_iter().rev() {
            if several && matches!(error, StoreError::Limit(_)) {
                // Too much together is no refusal of any one: etcd may take less than we were told.
                self.operations_max.store(OPERATIONS_MAX, Ordering::Relaxed);
                member.alone = true;
                pending.queue.push_front(member);
            } else {
                pending.fail(member, Err(error.clone()));
            }
        }
    }
}

/// Parts a group that was not applied: who read what is old is decided anew, the others go again.
fn part(pending: &mut Pending, group: Group, response: &TxnResponse) {
    let stale = group.stale(response);
    for key in &stale {
        pending.overruled(key);
    }
    let mut failed: HashSet<i64> = HashSet::new();
    let mut innocent = Vec::new();
    for member in group.members {
        let old = stale.is_empty()
            || member.change.compares.iter().any(|(key, revision)| revision.0 >= 0 && stale.contains(key))
            || member.depends.iter().any(|ticket| failed.contains(&ticket.id()));
        let resolved = member.change.compares.iter().any(|(key, revision)| {
            // Read of a change that is committed by now, and overruled since.
            let committed =
                |id| member.depends.iter().any(|t| t.id() == id && t.outcome().flatten().is_some());
            revision.0 < 0 && committed(revision.0) && stale.contains(key)
        });
        if old || resolved {
            failed.insert(member.ticket.id());
            pending.fail(member, Ok(Commit::Conflict));
        } else {
            innocent.push(member);
        }
    }
    for member in innocent.into_iter().rev() {
        pending.queue.push_front(member);
    }
}

fn revision(response: &TxnResponse) -> Revision {
    Revision(response.header().map_or(0, etcd_client::ResponseHeader::revision))
}

impl Store {
    /// The same store, committing the changes of [`transact`](Self::transact) in groups; only within a runtime, after
    /// [`indexed`](Self::indexed), clones share it. `operations_max` is what etcd takes in one transaction (`--max-txn-ops`).
    #[must_use]
    pub fn grouped(mut self, operations_max: usize) -> Self {
        self.committer = Some(Committer::new(Arc::clone(&self.client), self.index.clone(), operations_max));
        self
    }

    /// How commits were grouped; none: they are not.
    pub fn group_state(&self) -> Option<GroupState> {
        self.committer.as_deref().map(Committer::state)
    }
}
