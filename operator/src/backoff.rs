//! How long a failed object waits before it is tried again: doubling, capped, spread, forgotten after a success.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Mutex,
    time::Duration,
};

/// Waiting times by object.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: Mutex<HashMap<String, u32>>,
}

impl Backoff {
    /// From `first` up to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: Mutex::default() }
    }

    /// Counts a failure and says how long to wait: the doubled time, and up to a quarter more so that objects do not come back together.
    pub fn next(&self, object: &str) -> Duration {
        let failures = {
            let mut failures = self.lock();
            let count = failures.entry(object.to_owned()).or_insert(0);
            *count = count.saturating_add(1);
            *count
        };
        let doubled = self.first.saturating_mul(1_u32.checked_shl(failures.min(31) - 1).unwrap_or(u32::MAX));
        let base = doubled.min(self.longest);
        let mut hasher = DefaultHasher::new();
        (object, failures).hash(&mut hasher);
        let spread = u32::try_from(hasher.finish() % 64).unwrap_or(0);
        base + base / 256 * spread
    }

    /// Forgets the object's failures.
    pub fn reset(&self, object: &str) {
        self.lock().remove(object);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Default for Backoff {
    /// One second up to two minutes.
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(120))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_cap_and_starts_again_after_a_success() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let waits: Vec<Duration> = (0..40).map(|_| backoff.next("a")).collect();
        assert!(waits[0] >= Duration::from_secs(1) && waits[0] < Duration::from_millis(1250));
        assert!(waits[3] >= Duration::from_secs(8) && waits[3] < Duration::from_secs(10));
        assert!(waits.iter().all(|wait| *wait < Duration::from_secs(75)));
        assert!(waits[39] >= Duration::from_secs(60));
        backoff.reset("a");
        assert!(backoff.next("a") < Duration::from_millis(1250));
    }
}
