//! Allocation keys (Umlageschlüssel): how a pot is split. A weighted sum of components, dated, by resolution (IT-Planungsrat 2021/24).

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{ids::KeyId, price::dated, violation::FieldViolation};

/// By what a component weighs the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ComponentKind {
    /// Inhabitants by the register.
    Inhabitants,
    /// Shares in force on the period's first day.
    Shares,
    /// Each member's own usage net of the period, in cents.
    Usage,
    /// All the same.
    Equal,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyComponent {
    /// By what.
    pub kind: ComponentKind,
    /// Percent of the pot.
    pub percent: i32,
    /// BT-153, German.
    pub title: String,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationKey {
    /// Permanent.
    pub id: KeyId,
    /// First day of a month.
    pub valid_from: Date,
    /// Beschluss-Nr.
    pub resolution: String,
    /// All percents add up to 100.
    pub components: Vec<KeyComponent>,
}

impl AllocationKey {
    /// Everything that is wrong; paths as in the proto message `AllocationKey`.
    pub fn violations(&self) -> Vec<FieldViolation> {
        let mut wrong = dated(self.valid_from, &self.resolution);
        for (index, component) in self.components.iter().enumerate() {
            if !(1..=100).contains(&component.percent) {
                wrong.push(FieldViolation::new(format!("components[{index}].percent"), "must be 1 to 100"));
            }
            if component.title.trim().is_empty() {
                wrong.push(FieldViolation::new(format!("components[{index}].title"), "is needed (BT-153)"));
            }
        }
        let sum: i64 = self.components.iter().map(|c| i64::from(c.percent)).fold(0, i64::saturating_add);
        if sum != 100 {
            wrong.push(FieldViolation::new("components", format!("percents must add up to 100, not {sum}")));
        }
        wrong
    }
}
