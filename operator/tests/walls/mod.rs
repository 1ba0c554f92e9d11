//! What the tests of the tenants' walls share.

#![allow(unreachable_pub, missing_docs, dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub mod ask;
pub mod chart;
pub mod document;
pub mod objects;
pub mod record;
pub mod state;
pub mod yard;
