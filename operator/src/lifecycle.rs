//! Pure. What of an object's life its status may still tell.

use allmende_crds::{LifecycleEntry, LifecycleKind};

/// Drops sizes of generations that the record has not reached: they are of a state that the store lost when it was put back. Kept, they would
/// stand for another size once it gets there. That an object became ready stays true.
pub fn drop_later_sizes(lifecycle: &mut Vec<LifecycleEntry>, generation: i64) {
    lifecycle.retain(|entry| entry.kind != LifecycleKind::Resized || entry.generation <= generation);
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn sizes_of_a_lost_state_are_dropped_and_ready_stays() {
        let entry = |kind, generation| LifecycleEntry { kind, generation, time: Time(Timestamp::UNIX_EPOCH) };
        let mut lifecycle = vec![
            entry(LifecycleKind::Ready, 4),
            entry(LifecycleKind::Resized, 2),
            entry(LifecycleKind::Resized, 3),
        ];
        drop_later_sizes(&mut lifecycle, 2);
        assert_eq!(lifecycle, [entry(LifecycleKind::Ready, 4), entry(LifecycleKind::Resized, 2)]);
    }
}
