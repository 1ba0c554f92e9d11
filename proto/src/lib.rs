//! The contract between the API and everything that talks to it: `allmende.v1`.
//!
//! Messages and services are generated from `allmende/v1/*.proto` by `make gen` and committed, so that users of this
//! crate need no protobuf compiler. Nothing is added here by hand but what every side needs to agree on.

/// Package `allmende.v1`.
pub mod v1 {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::unwrap_used)]
    include!("generated/allmende.v1.rs");
}

/// The `google.rpc.ErrorInfo.domain` of every error of this API.
pub const ERROR_DOMAIN: &str = "allmende";

/// Serialized `FileDescriptorSet` of the package and its imports: for reflection, and for tests over all methods.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/descriptors.bin");
