//! The store: etcd, and the rules by which it is written.
//!
//! * [`keys`] is the only file with key text; ids are padded to a fixed length, so no id is a prefix of another.
//! * Every value is an [`envelope`] with format version and kind.
//! * A change is one [`Txn`] that compares the revisions of what it read, committed by [`Store::transact`] with a receipt of its request id,
//!   together with others that wait where the store is [`grouped`](Store::grouped).
//! * [`EtcdAccess`] is how a program is told where etcd is, under which TLS and as which user.
//! * Within [`Store::reading`] reads come from an index in memory ([`Store::indexed`]), as new as the call needs; else from etcd.
//! * [`Store::watch`] goes on from a known revision and says so when it must relist.
//! * [`objects`] holds what is written once, outside etcd: documents, cuts, sealed segments of the audit.

mod access;
mod connection;
mod consistency;
mod difference;
pub mod envelope;
mod error;
mod group;
mod index;
mod key;
pub mod keys;
pub mod objects;
mod records;
mod renewal;
mod schema;
mod transact;
mod txn;
mod watch;

pub use access::{EtcdAccess, StoreConfig, StoreTls, StoreUser};
pub use connection::Store;
pub use consistency::{ConsistencyToken, Freshness};
pub use envelope::Record;
pub use error::StoreError;
pub use group::GroupState;
pub use index::IndexState;
pub use key::{Key, Range, Revision, Versioned};
pub use records::{
    AuditHead, AuditSegment, Counter, KINDS, LoanRef, MovedSegment, PeriodState, SealedEntry, StoredSegment,
};
pub use renewal::LOOK_EVERY;
pub use schema::StoreIdentity;
pub use transact::{Receipt, ReceiptState, TransactError};
pub use txn::{Commit, OPERATIONS_MAX, Txn};
pub use watch::{WatchEvent, WatchStream};
