//! The quota over the API: what is given out, to whom, and what is refused.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

mod amounts;
mod budget;
mod guide;
mod loans;
mod neighbours;
mod pool;
mod preview;
#[path = "../support/mod.rs"]
mod support;
mod usage;
