//! How many calls one caller may have under way: nobody can take all places of the server by opening streams and leaving them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts the calls of each caller; cheap to clone.
#[derive(Debug, Clone)]
pub struct Shares {
    most: usize,
    held: Arc<Mutex<HashMap<String, usize>>>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub struct Place {
    caller: String,
    held: Arc<Mutex<HashMap<String, usize>>>,
}

impl Shares {
    /// At most `most` calls of one caller at once.
    pub fn new(most: usize) -> Self {
        Self { most, held: Arc::default() }
    }

    /// A place for one more call of `caller`; none when it has its share.
    pub fn take(&self, caller: &str) -> Option<Place> {
        let mut held = lock(&self.held);
        let count = held.entry(caller.to_owned()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { caller: caller.to_owned(), held: Arc::clone(&self.held) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        if let Some(count) = held.get_mut(&self.caller) {
            *count = count.saturating_sub(1);
            // Callers that are gone leave nothing behind.
            if *count == 0 {
                held.remove(&self.caller);
            }
        }
    }
}

/// The count is right after every step, so a panic of another thread spoils nothing.
fn lock(held: &Mutex<HashMap<String, usize>>) -> MutexGuard<'_, HashMap<String, usize>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_gets_its_share_and_no_more_and_others_keep_theirs() {
        let shares = Shares::new(2);
        let (first, _second) = (shares.take("a").unwrap(), shares.take("a").unwrap());
        assert!(shares.take("a").is_none());
        assert!(shares.take("b").is_some());
        drop(first);
        assert!(shares.take("a").is_some());
        assert_eq!(lock(&shares.held).len(), 1, "b has nothing under way and is forgotten");
    }
}
