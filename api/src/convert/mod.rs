//! Messages ⇄ domain. Reading collects all wrong fields; writing cannot fail.

pub mod approval;
pub mod audit;
pub mod billing;
pub mod budget;
pub mod catalog;
pub mod cluster;
pub mod fields;
pub mod grant;
pub mod instance;
pub mod invoice;
pub mod loan;
pub mod member;
pub mod operation;
pub mod pool;
pub mod preflight;
pub mod quota;
pub mod resources;
pub mod service_account;
pub mod tenant;
pub mod usage;
