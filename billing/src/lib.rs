//! The billing worker: closes periods. It follows the runs that the API accepts and does their steps, one transaction each.
//!
//! Every step is decided by the run's record alone and compares its revision. So a worker may die at any moment, another may run beside
//! it, and an answer may be lost: whoever reads the run next goes on where it stands, and nothing is done twice.

mod audit;
pub mod config;
mod cut;
mod digest;
mod drafts;
mod error;
pub mod follow;
mod issue;
pub mod metrics;
mod worker;

pub use error::BillingError;
pub use worker::{Clock, Progress, Worker};
