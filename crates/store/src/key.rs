//! Typed keys and ranges, and values with the revision at which they were read.

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A revision of the store, or the last change of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision(pub i64);

impl Revision {
    /// The revision of a key that does not exist.
    pub const ABSENT: Self = Self(0);

    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The key of a value of type `T`.
pub struct Key<T> {
    raw: String,
    kind: PhantomData<fn() -> T>,
}

/// All keys of values of type `T` below a prefix.
pub struct Range<T> {
    prefix: String,
    kind: PhantomData<fn() -> T>,
}

/// A value and the revision of its last change.
#[derive(Debug, Clone)]
pub struct Versioned<T> {
    /// Where it lies.
    pub key: Key<T>,
    /// What it is.
    pub value: T,
    /// Its last change.
    pub revision: Revision,
}

impl<T> Key<T> {
    pub(crate) fn new(raw: String) -> Self {
        Self { raw, kind: PhantomData }
    }

    /// The text in etcd; also the page token's content.
    pub fn raw(&self) -> &str {
        &self.raw
    }
}

impl<T> Range<T> {
    pub(crate) fn new(prefix: String) -> Self {
        debug_assert!(
            prefix.ends_with('/'),
            "a prefix ends with a separator, so that it covers whole ids only"
        );
        Self { prefix, kind: PhantomData }
    }

    /// The text in etcd.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The first key behind the range: the prefix with its last byte, the separator `/`, raised to `0`.
    pub(crate) fn end(&self) -> String {
        let mut end = self.prefix.clone();
        end.pop();
        end.push('0');
        end
    }
}

impl<T> Versioned<T> {
    /// Opaque hash of key and revision (AIP-154).
    pub fn etag(&self) -> String {
        let digest = Sha256::digest(format!("{}@{}", self.key.raw, self.revision.0));
        hex::encode(&digest[..12])
    }
}

// By hand: a derive would ask the same of `T`.
impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        Self::new(self.raw.clone())
    }
}

impl<T> Clone for Range<T> {
    fn clone(&self) -> Self {
        Self { prefix: self.prefix.clone(), kind: PhantomData }
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

impl<T> fmt::Debug for Range<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix)
    }
}
