//! Pure. Collects a snapshot until its end marker. Incomplete, miscounted or of another digest, it counts as nothing.

use std::collections::BTreeMap;

use allmende_proto::v1::{DesiredObject, SnapshotEnd};
use sha2::{Digest, Sha256};

/// What was received so far.
#[derive(Debug, Default)]
pub struct Collecting {
    objects: BTreeMap<String, DesiredObject>,
    received: u64,
}

/// Why a snapshot counts as nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Fewer or more objects than the marker says.
    #[error("the snapshot has {received} objects, its marker says {announced}")]
    Count {
        /// What came.
        received: u64,
        /// What was announced.
        announced: u64,
    },
    /// Other objects than the marker speaks of.
    #[error("the snapshot's digest differs from its marker's")]
    Digest,
}

impl Collecting {
    /// Takes one object.
    pub fn add(&mut self, object: DesiredObject) {
        self.received = self.received.saturating_add(1);
        self.objects.insert(object.name.clone(), object);
    }

    /// Judges the snapshot by its marker.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn finish(self, end: &SnapshotEnd) -> Result<BTreeMap<String, DesiredObject>, SnapshotError> {
        let stored = u64::try_from(self.objects.len()).unwrap_or(u64::MAX);
        if self.received != end.count || stored != end.count {
            return Err(SnapshotError::Count { received: self.received, announced: end.count });
        }
        if digest(self.objects.values()) != end.digest {
            return Err(SnapshotError::Digest);
        }
        Ok(self.objects)
    }
}

/// SHA-256, hex, over the lines `{name} {generation} {0|1}\n` sorted by the bytes of the name; 1 is deleting.
pub fn digest<'a>(objects: impl Iterator<Item = &'a DesiredObject>) -> String {
    let mut lines: Vec<String> =
        objects.map(|o| format!("{} {} {}\n", o.name, o.generation, u8::from(o.deleting))).collect();
    lines.sort_unstable();
    hex::encode(Sha256::digest(lines.concat()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn object(number: u32, generation: u64, deleting: bool) -> DesiredObject {
        DesiredObject {
            name: format!("members/m/tenants/t{number}"),
            generation,
            deleting,
            ..Default::default()
        }
    }

    fn end(objects: &[DesiredObject]) -> SnapshotEnd {
        SnapshotEnd { revision: 1, count: objects.len() as u64, digest: digest(objects.iter()) }
    }

    fn collected(objects: &[DesiredObject]) -> Collecting {
        let mut collecting = Collecting::default();
        objects.iter().cloned().for_each(|object| collecting.add(object));
        collecting
    }

    proptest! {
        #[test]
        fn a_truncated_or_altered_snapshot_counts_as_nothing(count in 1u32..30, missing in 0u32..30, deleting: bool) {
            let whole: Vec<_> = (0..count).map(|n| object(n, u64::from(n), deleting)).collect();
            prop_assert!(collected(&whole).finish(&end(&whole)).is_ok());
            let mut truncated = whole.clone();
            truncated.remove((missing % count) as usize);
            prop_assert!(collected(&truncated).finish(&end(&whole)).is_err());
            let mut altered = whole.clone();
            altered[(missing % count) as usize].deleting = !deleting;
            prop_assert_eq!(collected(&altered).finish(&end(&whole)).unwrap_err(), SnapshotError::Digest);
            let mut doubled = whole.clone();
            doubled.push(whole[0].clone());
            prop_assert!(collected(&doubled).finish(&end(&whole)).is_err());
        }
    }

    #[test]
    fn an_empty_snapshot_with_its_marker_is_whole() {
        assert!(Collecting::default().finish(&end(&[])).unwrap().is_empty());
    }
}
