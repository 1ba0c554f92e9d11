//! Applies the table to a caller: default deny, and NOT_FOUND where the caller may not know that something exists.

use allmende_domain::{
    grant::{Grant, Role},
    ids::{ClusterId, MemberId},
};
use allmende_identity::Identity;
use allmende_store::{Store, keys};

use super::policy::Allow;
use crate::{context::Context, error::AppError};

/// What a call is about.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// Master data of the cooperative.
    Cooperative,
    /// Something of one member; the text is the resource name as the caller sent it.
    Member(&'a MemberId, &'a str),
    /// Something of one cluster; the text as above.
    Cluster(&'a ClusterId, &'a str),
    /// What everybody with an identity may see.
    Known,
}

/// Who acts and by which right; goes into the audit entry.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Identity text of the certificate.
    pub principal: String,
    /// The right that allowed it.
    pub role: String,
    /// Acts in place of another ("i. V.").
    pub deputy: bool,
}

/// Decides by the table, the certificate and the stored grants.
#[derive(Debug, Clone)]
pub struct Authorizer {
    store: Store,
}

/// One role of a caller for a member.
struct Held {
    role: Role,
    deputy: bool,
}

impl Authorizer {
    /// Grants are read from `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Allows or refuses the call of `context` on `scope`.
    ///
    /// # Errors
    /// NOT_FOUND when the caller has no right at all for the member or cluster, FORBIDDEN when it has another one.
    pub async fn require(&self, context: &Context, scope: Scope<'_>) -> Result<Actor, AppError> {
        let held = match scope {
            Scope::Member(member, _) => self.held(&context.identity, member, context).await?,
            Scope::Cooperative | Scope::Cluster(..) | Scope::Known => Vec::new(),
        };
        for allow in context.row.allow {
            if let Some((role, deputy)) = fits(*allow, &context.identity, scope, &held) {
                let principal = context.identity.to_string();
                tracing::Span::current().record("caller", principal.as_str());
                if let Scope::Member(member, _) = scope {
                    tracing::Span::current().record("member", tracing::field::display(member));
                }
                return Ok(Actor { principal, role, deputy });
            }
        }
        Err(refusal(context, scope, !held.is_empty()))
    }

    /// The roles that `identity` has for `member` now.
    async fn held(
        &self,
        identity: &Identity,
        member: &MemberId,
        context: &Context,
    ) -> Result<Vec<Held>, AppError> {
        match identity {
            Identity::Member(id) if id.as_str() == member.as_str() => {
                return Ok(vec![Held { role: Role::Admin, deputy: false }]);
            }
            Identity::Member(_) | Identity::Principal(_) | Identity::Subject { .. } => {}
            Identity::Cluster(_) | Identity::Component(_) | Identity::Cooperative(_) => return Ok(Vec::new()),
        }
        let (grants, _) = self.store.snapshot::<Grant>(&keys::grants(member)).await?;
        let principal = identity.to_string();
        Ok(grants
            .into_iter()
            .map(|grant| grant.value)
            .filter(|grant| grant.principal == principal && grant.is_valid_at(context.now))
            .map(|grant| Held { role: grant.role, deputy: grant.deputy })
            .collect())
    }
}

/// Whether one entry of a row lets the caller in; gives the role's text.
fn fits(allow: Allow, identity: &Identity, scope: Scope<'_>, held: &[Held]) -> Option<(String, bool)> {
    match (allow, identity, scope) {
        (Allow::Known, _, _) => Some(("known".to_owned(), false)),
        (Allow::Cooperative(role), Identity::Cooperative(own), _)
            if role.cooperative_name() == Some(own.as_str()) =>
        {
            Some((role.to_string(), false))
        }
        (Allow::OwnCluster, Identity::Cluster(own), Scope::Cluster(cluster, _))
            if own.as_str() == cluster.as_str() =>
        {
            Some(("cluster".to_owned(), false))
        }
        (Allow::Member(role), _, Scope::Member(..)) => {
            held.iter().find(|have| have.role == role).map(|have| (role.to_string(), have.deputy))
        }
        _ => None,
    }
}

fn refusal(context: &Context, scope: Scope<'_>, has_a_role: bool) -> AppError {
    let cooperative = matches!(context.identity, Identity::Cooperative(_));
    match scope {
        Scope::Member(_, resource) if !has_a_role && !cooperative => AppError::not_found(resource),
        Scope::Cluster(_, resource) if matches!(context.identity, Identity::Cluster(_)) => {
            AppError::not_found(resource)
        }
        Scope::Member(..) | Scope::Cluster(..) | Scope::Cooperative | Scope::Known => {
            let allowed: Vec<String> = context.row.allow.iter().map(|allow| describe(*allow)).collect();
            AppError::Forbidden {
                description: format!(
                    "{} is not allowed to call {}: it is for {}",
                    context.identity,
                    context.row.rpc,
                    allowed.join(", ")
                ),
            }
        }
    }
}

fn describe(allow: Allow) -> String {
    match allow {
        Allow::Member(role) => format!("the member's {role}"),
        Allow::Cooperative(role) => format!("the {role}"),
        Allow::OwnCluster => "the cluster itself".to_owned(),
        Allow::Known => "everybody with an identity".to_owned(),
    }
}
