//! What the cooperative decides together about its pool: who must agree ([`approval`]), how the pool is divided ([`rule`], [`division`],
//! [`outlook`]), what that does to an account ([`target`]), and what members lend each other ([`loan`], [`lending`]).

pub mod approval;
pub mod capacity;
pub mod division;
pub mod lending;
pub mod loan;
pub mod outlook;
pub mod rule;
pub mod target;
