//! What every use case shares: the store, the clock, the right to act, and the one way to commit a change.

use std::{future::Future, sync::Arc};

use allmende_domain::{
    audit::AuditEntry,
    ids::{MemberId, RequestId},
};
use allmende_identity::Identity;
use allmende_store::{Range, Record, Store, TransactError, Txn, Versioned, keys};
use jiff::Timestamp;
use prost::Message;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{
    app::audit::Archive,
    authz::{Authorizer, Scope, authorizer::Actor},
    clock::Clock,
    context::Context,
    error::AppError,
    pagination::{Page, PageRequest},
    requests::ChangeRequest,
};

/// Shared by all use cases; cheap to clone.
#[derive(Clone)]
pub struct Core {
    /// The only source of truth.
    pub store: Store,
    /// Passed in, so that tests set the time.
    pub clock: Arc<dyn Clock>,
    /// Applies the table.
    pub authorizer: Authorizer,
    /// Where old segments of the audit lie; none: all are in etcd.
    pub archive: Option<Archive>,
    /// Orders need a signed processing agreement (AVV) of the member.
    pub needs_processing_agreement: bool,
}

/// A change as the client asked for it: who, under which request id, with which body, for real or as a preview.
#[derive(Debug)]
pub struct Change {
    /// Who acts, by which right.
    pub actor: Actor,
    /// From the client; a fresh one where it sent none (then a repeat is a new request).
    pub request_id: RequestId,
    /// SHA-256 of the request message: the same id with another body is refused.
    pub body_hash: String,
    /// Check and compute everything, commit nothing.
    pub validate_only: bool,
    /// When the call came in.
    pub now: Timestamp,
}

impl Change {
    /// Reads the request id and hashes the message.
    pub fn new(
        actor: Actor,
        request_id: &str,
        message: &impl Message,
        validate_only: bool,
        now: Timestamp,
    ) -> Result<Self, AppError> {
        let request_id = if request_id.is_empty() {
            fresh()?
        } else {
            request_id
                .parse()
                .map_err(|_| AppError::invalid("request_id", "must be a UUID, for example of `uuidgen`"))?
        };
        tracing::Span::current().record("request_id", tracing::field::display(&request_id));
        let body_hash = hex::encode(Sha256::digest(message.encode_to_vec()));
        Ok(Self { actor, request_id, body_hash, validate_only, now })
    }
}

impl Core {
    /// Begins a change: authorises the caller for `scope`, then reads request id and body.
    ///
    /// # Errors
    /// Refusal by the table; a request id that is no UUID.
    pub async fn change(
        &self,
        context: &Context,
        scope: Scope<'_>,
        request: &impl ChangeRequest,
    ) -> Result<Change, AppError> {
        let actor = self.authorizer.require(context, scope).await?;
        Change::new(actor, request.request_id(), request, request.validate_only(), context.now)
    }

    /// What is told of another store's or epoch's objects says nothing about ours.
    ///
    /// # Errors
    /// WRONG_STATE; when the store does not answer.
    pub async fn must_be_our_store(&self, name: &str, store_id: &str, epoch: u64) -> Result<(), AppError> {
        let (own, _) = self.store.present().await?;
        if own.value.store_id == store_id && own.value.epoch == epoch {
            return Ok(());
        }
        let description =
            "the report belongs to another store or epoch: follow the desired state anew".to_owned();
        Err(AppError::WrongState { resource: name.to_owned(), description })
    }

    /// One page of a range, in key order. The caller has authorised.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page<T: Record>(
        &self,
        range: &Range<T>,
        page: &PageRequest,
    ) -> Result<Page<Versioned<T>>, AppError> {
        let rows = self.store.scan(range, page.after(), page.limit()).await?;
        Ok(page.page(rows, |row| row.key.raw().to_owned()))
    }

    /// Commits what `decide` makes, once: with receipt, compares and bounded retry on conflict only. With `validate_only` nothing is
    /// committed and the same answer comes back.
    ///
    /// `decide` loads, lets the domain decide and gives the transaction (audit entry included) with the answer; it may run several times.
    pub async fn commit<R, F, Fut>(&self, change: &Change, mut decide: F) -> Result<R, AppError>
    where
        R: Serialize + DeserializeOwned,
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<(Txn, R), AppError>>,
    {
        if change.validate_only {
            let mut decided = Box::pin(decide()).await;
            if decided.is_err() && self.store.must_look_again() {
                decided = Box::pin(decide()).await;
            }
            return decided.map(|(_, answer)| answer);
        }
        let work = self.store.transact(
            &change.actor.principal,
            &change.request_id,
            &change.body_hash,
            change.now,
            |_attempt| Box::pin(decide()),
        );
        Box::pin(work).await.map_err(|error| match error {
            TransactError::Refused(refused) => refused,
            TransactError::RequestIdReused => AppError::RequestIdReused,
            TransactError::Contention => AppError::Contention,
            TransactError::Store(error) => error.into(),
        })
    }
}

impl Context {
    /// The audit entry of what a cluster told and we took for true: it names the cluster and has no request id of the sender. Where the
    /// member is one of our own records, it lies in that member's chain too.
    ///
    /// # Errors
    /// Never in practice: a fresh UUID is an id.
    pub fn audit_report(
        &self,
        member: Option<&MemberId>,
        target: &str,
        summary: String,
    ) -> Result<Txn, AppError> {
        let actor = self.caller.identity.to_string();
        let entry = AuditEntry {
            member: member.cloned(),
            summary,
            ..AuditEntry::done(self.now, &actor, "cluster", self.row.rpc, target, fresh()?)
        };
        Ok(audited(entry))
    }
}

/// The audit entry of what the API does by itself as time passes, in the chain of that member.
///
/// # Errors
/// Never in practice: a fresh UUID is an id.
pub fn audit_keeper(
    now: Timestamp,
    member: &MemberId,
    (action, target): (&str, &str),
    reason: &str,
    summary: String,
) -> Result<Txn, AppError> {
    let actor = Identity::Component("api".to_owned()).to_string();
    Ok(audited(AuditEntry {
        member: Some(member.clone()),
        reason: reason.to_owned(),
        summary,
        ..AuditEntry::done(now, &actor, "component", action, target, fresh()?)
    }))
}

/// The transaction that writes an entry under its own key.
fn audited(entry: AuditEntry) -> Txn {
    Txn::new().audit(&keys::audit(entry.at, &entry.actor, &entry.request_id), entry)
}

impl Change {
    /// The audit entry of this change, to be part of its transaction, which also says what changed field by field.
    pub fn audit(
        &self,
        rpc: &str,
        member: Option<&MemberId>,
        target: &str,
        summary: String,
        reason: &str,
    ) -> Txn {
        let Actor { principal, role, .. } = &self.actor;
        audited(AuditEntry {
            deputy: self.actor.deputy,
            made_by: self.actor.made_by.clone(),
            member: member.cloned(),
            reason: reason.to_owned(),
            summary,
            ..AuditEntry::done(self.now, principal, role, rpc, target, self.request_id.clone())
        })
    }
}

/// A fresh UUID in the form of our ids. Ids of one process ascend with time.
pub fn fresh<T: std::str::FromStr>() -> Result<T, AppError> {
    uuid::Uuid::now_v7().to_string().parse().map_err(|_| AppError::internal("a fresh UUID is no id"))
}
