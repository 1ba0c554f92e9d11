//! Pure. The reports that wait for the API: the newest of each object, and which of them may take another's place.

use std::collections::BTreeMap;

use allmende_proto::v1::{Observation, observation::Phase};

/// Lives of one name wait beside each other, the older first, since ids of lives ascend; so does an orphan beside what else is told of its
/// object: the one does not say the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: String,
    uid: String,
    orphan: bool,
}

impl Key {
    fn of(observation: &Observation) -> Self {
        let orphan = observation.phase() == Phase::Orphan;
        Self { name: observation.name.clone(), uid: observation.uid.clone(), orphan }
    }
}

/// What waits, and what the API took.
#[derive(Debug, Default)]
pub struct Outbox {
    unsent: BTreeMap<Key, Observation>,
    sent: BTreeMap<Key, Observation>,
}

impl Outbox {
    /// Takes a new observation. What was told before is not told again, and nothing follows the end of a life: a status that comes after
    /// GONE of the same uid was seen before it and is only late.
    pub fn note(&mut self, observation: Observation) {
        let key = Key::of(&observation);
        let gone = |held: &Observation| held.phase() == Phase::Gone;
        let of_life = Key { orphan: false, ..key.clone() };
        let ended = [&self.unsent, &self.sent].into_iter().any(|held| held.get(&of_life).is_some_and(gone));
        if ended && !gone(&observation) {
            return;
        }
        if gone(&observation) {
            self.unsent.remove(&Key { orphan: true, ..key.clone() });
        }
        if self.sent.get(&key) == Some(&observation) {
            self.unsent.remove(&key);
        } else {
            self.unsent.insert(key, observation);
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Some of what waits.
    #[must_use]
    pub fn batch(&self, most: usize) -> Vec<Observation> {
        self.unsent.values().take(most).cloned().collect()
    }

    /// The API took these.
    pub fn took(&mut self, batch: Vec<Observation>) {
        for observation in batch {
            let key = Key::of(&observation);
            // What is newer by now still waits.
            if self.unsent.get(&key) == Some(&observation) {
                self.unsent.remove(&key);
            }
            // Nothing more is told of older lives.
            self.sent.retain(|held, _| held.name != key.name || held.uid == key.uid);
            self.sent.insert(key, observation);
        }
    }

    /// Nobody knows what the API has of us: everything is told again, but for what is newer by now, and for orphans, which every whole
    /// snapshot finds anew.
    pub fn tell_again(&mut self) {
        for (key, observation) in std::mem::take(&mut self.sent) {
            if !key.orphan {
                self.unsent.entry(key).or_insert(observation);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(uid: &str, phase: Phase, message: &str) -> Observation {
        Observation {
            name: "members/m/tenants/prod".into(),
            uid: uid.into(),
            phase: phase.into(),
            message: message.into(),
            ..Default::default()
        }
    }

    fn waiting(outbox: &Outbox) -> Vec<(String, Phase)> {
        outbox.batch(9).iter().map(|observation| (observation.uid.clone(), observation.phase())).collect()
    }

    #[test]
    fn a_late_status_takes_the_place_of_neither_gone_nor_orphan() {
        let mut outbox = Outbox::default();
        outbox.note(seen("u", Phase::Orphan, ""));
        outbox.note(seen("u", Phase::Ready, "late"));
        assert_eq!(waiting(&outbox), [("u".into(), Phase::Ready), ("u".into(), Phase::Orphan)]);
        outbox.note(seen("u", Phase::Gone, ""));
        outbox.note(seen("u", Phase::Progressing, "late"));
        assert_eq!(waiting(&outbox), [("u".into(), Phase::Gone)]);
        outbox.took(outbox.batch(9));
        outbox.note(seen("u", Phase::Progressing, "later still"));
        assert!(outbox.is_empty(), "also when the end was told already");
        outbox.note(seen("next life", Phase::Progressing, ""));
        assert_eq!(waiting(&outbox), [("next life".into(), Phase::Progressing)]);
    }

    #[test]
    fn the_end_of_an_older_life_takes_nothing_from_the_present_one() {
        let mut outbox = Outbox::default();
        outbox.note(seen("2", Phase::Ready, ""));
        outbox.note(seen("1", Phase::Gone, ""));
        assert_eq!(waiting(&outbox), [("1".into(), Phase::Gone), ("2".into(), Phase::Ready)]);
        outbox.took(outbox.batch(9));
        outbox.tell_again();
        assert_eq!(waiting(&outbox), [("2".into(), Phase::Ready)]);
    }

    #[test]
    fn after_a_reconnect_everything_is_told_again_but_old_orphans() {
        let mut outbox = Outbox::default();
        outbox.note(seen("u", Phase::Orphan, ""));
        outbox.note(seen("u", Phase::Ready, "one"));
        outbox.took(outbox.batch(9));
        outbox.note(seen("u", Phase::Ready, "one"));
        assert!(outbox.is_empty(), "told once");
        outbox.note(seen("u", Phase::Ready, "two"));
        outbox.tell_again();
        assert_eq!(outbox.batch(9), [seen("u", Phase::Ready, "two")], "never the older one");
        outbox.took(outbox.batch(9));
        outbox.tell_again();
        assert_eq!(outbox.batch(9), [seen("u", Phase::Ready, "two")]);
    }

    proptest! {
        #[test]
        fn the_newest_of_each_life_reaches_the_api_and_nothing_follows_its_end(
            steps in proptest::collection::vec((0_u8..2, 0_u8..4, any::<bool>()), 1..40)
        ) {
            let mut outbox = Outbox::default();
            let mut told: Vec<Observation> = Vec::new();
            let mut life = 0_u8;
            let mut newest = None;
            let mut over = false;
            for (number, (next, what, send)) in steps.into_iter().enumerate() {
                // A new life begins only after the old one has ended.
                if over && next == 1 { life += 1; over = false; newest = None; }
                let phase = [Phase::Ready, Phase::Failed, Phase::Progressing, Phase::Gone][usize::from(what)];
                let observation = seen(&format!("{life:02}"), phase, &number.to_string());
                if !over || phase == Phase::Gone { newest = Some(observation.clone()); }
                over = over || phase == Phase::Gone;
                outbox.note(observation);
                if send {
                    let batch = outbox.batch(9);
                    told.extend(batch.clone());
                    outbox.took(batch);
                }
            }
            told.extend(outbox.batch(9));
            let ends: Vec<usize> = (0..told.len()).filter(|at| told[*at].phase() == Phase::Gone).collect();
            for end in ends {
                prop_assert!(told[end..].iter().all(|later| later.uid != told[end].uid || later.phase() == Phase::Gone));
            }
            prop_assert_eq!(told.last(), newest.as_ref());
        }
    }
}
