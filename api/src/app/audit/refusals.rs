//! What the authoriser refused, counted in memory until the keeper writes it: never one write per attempt.

use std::sync::{Arc, Mutex, PoisonError};

use allmende_domain::{
    audit::{Attempt, Refused, Tally, TallyLimits},
    ids::MemberId,
};
use allmende_identity::Identity;
use jiff::Timestamp;

use crate::context::Context;

/// See the module. Clones share the count.
#[derive(Debug, Clone)]
pub struct Refusals(Arc<Mutex<Tally>>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Tally::new(TallyLimits::default()))))
    }
}

impl Refusals {
    /// Counts a refusal of this call. The resource is named as the caller named it.
    pub fn note(&self, context: &Context, member: Option<&MemberId>, target: &str) {
        let (principal, rpc) = (context.caller.identity.to_string(), context.row.rpc.to_owned());
        let (member, target) = (member.cloned(), target.to_owned());
        self.with(|tally| tally.note(Attempt { principal, rpc, member, target, at: context.now }));
    }

    /// Counts a call that did not get as far as a use case: of whom nothing but the certificate is known.
    pub fn note_call(&self, identity: &Identity, rpc: &str, path: &str, at: Timestamp) {
        let (principal, rpc, target) = (identity.to_string(), rpc.to_owned(), path.to_owned());
        self.with(|tally| tally.note(Attempt { principal, rpc, member: None, target, at }));
    }

    pub(super) fn take_due(&self, now: Timestamp, all: bool) -> Vec<Refused> {
        self.with(|tally| tally.take_due(now, all))
    }

    pub(super) fn give_back(&self, refused: Refused) {
        self.with(|tally| tally.give_back(refused));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Tally) -> T) -> T {
        // A panic while counting leaves a count that is at most one off: no reason to refuse all later calls.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
