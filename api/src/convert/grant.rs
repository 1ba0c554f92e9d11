//! Grants and rights as messages.

use allmende_domain::{
    grant::{Grant, Right, RightSource, Role},
    ids::{GrantId, MemberId},
};
use allmende_identity::Identity;
use allmende_proto::v1;
use jiff::Timestamp;

use super::fields::{Fields, time};

/// A role of a member; the cooperative's own are not granted by a call.
pub(super) fn read_role(value: i32) -> Option<Role> {
    match v1::Role::try_from(value).ok()? {
        v1::Role::Viewer => Some(Role::Viewer),
        v1::Role::Orderer => Some(Role::Orderer),
        v1::Role::Approver => Some(Role::Approver),
        v1::Role::Accountant => Some(Role::Accountant),
        v1::Role::Auditor => Some(Role::Auditor),
        v1::Role::Admin => Some(Role::Admin),
        v1::Role::Unspecified
        | v1::Role::CooperativeOperator
        | v1::Role::CooperativeTreasurer
        | v1::Role::CooperativeAuditor => None,
    }
}

pub(super) fn write_role(role: Role) -> v1::Role {
    match role {
        Role::Viewer => v1::Role::Viewer,
        Role::Orderer => v1::Role::Orderer,
        Role::Approver => v1::Role::Approver,
        Role::Accountant => v1::Role::Accountant,
        Role::Auditor => v1::Role::Auditor,
        Role::Admin => v1::Role::Admin,
        Role::CooperativeOperator => v1::Role::CooperativeOperator,
        Role::CooperativeTreasurer => v1::Role::CooperativeTreasurer,
        Role::CooperativeAuditor => v1::Role::CooperativeAuditor,
    }
}

/// A new grant for a member, given by `granted_by`; `now` stands in for a missing beginning.
pub fn read_grant(
    fields: &mut Fields,
    message: Option<&v1::Grant>,
    (member, id): (&MemberId, GrantId),
    granted_by: &str,
    now: Timestamp,
) -> Option<Grant> {
    let message = fields.needed("grant", message)?;
    let principal = read_principal(fields, &message.principal).map(|identity| identity.to_string());
    let role = read_role(message.role);
    if role.is_none() {
        fields.wrong("grant.role", "must be VIEWER, ORDERER, APPROVER, ACCOUNTANT, AUDITOR or ADMIN");
    }
    let valid_from = match &message.valid_from {
        None => Some(now),
        given => fields.time("grant.valid_from", given.as_ref()),
    };
    let valid_until = match &message.valid_until {
        None => Some(None),
        given => fields.time("grant.valid_until", given.as_ref()).map(Some),
    };
    let grant = Grant {
        member: member.clone(),
        id,
        // Something sound, so that the rules name all that is wrong at once; with a wrong field nothing of it is used.
        principal: principal.clone().unwrap_or_default(),
        role: role.unwrap_or(Role::Viewer),
        valid_from: valid_from.unwrap_or(now),
        valid_until: valid_until.flatten(),
        deputy: message.deputy,
        granted_by: granted_by.to_owned(),
        revoked_by: None,
    };
    if valid_from.is_some() && valid_until.is_some() {
        fields.wrong_under("grant", grant.violations());
    }
    (principal.is_some() && role.is_some()).then_some(grant)
}

/// Clusters, components and the cooperative's roles are no persons and no services of a member.
fn read_principal(fields: &mut Fields, text: &str) -> Option<Identity> {
    let identity = fields.parse::<Identity>("grant.principal", text)?;
    match identity {
        Identity::Member(_) | Identity::Principal(_) | Identity::Subject { .. } => Some(identity),
        Identity::Cluster(_)
        | Identity::Component(_)
        | Identity::Cooperative(_)
        | Identity::ServiceAccount { .. } => {
            fields.wrong(
                "grant.principal",
                "must be allmende://principal/…, allmende://issuer/{alias}/{subject} or another member; a service account has scopes",
            );
            None
        }
    }
}

/// A grant as a message.
pub fn write_grant(grant: &Grant) -> v1::Grant {
    v1::Grant {
        name: format!("members/{}/grants/{}", grant.member, grant.id),
        principal: grant.principal.clone(),
        role: write_role(grant.role).into(),
        valid_from: Some(time(grant.valid_from)),
        valid_until: grant.valid_until.map(time),
        deputy: grant.deputy,
        granted_by: grant.granted_by.clone(),
        revoked_by: grant.revoked_by.clone().unwrap_or_default(),
    }
}

/// A line of the report of rights.
pub fn write_right(right: &Right) -> v1::Right {
    let source = match right.source {
        RightSource::Grant => v1::RightSource::Grant,
        RightSource::Group => v1::RightSource::Group,
        RightSource::Certificate => v1::RightSource::Certificate,
        RightSource::ServiceAccount => v1::RightSource::ServiceAccount,
    };
    let grant = match (&right.member, &right.grant) {
        (Some(member), Some(id)) => format!("members/{member}/grants/{id}"),
        _ => String::new(),
    };
    let tenant = match (&right.member, &right.tenant) {
        (Some(member), Some(id)) => format!("members/{member}/tenants/{id}"),
        _ => String::new(),
    };
    v1::Right {
        tenant,
        read_only: right.read_only,
        member: right.member.as_ref().map(|member| format!("members/{member}")).unwrap_or_default(),
        principal: right.principal.clone(),
        role: write_role(right.role).into(),
        source: source.into(),
        valid_from: right.valid_from.map(time),
        valid_until: right.valid_until.map(time),
        deputy: right.deputy,
        granted_by: right.granted_by.clone(),
        grant,
    }
}
