//! Pure. The order of one stream: who it comes from, a whole snapshot first, then changes. Anything else is a reason to drop it.

use std::collections::BTreeMap;

use allmende_proto::v1::{DesiredObject, FollowDesiredStateResponse, follow_desired_state_response::Event};

use super::{
    fence::Known,
    snapshot::{Collecting, SnapshotError},
};

/// Where a stream is.
#[derive(Debug, Default)]
pub struct Stream {
    announced: Option<Known>,
    collecting: Option<Collecting>,
    whole: bool,
}

/// What one message means.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing yet.
    Wait,
    /// A whole snapshot: all there is, as of a revision. Also later on one stream, after a compaction.
    Snapshot(BTreeMap<String, DesiredObject>, i64),
    /// One object changed.
    Change(Box<DesiredObject>),
    /// The API has dropped a record; never a reason to delete anything.
    Dropped(String),
    /// Everything up to this revision was told.
    UpTo(i64),
}

/// Why a stream must be dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disorder {
    /// Something came that only a snapshot gives a meaning: written, it would carry the identity of a store that did not send it.
    #[error("a change before the snapshot was whole")]
    BeforeSnapshot,
    /// The first message named another store or epoch.
    #[error("another store or epoch than the stream began with")]
    OtherStore,
    /// The snapshot is not what its marker says.
    #[error("snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
}

impl Stream {
    /// The store and epoch that the first message announced.
    pub fn announced(&self) -> Option<&Known> {
        self.announced.as_ref()
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// See [`Disorder`]: nothing of this or a later message may be applied.
    pub fn take(&mut self, message: FollowDesiredStateResponse) -> Result<Step, Disorder> {
        let from = Known { store_id: message.store_id, epoch: message.epoch };
        if *self.announced.get_or_insert_with(|| from.clone()) != from {
            return Err(Disorder::OtherStore);
        }
        match message.event {
            Some(Event::SnapshotObject(object)) => {
                self.collecting.get_or_insert_with(Collecting::default).add(object);
                Ok(Step::Wait)
            }
            Some(Event::SnapshotEnd(end)) => {
                let objects = self.collecting.take().unwrap_or_default().finish(&end)?;
                self.whole = true;
                Ok(Step::Snapshot(objects, end.revision))
            }
            Some(Event::Change(object)) => self.behind_a_snapshot(Step::Change(Box::new(object))),
            Some(Event::Dropped(key)) => self.behind_a_snapshot(Step::Dropped(key.name)),
            Some(Event::Bookmark(bookmark)) => self.behind_a_snapshot(Step::UpTo(bookmark.revision)),
            // A kind of message that this release does not know.
            None => Ok(Step::Wait),
        }
    }

    fn behind_a_snapshot(&self, step: Step) -> Result<Step, Disorder> {
        if self.whole && self.collecting.is_none() { Ok(step) } else { Err(Disorder::BeforeSnapshot) }
    }
}

#[cfg(test)]
mod tests {
    use allmende_proto::v1::{Bookmark, DesiredObjectKey, SnapshotEnd};

    use super::{super::snapshot::digest, *};

    fn object(name: &str) -> DesiredObject {
        DesiredObject { name: name.to_owned(), generation: 1, ..Default::default() }
    }

    fn from(store: &str, epoch: u64, event: Event) -> FollowDesiredStateResponse {
        FollowDesiredStateResponse { store_id: store.to_owned(), epoch, event: Some(event) }
    }

    fn end(names: &[&str]) -> Event {
        let objects: Vec<_> = names.iter().map(|name| object(name)).collect();
        Event::SnapshotEnd(SnapshotEnd {
            revision: 7,
            count: names.len() as u64,
            digest: digest(objects.iter()),
        })
    }

    fn behind() -> [Event; 3] {
        [
            Event::Change(object("a")),
            Event::Dropped(DesiredObjectKey { name: "a".to_owned() }),
            Event::Bookmark(Bookmark { revision: 9 }),
        ]
    }

    #[test]
    fn nothing_counts_before_the_first_snapshot_is_whole_nor_within_a_later_one() {
        for event in behind() {
            let mut fresh = Stream::default();
            assert_eq!(fresh.take(from("s", 1, event.clone())), Err(Disorder::BeforeSnapshot));
            let mut begun = Stream::default();
            begun.take(from("s", 1, Event::SnapshotObject(object("a")))).unwrap();
            assert_eq!(begun.take(from("s", 1, event.clone())), Err(Disorder::BeforeSnapshot));
            let mut later = Stream::default();
            later.take(from("s", 1, end(&[]))).unwrap();
            assert!(later.take(from("s", 1, event.clone())).is_ok());
            later.take(from("s", 1, Event::SnapshotObject(object("a")))).unwrap();
            assert_eq!(later.take(from("s", 1, event)), Err(Disorder::BeforeSnapshot));
        }
    }

    #[test]
    fn every_message_comes_from_the_store_that_the_first_one_named() {
        for (store, epoch) in [("t", 1), ("s", 2), ("s", 0), ("", 1)] {
            let mut stream = Stream::default();
            stream.take(from("s", 1, Event::SnapshotObject(object("a")))).unwrap();
            assert_eq!(stream.take(from(store, epoch, end(&["a"]))), Err(Disorder::OtherStore));
            let mut stream = Stream::default();
            stream.take(from("s", 1, end(&[]))).unwrap();
            for event in behind() {
                assert_eq!(stream.take(from(store, epoch, event)), Err(Disorder::OtherStore));
            }
        }
    }

    #[test]
    fn a_snapshot_may_come_again_and_each_is_judged_by_its_own_marker() {
        let mut stream = Stream::default();
        stream.take(from("s", 1, Event::SnapshotObject(object("a")))).unwrap();
        let Ok(Step::Snapshot(first, 7)) = stream.take(from("s", 1, end(&["a"]))) else { panic!("whole") };
        assert_eq!(first.len(), 1);
        stream.take(from("s", 1, Event::SnapshotObject(object("b")))).unwrap();
        let truncated = stream.take(from("s", 1, end(&["a", "b"])));
        assert!(matches!(truncated, Err(Disorder::Snapshot(SnapshotError::Count { .. }))));
    }
}
