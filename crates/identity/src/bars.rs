//! Who is refused although the certificate is good in itself: by identity, at the handshake and while connected.

use std::collections::{BTreeSet, HashMap};

use crate::{identity::Identity, peer::PeerCertificate};

/// What is refused of one identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bar {
    /// Certificates issued before this Unix time.
    pub issued_before: Option<i64>,
    /// Certificates with these serial numbers, as [`PeerCertificate::serial`] has them.
    pub serials: BTreeSet<String>,
    /// All, from this Unix time on.
    pub ends: Option<i64>,
    /// When it differs from what it was, connections that are open then are cut once.
    pub turn: u64,
}

impl Bar {
    /// Over all that were issued before this Unix time.
    pub fn before(unix: i64) -> Self {
        Self { issued_before: Some(unix), ..Self::default() }
    }

    fn refuses(&self, peer: &PeerCertificate, now: i64) -> bool {
        self.issued_before.is_some_and(|bar| peer.not_before < bar)
            || self.has_ended(now)
            || self.serials.contains(&peer.serial)
    }

    fn has_ended(&self, now: i64) -> bool {
        self.ends.is_some_and(|end| end <= now)
    }
}

/// By the text of an identity; one that ends with `/-` stands for all service accounts of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bars(HashMap<String, Bar>);

impl FromIterator<(String, Bar)> for Bars {
    fn from_iter<I: IntoIterator<Item = (String, Bar)>>(bars: I) -> Self {
        Self(bars.into_iter().collect())
    }
}

impl Bars {
    /// Nobody is refused.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    fn of(&self, identity: &Identity) -> impl Iterator<Item = &Bar> {
        let own = if self.are_none() { None } else { self.0.get(&identity.to_string()) };
        let all = identity.siblings().and_then(|text| self.0.get(&text));
        own.into_iter().chain(all)
    }

    pub(crate) fn refuse(&self, peer: &PeerCertificate, now: i64) -> bool {
        self.of(&peer.identity).any(|bar| bar.refuses(peer, now))
    }

    /// By time alone.
    pub(crate) fn have_ended(&self, peer: &PeerCertificate, now: i64) -> bool {
        self.of(&peer.identity).any(|bar| bar.has_ended(now))
    }

    /// Whether connections of this identity are cut when these bars take the place of `earlier`.
    pub(crate) fn turn(&self, earlier: &Self, identity: &Identity) -> bool {
        let turns = |bars: &Self| bars.of(identity).map(|bar| bar.turn).fold(0, u64::wrapping_add);
        turns(self) != turns(earlier)
    }
}
