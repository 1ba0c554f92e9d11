//! Entries in the order of their changes, sealed ones and those that are not yet.

use std::collections::BTreeSet;

use allmende_domain::{audit::AuditEntry, ids::MemberId};
use allmende_store::{AuditSegment, SealedEntry, Versioned, keys};
use jiff::Timestamp;

use super::{Audits, SEGMENTS_AT_ONCE};
use crate::{
    context::Context,
    error::AppError,
    pagination::{Page, PageRequest},
};

/// Segments that one call looks through at most: a filter that fits little gets short pages, not long calls.
const SEGMENTS_A_CALL: usize = 256;

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
        // Read before the segments: what is sealed meanwhile is found there, and left out here.
        let (unsealed, _) = self.core.store.snapshot(&keys::audit_all()).await?;
        let mut found = Vec::new();
        let mut here = from.clone();
        let mut seen = BTreeSet::new();
        let mut looked = 0usize;
        let range = keys::audit_segments(member);
        let mut after = from.segment.saturating_sub(1);
        loop {
            let start = keys::audit_segment(member, after);
            let segments = self.core.store.scan(&range, Some(start.raw()), SEGMENTS_AT_ONCE).await?;
            for segment in &segments {
                for listed in read(segment)? {
                    here = here.max(listed.place.clone());
                    seen.insert(listed.place.key.clone());
                    if (listed.place.revision, &listed.place.key) > (from.revision, &from.key)
                        && filter.fits(&listed.entry)
                    {
                        found.push(listed);
                    }
                }
                after = first_of(segment);
            }
            looked = looked.saturating_add(segments.len());
            if found.len() >= page.limit() {
                found.truncate(page.limit());
                return Ok(page.page(found, |listed| listed.place.text()));
            }
            if segments.len() < SEGMENTS_AT_ONCE {
                break;
            }
            if looked >= SEGMENTS_A_CALL {
                return Ok(Page { items: found, next_page_token: page.token(&here.text()) });
            }
        }
        let mut rest: Vec<Listed> = unsealed
            .into_iter()
            .filter(|row| member.is_none_or(|member| row.value.member.as_ref() == Some(member)))
            .filter(|row| !seen.contains(row.key.raw()) && filter.fits(&row.value))
            .map(|row| of_unsealed(row, after))
            .filter(|listed| (listed.place.revision, &listed.place.key) > (from.revision, &from.key))
            .collect();
        rest.sort_by(|a, b| a.place.cmp(&b.place));
        found.extend(rest);
        found.truncate(page.limit());
        Ok(page.page(found, |listed| listed.place.text()))
    }
}

fn first_of(segment: &Versioned<AuditSegment>) -> u64 {
    segment.value.links.first().map_or(0, |link| link.sequence)
}

fn read(segment: &Versioned<AuditSegment>) -> Result<Vec<Listed>, AppError> {
    let first = first_of(segment);
    let mut all = Vec::new();
    for link in &segment.value.links {
        let sealed: SealedEntry = serde_json::from_str(&link.entry).map_err(AppError::internal)?;
        let key =
            keys::audit(sealed.entry.at, &sealed.entry.actor, &sealed.entry.request_id).raw().to_owned();
        all.push(Listed {
            entry: sealed.entry,
            sealed: Some((link.sequence, link.digest.to_string())),
            place: Place { revision: sealed.revision, key, segment: first },
        });
    }
    Ok(all)
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
        AuditEntry {
            at: Timestamp::UNIX_EPOCH,
            actor: "a".into(),
            role: String::new(),
            deputy: false,
            made_by: None,
            member: None,
            action: "allmende.v1.TenantService/CreateTenant".into(),
            target: target.into(),
            request_id: "00000000-0000-4000-8000-000000000001".parse().unwrap(),
            reason: String::new(),
            summary: String::new(),
            changes: Vec::new(),
            refused: None,
        }
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
