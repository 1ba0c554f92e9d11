//! The API: transport → use cases → domain → store. It knows etcd and never Kubernetes.
//!
//! | I want to … | room |
//! |---|---|
//! | change who may do what | [`authz::policy`] |
//! | change how a caller is recognised | [`authn`] |
//! | change an error code or text | [`status`] |
//! | add an RPC | `service/` (thin), `convert/` (messages ⇄ domain), `app/` (use case), a row in the policy |
//! | change a limit of the server | [`server`] |

pub mod app;
pub mod authn;
pub mod authz;
pub mod bars;
pub mod clock;
pub mod config;
pub mod context;
pub mod convert;
pub mod core;
pub mod error;
pub mod index_metrics;
pub mod key_ages;
pub mod layers;
pub mod metrics;
pub mod names;
pub mod pagination;
pub mod requests;
pub mod server;
pub mod service;
pub mod status;
pub mod tls_metrics;
pub mod wiring;
