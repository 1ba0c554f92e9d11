//! All of Allmende at once, as it is shipped: etcd, a Kubernetes API server, the three programs and Helm, with a fault at a chosen moment.
//!
//! The story is told once undisturbed and once with a victim that gets SIGKILL; both must end in the same state. Moments are counted in
//! requests and writes, never in time, so a seed names the same moment on a quick machine and on a slow one.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and say which seed they ran with"
)]

pub mod admission;
pub mod call;
pub mod fault;
pub mod gate;
pub mod month;
pub mod orderer;
pub mod process;
pub mod register;
pub mod registry;
pub mod replay;
pub mod replicas;
pub mod sample;
pub mod scenario;
pub mod seed;
pub mod state;
pub mod wait;
pub mod world;
