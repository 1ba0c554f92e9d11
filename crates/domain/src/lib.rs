//! The pure domain: it decides, and does nothing else. No I/O, no clock, no environment, no floats.
//!
//! Platform: who ([`member`], [`grant`], [`service_account`], [`revocation`], [`register`], [`leitweg`]), what is shared ([`cluster`],
//! [`account`]), what was asked ([`tenant`], [`catalog`], [`instance`], [`desired`]) and what was seen ([`observation`], [`operation`]).
//! What the cooperative decides together about its pool is in [`quota`].
//!
//! Money: what was used ([`usage`], [`period`]), what it costs ([`price`], [`rating`]), what all bear together ([`pot`], [`key`],
//! [`allocate`]), and what comes of it ([`run`], [`closing`], [`invoice`]). Amounts are in [`money`].

#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        reason = "a test that overflows fails, which is what it should do"
    )
)]

pub mod account;
pub mod allocate;
pub mod audit;
pub mod catalog;
pub mod closing;
pub mod cluster;
pub mod credential;
pub mod departure;
pub mod desired;
pub mod extended;
pub mod grant;
pub mod ids;
pub mod instance;
pub mod invoice;
pub mod issuer;
pub mod key;
pub mod leitweg;
pub mod member;
pub mod money;
pub mod observation;
pub mod operation;
pub mod period;
pub mod pot;
pub mod preflight;
pub mod price;
pub mod quota;
pub mod rating;
pub mod register;
pub mod resources;
pub mod revocation;
pub mod run;
pub mod service_account;
pub mod tenant;
pub mod usage;
pub mod violation;
