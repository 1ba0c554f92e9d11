//! Values as they lie in the store: what is read is written and read again as the same, as its own kind and as no other.

use allmende_domain as domain;
use allmende_store::{self as store, Record, envelope};

use crate::generated::make;

/// Calls a function for every kind that is stored.
macro_rules! each_kind {
    ($call:ident $arguments:tt) => {
        [
            $call::<domain::account::QuotaAccount> $arguments,
            $call::<domain::audit::AuditEntry> $arguments,
            $call::<domain::catalog::Offering> $arguments,
            $call::<domain::cluster::Cluster> $arguments,
            $call::<domain::cluster::ClusterSeen> $arguments,
            $call::<domain::credential::ClusterCredential> $arguments,
            $call::<domain::credential::JoinToken> $arguments,
            $call::<domain::desired::DesiredRecord> $arguments,
            $call::<domain::grant::Grant> $arguments,
            $call::<domain::instance::Instance> $arguments,
            $call::<domain::invoice::Invoice> $arguments,
            $call::<domain::issuer::Issuer> $arguments,
            $call::<domain::key::AllocationKey> $arguments,
            $call::<domain::member::BillTo> $arguments,
            $call::<domain::member::Member> $arguments,
            $call::<domain::operation::Operation> $arguments,
            $call::<domain::pot::Pot> $arguments,
            $call::<domain::quota::budget::Budget> $arguments,
            $call::<domain::quota::loan::Loan> $arguments,
            $call::<domain::quota::rule::PoolRule> $arguments,
            $call::<domain::quota::run::PoolRun> $arguments,
            $call::<domain::quota::shown::ShownQuota> $arguments,
            $call::<domain::quota::trend::QuotaHistory> $arguments,
            $call::<domain::preflight::PreflightReport> $arguments,
            $call::<domain::price::PriceList> $arguments,
            $call::<domain::register::RegisterChunk> $arguments,
            $call::<domain::register::RegisterEdition> $arguments,
            $call::<domain::revocation::Revocation> $arguments,
            $call::<domain::run::Run> $arguments,
            $call::<domain::service_account::ServiceAccount> $arguments,
            $call::<domain::tenant::Tenant> $arguments,
            $call::<domain::usage::LifecycleFact> $arguments,
            $call::<store::AuditHead> $arguments,
            $call::<store::AuditSegment> $arguments,
            $call::<store::Counter> $arguments,
            $call::<store::LoanRef> $arguments,
            $call::<store::PeriodState> $arguments,
            $call::<store::Receipt> $arguments,
            $call::<store::StoreIdentity> $arguments,
            $call::<store::StoredSegment> $arguments,
        ]
    };
}

pub(crate) fn check(bytes: &[u8]) -> bool {
    let kinds = each_kind!(same(bytes)).into_iter().filter(|taken| *taken).count();
    assert!(kinds <= 1, "one value was read as {kinds} kinds");
    kinds == 1
}

fn same<T: Record>(bytes: &[u8]) -> bool {
    let Ok(value) = envelope::decode::<T>(bytes) else { return false };
    let Ok(written) = envelope::encode(&value) else { panic!("{}: read and cannot be written", T::KIND) };
    let again = envelope::decode::<T>(&written).and_then(|again| envelope::encode(&again));
    assert_eq!(again.ok(), Some(written), "{} changes when it is written", T::KIND);
    true
}

/// Three of each kind, made from numbers.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (1..4u64).flat_map(|seed| each_kind!(made(seed))).collect()
}

fn made<T: Record>(seed: u64) -> Vec<u8> {
    let written = make::<T>(seed).map(|value| envelope::encode(&value));
    match written {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => panic!("{}: {error}", T::KIND),
        Err(error) => panic!("no {} could be made: {error}", T::KIND),
    }
}

#[cfg(test)]
fn kind<T: Record>() -> &'static str {
    T::KIND
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_that_is_stored_is_read_here() {
        let here: BTreeSet<&str> = each_kind!(kind()).into_iter().collect();
        assert_eq!(here, store::KINDS.iter().copied().collect());
    }
}
