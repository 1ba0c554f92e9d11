//! Logs, metrics and probes: set up the same way in every program.

mod expiries;
mod logging;
mod probes;

pub use expiries::{End, register_expiries};
pub use logging::{LogFormat, init_logging};
pub use probes::{Probes, register_build_info, serve};
