//! What tests start and make: a real etcd, a real Kubernetes API server, a certificate authority. A dev-dependency only.

pub mod ca;
pub mod etcd;
pub mod history;
pub mod issuer;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod log;
pub mod oidc;
pub mod port;
