//! Sealed segments outside etcd. Old ones are moved into the object store; their digest, and the chain's head, stay. Whoever reads a chain
//! reads through both.

use allmende_domain::ids::MemberId;
use allmende_evidence::{Link, export};
use allmende_store::{
    AuditSegment, Commit, MovedSegment, SealedEntry, StoreError, Txn, Versioned, keys,
    objects::{DocumentStore, sha256},
};
use jiff::{SignedDuration, Timestamp};

use crate::{core::Core, error::AppError};

/// Segments that one step looks at.
const STEP: usize = 16;
/// Between two walks through all chains.
const REST: SignedDuration = SignedDuration::from_mins(10);

/// What stands for the cooperative's chain.
const COOPERATIVE: &str = "cooperative";

/// Where segments go, and after which time.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Their home.
    pub objects: DocumentStore,
    /// How old the youngest entry of a segment must be; none: nothing is moved.
    pub after: Option<SignedDuration>,
}

/// The links of a segment, from wherever they are.
///
/// # Errors
/// When they are not where they should be, or others than were moved: a defect, that is told with an incident.
pub async fn links(
    archive: Option<&Archive>,
    segment: &Versioned<AuditSegment>,
) -> Result<Vec<Link>, AppError> {
    let Some(moved) = &segment.value.moved else { return Ok(segment.value.links.clone()) };
    let chain = &segment.value.chain;
    let defect = |why: &str| AppError::internal(format!("{chain}: segment {} {why}", moved.object));
    let archive = archive.ok_or_else(|| defect("was moved, and no object store is configured"))?;
    let content = archive.objects.get(&moved.object).await?.ok_or_else(|| defect("is missing"))?;
    if sha256(&content) != moved.sha256 {
        return Err(defect("differs from its digest"));
    }
    let links: Vec<Link> = content
        .split_inclusive(|byte| *byte == b'\n')
        .map(serde_json::from_slice)
        .collect::<Result<_, _>>()
        .map_err(|_| defect("is no segment"))?;
    let ends =
        (links.first().map(|link| link.sequence), links.last().map(|link| (link.sequence, link.digest)));
    if ends == (Some(moved.first), Some((moved.last, moved.digest))) {
        Ok(links)
    } else {
        Err(defect("holds other entries"))
    }
}

/// Moves segments, a few at a time, walking through all chains and resting then.
#[derive(Debug, Default)]
pub(super) struct Mover {
    /// Raw key of the segment that was looked at last.
    after: Option<String>,
    next_walk: Option<Timestamp>,
}

impl Mover {
    /// One step; how many were moved.
    pub(super) async fn step(&mut self, core: &Core) -> Result<usize, AppError> {
        let Some(archive @ Archive { after: Some(age), .. }) = &core.archive else { return Ok(0) };
        let now = core.clock.now();
        if self.next_walk.is_some_and(|next| now < next) {
            return Ok(0);
        }
        let before = now.checked_sub(*age).map_err(AppError::internal)?;
        let rows = core.store.scan(&keys::audit_segments_all(), self.after.as_deref(), STEP).await?;
        let mut moved = 0;
        for row in &rows {
            if row.value.moved.is_none() && move_out(core, archive, row, before).await? {
                moved += 1;
            }
        }
        // Behind the last one only when all were looked at: a step that failed is done again.
        self.after = rows.last().map(|row| row.key.raw().to_owned());
        if rows.len() < STEP {
            (self.after, self.next_walk) = (None, now.checked_add(REST).ok());
        }
        Ok(moved)
    }
}

/// Copies, then exchanges. Whoever is ended between the two leaves an object that nothing names yet; the next one writes the same object
/// again, which is no change, and exchanges. The name holds the content's digest, so that after a restore another segment with the same
/// number gets another name, and both are kept.
async fn move_out(
    core: &Core,
    archive: &Archive,
    row: &Versioned<AuditSegment>,
    before: Timestamp,
) -> Result<bool, AppError> {
    let Some((stub, content)) = stub(&row.value)? else { return Ok(false) };
    if stub.until > before || is_open(core, &row.value, stub.first).await? {
        return Ok(false);
    }
    archive.objects.put(&stub.object, &content).await?;
    let left = AuditSegment { chain: row.value.chain.clone(), links: Vec::new(), moved: Some(stub) };
    match core.store.commit(Txn::new().expect_unchanged(row).put(&row.key, &left)).await {
        Ok(Commit::Committed(_)) => Ok(true),
        // Another replica was faster.
        Ok(Commit::Conflict) => Ok(false),
        Err(StoreError::UnknownOutcome(reason)) => {
            tracing::warn!(reason, "outcome of moving a segment unknown: the next walk finds out");
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Entries go on being appended to the last segment of a chain.
async fn is_open(core: &Core, segment: &AuditSegment, first: u64) -> Result<bool, AppError> {
    let member = member_of(&segment.chain)?;
    let head = core.store.find(&keys::audit_head(member.as_ref())).await?;
    Ok(head.is_none_or(|head| head.value.segment <= first))
}

fn member_of(chain: &str) -> Result<Option<MemberId>, AppError> {
    if chain == COOPERATIVE {
        return Ok(None);
    }
    let id = chain.strip_prefix("members/").and_then(|id| id.parse().ok());
    id.map(Some).ok_or_else(|| AppError::internal(format!("{chain} is no chain")))
}

/// What stays in etcd, and what goes out of it.
fn stub(segment: &AuditSegment) -> Result<Option<(MovedSegment, Vec<u8>)>, AppError> {
    let (Some(first), Some(last)) = (segment.links.first(), segment.links.last()) else { return Ok(None) };
    let mut times = Vec::new();
    for link in &segment.links {
        let sealed: SealedEntry = serde_json::from_str(&link.entry).map_err(AppError::internal)?;
        times.push(sealed.entry.at);
    }
    let content: String = segment.links.iter().map(export::line).collect();
    let digest = sha256(content.as_bytes());
    let stub = MovedSegment {
        object: format!("{}/{:020}-{}.jsonl", segment.chain, first.sequence, &digest[..16]),
        sha256: digest,
        first: first.sequence,
        last: last.sequence,
        digest: last.digest,
        from: times.iter().min().copied().unwrap_or_default(),
        until: times.iter().max().copied().unwrap_or_default(),
    };
    Ok(Some((stub, content.into_bytes())))
}
