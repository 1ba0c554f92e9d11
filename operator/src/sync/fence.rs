//! Pure. Which messages and records may change this cluster: never those of an older epoch or generation, nor of another store.

use allmende_crds::Desired;
use serde::{Deserialize, Serialize};

/// The store that this cluster last followed; kept on the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Known {
    /// Id; empty before the first.
    pub store_id: String,
    /// Epoch; 0 before the first.
    pub epoch: u64,
}

/// Why something is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// From a backup that is older than what was applied.
    #[error("an epoch lower than the one applied: the store was restored from an older backup")]
    OlderEpoch,
    /// Another store that did not raise its epoch over ours.
    #[error("another store without a higher epoch")]
    OtherStore,
    /// The same store and epoch, but from before what was told already.
    #[error("a revision lower than the one reached: the store was put back without raising its epoch")]
    OlderRevision,
    /// A record of another life than the object's. A new life begins only after the old one was confirmed as gone, so such a record is old:
    /// also after the epoch was raised it knows nothing of what was ordered since, and must neither change nor end it.
    #[error("a record of another life of the object: the store was put back to before this life began")]
    OtherLife,
    /// An older generation of the same life.
    #[error("a generation lower than the one applied")]
    OlderGeneration,
}

/// Judges a stream's store and epoch.
///
/// # Errors
/// When it must not be followed.
pub fn store(known: &Known, store_id: &str, epoch: u64) -> Result<(), Refusal> {
    if epoch < known.epoch {
        return Err(Refusal::OlderEpoch);
    }
    if known.epoch > 0 && epoch == known.epoch && store_id != known.store_id {
        return Err(Refusal::OtherStore);
    }
    Ok(())
}

/// Judges how far a whole snapshot of `next` reaches, where the cluster had reached `reached` of `known`.
///
/// # Errors
/// When it is from before that.
pub fn revision(known: &Known, reached: i64, next: &Known, revision: i64) -> Result<(), Refusal> {
    if known == next && revision < reached { Err(Refusal::OlderRevision) } else { Ok(()) }
}

/// Judges a record against the object that mirrors its name now.
///
/// # Errors
/// When the object must stay as it is.
pub fn record(present: &Desired, next: &Desired) -> Result<(), Refusal> {
    if next.epoch < present.epoch {
        return Err(Refusal::OlderEpoch);
    }
    if next.epoch == present.epoch && next.store_id != present.store_id {
        return Err(Refusal::OtherStore);
    }
    if next.uid != present.uid {
        return Err(Refusal::OtherLife);
    }
    if next.epoch == present.epoch && next.generation < present.generation {
        return Err(Refusal::OlderGeneration);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desired(store: &str, epoch: i64, uid: &str, generation: i64) -> Desired {
        let (store_id, uid) = (store.to_owned(), uid.to_owned());
        Desired { store_id, epoch, generation, uid, deleting: false, name: "n".to_owned() }
    }

    #[test]
    fn a_restored_older_store_is_refused_until_its_epoch_is_raised() {
        let known = Known { store_id: "a".into(), epoch: 2 };
        assert_eq!(store(&known, "a", 1), Err(Refusal::OlderEpoch));
        assert_eq!(store(&known, "b", 2), Err(Refusal::OtherStore));
        assert_eq!(store(&known, "a", 2), Ok(()));
        assert_eq!(store(&known, "b", 3), Ok(()));
        assert_eq!(store(&Known::default(), "a", 1), Ok(()));
    }

    #[test]
    fn a_snapshot_from_before_what_was_reached_counts_only_in_another_epoch() {
        let (known, raised) =
            (Known { store_id: "a".into(), epoch: 2 }, Known { store_id: "b".into(), epoch: 3 });
        assert_eq!(revision(&known, 9, &known, 8), Err(Refusal::OlderRevision));
        assert_eq!(revision(&known, 9, &known, 9), Ok(()));
        assert_eq!(revision(&known, 9, &raised, 8), Ok(()));
        assert_eq!(revision(&Known::default(), 0, &known, 1), Ok(()));
    }

    #[test]
    fn a_record_never_takes_an_object_back() {
        let present = desired("a", 2, "u", 7);
        assert_eq!(record(&present, &desired("a", 2, "u", 6)), Err(Refusal::OlderGeneration));
        assert_eq!(record(&present, &desired("a", 1, "u", 9)), Err(Refusal::OlderEpoch));
        assert_eq!(record(&present, &desired("b", 2, "u", 9)), Err(Refusal::OtherStore));
        assert_eq!(record(&present, &desired("a", 2, "u", 7)), Ok(()));
        assert_eq!(record(&present, &desired("a", 2, "another life", 1)), Err(Refusal::OtherLife));
        for deleting in [false, true] {
            let raised = Desired { deleting, ..desired("b", 3, "another life", 9) };
            assert_eq!(record(&present, &raised), Err(Refusal::OtherLife), "also after the epoch was raised");
        }
        assert_eq!(record(&present, &desired("b", 3, "u", 1)), Ok(()));
    }
}
