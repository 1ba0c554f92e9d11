//! What a check found.

/// All that one check has to say; it reports everything at once, not the first thing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// How many things were looked at: a check that looked at nothing must not pass unseen.
    pub(crate) checked: String,
    pub(crate) warnings: Vec<String>,
    pub(crate) errors: Vec<String>,
}
