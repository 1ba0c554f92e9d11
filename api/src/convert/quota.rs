//! Quota accounts.

use allmende_domain::{account::QuotaAccount, resources::AmountError};
use allmende_proto::v1;

use super::resources;

/// An account as the member sees it.
pub fn write(account: &QuotaAccount, etag: String) -> Result<v1::Entitlement, AmountError> {
    Ok(v1::Entitlement {
        name: format!("members/{}/entitlements/{}", account.member, account.cluster),
        guaranteed: Some(resources::write(&account.guaranteed)),
        lent: Some(resources::write(&account.lent)),
        borrowed: Some(resources::write(&account.borrowed)),
        reserved: Some(resources::write(&account.reserved()?)),
        available: Some(resources::write(&account.available()?)),
        resolution: account.resolution.clone(),
        etag,
    })
}
