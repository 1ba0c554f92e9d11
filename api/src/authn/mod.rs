//! Who calls: a verified certificate, a verified access token, or both. What they may do is [`crate::authz`]'s.

mod caller;
mod issuers;

pub use caller::{Authenticated, PAIR_DIFFERS, Proof};
pub use issuers::{GroupRight, Issuers, IssuersError};
