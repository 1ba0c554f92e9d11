//! What every call passes before it reaches a service: one layer, in one order.

pub mod authentication;
pub mod call;
pub mod consistency;
pub mod share;
