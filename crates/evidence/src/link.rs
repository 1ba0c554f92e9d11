//! One entry in its chain.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Begins the bytes of every link: another format would begin with another text.
const LINK_FORMAT: &str = "allmende-audit/1";
/// Begins the bytes of every chain's first digest.
const GENESIS_FORMAT: &str = "allmende-audit-genesis/1";

/// One entry in its chain. The text is what was hashed, byte for byte: verifying never writes an entry anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// 1, 2, 3, …
    pub sequence: u64,
    /// Digest of the one before; of the first one, the chain's [`genesis`].
    pub previous: Digest,
    /// The entry, a JSON object.
    pub entry: String,
    /// Digest of this one.
    pub digest: Digest,
}

/// What a chain begins with: its own name and that of the installation, so that no chain can be passed off as another.
pub fn genesis(installation: &str, chain: &str) -> Digest {
    Digest::of(format!("{GENESIS_FORMAT}\n{installation}\n{chain}\n").as_bytes())
}

impl Link {
    /// Chains an entry to the digest before it.
    pub fn new(sequence: u64, previous: Digest, entry: String) -> Self {
        let digest = digest_of(sequence, previous, &entry);
        Self { sequence, previous, entry, digest }
    }

    /// Whether the digest is that of what it holds.
    pub fn is_sound(&self) -> bool {
        digest_of(self.sequence, self.previous, &self.entry) == self.digest
    }
}

/// Every part has one end only: the numbers and digests have no line break, and the entry's length stands before it.
fn digest_of(sequence: u64, previous: Digest, entry: &str) -> Digest {
    Digest::of(format!("{LINK_FORMAT}\n{sequence}\n{previous}\n{}\n{entry}", entry.len()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_fixed_for_ever() {
        let first = Link::new(1, genesis("i", "members/m-05766044"), r#"{"a":1}"#.to_owned());
        // Computed with sha256sum over the bytes that the guide for auditors names.
        assert_eq!(
            first.previous.to_string(),
            "924fbafa385f68f6bd2e1c2664f01deeff3649d4f29518ea68415152620ce933"
        );
        assert_eq!(
            first.digest.to_string(),
            "931d0b46b5726475334c7f7ff235a12e31a3dde78767e49bc03feb4a00954d2f"
        );
    }

    #[test]
    fn a_chain_is_bound_to_its_name_and_installation() {
        assert_ne!(genesis("i", "members/a"), genesis("i", "members/b"));
        assert_ne!(genesis("i", "members/a"), genesis("j", "members/a"));
    }
}
