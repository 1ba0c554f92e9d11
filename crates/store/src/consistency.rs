//! How new what a call reads must be.
//!
//! A *call* is work inside [`Store::reading`]. Its reads come from the index when there is one, and what they see is at least as new as
//!
//! * everything that anybody had acknowledged when the call read first ([`Freshness::Strong`], the default): one linearizable read of
//!   the revision, shared by all calls that wait for one; or
//! * everything that this process has acknowledged, and what the token of an earlier answer saw ([`Freshness::Session`]).
//!
//! Reads outside a call go to etcd and are linearizable. A change may be *decided* on what is old: its transaction compares what it read.
//! It may not be *refused* on it: see [`Store::must_look_again`].

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use sha2::{Digest, Sha256};

use crate::{connection::Store, error::StoreError, key::Revision};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Freshness {
    /// Linearizable.
    #[default]
    Strong,
    /// At least as new as the token, if any, and as what this process has acknowledged.
    Session(Option<ConsistencyToken>),
}

/// Up to where a call has seen the store: opaque to clients, good for any replica of the same store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyToken {
    store: String,
    revision: Revision,
}

/// What a call must still learn before it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owed {
    /// Nothing.
    Nothing,
    /// What this process has acknowledged.
    Own,
    /// What anybody has acknowledged.
    Fence,
}

/// What is known of a call while it runs.
#[derive(Debug)]
pub(crate) struct Call {
    owed: Mutex<Owed>,
    /// Whether it has been promised what anybody had acknowledged at some moment since it began.
    firm: AtomicBool,
    /// Its reads wait for this revision.
    at_least: AtomicI64,
    /// The newest revision that it was answered from, or that it wrote.
    seen: AtomicI64,
}

tokio::task_local! {
    static CALL: Arc<Call>;
}

impl ConsistencyToken {
    fn of(store_id: &str, revision: Revision) -> Self {
        Self { store: hex::encode(&Sha256::digest(store_id)[..4]), revision }
    }
}

impl std::fmt::Display for ConsistencyToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:016x}", self.store, self.revision.0)
    }
}

impl std::str::FromStr for ConsistencyToken {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "must be what an earlier answer said, unchanged";
        if text.len() != 24 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong);
        }
        let (store, revision) = text.split_at(8);
        let revision = i64::from_str_radix(revision, 16).map_err(|_| wrong)?;
        Ok(Self { store: store.to_owned(), revision: Revision(revision) })
    }
}

impl Call {
    /// The call that runs, if one does.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CALL.try_with(Arc::clone).ok()
    }

    fn new(owed: Owed) -> Self {
        let firm = AtomicBool::new(owed == Owed::Fence);
        Self { owed: Mutex::new(owed), firm, at_least: AtomicI64::new(0), seen: AtomicI64::new(0) }
    }

    /// What the reader has to see to before it reads; once.
    pub(crate) fn take_owed(&self) -> Owed {
        std::mem::replace(&mut *self.owed.lock().unwrap_or_else(PoisonError::into_inner), Owed::Nothing)
    }

    /// What is read from now on must be as new as what anybody has acknowledged by now.
    pub(crate) fn owe_fence(&self) {
        self.firm.store(true, Ordering::SeqCst);
        *self.owed.lock().unwrap_or_else(PoisonError::into_inner) = Owed::Fence;
    }

    pub(crate) fn at_least(&self) -> Revision {
        Revision(self.at_least.load(Ordering::SeqCst))
    }

    /// Reads from now on see at least this revision.
    pub(crate) fn raise(&self, Revision(revision): Revision) {
        self.at_least.fetch_max(revision, Ordering::SeqCst);
        self.saw(Revision(revision));
    }

    pub(crate) fn saw(&self, Revision(revision): Revision) {
        self.seen.fetch_max(revision, Ordering::SeqCst);
    }
}

impl Store {
    /// Runs `work` as one call. The token says how far it saw; none when it touched nothing.
    pub async fn reading<F: Future>(
        &self,
        freshness: Freshness,
        work: F,
    ) -> (F::Output, Option<ConsistencyToken>) {
        let own = |token: &ConsistencyToken| token.store == self.token(Revision(0)).store;
        let call = match freshness {
            Freshness::Session(None) => Call::new(Owed::Own),
            Freshness::Session(Some(token)) if own(&token) => {
                let call = Call::new(Owed::Own);
                call.raise(token.revision);
                call
            }
            // A token of another store, or of this one before its epoch was raised, says nothing about revisions here.
            Freshness::Session(Some(_)) | Freshness::Strong => Call::new(Owed::Fence),
        };
        let call = Arc::new(call);
        let output = CALL.scope(Arc::clone(&call), work).await;
        let seen = call.seen.load(Ordering::SeqCst);
        (output, (seen > 0).then(|| self.token(Revision(seen))))
    }

    /// Before a refusal: whether it was decided on what may be older than what others have acknowledged. Then the reads from now on are
    /// not, and the call decides anew; a second time it need not.
    pub fn must_look_again(&self) -> bool {
        match Call::current() {
            Some(call) if self.index.is_some() && !call.firm.load(Ordering::SeqCst) => {
                call.owe_fence();
                true
            }
            _ => false,
        }
    }

    fn token(&self, revision: Revision) -> ConsistencyToken {
        ConsistencyToken::of(&self.identity().store_id, revision)
    }

    /// What was read from etcd itself; it must not be older than what the call was promised.
    pub(crate) fn read_at(revision: Revision) -> Result<(), StoreError> {
        let Some(call) = Call::current() else { return Ok(()) };
        if revision < call.at_least() {
            let text = format!("the store is at {revision:?}, a call was promised {:?}", call.at_least());
            return Err(StoreError::Unavailable(text));
        }
        call.saw(revision);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_told_and_nothing_else_is_a_token() {
        let token = ConsistencyToken::of("9b0c", Revision(4711));
        assert_eq!(token.to_string().parse::<ConsistencyToken>().unwrap(), token);
        assert_ne!(ConsistencyToken::of("9b0d", Revision(4711)), token);
        for wrong in [
            "",
            "x",
            "4711",
            "ABCDEF000000000000000000",
            "00000000ffffffffffffffff",
            "ä00000000000000000000000",
        ] {
            assert!(wrong.parse::<ConsistencyToken>().is_err(), "{wrong}");
        }
    }
}
