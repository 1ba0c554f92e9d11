//! Rights: principal × member × role × from/until.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{GrantId, MemberId};

/// The roles: per member, and of the cooperative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Reads the platform and the money of the member.
    Viewer,
    /// Orders, resizes and deletes.
    Orderer,
    /// Approves (Bewirtschaftungsbefugnis).
    Approver,
    /// Reviews invoices (Kämmerei).
    Accountant,
    /// Reads everything of the member.
    Auditor,
    /// All of the above, and grants.
    Admin,
    /// Runs the cooperative's platform.
    CooperativeOperator,
    /// Closes the month.
    CooperativeTreasurer,
    /// Reads everything of the cooperative.
    CooperativeAuditor,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 9] = [
        Self::Viewer,
        Self::Orderer,
        Self::Approver,
        Self::Accountant,
        Self::Auditor,
        Self::Admin,
        Self::CooperativeOperator,
        Self::CooperativeTreasurer,
        Self::CooperativeAuditor,
    ];

    /// The name in an identity `allmende://cooperative/{name}`; none for a member's role.
    pub fn cooperative_name(self) -> Option<&'static str> {
        match self {
            Self::CooperativeOperator => Some("operator"),
            Self::CooperativeTreasurer => Some("treasurer"),
            Self::CooperativeAuditor => Some("auditor"),
            Self::Viewer
            | Self::Orderer
            | Self::Approver
            | Self::Accountant
            | Self::Auditor
            | Self::Admin => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewer => "viewer",
            Self::Orderer => "orderer",
            Self::Approver => "approver",
            Self::Accountant => "accountant",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
            Self::CooperativeOperator => "cooperative's operator",
            Self::CooperativeTreasurer => "cooperative's treasurer",
            Self::CooperativeAuditor => "cooperative's auditor",
        })
    }
}

/// One right of one principal for one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The member it is for.
    pub member: MemberId,
    /// Its id.
    pub id: GrantId,
    /// Identity text of a certificate, `allmende://principal/…` or another member's.
    pub principal: String,
    /// A member's role.
    pub role: Role,
    /// From (inclusive).
    pub valid_from: Timestamp,
    /// Until (exclusive); none: without end.
    pub valid_until: Option<Timestamp>,
    /// Acts in place of another.
    pub deputy: bool,
}

impl Grant {
    /// Whether it holds at this time.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.valid_from <= now && self.valid_until.is_none_or(|until| now < until)
    }
}
