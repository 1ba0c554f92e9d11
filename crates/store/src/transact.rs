//! A change that counts once: the receipt of its request id is part of the transaction.
//!
//! * The same request id with the same body gets the first answer again; with another body it is refused.
//! * A conflict is decided anew, a bounded number of times.
//! * After an unknown outcome the *same* transaction is sent again, which is safe because it compares the receipt as absent. "Not done"
//!   is said only after a fence — an ABANDONED receipt — has won; never is a new id made.

use std::{future::Future, sync::Arc, time::Duration};

use allmende_domain::ids::RequestId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::{
    connection::Store,
    error::StoreError,
    group::{DECIDING, Deciding, Overtaken},
    key::{Key, Revision, Versioned},
    keys,
    txn::{Commit, Prepared, Txn},
};

/// How often a change is decided anew after a conflict.
const ATTEMPTS_MAX: u32 = 8;
/// How often a change is decided anew because another one of this process was faster: that costs no request.
const OVERTAKEN_MAX: u32 = 256;
/// From then on those that were overtaken are decided one after another.
const TURNS_FROM: u32 = 2;
/// How often a refusal is looked at again because what it was decided on was not certain.
const REFUSALS_MAX: u32 = 8;
/// How often the same transaction is sent after an unknown outcome, before the fence.
const RESENDS_MAX: u32 = 4;

/// Whether the request of a receipt was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReceiptState {
    /// Its effect and this receipt are one transaction.
    Done,
    /// Certainly not done: the fence won. The same request may be sent again.
    Abandoned,
}

/// What is kept of a request id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// SHA-256 of the request's body, hex.
    pub body_hash: String,
    /// What was answered.
    pub answer: serde_json::Value,
    /// Whether it was done.
    pub state: ReceiptState,
    /// When.
    pub at: Timestamp,
    /// Tells our own receipt from that of a twin request that ran at the same time.
    pub token: String,
}

/// Why a change was not made, or is not known to have been made.
#[derive(Debug, Error)]
pub enum TransactError<E> {
    /// The use case refused.
    #[error("refused")]
    Refused(E),
    /// The request id was used before with another body.
    #[error("the request id was used with another body")]
    RequestIdReused,
    /// Others changed the same thing, [`ATTEMPTS_MAX`] times in a row.
    #[error("too many conflicts")]
    Contention,
    /// The store failed; [`StoreError::UnknownOutcome`] when even the fence got no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One request as the loop sees it.
struct Request<'a> {
    key: Key<Receipt>,
    body_hash: &'a str,
    now: Timestamp,
}

/// A transaction that was begun.
struct Sending {
    change: Prepared,
    /// None: commits are not grouped.
    queued: Option<Result<oneshot::Receiver<Result<Commit, StoreError>>, Overtaken>>,
}

/// What became of one prepared transaction.
enum Sent {
    Committed,
    /// Not sent: it read what another change of this process has written since.
    Overtaken(Overtaken),
    Conflict,
    Abandoned,
}

impl Store {
    /// Makes a change that counts once. `decide` reads, decides, and gives the transaction with the answer; it runs again after a conflict.
    ///
    /// # Errors
    /// See [`TransactError`].
    pub async fn transact<R, E, F, Fut>(
        &self,
        caller: &str,
        request_id: &RequestId,
        body_hash: &str,
        now: Timestamp,
        mut decide: F,
    ) -> Result<R, TransactError<E>>
    where
        R: Serialize + DeserializeOwned,
        F: FnMut(u32) -> Fut,
        Fut: Future<Output = Result<(Txn, R), E>>,
    {
        let request = Request { key: keys::receipt(caller, request_id), body_hash, now };
        // In a group the receipt is read only when it matters: the transaction compares it as absent, and nothing is refused without a
        // look at it.
        let mut earlier = None;
        if self.committer.is_none() {
            earlier = self.find(&request.key).await?;
            if let Some(answer) = replay(earlier.as_ref(), body_hash)? {
                return Ok(answer);
            }
        }
        let (mut attempt, mut overtaken, mut refusals) = (0, 0, 0);
        loop {
            let turn = match &self.committer {
                Some(committer) if overtaken >= TURNS_FROM => Some(committer.turnstile.lock().await),
                _ => None,
            };
            let deciding = Arc::<Deciding>::default();
            let (txn, answer) = match DECIDING.scope(Arc::clone(&deciding), decide(attempt)).await {
                Ok(decided) => decided,
                Err(refused) => {
                    drop(turn);
                    earlier = self.find(&request.key).await?;
                    if let Some(answer) = replay(earlier.as_ref(), body_hash)? {
                        return Ok(answer);
                    }
                    refusals += 1;
                    if refusals < REFUSALS_MAX && (!deciding.stands().await || self.must_look_again()) {
                        continue;
                    }
                    return Err(TransactError::Refused(refused));
                }
            };
            let token = uuid::Uuid::new_v4().to_string();
            let receipt = request.receipt(&answer, ReceiptState::Done, &token)?;
            let txn = txn.expect_as_read(&request.key, earlier.as_ref()).put(&request.key, &receipt);
            let sending = self.begin(txn, &deciding)?;
            drop(turn);
            match self.send(sending, &request, earlier.as_ref(), &token).await? {
                Sent::Committed => return Ok(answer),
                Sent::Overtaken(Overtaken { by, key }) => {
                    overtaken += 1;
                    if overtaken > OVERTAKEN_MAX {
                        return Err(TransactError::Contention);
                    }
                    if key != request.key.raw() {
                        continue;
                    }
                    // A twin of this request is under way.
                    by.ended().await;
                }
                Sent::Conflict => {
                    attempt += 1;
                    if attempt == ATTEMPTS_MAX {
                        return Err(TransactError::Contention);
                    }
                    back_off(attempt).await;
                }
                Sent::Abandoned => {
                    return Err(StoreError::Unavailable("the change was not made".to_owned()).into());
                }
            }
            earlier = self.find(&request.key).await?;
            if let Some(answer) = replay(earlier.as_ref(), body_hash)? {
                return Ok(answer);
            }
        }
    }

    /// Queues a transaction where commits are grouped.
    fn begin(&self, txn: Txn, deciding: &Deciding) -> Result<Sending, StoreError> {
        let change = txn.prepare()?;
        let queued = self.committer.as_ref().map(|committer| committer.submit(change.clone(), deciding));
        Ok(Sending { change, queued })
    }

    async fn first(&self, sending: Sending) -> Result<(Prepared, Result<Commit, StoreError>), Overtaken> {
        let Sending { change, queued } = sending;
        let outcome = match queued {
            None => self.commit_prepared(&change).await,
            Some(queued) => {
                let gone = |_| Err(StoreError::UnknownOutcome("nobody answers for the group".to_owned()));
                let outcome = queued?.await.unwrap_or_else(gone);
                match &outcome {
                    Ok(Commit::Committed(at)) => self.acknowledge(*at),
                    // What is decided anew must have seen what stood in the way.
                    _ => self
                        .acknowledge(self.index.as_ref().map_or(Revision(0), |index| index.acknowledged())),
                }
                outcome
            }
        };
        Ok((change, outcome))
    }

    /// Sends until the outcome is known.
    async fn send(
        &self,
        sending: Sending,
        request: &Request<'_>,
        earlier: Option<&Versioned<Receipt>>,
        token: &str,
    ) -> Result<Sent, StoreError> {
        let (change, mut outcome) = match self.first(sending).await {
            Ok(first) => first,
            Err(overtaken) => return Ok(Sent::Overtaken(overtaken)),
        };
        let mut doubt = false;
        for attempt in 1..=RESENDS_MAX {
            match outcome {
                Ok(Commit::Committed(_)) => return Ok(Sent::Committed),
                Ok(Commit::Conflict) if !doubt => return Ok(Sent::Conflict),
                Ok(Commit::Conflict) => return self.resolve(request, earlier, token).await,
                Err(StoreError::UnknownOutcome(reason)) => {
                    tracing::warn!(reason, attempt, "outcome of a transaction unknown");
                    doubt = true;
                }
                Err(error) => return Err(error),
            }
            if !change.is_certain() {
                // It was part of a group and cannot be sent without the others.
                return self.resolve(request, earlier, token).await;
            }
            back_off(attempt).await;
            // The same again, by itself.
            if attempt < RESENDS_MAX {
                outcome = self.commit_prepared(&change).await;
            } else {
                break;
            }
        }
        self.fence(request, earlier, token).await
    }

    /// A conflict after a doubt: our own earlier success, which its receipt tells, or a rival's. Where it is a rival's, the fence comes
    /// before the change is decided anew: a first sending that is still under way must not be applied behind the second decision.
    async fn resolve(
        &self,
        request: &Request<'_>,
        earlier: Option<&Versioned<Receipt>>,
        token: &str,
    ) -> Result<Sent, StoreError> {
        if let Sent::Committed = self.own_receipt(request, token).await? {
            return Ok(Sent::Committed);
        }
        match self.fence(request, earlier, token).await? {
            Sent::Abandoned => Ok(Sent::Conflict),
            known => Ok(known),
        }
    }

    /// Makes sure that the transaction in doubt can never be applied any more, or learns that it was.
    async fn fence(
        &self,
        request: &Request<'_>,
        earlier: Option<&Versioned<Receipt>>,
        token: &str,
    ) -> Result<Sent, StoreError> {
        let abandoned = request.receipt(&(), ReceiptState::Abandoned, token)?;
        let fence = Txn::new().expect_as_read(&request.key, earlier).put(&request.key, &abandoned);
        match self.commit(fence).await? {
            Commit::Committed(_) => Ok(Sent::Abandoned),
            Commit::Conflict => self.own_receipt(request, token).await,
        }
    }

    async fn own_receipt(&self, request: &Request<'_>, token: &str) -> Result<Sent, StoreError> {
        let found = self.find(&request.key).await?;
        match found {
            Some(found) if found.value.token == token && found.value.state == ReceiptState::Done => {
                Ok(Sent::Committed)
            }
            Some(found) if found.value.token == token => Ok(Sent::Abandoned),
            _ => Ok(Sent::Conflict),
        }
    }
}

impl Request<'_> {
    fn receipt(
        &self,
        answer: &impl Serialize,
        state: ReceiptState,
        token: &str,
    ) -> Result<Receipt, StoreError> {
        let answer = serde_json::to_value(answer)
            .map_err(|error| StoreError::Corrupt { kind: "receipt", reason: error.to_string() })?;
        Ok(Receipt {
            body_hash: self.body_hash.to_owned(),
            answer,
            state,
            at: self.now,
            token: token.to_owned(),
        })
    }
}

/// The earlier answer, when the request was done before.
fn replay<R: DeserializeOwned, E>(
    earlier: Option<&Versioned<Receipt>>,
    body_hash: &str,
) -> Result<Option<R>, TransactError<E>> {
    let Some(earlier) = earlier else { return Ok(None) };
    if earlier.value.body_hash != body_hash {
        return Err(TransactError::RequestIdReused);
    }
    if earlier.value.state == ReceiptState::Abandoned {
        return Ok(None);
    }
    serde_json::from_value(earlier.value.answer.clone())
        .map(Some)
        .map_err(|error| StoreError::Corrupt { kind: "receipt", reason: error.to_string() }.into())
}

/// Waits a little longer each time, with jitter so that rivals part.
async fn back_off(attempt: u32) {
    let ceiling = 10u64 << attempt.min(6);
    let jitter = u64::from(uuid::Uuid::new_v4().as_bytes()[0]) * ceiling / 256;
    tokio::time::sleep(Duration::from_millis(ceiling / 2 + jitter)).await;
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use allmende_domain::{cluster::Cluster, resources::Resources};
    use allmende_testkit::etcd::TestEtcd;

    use super::*;
    use crate::StoreConfig;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn cluster(cpu_milli: i64) -> Cluster {
        Cluster {
            id: "a".parse().unwrap(),
            display_name: "a".to_owned(),
            capacity: Resources { cpu_milli, ..Resources::ZERO },
            carved: Resources::ZERO,
            overcommit: allmende_domain::quota::rule::Overcommit::default(),
            create_time: NOW,
        }
    }

    #[tokio::test]
    async fn what_the_fence_shut_out_is_never_applied_and_the_same_request_may_come_again() {
        let etcd = TestEtcd::start().await;
        let store = Store::connect(&StoreConfig::new(vec![etcd.endpoint()])).await.unwrap();
        let id: RequestId = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        let request = Request { key: keys::receipt("test", &id), body_hash: "b", now: NOW };
        let key = keys::cluster(&"a".parse().unwrap());
        let done = request.receipt(&(), ReceiptState::Done, "first").unwrap();
        let late = Txn::new().put(&key, &cluster(1)).expect_absent(&request.key).put(&request.key, &done);

        assert!(matches!(store.fence(&request, None, "first").await.unwrap(), Sent::Abandoned));
        assert_eq!(store.commit(late).await.unwrap(), Commit::Conflict, "the late sending is shut out");
        assert!(store.find(&key).await.unwrap().is_none());

        let again: Result<i64, TransactError<()>> = store
            .transact("test", &id, "b", NOW, |_| async { Ok((Txn::new().put(&key, &cluster(2)), 2)) })
            .await;
        assert_eq!(again.unwrap(), 2);
        assert_eq!(store.find(&key).await.unwrap().unwrap().value, cluster(2));
        let receipt = store.find(&request.key).await.unwrap().unwrap().value;
        assert_eq!(receipt.state, ReceiptState::Done);
    }

    #[tokio::test]
    async fn a_rivals_conflict_after_a_doubt_is_decided_anew_only_behind_the_fence() {
        let etcd = TestEtcd::start().await;
        let store = Store::connect(&StoreConfig::new(vec![etcd.endpoint()])).await.unwrap();
        let id: RequestId = "00000000-0000-4000-8000-000000000003".parse().unwrap();
        let request = Request { key: keys::receipt("test", &id), body_hash: "b", now: NOW };
        let key = keys::cluster(&"a".parse().unwrap());
        // The change compares the key as absent; a rival's value lies there, and goes away again later.
        let done = request.receipt(&(), ReceiptState::Done, "first").unwrap();
        let change = Txn::new().expect_absent(&key).put(&key, &cluster(1));
        let change = change.expect_absent(&request.key).put(&request.key, &done);
        store.commit(Txn::new().put(&key, &cluster(9))).await.unwrap();
        assert_eq!(store.commit(change.clone()).await.unwrap(), Commit::Conflict);
        assert!(matches!(store.resolve(&request, None, "first").await.unwrap(), Sent::Conflict));
        store.commit(Txn::new().delete(&key)).await.unwrap();
        assert_eq!(store.commit(change).await.unwrap(), Commit::Conflict, "a delayed sending comes too late");
    }

    #[tokio::test]
    async fn the_fence_finds_a_change_that_was_applied_and_leaves_its_receipt() {
        let etcd = TestEtcd::start().await;
        let store = Store::connect(&StoreConfig::new(vec![etcd.endpoint()])).await.unwrap();
        let id: RequestId = "00000000-0000-4000-8000-000000000002".parse().unwrap();
        let request = Request { key: keys::receipt("test", &id), body_hash: "b", now: NOW };
        let done = request.receipt(&7, ReceiptState::Done, "first").unwrap();
        store.commit(Txn::new().expect_absent(&request.key).put(&request.key, &done)).await.unwrap();

        assert!(matches!(store.fence(&request, None, "first").await.unwrap(), Sent::Committed));
        assert!(matches!(store.fence(&request, None, "rival").await.unwrap(), Sent::Conflict));
        assert_eq!(store.find(&request.key).await.unwrap().unwrap().value, done);
    }
}
