//! The cut: all inputs of a run, read at one revision, and kept beside the documents under their digest. Later steps read the kept one, so
//! that a price or an address that changes during a run changes nothing about it.

use allmende_domain::{
    period::Period,
    run::{Cut, Run},
    usage::{cut, segments_of},
};
use allmende_store::{Range, Record, Revision, Store, StoreError, Versioned, keys, objects::DocumentStore};

use crate::{digest, error::BillingError};

/// Reads the inputs of a period as they are at one revision, and tells that revision.
pub(crate) async fn read(store: &Store, period: Period) -> Result<(Cut, Revision), BillingError> {
    let (members, at) = store.snapshot(&keys::members()).await?;
    let facts = values(store, &keys::facts_all(), at).await?;
    let mut segments = segments_of(&facts, period.end()?)?;
    let imported = values(store, &keys::segments_all(), at).await?;
    segments.extend(imported.into_iter().map(|stored| stored.segment));
    let mut segments: Vec<_> = segments.iter().filter_map(|segment| cut(segment, period)).collect();
    segments.sort_by(|a, b| (&a.member, &a.id, a.start).cmp(&(&b.member, &b.id, b.start)));
    // The issuer lies alone in its range; the API takes no run without one.
    let issuer = store.find(&keys::issuer()).await?.ok_or_else(|| BillingError::Inconsistent {
        period: period.to_string(),
        reason: "the issuer of invoices is not set".to_owned(),
    })?;
    let mut pots = values(store, &keys::pots(), at).await?;
    pots.retain(|pot| pot.period == period);
    let cut = Cut {
        period,
        issuer: issuer.value,
        members: members.into_iter().map(|member| member.value).collect(),
        bill_tos: values(store, &keys::bill_tos_all(), at).await?,
        price_lists: values(store, &keys::price_lists(), at).await?,
        keys: values(store, &keys::allocation_keys(), at).await?,
        pots,
        segments,
    };
    Ok((cut, at))
}

async fn values<T: Record>(store: &Store, range: &Range<T>, at: Revision) -> Result<Vec<T>, StoreError> {
    let rows: Vec<Versioned<T>> = store.snapshot_at(range, at).await?;
    Ok(rows.into_iter().map(|row| row.value).collect())
}

fn name(period: Period, digest: &str) -> String {
    format!("{period}/cut-{digest}.json")
}

/// Keeps a cut and tells its digest.
pub(crate) async fn keep(documents: &DocumentStore, cut: &Cut) -> Result<String, BillingError> {
    let (bytes, digest) = digest::of_cut(cut)?;
    documents.put(&name(cut.period, &digest), &bytes).await?;
    Ok(digest)
}

/// The kept cut of a run, checked against the digest in its record.
pub(crate) async fn kept(documents: &DocumentStore, run: &Run) -> Result<Cut, BillingError> {
    let inconsistent = |reason: String| BillingError::Inconsistent { period: run.period.to_string(), reason };
    let name = name(run.period, &run.cut_digest);
    let bytes = documents.get(&name).await?.ok_or_else(|| inconsistent(format!("{name} is missing")))?;
    let cut: Cut =
        serde_json::from_slice(&bytes).map_err(|error| inconsistent(format!("{name}: {error}")))?;
    let (_, digest) = digest::of_cut(&cut)?;
    if digest == run.cut_digest {
        Ok(cut)
    } else {
        Err(inconsistent(format!("{name} differs from its digest")))
    }
}
