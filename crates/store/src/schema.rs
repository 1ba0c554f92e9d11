//! Who this store is: an id given once, an epoch that a restore raises, and the schema its values follow.

use serde::{Deserialize, Serialize};

use crate::{
    connection::Store,
    error::StoreError,
    key::{Revision, Versioned},
    keys,
    txn::{Commit, Txn},
};

/// Schema that this binary writes.
const SCHEMA: u32 = 1;
/// Binaries that start at once on an empty store: one creates, the others read.
const CREATE_ATTEMPTS: usize = 3;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreIdentity {
    /// UUID, given when the store was first opened and anew with every raise of the epoch: two stores that were put back from one backup
    /// and reached the same epoch are told apart.
    pub store_id: String,
    /// Raised after every restore from a backup: operators refuse a lower one.
    pub epoch: u64,
    /// Version of keys and values.
    pub schema: u32,
}

impl StoreIdentity {
    /// The next one: above its own epoch and `above`, with a new id.
    #[must_use]
    pub fn raised(&self, above: u64) -> Self {
        Self {
            store_id: uuid::Uuid::new_v4().to_string(),
            epoch: self.epoch.max(above).saturating_add(1),
            schema: self.schema,
        }
    }
}

impl Store {
    /// Who the store is now, and how far it is: etcd may have been put back under a running program, or the epoch raised by another.
    ///
    /// # Errors
    /// When etcd does not answer, or holds no store any more.
    pub async fn present(&self) -> Result<(Versioned<StoreIdentity>, Revision), StoreError> {
        let (found, revision) = self.find_at(&keys::schema()).await?;
        let missing = || StoreError::Unavailable("etcd holds no store: its identity is missing".to_owned());
        Ok((found.ok_or_else(missing)?, revision))
    }
}

/// Reads the identity, or creates it in an empty store.
pub(crate) async fn open(store: &Store) -> Result<StoreIdentity, StoreError> {
    let key = keys::schema();
    for _ in 0..CREATE_ATTEMPTS {
        if let Some(found) = store.find(&key).await? {
            if found.value.schema > SCHEMA {
                return Err(StoreError::NewerSchema { found: found.value.schema, known: SCHEMA });
            }
            return Ok(found.value);
        }
        let identity = StoreIdentity { store_id: uuid::Uuid::new_v4().to_string(), epoch: 1, schema: SCHEMA };
        if let Commit::Committed(_) =
            store.commit(Txn::new().expect_absent(&key).put(&key, &identity)).await?
        {
            return Ok(identity);
        }
    }
    Err(StoreError::Unavailable("the store's identity could neither be read nor created".to_owned()))
}
