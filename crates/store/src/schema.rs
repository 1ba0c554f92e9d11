//! Who this store is: an id given once, an epoch that a restore raises, and the schema its values follow.

use serde::{Deserialize, Serialize};

use crate::{
    connection::Store,
    error::StoreError,
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
    /// UUID, given when the store was first opened.
    pub store_id: String,
    /// Raised by every restore from a backup: operators refuse a lower one.
    pub epoch: u64,
    /// Version of keys and values.
    pub schema: u32,
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
