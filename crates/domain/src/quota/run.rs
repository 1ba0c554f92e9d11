//! The carrying out of a rule: which entitlements are set, cluster by cluster and member by member.
//!
//! It is resumable: the run says how far it has come, each step is one transaction with the run in it, and a step that is done again changes
//! nothing. When what the division was computed from has changed meanwhile, it begins anew: targets are set, not added.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::ids::{ClusterId, MemberId, PoolRuleId};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PoolRunState {
    /// Entitlements are being set.
    Dividing,
    /// All are set; some members have to come down, or wait for those.
    Settling,
    /// Everybody has what was decided.
    Done,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRun {
    /// Of this rule.
    pub rule: PoolRuleId,
    /// Whose shares count: those in force on this day.
    pub effective: Date,
    /// Who asked for it.
    pub principal: String,
    /// How far it is.
    pub state: PoolRunState,
    /// SHA-256 of the division, hex: another one begins anew.
    pub digest: String,
    /// The last cluster and member that are set; none: not one yet.
    pub done_to: Option<(ClusterId, MemberId)>,
    /// Entitlements that are set.
    pub done: u32,
    /// Of how many.
    pub total: u32,
    /// Of them not yet what was decided, when it was looked last.
    pub unsettled: u32,
    /// When it was asked for.
    pub start_time: Timestamp,
    /// When everybody had it.
    pub end_time: Option<Timestamp>,
}
