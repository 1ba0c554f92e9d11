//! A group: several changes as one transaction of etcd, as if they had come one after another.

use std::collections::{BTreeMap, HashMap, HashSet};

use etcd_client::{Compare, GetOptions, TxnOp, TxnOpResponse, TxnResponse};

use super::pending::{Pending, Queued};
use crate::{
    error::StoreError,
    key::Revision,
    txn::{BYTES_MAX, Commit, Prepared, compare, write},
};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) members: Vec<Queued>,
    compares: BTreeMap<String, i64>,
    writes: BTreeMap<String, Option<std::sync::Arc<[u8]>>>,
    bytes: usize,
}

/// Keys of changes that must wait; those behind them do not overtake.
#[derive(Debug, Default)]
struct Waiting {
    compared: HashSet<String>,
    written: HashSet<String>,
}

/// Whether a change goes with the group.
enum Fit {
    Goes,
    /// What it depends on is under way elsewhere.
    Waits,
    /// What it depends on was not applied.
    Fails,
    /// The group is full.
    Full,
}

impl Pending {
    /// The next group, from the oldest on; none: nothing can be sent now.
    pub(super) fn form(&mut self, operations_max: usize) -> Option<Group> {
        let mut group = Group::default();
        let mut waiting = Waiting::default();
        let mut rest = std::collections::VecDeque::new();
        while let Some(queued) = self.queue.pop_front() {
            match group.fit(&queued, &waiting, operations_max) {
                Fit::Goes => group.take(queued),
                Fit::Waits => {
                    waiting.add(&queued.change);
                    rest.push_back(queued);
                }
                Fit::Fails => self.fail(queued, Ok(Commit::Conflict)),
                Fit::Full => {
                    rest.push_back(queued);
                    break;
                }
            }
        }
        rest.append(&mut self.queue);
        self.queue = rest;
        (!group.members.is_empty()).then_some(group)
    }

    /// Ends a change that was not applied, or of which it is not known.
    pub(super) fn fail(&mut self, queued: Queued, outcome: Result<Commit, StoreError>) {
        queued.ticket.settle(None);
        self.forget(&queued.change, &queued.ticket);
        let _ = queued.answer.send(outcome);
    }
}

impl Waiting {
    fn add(&mut self, change: &Prepared) {
        self.compared.extend(change.compares.iter().map(|(key, _)| key.clone()));
        self.written.extend(change.writes.keys().cloned());
    }

    fn stop(&self, change: &Prepared) -> bool {
        change.writes.keys().any(|key| self.written.contains(key) || self.compared.contains(key))
            || change.compares.iter().any(|(key, _)| self.written.contains(key))
    }
}

impl Group {
    fn fit(&self, queued: &Queued, waiting: &Waiting, operations_max: usize) -> Fit {
        let full = self.members.first().is_some_and(|first| first.alone || queued.alone);
        if full {
            return Fit::Full;
        }
        for ticket in &queued.depends {
            match ticket.outcome() {
                Some(Some(_)) => {}
                Some(None) => return Fit::Fails,
                None if self.members.iter().any(|member| std::sync::Arc::ptr_eq(&member.ticket, ticket)) => {}
                None => return Fit::Waits,
            }
        }
        if waiting.stop(&queued.change) {
            return Fit::Waits;
        }
        let mut compares = self.compares.len();
        for (key, revision) in &queued.change.compares {
            match self.real(queued, key, *revision) {
                Some(Real::InGroup) => {}
                Some(Real::At(revision)) => match self.compares.get(key) {
                    Some(other) if *other != revision => return Fit::Waits,
                    Some(_) => {}
                    None => compares = compares.saturating_add(1),
                },
                None => return Fit::Waits,
            }
        }
        let fresh = queued.change.writes.keys().filter(|key| !self.writes.contains_key(*key)).count();
        let bytes = self.bytes.saturating_add(queued.change.bytes);
        let fits = compares <= operations_max
            && self.writes.len().saturating_add(fresh) <= operations_max
            && bytes <= BYTES_MAX;
        if fits || self.members.is_empty() { Fit::Goes } else { Fit::Full }
    }

    /// The revision in etcd that stands for what was read; none: the group has another value of the key already.
    fn real(&self, queued: &Queued, key: &str, revision: Revision) -> Option<Real> {
        if let Some(written) = self.writes.get(key) {
            let as_written = if revision == Revision::ABSENT { written.is_none() } else { revision.0 < 0 };
            return as_written.then_some(Real::InGroup);
        }
        if revision.0 >= 0 {
            return Some(Real::At(revision.0));
        }
        let read = queued.depends.iter().find(|ticket| ticket.id() == revision.0)?;
        read.outcome().flatten().map(|at| Real::At(at.0))
    }

    fn take(&mut self, queued: Queued) {
        for (key, revision) in &queued.change.compares {
            if let Some(Real::At(at)) = self.real(&queued, key, *revision) {
                self.compares.insert(key.clone(), at);
            }
        }
        for (key, value) in &queued.change.writes {
            self.writes.insert(key.clone(), value.clone());
        }
        self.bytes = self.bytes.saturating_add(queued.change.bytes);
        self.members.push(queued);
    }

    /// As etcd takes it. When a compare fails the answer tells the present revision of every key that was compared, so that none but those
    /// whose reading is old are decided anew.
    pub(super) fn to_etcd(&self) -> etcd_client::Txn {
        let compares: Vec<Compare> = self.compares.iter().map(|(key, at)| compare(key, *at)).collect();
        let writes: Vec<TxnOp> =
            self.writes.iter().map(|(key, value)| write(key, value.as_deref())).collect();
        let present: Vec<TxnOp> = self
            .compares
            .keys()
            .map(|key| TxnOp::get(key.as_str(), Some(GetOptions::new().with_keys_only())))
            .collect();
        etcd_client::Txn::new().when(compares).and_then(writes).or_else(present)
    }

    /// The keys whose present revision is not the one that was compared.
    pub(super) fn stale(&self, response: &TxnResponse) -> HashSet<String> {
        let mut present: HashMap<String, i64> = HashMap::new();
        for answer in response.op_responses() {
            if let TxnOpResponse::Get(found) = answer {
                for kv in found.kvs() {
                    present.insert(String::from_utf8_lossy(kv.key()).into_owned(), kv.mod_revision());
                }
            }
        }
        let differs = |(key, at): &(&String, &i64)| present.get(*key).copied().unwrap_or(0) != **at;
        self.compares.iter().filter(differs).map(|(key, _)| key.clone()).collect()
    }
}

/// What a compare is within a group.
enum Real {
    /// An earlier change of the group wrote what was read.
    InGroup,
    At(i64),
}
