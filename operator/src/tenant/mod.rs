//! `Tenant`: a workspace namespace and, from the first order on, a services namespace, each with quota, limits, policy and rights.
//!
//! Five steps: [`dereference`] reads, [`validate`] and [`build`] are pure, [`apply`] writes, [`status`] says what came of it.

pub mod apply;
pub mod build;
pub mod controller;
pub mod deletion;
pub mod dereference;
pub mod status;
pub mod validate;
pub mod walls;
