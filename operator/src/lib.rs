//! The operator of one cluster: it knows Kubernetes and never etcd. It follows the desired state that the API streams, keeps the objects of
//! its cluster as that says, and reports what it saw.

pub mod helm;
pub mod instance;
pub mod sync;
