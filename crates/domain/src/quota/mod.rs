//! What the cooperative decides together about its pool: who must agree ([`approval`]), how the pool is divided ([`rule`], [`division`],
//! [`outlook`]), what that does to an account ([`target`]), what members lend each other ([`loan`], [`lending`]),
//! how full an account is ([`level`]), where it is heading ([`trend`]), and what a cluster shows of it ([`shown`]).
//! What a member may spend on it is in [`budget`], with what that comes from: [`projection`], [`count`].

pub mod approval;
pub mod budget;
pub mod capacity;
pub mod count;
pub mod division;
pub mod lending;
pub mod level;
pub mod loan;
pub mod outlook;
pub mod projection;
pub mod rule;
pub mod run;
pub mod shown;
pub mod target;
pub mod trend;
