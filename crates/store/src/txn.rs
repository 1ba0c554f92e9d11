//! One transaction as a value: what must still be as it was read, and what is written then.

use std::{collections::BTreeMap, sync::Arc};

use allmende_domain::audit::AuditEntry;
use etcd_client::{Compare, CompareOp, TxnOp};

use crate::{
    difference,
    envelope::{Record, encode},
    error::StoreError,
    key::{Key, Revision, Versioned},
};

/// etcd's default limit of operations in one transaction (`--max-txn-ops`).
pub const OPERATIONS_MAX: usize = 128;
/// Below etcd's default limit of a request (1.5 MiB), with room for the frame.
pub(crate) const BYTES_MAX: usize = 1_400_000;

/// See the module. Built by a use case, sent by [`Store::commit`](crate::Store::commit).
#[derive(Debug, Clone, Default)]
pub struct Txn {
    compares: Vec<(String, Revision)>,
    puts: Vec<(String, Vec<u8>)>,
    deletes: Vec<String>,
    /// What was read and compared, for the audit.
    reads: BTreeMap<String, Vec<u8>>,
    audits: Vec<(Key<AuditEntry>, AuditEntry)>,
    failed: Option<String>,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// Applied at this revision.
    Committed(Revision),
    /// Something it compared has changed: nothing was applied.
    Conflict,
}

impl Txn {
    /// Nothing compared, nothing written.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was read must not have changed.
    #[must_use]
    pub fn expect_unchanged<T: Record>(mut self, read: &Versioned<T>) -> Self {
        match encode(&read.value) {
            Ok(bytes) => {
                self.reads.insert(read.key.raw().to_owned(), bytes);
            }
            Err(error) => self.failed = Some(error.to_string()),
        }
        self.expect_revision(&read.key, read.revision)
    }

    /// Nothing may lie there.
    #[must_use]
    pub fn expect_absent<T>(self, key: &Key<T>) -> Self {
        self.expect_revision(key, Revision::ABSENT)
    }

    /// As read: unchanged where something lay, absent where nothing lay.
    #[must_use]
    pub fn expect_as_read<T: Record>(self, key: &Key<T>, read: Option<&Versioned<T>>) -> Self {
        match read {
            Some(read) => self.expect_unchanged(read),
            None => self.expect_absent(key),
        }
    }

    /// The key's last change must be this one.
    #[must_use]
    pub fn expect_revision<T>(mut self, key: &Key<T>, revision: Revision) -> Self {
        self.compares.push((key.raw().to_owned(), revision));
        self
    }

    /// Writes a value.
    #[must_use]
    pub fn put<T: Record>(mut self, key: &Key<T>, value: &T) -> Self {
        match encode(value) {
            Ok(bytes) => self.puts.push((key.raw().to_owned(), bytes)),
            Err(error) => self.failed = Some(error.to_string()),
        }
        self
    }

    /// Writes an audit entry; its changes are those of the whole transaction, filled in when it is sent.
    #[must_use]
    pub fn audit(mut self, key: &Key<AuditEntry>, entry: AuditEntry) -> Self {
        self.audits.push((key.clone(), entry));
        self
    }

    /// Removes a value.
    #[must_use]
    pub fn delete<T>(mut self, key: &Key<T>) -> Self {
        self.deletes.push(key.raw().to_owned());
        self
    }

    /// Everything of another one too.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.compares.extend(other.compares);
        self.puts.extend(other.puts);
        self.deletes.extend(other.deletes);
        self.reads.extend(other.reads);
        self.audits.extend(other.audits);
        self.failed = self.failed.or(other.failed);
        self
    }

    /// Whether it would write nothing.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty() && self.audits.is_empty()
    }

    /// Completes the audit entries and makes them writes like the others. An entry is never written over another.
    fn with_audits(mut self) -> Self {
        if self.audits.is_empty() {
            return self;
        }
        let written = self.puts.iter().map(|(key, value)| (key, Some(value.as_slice())));
        let removed = self.deletes.iter().map(|key| (key, None));
        let changes = difference::changes(
            written.chain(removed).map(|(key, after)| (self.reads.get(key).map(Vec::as_slice), after)),
        );
        for (key, entry) in std::mem::take(&mut self.audits) {
            let entry = AuditEntry { changes: changes.clone(), ..entry.bounded() };
            self = self.expect_absent(&key).put(&key, &entry);
        }
        self
    }

    /// Completes it and checks the limits.
    pub(crate) fn prepare(self) -> Result<Prepared, StoreError> {
        let this = self.with_audits();
        if let Some(reason) = this.failed {
            return Err(StoreError::Limit(reason));
        }
        let writes = this.puts.len() + this.deletes.len();
        if writes > OPERATIONS_MAX || this.compares.len() > OPERATIONS_MAX {
            let compares = this.compares.len();
            return Err(StoreError::Limit(format!(
                "{writes} writes and {compares} compares, at most {OPERATIONS_MAX} each"
            )));
        }
        let bytes: usize = this.puts.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > BYTES_MAX {
            return Err(StoreError::Limit(format!("{bytes} bytes, at most {BYTES_MAX}")));
        }
        let puts = this.puts.into_iter().map(|(key, value)| (key, Some(Arc::from(value))));
        let deletes = this.deletes.into_iter().map(|key| (key, None));
        let by_key: BTreeMap<String, Option<Arc<[u8]>>> = puts.chain(deletes).collect();
        if by_key.len() != writes {
            return Err(StoreError::Limit("a key is written twice".to_owned()));
        }
        Ok(Prepared { compares: this.compares, writes: by_key, bytes })
    }
}

/// A complete transaction within the limits.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// A negative revision stands for one that a change under way will have.
    pub(crate) compares: Vec<(String, Revision)>,
    /// None: removed.
    pub(crate) writes: BTreeMap<String, Option<Arc<[u8]>>>,
    pub(crate) bytes: usize,
}

impl Prepared {
    /// Whether it compares nothing that was not committed when it was read.
    pub(crate) fn is_certain(&self) -> bool {
        self.compares.iter().all(|(_, revision)| revision.0 >= 0)
    }

    /// etcd's own form. Only of one that [is certain](Self::is_certain).
    pub(crate) fn to_etcd(&self) -> etcd_client::Txn {
        let compares: Vec<Compare> =
            self.compares.iter().map(|(key, revision)| compare(key, revision.0)).collect();
        let operations: Vec<TxnOp> =
            self.writes.iter().map(|(key, value)| write(key, value.as_deref())).collect();
        etcd_client::Txn::new().when(compares).and_then(operations)
    }
}

/// etcd's form of a compare with a committed revision; 0: the key is absent.
pub(crate) fn compare(key: &str, revision: i64) -> Compare {
    match revision {
        0 => Compare::create_revision(key, CompareOp::Equal, 0),
        revision => Compare::mod_revision(key, CompareOp::Equal, revision),
    }
}

/// etcd's form of a write; none: the key is removed.
pub(crate) fn write(key: &str, value: Option<&[u8]>) -> TxnOp {
    match value {
        Some(value) => TxnOp::put(key, value, None),
        None => TxnOp::delete(key, None),
    }
}
