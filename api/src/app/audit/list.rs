//! Entries in the order of their changes, sealed ones and those that are not yet.

use std::collections::BTreeSet;

use allmende_domain::{audit::AuditEntry, ids::MemberId};
use allmende_store::{AuditSegment, Revision, SealedEntry, Versioned, keys};
use jiff::Timestamp;

use super::{Audits, SEGMENTS_AT_ONCE, archive};
use crate::{
    context::Context,
    core::Core,
    error::AppError,
    pagination::{Page, PageRequest},
};

/// Segments that one call looks through at most: a filter that fits little gets short pages, not long calls.
const SEGMENTS_A_CALL: usize = 256;
/// Entries that are not sealed, read at once: more than one transaction can write.
const UNSEALED_AT_ONCE: usize = 512;
/// So many times a call.
const UNSEALED_PARTS_A_CALL: usize = 8;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Exactly this actor.
    pub actor: String,
    /// This RPC: its full name or its last part.
    pub action: String,
    /// This resource and what is below it.
    pub target: String,
    /// Inclusive.
    pub start: Option<Timestamp>,
    /// Exclusive.
    pub end: Option<Timestamp>,
    /// Only refused attempts.
    pub refused_only: bool,
}

/// One entry of a list.
#[derive(Debug)]
pub struct Listed {
    /// See [`AuditEntry`].
    pub entry: AuditEntry,
    /// Number and digest in the chain; none while it is not sealed.
    pub sealed: Option<(u64, String)>,
    place: Place,
}

/// A place in the order of all entries of a chain; with the segment in which to go on. Also the page token's content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Place {
    revision: i64,
    key: String,
    segment: u64,
}

impl Filter {
    fn fits(&self, entry: &AuditEntry) -> bool {
        let last = entry.action.rsplit('/').next().unwrap_or_default();
        let below = |target: &str| {
            target
                .strip_prefix(self.target.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        (self.actor.is_empty() || self.actor == entry.actor)
            && (self.action.is_empty() || self.action == entry.action || self.action == last)
            && (self.target.is_empty() || below(&entry.target))
            && self.start.is_none_or(|start| start <= entry.at)
            && self.end.is_none_or(|end| entry.at < end)
            && (!self.refused_only || entry.refused.is_some())
    }
}

impl Audits {
    /// A page of a chain's entries.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn list(
        &self,
        context: &Context,
        (member, name): (Option<&MemberId>, &str),
        filter: &Filter,
        page: &PageRequest,
    ) -> Result<Page<Listed>, AppError> {
        self.authorise(context, member, name).await?;
        let from = page.after().map(Place::read).transpose()?.unwrap_or_default();
        // What is not sealed is read as it was before the segments: what is sealed meanwhile is found there, and left out here.
        let (_, before) = self.core.store.present().await?;
        let search = Search { core: &self.core, member, filter, limit: page.limit() };
        let mut found = Found { items: Vec::new(), here: from.clone(), seen: BTreeSet::new(), more: false };
        search.sealed(&from, &mut found).await?;
        if !found.more && found.items.len() < page.limit() {
            search.unsealed(before, &from, &mut found).await?;
        }
        if found.items.len() >= page.limit() {
            found.items.truncate(page.limit());
            return Ok(page.page(found.items, |listed| listed.place.text()));
        }
        let next_page_token = if found.more { page.token(&found.here.text()) } else { String::new() };
        Ok(Page { items: found.items, next_page_token })
    }
}

/// One call's search.
struct Search<'a> {
    core: &'a Core,
    member: Option<&'a MemberId>,
    filter: &'a Filter,
    limit: usize,
}

/// What it found so far.
struct Found {
    items: Vec<Listed>,
    /// How far it looked.
    here: Place,
    /// Keys of entries that were found sealed.
    seen: BTreeSet<String>,
    /// It ended before all was looked through.
    more: bool,
}

impl Search<'_> {
    /// Through the segments, from the one that the place names.
    async fn sealed(&self, from: &Place, found: &mut Found) -> Result<(), AppError> {
        let range = keys::audit_segments(self.member);
        let mut after = from.segment.saturating_sub(1);
        let mut looked = 0usize;
        loop {
            let start = keys::audit_segment(self.member, after);
            let segments = self.core.store.scan(&range, Some(start.raw()), SEGMENTS_AT_ONCE).await?;
            for segment in &segments {
                after = first_of(segment);
                found.here.segment = found.here.segment.max(after);
                if self.is_of_another_time(segment) {
                    continue;
                }
                for listed in self.read(segment).await? {
                    found.here = found.here.clone().max(listed.place.clone());
                    found.seen.insert(listed.place.key.clone());
                    self.take(listed, from, found);
                }
                if found.items.len() >= self.limit {
                    return Ok(());
                }
            }
            looked = looked.saturating_add(segments.len());
            if segments.len() < SEGMENTS_AT_ONCE {
                return Ok(());
            }
            if looked >= SEGMENTS_A_CALL {
                found.more = true;
                return Ok(());
            }
        }
    }

    /// Through what is not sealed, in the order of revision and key, a bounded part a call: without a key nothing is ever sealed.
    async fn unsealed(&self, at: Revision, from: &Place, found: &mut Found) -> Result<(), AppError> {
        let segment = found.here.segment;
        let mut since = Revision(from.revision);
        for _ in 0..UNSEALED_PARTS_A_CALL {
            let rows = self.core.store.changed_since(&keys::audit_all(), since, at, UNSEALED_AT_ONCE).await?;
            let whole = rows.len() < UNSEALED_AT_ONCE;
            let mut part: Vec<Listed> = rows.into_iter().map(|row| of_unsealed(row, segment)).collect();
            part.sort_by(|a, b| a.place.cmp(&b.place));
            // What one transaction wrote may have been cut in two: its rest comes with the next part, from the same revision.
            let cut = if whole { None } else { part.last().map(|last| last.place.revision) };
            part.retain(|listed| cut.is_none_or(|cut| listed.place.revision < cut));
            for listed in part {
                found.here = found.here.clone().max(listed.place.clone());
                let own = self.member.is_none_or(|member| listed.entry.member.as_ref() == Some(member));
                if own && !found.seen.contains(&listed.place.key) {
                    self.take(listed, from, found);
                }
            }
            match cut {
                None => return Ok(()),
                Some(_) if found.items.len() >= self.limit => return Ok(()),
                Some(cut) => since = Revision(cut),
            }
        }
        found.more = true;
        Ok(())
    }

    fn take(&self, listed: Listed, from: &Place, found: &mut Found) {
        let behind = (listed.place.revision, &listed.place.key) > (from.revision, &from.key);
        if behind && self.filter.fits(&listed.entry) {
            found.items.push(listed);
        }
    }

    /// A segment that was moved out of etcd is fetched only when something in it can fit.
    fn is_of_another_time(&self, segment: &Versioned<AuditSegment>) -> bool {
        segment.value.moved.as_ref().is_some_and(|moved| {
            self.filter.start.is_some_and(|start| moved.until < start)
                || self.filter.end.is_some_and(|end| end <= moved.from)
        })
    }

    async fn read(&self, segment: &Versioned<AuditSegment>) -> Result<Vec<Listed>, AppError> {
        let first = first_of(segment);
        let mut all = Vec::new();
        for link in archive::links(self.core.archive.as_ref(), segment).await? {
            let sealed: SealedEntry = serde_json::from_str(&link.entry).map_err(AppError::internal)?;
            let key = keys::audit(sealed.entry.at, &sealed.entry.actor, &sealed.entry.request_id);
            all.push(Listed {
                entry: sealed.entry,
                sealed: Some((link.sequence, link.digest.to_string())),
                place: Place { revision: sealed.revision, key: key.raw().to_owned(), segment: first },
            });
        }
        Ok(all)
    }
}

fn first_of(segment: &Versioned<AuditSegment>) -> u64 {
    let moved = segment.value.moved.as_ref().map(|moved| moved.first);
    moved.or_else(|| segment.value.links.first().map(|link| link.sequence)).unwrap_or_default()
}

fn of_unsealed(row: Versioned<AuditEntry>, segment: u64) -> Listed {
    let place = Place { revision: row.revision.0, key: row.key.raw().to_owned(), segment };
    Listed { entry: row.value, sealed: None, place }
}

impl Place {
    fn text(&self) -> String {
        format!("{} {} {}", self.segment, self.revision, self.key)
    }

    fn read(text: &str) -> Result<Self, AppError> {
        let mut parts = text.splitn(3, ' ');
        let mut part = || parts.next().ok_or_else(AppError::page_token);
        let segment = part()?.parse().map_err(|_| AppError::page_token())?;
        let revision = part()?.parse().map_err(|_| AppError::page_token())?;
        Ok(Self { revision, key: part()?.to_owned(), segment })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(target: &str) -> AuditEntry {
        let (action, id) = ("allmende.v1.TenantService/CreateTenant", "00000000-0000-4000-8000-000000000001");
        AuditEntry::done(Timestamp::UNIX_EPOCH, "a", "", action, target, id.parse().unwrap())
    }

    #[test]
    fn a_target_holds_what_is_below_it_and_no_neighbour() {
        let filter =
            Filter { target: "members/a".into(), action: "CreateTenant".into(), ..Default::default() };
        assert!(filter.fits(&entry("members/a")) && filter.fits(&entry("members/a/tenants/prod")));
        assert!(!filter.fits(&entry("members/ab")));
        let other = Filter { action: "Tenant".into(), ..Default::default() };
        assert!(!other.fits(&entry("members/a")), "a part of a name is not the name");
    }

    #[test]
    fn a_place_survives_its_page_token() {
        let place = Place { revision: 7, key: "/allmende/v1/audit/x y/".into(), segment: 65 };
        assert_eq!(Place::read(&place.text()).unwrap(), place);
        assert!(Place::read("x").is_err());
    }
}
