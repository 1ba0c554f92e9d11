//! Use cases: authorise, load with revisions, let the domain decide, commit once. No handler logic, no text of keys.
//!
//! One struct an area, each with the [`Core`](crate::core::Core) it works on; wiring puts them together.

pub mod audit;
pub mod billing;
pub mod budget;
pub mod catalog;
pub mod certificate;
pub mod cluster;
pub mod holdings;
pub mod instance;
pub mod invoice;
pub mod loan;
pub mod member;
pub mod obstacle;
pub mod operation;
pub mod placement;
pub mod pool;
pub mod preview;
pub mod quota;
pub mod register;
pub mod revocation;
pub mod service_account;
pub mod tenant;
pub mod usage;
