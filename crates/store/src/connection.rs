//! The connection to etcd: reads and single transactions. Nothing here retries a transaction.

use std::{sync::Arc, time::Duration};

use etcd_client::{Client, GetOptions, SortOrder, SortTarget};

use crate::{
    access::StoreConfig,
    consistency::Call,
    envelope::{Record, decode},
    error::StoreError,
    group::Committer,
    index::Index,
    key::{Key, Range, Revision, Versioned},
    keys,
    renewal::SharedChannel,
    schema::{self, StoreIdentity},
    txn::{Commit, Prepared, Txn},
};

/// Rows that one request of a longer read asks for.
const PAGE: i64 = 500;

/// The store. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Store {
    pub(crate) client: Arc<Client>,
    pub(crate) channel: SharedChannel,
    identity: Arc<StoreIdentity>,
    pub(crate) index: Option<Arc<Index>>,
    pub(crate) committer: Option<Arc<Committer>>,
}

/// Largest page: more than as many values of the largest size that is usual.
const PAGE_BYTES_MAX: usize = 256 << 20;

/// Between two tries of [`Store::connect_within`].
const CONNECT_EVERY: Duration = Duration::from_millis(500);

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Store {
    /// Connects, and creates the store's identity in an empty etcd.
    ///
    /// # Errors
    /// When etcd does not answer or refuses this program, the settings do not fit together, or the store is of a newer schema.
    pub async fn connect(config: &StoreConfig) -> Result<Self, StoreError> {
        let (channel, options) = (SharedChannel::default(), config.options()?);
        let client = Client::connect_with_balanced_channel(&config.endpoints, Some(options), channel.clone())
            .await
            .map_err(StoreError::read)?;
        let unopened = StoreIdentity { store_id: String::new(), epoch: 0, schema: 0 };
        let (client, identity) = (Arc::new(client), Arc::new(unopened));
        let mut store = Self { client, channel, identity, index: None, committer: None };
        store.identity = Arc::new(schema::open(&store).await?);
        Ok(store)
    }

    /// As [`connect`](Self::connect), but waits for an etcd that does not answer yet: where all starts at once, the one that comes
    /// last would else end the others.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); etcd's silence only after `limit`.
    pub async fn connect_within(config: &StoreConfig, limit: Duration) -> Result<Self, StoreError> {
        let end = tokio::time::Instant::now() + limit;
        loop {
            match Self::connect(config).await {
                Err(StoreError::Unavailable(reason)) if tokio::time::Instant::now() < end => {
                    tracing::info!(reason, "etcd does not answer yet");
                    tokio::time::sleep(CONNECT_EVERY).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Id and epoch as they were when this program connected. What depends on them now asks for [`present`](Self::present).
    pub fn identity(&self) -> &StoreIdentity {
        &self.identity
    }

    /// Whether etcd answers a linearizable read.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.find_at(&keys::schema()).await.map(|_| ())
    }

    /// Reads one value: linearizably, or as new as the call needs (see [`Freshness`](crate::Freshness)).
    ///
    /// # Errors
    /// When etcd does not answer or the value cannot be read.
    pub async fn find<T: Record>(&self, key: &Key<T>) -> Result<Option<Versioned<T>>, StoreError> {
        if let Some(committer) = &self.committer
            && let Some(found) = committer.find(key.raw())
        {
            let versioned = |bytes: Arc<[u8]>| {
                Ok(Versioned { key: key.clone(), value: decode(&bytes)?, revision: found.revision })
            };
            return found.value.map(versioned).transpose();
        }
        if let Some(index) = &self.index
            && let Some(found) = index.find(key).await
        {
            return found;
        }
        self.find_at(key).await.map(|(found, _)| found)
    }

    /// As [`find`](Self::find), and linearizably whatever the call asked for: for what says whether a caller still counts.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub async fn find_now<T: Record>(&self, key: &Key<T>) -> Result<Option<Versioned<T>>, StoreError> {
        self.find_at(key).await.map(|(found, _)| found)
    }

    /// As [`find`](Self::find), with the revision of the store at which it was read.
    pub(crate) async fn find_at<T: Record>(
        &self,
        key: &Key<T>,
    ) -> Result<(Option<Versioned<T>>, Revision), StoreError> {
        let response = self.client.kv_client().get(key.raw(), None).await.map_err(StoreError::read)?;
        let revision = Revision(response.header().map_or(0, etcd_client::ResponseHeader::revision));
        Self::read_at(revision)?;
        Ok((response.kvs().first().map(versioned).transpose()?, revision))
    }

    /// Reads one value as it was at a revision that another read told.
    ///
    /// # Errors
    /// As [`find`](Self::find), and when that revision has been compacted away.
    pub async fn find_as_of<T: Record>(
        &self,
        key: &Key<T>,
        Revision(at): Revision,
    ) -> Result<Option<Versioned<T>>, StoreError> {
        let options = GetOptions::new().with_revision(at);
        let response =
            self.client.kv_client().get(key.raw(), Some(options)).await.map_err(StoreError::read)?;
        response.kvs().first().map(versioned).transpose()
    }

    /// Reads at most `limit` values in key order, after the raw key `after`.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub async fn scan<T: Record>(
        &self,
        range: &Range<T>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Versioned<T>>, StoreError> {
        if let Some(index) = &self.index
            && let Some(found) = index.range(range, after, limit).await
        {
            return found.map(|(rows, _)| rows);
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (rows, _) = self.page(range, after, limit, None).await?;
        Ok(rows)
    }

    /// Reads a whole range as it was at one revision, page by page, and tells that revision.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub async fn snapshot<T: Record>(
        &self,
        range: &Range<T>,
    ) -> Result<(Vec<Versioned<T>>, Revision), StoreError> {
        if let Some(index) = &self.index
            && let Some(found) = index.range(range, None, usize::MAX).await
        {
            return found;
        }
        self.pages(range, None).await
    }

    /// Reads a whole range as it was at a revision that another read told: so several ranges are seen at one moment.
    ///
    /// # Errors
    /// As [`find`](Self::find), and when that revision has been compacted away.
    pub async fn snapshot_at<T: Record>(
        &self,
        range: &Range<T>,
        at: Revision,
    ) -> Result<Vec<Versioned<T>>, StoreError> {
        self.pages(range, Some(at)).await.map(|(rows, _)| rows)
    }

    /// Reads at most `limit` values in the order in which they were written first.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub async fn oldest<T: Record>(
        &self,
        range: &Range<T>,
        limit: usize,
    ) -> Result<Vec<Versioned<T>>, StoreError> {
        let options = GetOptions::new()
            .with_range(range.end())
            .with_sort(SortTarget::Create, SortOrder::Ascend)
            .with_limit(i64::try_from(limit).unwrap_or(i64::MAX));
        let response =
            self.client.kv_client().get(range.prefix(), Some(options)).await.map_err(StoreError::read)?;
        response.kvs().iter().map(versioned).collect()
    }

    /// Reads at most `limit` values that were written at `from` or later, in the order of their last change, as all was at `at`.
    ///
    /// # Errors
    /// As [`find`](Self::find), and when that revision has been compacted away.
    pub async fn changed_since<T: Record>(
        &self,
        range: &Range<T>,
        Revision(from): Revision,
        Revision(at): Revision,
        limit: usize,
    ) -> Result<Vec<Versioned<T>>, StoreError> {
        let options = GetOptions::new()
            .with_range(range.end())
            .with_revision(at)
            .with_min_mod_revision(from)
            .with_sort(SortTarget::Mod, SortOrder::Ascend)
            .with_limit(i64::try_from(limit).unwrap_or(i64::MAX));
        let response =
            self.client.kv_client().get(range.prefix(), Some(options)).await.map_err(StoreError::read)?;
        response.kvs().iter().map(versioned).collect()
    }

    async fn pages<T: Record>(
        &self,
        range: &Range<T>,
        at: Option<Revision>,
    ) -> Result<(Vec<Versioned<T>>, Revision), StoreError> {
        let (mut rows, newest) = self.page(range, None, PAGE, at).await?;
        let revision = at.unwrap_or(newest);
        let mut last_page = rows.len();
        while i64::try_from(last_page).unwrap_or(i64::MAX) == PAGE {
            let after = rows.last().map(|row| row.key.raw().to_owned());
            let (page, _) = self.page(range, after.as_deref(), PAGE, Some(revision)).await?;
            last_page = page.len();
            rows.extend(page);
        }
        Ok((rows, revision))
    }

    /// Sends one transaction, once.
    ///
    /// # Errors
    /// [`StoreError::UnknownOutcome`] when it may or may not have been applied; [`StoreError::Limit`] when it certainly was not.
    pub async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.commit_prepared(&txn.prepare()?).await
    }

    pub(crate) async fn commit_prepared(&self, change: &Prepared) -> Result<Commit, StoreError> {
        let response = self.client.kv_client().txn(change.to_etcd()).await.map_err(StoreError::write)?;
        let revision = Revision(response.header().map_or(0, etcd_client::ResponseHeader::revision));
        // Also after a conflict: what is decided anew must have seen what stood in the way.
        self.acknowledge(revision);
        Ok(if response.succeeded() { Commit::Committed(revision) } else { Commit::Conflict })
    }

    /// From now on this process reads at least this revision.
    pub(crate) fn acknowledge(&self, revision: Revision) {
        if let Some(index) = &self.index {
            index.acknowledge(revision);
        }
        if let Some(call) = Call::current() {
            call.raise(revision);
        }
    }

    async fn page<T: Record>(
        &self,
        range: &Range<T>,
        after: Option<&str>,
        limit: i64,
        at: Option<Revision>,
    ) -> Result<(Vec<Versioned<T>>, Revision), StoreError> {
        // A key of another range in a forged page token must not widen what is read.
        let begin = after
            .filter(|key| key.starts_with(range.prefix()))
            .map_or_else(|| range.prefix().to_owned(), |key| format!("{key}\0"));
        let mut options = GetOptions::new().with_range(range.end()).with_limit(limit);
        if let Some(Revision(revision)) = at {
            options = options.with_revision(revision);
        }
        let mut client = self.client.kv_client().max_decoding_message_size(PAGE_BYTES_MAX);
        let response = client.get(begin, Some(options)).await.map_err(StoreError::read)?;
        let revision = Revision(response.header().map_or(0, etcd_client::ResponseHeader::revision));
        Self::read_at(revision)?;
        let rows = response.kvs().iter().map(versioned).collect::<Result<_, _>>()?;
        Ok((rows, revision))
    }
}

pub(crate) fn versioned<T: Record>(kv: &etcd_client::KeyValue) -> Result<Versioned<T>, StoreError> {
    let raw = kv.key_str().map_err(StoreError::read)?.to_owned();
    Ok(Versioned { key: Key::new(raw), value: decode(kv.value())?, revision: Revision(kv.mod_revision()) })
}
