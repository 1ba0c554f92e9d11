//! A chain as a file: one [`Link`] a line, from the first to the last.

use std::{
    fmt,
    io::{self, BufRead},
};

use thiserror::Error;

use crate::{
    digest::Digest,
    head::{Head, HeadError},
    key::VerifyingKey,
    link::{Link, genesis},
};

/// Longest line that is read: an entry is far smaller.
const LINE_MAX: u64 = 1 << 20;

/// Action of the entries that say that the store was put back to a backup.
pub const RESTORE_ACTION: &str = "allmende.v1.ClusterService/RaiseStoreEpoch";

/// What was proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many entries.
    pub entries: u64,
    /// Digest of the last.
    pub digest: Digest,
}

/// What is wrong with an export.
#[derive(Debug, Error)]
pub enum Finding {
    /// See [`HeadError`].
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The same, of an earlier head.
    #[error("the earlier head: {0}")]
    EarlierHead(HeadError),
    /// The earlier head belongs to something else.
    #[error("the earlier head is not one of this chain: it is of {0}")]
    EarlierOfAnother(String),
    /// The chain that is proven to be whole is not the one that was handed out earlier.
    #[error("{0}")]
    Forked(Fork),
    /// A line is not in the form in which it is written.
    #[error("line {line} is no entry in the form in which it is written: it was changed or cut")]
    Malformed {
        /// From 1.
        line: u64,
    },
    /// See text.
    #[error("line {line} has number {found}: an entry was removed, added, swapped or renumbered")]
    Sequence {
        /// From 1; also the number that should be there.
        line: u64,
        /// What is there.
        found: u64,
    },
    /// See text.
    #[error("entry {0} does not follow from the one before: one of the two was changed")]
    Previous(u64),
    /// See text.
    #[error("entry {0} was changed: its digest is another")]
    Changed(u64),
    /// See text.
    #[error(
        "the export ends with entry {found}, the head says {expected}: the end was cut off, or entries were added"
    )]
    Length {
        /// By the head.
        expected: u64,
        /// By the export.
        found: u64,
    },
    /// See text.
    #[error("the digest of entry {0} is not the one that was signed: the chain was written anew")]
    Rewritten(u64),
    /// The file cannot be read.
    #[error("the export cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// A head that somebody kept, and that the chain does not hold. Both are signed by the cooperative: it has written the chain anew, or put
/// its store back to a backup and gone on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// Number in the head that was kept.
    pub kept: u64,
    /// When that one was sealed.
    pub sealed_at: String,
    /// Where the chain at hand ends.
    pub end: u64,
    /// Entries in which the chain says by itself that the store was put back: number, time, what they say.
    pub restores: Vec<(u64, String, String)>,
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, sealed_at, end, restores } = self;
        write!(f, "the chain is whole and signed, but it is not the one that the earlier head is of: ")?;
        if kept > end {
            write!(
                f,
                "that head, sealed at {sealed_at}, has number {kept}, and the chain ends with {end}. "
            )?;
            write!(f, "Either the export is older than that head, or entries were dropped")?;
        } else {
            write!(f, "entry {kept} is another than when it was sealed at {sealed_at}: ")?;
            write!(f, "entries up to there were replaced")?;
        }
        if restores.is_empty() {
            return write!(
                f,
                "; no entry says that the store was put back to a backup: ask the cooperative why"
            );
        }
        write!(f, ". The chain says that the store was put back to a backup")?;
        for (number, at, why) in restores {
            write!(f, "; entry {number}, {at}: {why}")?;
        }
        write!(f, ". What was recorded between that backup and then is in the earlier chain alone")
    }
}

/// Writes one link as its line.
pub fn line(link: &Link) -> String {
    // A struct of texts and numbers always has a JSON form.
    let mut text = serde_json::to_string(link).unwrap_or_default();
    text.push('\n');
    text
}

/// Proves that the export is whole and unchanged: every link, their order, and that the last is the one that the signed head names. With
/// earlier heads it also proves that nothing was rewritten since they were handed out.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(
    mut lines: impl BufRead,
    head: &Head,
    earlier: &[Head],
    keys: &[VerifyingKey],
) -> Result<Verified, Finding> {
    head.verify(keys)?;
    for before in earlier {
        before.verify(keys).map_err(Finding::EarlierHead)?;
        if before.chain != head.chain || before.installation != head.installation {
            let Head { chain, installation, .. } = before;
            return Err(Finding::EarlierOfAnother(format!("{chain} of {installation}")));
        }
    }
    let (mut count, mut last) = (0u64, genesis(&head.installation, &head.chain));
    let mut restores = Vec::new();
    let mut forked = earlier.iter().find(|before| before.sequence > head.sequence);
    while let Some(link) = next(&mut lines, count.saturating_add(1))? {
        count = count.saturating_add(1);
        check(&link, count, last)?;
        last = link.digest;
        // Read to the end all the same: a later entry may say why, and a chain that is broken too is told as broken.
        forked = forked.or(earlier.iter().find(|before| before.sequence == count && before.digest != last));
        restores.extend(restore(&link));
    }
    if count != head.sequence {
        return Err(Finding::Length { expected: head.sequence, found: count });
    }
    if last != head.digest {
        return Err(Finding::Rewritten(count));
    }
    match forked {
        None => Ok(Verified { entries: count, digest: last }),
        Some(before) => Err(Finding::Forked(Fork {
            kept: before.sequence,
            sealed_at: before.sealed_at.clone(),
            end: count,
            restores,
        })),
    }
}

/// What an entry says when it is one about the store being put back.
fn restore(link: &Link) -> Option<(u64, String, String)> {
    let entry: serde_json::Value = serde_json::from_str(&link.entry).ok()?;
    let text = |field: &str| entry.get(field).and_then(serde_json::Value::as_str).unwrap_or_default();
    if text("action") != RESTORE_ACTION {
        return None;
    }
    let why = [text("summary"), text("reason")].into_iter().filter(|part| !part.is_empty());
    Some((link.sequence, text("at").to_owned(), why.collect::<Vec<_>>().join(", ")))
}

/// Reads the next line. Only the very bytes that [`line`] writes are an entry.
fn next(lines: &mut impl BufRead, number: u64) -> Result<Option<Link>, Finding> {
    let mut bytes = Vec::new();
    if io::Read::take(&mut *lines, LINE_MAX).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    let malformed = || Finding::Malformed { line: number };
    let link: Link = serde_json::from_slice(&bytes).map_err(|_| malformed())?;
    if line(&link).as_bytes() == bytes { Ok(Some(link)) } else { Err(malformed()) }
}

fn check(link: &Link, number: u64, last: Digest) -> Result<(), Finding> {
    if link.sequence != number {
        return Err(Finding::Sequence { line: number, found: link.sequence });
    }
    if link.previous != last {
        return Err(Finding::Previous(number));
    }
    if !link.is_sound() {
        return Err(Finding::Changed(number));
    }
    Ok(())
}
