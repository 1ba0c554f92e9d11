//! The pure domain: it decides, and does nothing else. No I/O, no clock, no environment, no floats.
//!
//! Platform: who ([`member`], [`grant`], [`register`], [`leitweg`]), what is shared ([`cluster`], [`account`]), what was asked
//! ([`tenant`], [`catalog`], [`instance`], [`desired`]) and what was seen ([`observation`], [`operation`]).

pub mod account;
pub mod audit;
pub mod catalog;
pub mod cluster;
pub mod desired;
pub mod grant;
pub mod ids;
pub mod instance;
pub mod leitweg;
pub mod member;
pub mod observation;
pub mod operation;
pub mod register;
pub mod resources;
pub mod tenant;
pub mod violation;
