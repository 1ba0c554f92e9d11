//! Pots (Umlagetöpfe): common costs of a period, split by a key.

use serde::{Deserialize, Serialize};

use crate::{
    allocate::{AllocateError, allocate},
    ids::{KeyId, PotId},
    key::{AllocationKey, ComponentKind},
    money::Cents,
    period::Period,
    violation::FieldViolation,
};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pot {
    /// Permanent.
    pub id: PotId,
    /// Of which month.
    pub period: Period,
    /// German.
    pub title: String,
    /// May be negative: a refund.
    pub amount: Cents,
    /// By which key.
    pub key: KeyId,
    /// Beschluss-Nr.
    pub resolution: String,
}

/// What a member weighs in a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemberWeights {
    /// By the register.
    pub inhabitants: i64,
    /// In force on the period's first day.
    pub shares: i64,
    /// Own usage net of the period.
    pub usage: Cents,
}

/// One component's part of a pot, and the members' parts of it in the order of the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentSplit {
    /// BT-153, German.
    pub title: String,
    /// The component's part of the pot.
    pub amount: Cents,
    /// One a member.
    pub parts: Vec<Cents>,
}

impl Pot {
    /// Everything that is wrong; paths as in the proto message `Pot`.
    pub fn violations(&self) -> Vec<FieldViolation> {
        let mut wrong = Vec::new();
        if self.title.trim().is_empty() {
            wrong.push(FieldViolation::new("title", "is needed"));
        }
        if self.resolution.trim().is_empty() {
            wrong.push(FieldViolation::new(
                "resolution",
                "the number of the resolution (Beschluss-Nr.) is needed",
            ));
        }
        if !(-100_000_000_000..=100_000_000_000).contains(&self.amount.0) || self.amount == Cents::ZERO {
            wrong.push(FieldViolation::new("amount.cents", "must not be zero, nor beyond a billion euros"));
        }
        wrong
    }

    /// Splits the pot over its key's components and each of them over the members, who are sorted by ascending id.
    ///
    /// # Errors
    /// When a component finds no weight.
    pub fn split(
        &self,
        key: &AllocationKey,
        members: &[MemberWeights],
    ) -> Result<Vec<ComponentSplit>, AllocateError> {
        let percents: Vec<i64> =
            key.components.iter().map(|component| i64::from(component.percent)).collect();
        let amounts = allocate(self.amount, &percents)?;
        key.components
            .iter()
            .zip(amounts)
            .map(|(component, amount)| {
                let weights: Vec<i64> = members.iter().map(|member| weight(component.kind, member)).collect();
                Ok(ComponentSplit {
                    title: component.title.clone(),
                    amount,
                    parts: allocate(amount, &weights)?,
                })
            })
            .collect()
    }
}

fn weight(kind: ComponentKind, member: &MemberWeights) -> i64 {
    match kind {
        ComponentKind::Inhabitants => member.inhabitants,
        ComponentKind::Shares => member.shares,
        ComponentKind::Usage => member.usage.0.max(0),
        ComponentKind::Equal => 1,
    }
}
