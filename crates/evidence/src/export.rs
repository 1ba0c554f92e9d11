//! A chain as a file: one [`Link`] a line, from the first to the last.

use std::io::{self, BufRead};

use thiserror::Error;

use crate::{
    digest::Digest,
    head::{Head, HeadError},
    key::VerifyingKey,
    link::{Link, genesis},
};

/// Longest line that is read: an entry is far smaller.
const LINE_MAX: u64 = 1 << 20;

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
    /// The earlier head belongs to something else, or is the later one.
    #[error("the earlier head is not one of this chain before this head")]
    EarlierOfAnother,
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
        let same = before.chain == head.chain && before.installation == head.installation;
        if !same || before.sequence > head.sequence {
            return Err(Finding::EarlierOfAnother);
        }
    }
    let (mut count, mut last) = (0u64, genesis(&head.installation, &head.chain));
    while let Some(link) = next(&mut lines, count.saturating_add(1))? {
        count = count.saturating_add(1);
        check(&link, count, last)?;
        last = link.digest;
        if earlier.iter().any(|before| before.sequence == count && before.digest != last) {
            return Err(Finding::Rewritten(count));
        }
    }
    if count != head.sequence {
        return Err(Finding::Length { expected: head.sequence, found: count });
    }
    if last != head.digest {
        return Err(Finding::Rewritten(count));
    }
    Ok(Verified { entries: count, digest: last })
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
