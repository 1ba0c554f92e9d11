//! Refused attempts, counted: never one entry per attempt, so that nobody can fill the store by being refused.
//!
//! A tally is kept by principal, RPC, member asked for and minute. It is due at once when it is new, and once more when its minute is over
//! with further attempts: at most two entries a minute for each. The number of tallies is bounded for each principal and in all; what is
//! beyond is counted together.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Attempts;
use crate::ids::MemberId;

/// Stands for the RPCs or principals that were not kept apart any more.
pub const SEVERAL: &str = "several";
const SECONDS_A_MINUTE: i64 = 60;

/// One refusal, as the authoriser saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Identity text of the caller.
    pub principal: String,
    /// The RPC.
    pub rpc: String,
    /// The member that was asked for, whether or not there is one of this id.
    pub member: Option<MemberId>,
    /// The resource as the caller named it.
    pub target: String,
    /// When.
    pub at: Timestamp,
}

/// Attempts of one kind, to be written as one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Identity text of the caller, or [`SEVERAL`].
    pub principal: String,
    /// The RPC, or [`SEVERAL`].
    pub rpc: String,
    /// The member asked for; none where several were.
    pub member: Option<MemberId>,
    /// The resource that was named last.
    pub target: String,
    /// How many and when.
    pub attempts: Attempts,
}

/// How much is kept apart.
#[derive(Debug, Clone, Copy)]
pub struct TallyLimits {
    /// Tallies of one principal.
    pub of_one_principal: usize,
    /// Tallies of all.
    pub of_all: usize,
}

impl Default for TallyLimits {
    fn default() -> Self {
        // Whoever tries every RPC on one member is told RPC by RPC.
        Self { of_one_principal: 160, of_all: 2048 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Of {
    principal: String,
    rpc: String,
    member: Option<MemberId>,
    minute: i64,
}

#[derive(Debug)]
struct Counted {
    target: String,
    /// Not yet taken.
    attempts: Option<Attempts>,
    /// Something of this minute was taken already.
    told: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Tally {
    limits: TallyLimits,
    counted: BTreeMap<Of, Counted>,
}

impl Tally {
    /// Nothing counted.
    pub fn new(limits: TallyLimits) -> Self {
        Self { limits, counted: BTreeMap::new() }
    }

    /// Counts one.
    pub fn note(&mut self, attempt: Attempt) {
        let minute = attempt.at.as_second().div_euclid(SECONDS_A_MINUTE);
        let Attempt { principal, rpc, member, target, at } = attempt;
        let of = self.place(Of { principal, rpc, member, minute });
        let counted =
            self.counted.entry(of).or_insert(Counted { target: String::new(), attempts: None, told: false });
        counted.target = target;
        counted.attempts = Some(match counted.attempts.take() {
            None => Attempts { count: 1, first: at, last: at },
            Some(before) => Attempts {
                count: before.count.saturating_add(1),
                first: before.first.min(at),
                last: before.last.max(at),
            },
        });
    }

    /// Takes what is due; with `all`, everything: for a drain.
    pub fn take_due(&mut self, now: Timestamp, all: bool) -> Vec<Refused> {
        let minute = now.as_second().div_euclid(SECONDS_A_MINUTE);
        let mut due = Vec::new();
        for (of, counted) in &mut self.counted {
            if !all && counted.told && of.minute >= minute {
                continue;
            }
            if let Some(attempts) = counted.attempts.take() {
                counted.told = true;
                due.push(Refused {
                    principal: of.principal.clone(),
                    rpc: of.rpc.clone(),
                    member: of.member.clone(),
                    target: counted.target.clone(),
                    attempts,
                });
            }
        }
        self.counted.retain(|of, counted| of.minute >= minute || counted.attempts.is_some());
        due
    }

    /// Puts back what could not be written.
    pub fn give_back(&mut self, refused: Refused) {
        let Refused { principal, rpc, member, target, attempts } = refused;
        let minute = attempts.last.as_second().div_euclid(SECONDS_A_MINUTE);
        let of = self.place(Of { principal, rpc, member, minute });
        let counted = self.counted.entry(of).or_insert(Counted { target, attempts: None, told: false });
        counted.told = false;
        counted.attempts = Some(match counted.attempts.take() {
            None => attempts,
            Some(since) => Attempts {
                count: since.count.saturating_add(attempts.count),
                first: since.first.min(attempts.first),
                last: since.last.max(attempts.last),
            },
        });
    }

    /// How many tallies there are.
    pub fn len(&self) -> usize {
        self.counted.len()
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.counted.is_empty()
    }

    /// Where it is counted: by itself while there is room, else with the principal's others, else with everybody's.
    fn place(&self, of: Of) -> Of {
        if self.counted.contains_key(&of) {
            return of;
        }
        let own = self.counted.keys().filter(|other| other.principal == of.principal).count();
        if own < self.limits.of_one_principal && self.counted.len() < self.limits.of_all {
            return of;
        }
        let together = Of { rpc: SEVERAL.to_owned(), member: None, ..of };
        let known: BTreeSet<&str> = self.counted.keys().map(|other| other.principal.as_str()).collect();
        if known.contains(together.principal.as_str()) || self.counted.len() < self.limits.of_all {
            return together;
        }
        Of { principal: SEVERAL.to_owned(), ..together }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attempt(principal: usize, rpc: usize, at: i64) -> Attempt {
        Attempt {
            principal: format!("allmende://principal/p{principal}"),
            rpc: format!("rpc{rpc}"),
            member: Some("m-05766044".parse().unwrap()),
            target: "members/m-05766044".to_owned(),
            at: Timestamp::from_second(at).unwrap(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_thousand_attempts_of_a_minute_are_two_entries() {
        let mut tally = Tally::new(TallyLimits::default());
        tally.note(attempt(1, 1, 0));
        assert_eq!(tally.take_due(at(1), false)[0].attempts.count, 1);
        for _ in 0..999 {
            tally.note(attempt(1, 1, 2));
        }
        assert!(tally.take_due(at(30), false).is_empty(), "told already in this minute");
        let rest = tally.take_due(at(60), false);
        assert_eq!((rest.len(), rest[0].attempts.count), (1, 999));
        assert!(tally.is_empty(), "a minute that is over is forgotten");
    }

    #[test]
    fn one_principal_that_tries_everything_leaves_room_for_the_others() {
        let limits = TallyLimits { of_one_principal: 4, of_all: 16 };
        let mut tally = Tally::new(limits);
        (0..100).for_each(|rpc| tally.note(attempt(1, rpc, 0)));
        tally.note(attempt(2, 1, 0));
        let due = tally.take_due(at(0), false);
        assert!(due.iter().any(|one| one.principal.ends_with("p2") && one.rpc == "rpc1"));
        assert_eq!(due.iter().map(|one| one.attempts.count).sum::<u64>(), 101);
    }

    proptest! {
        #[test]
        fn no_attempt_is_lost_or_counted_twice_and_the_number_of_tallies_is_bounded(
            attempts in proptest::collection::vec((0usize..40, 0usize..40, 0i64..600), 1..400),
            every in 1usize..50,
        ) {
            let limits = TallyLimits { of_one_principal: 4, of_all: 20 };
            let mut tally = Tally::new(limits);
            let mut taken = 0u64;
            let mut sorted = attempts.clone();
            sorted.sort_by_key(|(_, _, second)| *second);
            for (number, (principal, rpc, second)) in sorted.iter().enumerate() {
                tally.note(attempt(*principal, *rpc, *second));
                // Beyond the limit there is at most one more for each principal that is known, and one for all others.
                prop_assert!(tally.len() <= 2 * limits.of_all + 12, "{}", tally.len());
                if number % every == 0 {
                    for one in tally.take_due(at(*second), false) {
                        if one.attempts.count % 2 == 0 { tally.give_back(one) } else { taken += one.attempts.count }
                    }
                }
            }
            taken += tally.take_due(at(600), true).iter().map(|one| one.attempts.count).sum::<u64>();
            prop_assert_eq!(taken, attempts.len() as u64);
        }
    }
}
