//! Sealing: entries in the order of their revisions, chained for the cooperative and for each member, heads signed, the unsealed ones
//! removed, in one transaction that compares every head. Whoever loses that compare reads anew: any number of sealers do no harm.

use std::{collections::BTreeMap, sync::Arc};

use allmende_domain::{audit::AuditEntry, ids::MemberId};
use allmende_evidence::{Head, Link, SigningKey, export::RESTORE_ACTION, genesis};
use allmende_identity::Identity;
use allmende_store::{
    AuditHead, AuditSegment, Commit, SealedEntry, StoreError, StoreIdentity, Txn, Versioned, keys,
};
use jiff::ToSpan;

use crate::{
    core::{Core, fresh},
    error::AppError,
};

/// Entries of one transaction: with a chain for each, the cooperative's, and a new segment for each, below etcd's 128 operations.
const BATCH_MAX: usize = 16;
/// Bytes of entries of one transaction: they are stored twice, and with the segments that they go into, below etcd's 1.5 MiB.
const BATCH_BYTES_MAX: usize = 128 << 10;
/// A segment with so many links takes no more.
const SEGMENT_LINKS_MAX: usize = 64;
/// A segment with so many bytes takes no more.
const SEGMENT_BYTES_MAX: usize = 16 << 10;

/// See the module.
#[derive(Clone)]
pub struct Sealer {
    core: Core,
    key: Arc<SigningKey>,
}

/// A chain while entries are appended to it.
struct Chain {
    /// Id of the store when the chain began.
    installation: String,
    name: String,
    member: Option<MemberId>,
    stored: Option<Versioned<AuditHead>>,
    /// By the number of the first link; the last one is the open one.
    segments: BTreeMap<u64, AuditSegment>,
    last: (u64, allmende_evidence::Digest),
}

impl Sealer {
    pub(super) fn new(core: Core, key: Arc<SigningKey>) -> Self {
        Self { core, key }
    }

    /// Seals the oldest entries and says how many; 0 when there are none, or when another sealer was faster.
    ///
    /// # Errors
    /// When the store fails or a chain does not fit together. Nothing was sealed then, or the next call finds it done.
    pub async fn seal(&self) -> Result<usize, AppError> {
        let batch = self.batch().await?;
        if batch.is_empty() {
            return Ok(0);
        }
        let (present, _) = self.core.store.present().await?;
        let mut chains: BTreeMap<Option<MemberId>, Chain> = BTreeMap::new();
        let mut txn = Txn::new();
        for row in &batch {
            let sealed = SealedEntry { revision: row.revision.0, entry: row.value.clone() };
            let text = serde_json::to_string(&sealed).map_err(AppError::internal)?;
            let own = row.value.member.clone().map(Some);
            for member in std::iter::once(None).chain(own) {
                if !chains.contains_key(&member) {
                    let mut chain = self.load(member.as_ref(), &present.value).await?;
                    if let Some(entry) = chain.put_back(&present.value, row)? {
                        chain.append(entry);
                    }
                    chains.insert(member.clone(), chain);
                }
                if let Some(chain) = chains.get_mut(&member) {
                    chain.append(text.clone());
                }
            }
            txn = txn.expect_unchanged(row).delete(&row.key);
        }
        let sealed_at = self.core.clock.now().to_string();
        for chain in chains.into_values() {
            txn = txn.and(chain.written(&present.value.store_id, &sealed_at, &self.key));
        }
        match self.core.store.commit(txn).await {
            Ok(Commit::Committed(_)) => Ok(batch.len()),
            Ok(Commit::Conflict) => Ok(0),
            Err(StoreError::UnknownOutcome(reason)) => {
                tracing::warn!(reason, "outcome of sealing unknown: the next pass finds out");
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The oldest entries, in the order of revision and then key. What was written in one transaction is not torn apart, so that the order
    /// does not depend on how far a batch went.
    async fn batch(&self) -> Result<Vec<Versioned<AuditEntry>>, AppError> {
        let mut rows = self.core.store.oldest(&keys::audit_all(), BATCH_MAX).await?;
        rows.sort_by(|a, b| (a.revision, a.key.raw()).cmp(&(b.revision, b.key.raw())));
        let full = rows.len() == BATCH_MAX;
        let (mut kept, mut bytes) = (0, 0usize);
        for row in &rows {
            bytes = bytes.saturating_add(serde_json::to_string(&row.value).map_or(0, |text| text.len()));
            if kept > 0 && bytes > BATCH_BYTES_MAX {
                break;
            }
            kept += 1;
        }
        if (full || kept < rows.len())
            && let Some(last) = rows.get(kept.saturating_sub(1)).map(|row| row.revision)
        {
            let whole = rows.iter().take_while(|row| row.revision < last).count();
            kept = if whole == 0 { kept } else { whole };
        }
        rows.truncate(kept);
        Ok(rows)
    }

    async fn load(&self, member: Option<&MemberId>, present: &StoreIdentity) -> Result<Chain, AppError> {
        let store = &self.core.store;
        let name = member.map_or_else(|| "cooperative".to_owned(), |member| format!("members/{member}"));
        let stored = store.find(&keys::audit_head(member)).await?;
        // A chain keeps the id under which it began: a raise of the epoch gives the store another.
        let began = stored.as_ref().map(|stored| stored.value.head.installation.clone());
        let installation = began.unwrap_or_else(|| present.store_id.clone());
        let mut chain = Chain {
            last: (0, genesis(&installation, &name)),
            installation,
            name,
            member: member.cloned(),
            stored,
            segments: BTreeMap::new(),
        };
        if let Some(stored) = &chain.stored {
            let first = stored.value.segment;
            let segment = store.find(&keys::audit_segment(member, first)).await?;
            let segment = segment
                .ok_or_else(|| AppError::internal(format!("{} has no segment {first}", chain.name)))?;
            let last = segment.value.links.last().map(|link| (link.sequence, link.digest));
            chain.last = (stored.value.head.sequence, stored.value.head.digest);
            if last != Some(chain.last) {
                // Read between a rival's two writes it cannot be: they are one transaction. The head was read before it, the segment behind it.
                return Err(AppError::Contention);
            }
            chain.segments.insert(first, segment.value);
        }
        Ok(chain)
    }
}

impl Chain {
    /// The entry with which a member's chain goes on after the store was put back to a backup, just before `next`. The cooperative's has the
    /// raising of the epoch itself.
    fn put_back(
        &self,
        present: &StoreIdentity,
        next: &Versioned<AuditEntry>,
    ) -> Result<Option<String>, AppError> {
        let stored = self.stored.as_ref().map(|stored| &stored.value);
        let Some(stored) =
            stored.filter(|stored| !stored.store_id.is_empty() && stored.store_id != present.store_id)
        else {
            return Ok(None);
        };
        let Some(member) = &self.member else { return Ok(None) };
        let (number, digest) = (stored.head.sequence, stored.head.digest);
        let summary = format!(
            "Der Bestand wurde aus einer Sicherung zurückgespielt (Epoche {}). Das Protokoll geht nach Nr. {number} ({digest}) weiter; was \
             danach vor der Rückspielung geschah, steht nur in Auszügen und Köpfen von damals",
            present.epoch
        );
        // Its place is before the next one.
        let at = next.value.at.checked_sub(1.microseconds()).unwrap_or(next.value.at);
        let actor = Identity::Component("api".to_owned()).to_string();
        let entry = AuditEntry {
            member: Some(member.clone()),
            summary,
            ..AuditEntry::done(at, &actor, "", RESTORE_ACTION, "store", fresh()?)
        };
        let sealed = SealedEntry { revision: next.revision.0, entry };
        serde_json::to_string(&sealed).map(Some).map_err(AppError::internal)
    }

    fn append(&mut self, entry: String) {
        let sequence = self.last.0.saturating_add(1);
        let link = Link::new(sequence, self.last.1, entry);
        self.last = (sequence, link.digest);
        match self.segments.last_entry() {
            Some(mut open) if has_room(open.get()) => open.get_mut().links.push(link),
            _ => {
                let segment = AuditSegment { chain: self.name.clone(), links: vec![link], moved: None };
                self.segments.insert(sequence, segment);
            }
        }
    }

    fn written(self, store_id: &str, sealed_at: &str, key: &SigningKey) -> Txn {
        let member = self.member.as_ref();
        let head_key = keys::audit_head(member);
        let head = AuditHead {
            head: Head::sign(&self.installation, &self.name, self.last, sealed_at.to_owned(), key),
            segment: self.segments.keys().next_back().copied().unwrap_or_default(),
            public_key: key.verifying_key().to_pem(),
            store_id: store_id.to_owned(),
        };
        let txn = Txn::new().expect_as_read(&head_key, self.stored.as_ref()).put(&head_key, &head);
        self.segments
            .iter()
            .fold(txn, |txn, (first, segment)| txn.put(&keys::audit_segment(member, *first), segment))
    }
}

fn has_room(segment: &AuditSegment) -> bool {
    let bytes: usize = segment.links.iter().map(|link| link.entry.len()).sum();
    segment.links.len() < SEGMENT_LINKS_MAX && bytes < SEGMENT_BYTES_MAX
}
