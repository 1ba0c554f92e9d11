//! Rights: principal × member × role × from/until.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{GrantId, MemberId, TenantId},
    violation::FieldViolation,
};

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

    /// Whether who has this role has the other's rights too: a member's admin has those of all its roles.
    pub fn covers(self, other: Self) -> bool {
        self == other || (self == Self::Admin && other.cooperative_name().is_none())
    }

    /// The roles of a member.
    pub const OF_MEMBERS: [Self; 6] =
        [Self::Viewer, Self::Orderer, Self::Approver, Self::Accountant, Self::Auditor, Self::Admin];

    /// The roles that somebody with this one may give to others.
    pub fn grantable(self) -> &'static [Self] {
        match self {
            Self::Admin | Self::CooperativeOperator => &Self::OF_MEMBERS,
            Self::Viewer
            | Self::Orderer
            | Self::Approver
            | Self::Accountant
            | Self::Auditor
            | Self::CooperativeTreasurer
            | Self::CooperativeAuditor => &[],
        }
    }

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
    /// Principal that gave it; empty for grants from before this was kept.
    #[serde(default)]
    pub granted_by: String,
    /// Principal that ended it before its time.
    #[serde(default)]
    pub revoked_by: Option<String>,
}

impl Grant {
    /// Whether it holds at this time.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.valid_from <= now && self.valid_until.is_none_or(|until| now < until)
    }

    /// Everything that is wrong with a new grant; field paths as in the proto message `Grant`.
    ///
    /// Deputies and auditors act for a time: without an end nobody would notice that it is over.
    pub fn violations(&self) -> Vec<FieldViolation> {
        let mut wrong = Vec::new();
        if self.role.cooperative_name().is_some() {
            wrong.push(FieldViolation::new(
                "role",
                "must be a member's role: the cooperative's are no grants",
            ));
        }
        match self.valid_until {
            Some(until) if until <= self.valid_from => {
                wrong.push(FieldViolation::new("valid_until", "must be after valid_from"));
            }
            None if self.deputy => wrong.push(FieldViolation::new("valid_until", "is needed for a deputy")),
            None if self.role == Role::Auditor => {
                wrong.push(FieldViolation::new("valid_until", "is needed for an auditor"));
            }
            Some(_) | None => {}
        }
        wrong
    }

    /// A new grant must not claim that it held before it was given. Apart from the other rules: a repeated request is judged by its first.
    pub fn backdated(&self, now: Timestamp) -> Option<FieldViolation> {
        let text = "must not lie in the past: leave it out for a grant from now on";
        (self.valid_from < now).then(|| FieldViolation::new("valid_from", text))
    }
}

/// Where a right comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RightSource {
    /// A grant of the member.
    Grant,
    /// A group of an issuer, by the configured table.
    Group,
    /// A certificate that names the member or the role.
    Certificate,
    /// A scope of a service account.
    ServiceAccount,
}

/// One line of the report of rights: who may do what, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// For this member; none: of the cooperative.
    pub member: Option<MemberId>,
    /// Who: an identity text, or the text of a group.
    pub principal: String,
    /// What.
    pub role: Role,
    /// By what.
    pub source: RightSource,
    /// From (inclusive); none: not recorded.
    pub valid_from: Option<Timestamp>,
    /// Until (exclusive); none: without end.
    pub valid_until: Option<Timestamp>,
    /// In place of another.
    pub deputy: bool,
    /// Principal that gave it; empty where nobody did.
    pub granted_by: String,
    /// The grant it comes from.
    pub grant: Option<GrantId>,
    /// Only there; none: for the whole member.
    pub tenant: Option<TenantId>,
    /// Only what reads.
    pub read_only: bool,
}

impl Right {
    /// Whether it holds at this time.
    pub fn is_valid_at(&self, at: Timestamp) -> bool {
        self.valid_from.is_none_or(|from| from <= at) && self.valid_until.is_none_or(|until| at < until)
    }
}

impl From<Grant> for Right {
    fn from(grant: Grant) -> Self {
        Self {
            member: Some(grant.member),
            principal: grant.principal,
            role: grant.role,
            source: RightSource::Grant,
            valid_from: Some(grant.valid_from),
            valid_until: grant.valid_until,
            deputy: grant.deputy,
            granted_by: grant.granted_by,
            grant: Some(grant.id),
            tenant: None,
            read_only: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grant(role: Role, from: i64, until: Option<i64>, deputy: bool) -> Grant {
        let time = |second: i64| Timestamp::from_second(second).unwrap();
        Grant {
            member: "m-05766044".parse().unwrap(),
            id: "0190f7a2-0000-7000-8000-000000000001".parse().unwrap(),
            principal: "allmende://principal/kasse".to_owned(),
            role,
            valid_from: time(from),
            valid_until: until.map(time),
            deputy,
            granted_by: String::new(),
            revoked_by: None,
        }
    }

    #[test]
    fn all_that_is_wrong_with_a_grant_is_named() {
        let now = Timestamp::from_second(100).unwrap();
        let fields =
            |grant: Grant| -> Vec<String> { grant.violations().into_iter().map(|v| v.field).collect() };
        assert!(fields(grant(Role::Viewer, 100, None, false)).is_empty());
        assert!(fields(grant(Role::Auditor, 100, Some(200), false)).is_empty());
        assert_eq!(fields(grant(Role::Auditor, 100, None, false)), ["valid_until"]);
        assert_eq!(fields(grant(Role::Approver, 100, None, true)), ["valid_until"]);
        assert_eq!(fields(grant(Role::CooperativeOperator, 99, Some(99), false)), ["role", "valid_until"]);
        assert!(grant(Role::Viewer, 99, None, false).backdated(now).is_some());
        assert!(grant(Role::Viewer, 100, None, false).backdated(now).is_none());
    }

    proptest! {
        #[test]
        fn a_sound_grant_holds_from_its_beginning_to_just_before_its_end(from in 100_i64..1000, life in 1_i64..1000, at in 0_i64..3000) {
            let grant = grant(Role::Orderer, from, Some(from + life), false);
            prop_assert!(grant.violations().is_empty());
            let at = Timestamp::from_second(at).unwrap();
            let holds = at.as_second() >= from && at.as_second() < from + life;
            prop_assert_eq!(grant.is_valid_at(at), holds);
            prop_assert_eq!(Right::from(grant).is_valid_at(at), holds);
        }
    }
}
