//! Who may do what. [`policy`] is the one readable table; a use case asks [`Authorizer`] before it reads anything.

mod account;
pub mod authorizer;
pub mod policy;

pub use authorizer::{Authorizer, Scope};
