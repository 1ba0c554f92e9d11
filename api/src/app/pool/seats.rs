//! Who takes part in a division, and what each weighs.

use std::collections::BTreeMap;

use allmende_domain::quota::{
    division::Seat,
    rule::{Basis, PoolRule},
};
use allmende_store::keys;
use jiff::civil::Date;

use super::Pools;
use crate::error::AppError;

impl Pools {
    /// The members of that day, with shares in force and inhabitants by the rule's edition of the register.
    ///
    /// # Errors
    /// When the store fails, or the edition was not imported.
    pub(super) async fn seats(&self, rule: &PoolRule, effective: Date) -> Result<Vec<Seat>, AppError> {
        let (members, _) = self.core.store.snapshot(&keys::members()).await?;
        let edition = rule.parts.iter().find_map(|part| match part.basis {
            Basis::Inhabitants { edition, .. } => Some(edition),
            Basis::Shares | Basis::Equal => None,
        });
        let inhabitants = match edition {
            Some(edition) => self.inhabitants(edition).await?,
            None => BTreeMap::new(),
        };
        let stays = |departure: &allmende_domain::departure::Departure| !departure.has_left(effective);
        Ok(members
            .into_iter()
            .map(|member| member.value)
            .filter(|member| member.departure.as_ref().is_none_or(stays))
            .map(|member| Seat {
                shares: member.shares_at(effective),
                inhabitants: inhabitants.get(&member.register_key).copied().unwrap_or(0),
                register_key: member.register_key,
                member: member.id,
            })
            .collect())
    }

    /// Inhabitants by register key.
    async fn inhabitants(&self, edition: Date) -> Result<BTreeMap<String, i64>, AppError> {
        if self.core.store.find(&keys::register_edition(edition)).await?.is_none() {
            let text = format!("the edition {edition} of the register was not imported");
            return Err(AppError::invalid("pool_rule.parts", text));
        }
        let (chunks, _) = self.core.store.snapshot(&keys::register_chunks(edition)).await?;
        let entries = chunks.into_iter().flat_map(|chunk| chunk.value.entries);
        Ok(entries.map(|entry| (entry.key, entry.inhabitants)).collect())
    }
}
