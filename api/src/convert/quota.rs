//! Quota accounts.

use allmende_domain::{account::QuotaAccount, resources::AmountError};
use allmende_proto::v1;

use super::resources;

/// An account as the member sees it.
pub fn write(account: &QuotaAccount, etag: String) -> Result<v1::Entitlement, AmountError> {
    let over = account.over()?;
    Ok(v1::Entitlement {
        name: format!("members/{}/entitlements/{}", account.member, account.cluster),
        guaranteed: Some(resources::write(&account.guaranteed)),
        lent: Some(resources::write(&account.lent()?)),
        borrowed: Some(resources::write(&account.borrowed()?)),
        reserved: Some(resources::write(&account.reserved()?)),
        available: Some(resources::write(&account.available()?)),
        resolution: account.resolution.clone(),
        etag,
        recalled: Some(resources::write(&account.recalled()?)),
        decided: account.target.as_ref().map(|target| resources::write(&target.guaranteed)),
        over: over.as_ref().map(|over| resources::write(&over.amounts)),
        resolve_by: over.map(|over| over.resolve_by.to_string()).unwrap_or_default(),
    })
}
