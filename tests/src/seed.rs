//! Which moments are tried: drawn from a number that is printed first.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The first seed; without it a new one each time.
const SEED: &str = "ALLMENDE_SEED";
/// How many seeds each victim is tried with.
const SEEDS: &str = "ALLMENDE_SEEDS";

/// The seeds to try, one after another.
///
/// # Panics
/// When a variable is set and is no number.
pub fn seeds() -> Vec<u64> {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: no number")))
    };
    let first = number(SEED).unwrap_or_else(|| RandomState::new().build_hasher().finish() % 1_000_000);
    let count = number(SEEDS).unwrap_or(1);
    (0..count).map(|step| first.wrapping_add(step)).collect()
}

/// Draws numbers (SplitMix64): the same ones for the same seed and name.
#[derive(Debug)]
pub struct Draw(u64);

impl Draw {
    /// For one victim.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a, so that two victims with one seed draw different moments.
        let salt = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        Self(seed ^ salt)
    }

    /// A number from 1 to `most`. Scaled, not cut off: when the story takes one request more or less, the same seed gives the same moment or
    /// the one beside it.
    ///
    /// # Panics
    /// When there is none.
    pub fn from_one_to(&mut self, most: u64) -> u64 {
        assert!(most > 0, "nothing to draw from: the undisturbed story had no such moment");
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The upper half of a product of 128 bits is below `most`, so it fits.
        u64::try_from((u128::from(mixed) * u128::from(most)) >> 64).unwrap() + 1
    }

    /// One of two.
    pub fn either(&mut self) -> bool {
        self.from_one_to(2) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_again_and_all_of_a_range_in_the_end() {
        let draw = |seed| Draw::new(seed, "helm").from_one_to(5);
        assert_eq!(draw(7), draw(7));
        let drawn: std::collections::BTreeSet<u64> = (0..200).map(draw).collect();
        assert_eq!(drawn, (1..=5).collect());
        let close = |seed| {
            let (few, many) =
                (Draw::new(seed, "api").from_one_to(70), Draw::new(seed, "api").from_one_to(71));
            few.abs_diff(many) <= 1
        };
        assert!((0..200).all(close));
    }
}
