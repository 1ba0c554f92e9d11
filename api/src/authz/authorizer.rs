//! Applies the table to a caller: default deny, and NOT_FOUND where the caller may not know that something exists.

use allmende_domain::{
    grant::{Grant, Role},
    ids::{ClusterId, MemberId, ServiceAccountId},
    period::day_in_berlin,
    quota::approval::{Deputyship, Eye},
    service_account::ServiceAccount,
};
use allmende_identity::Identity;
use allmende_store::{Store, keys};

use super::{account, policy::Allow};
use crate::{
    app::audit::Refusals,
    authn::{Authenticated, PAIR_DIFFERS},
    context::Context,
    error::AppError,
};

/// What a call is about.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// Master data of the cooperative.
    Cooperative,
    /// Something of one member; the text is the resource name as the caller sent it.
    Member(&'a MemberId, &'a str),
    /// A service account of one member; the text as above.
    Account(&'a MemberId, &'a ServiceAccountId, &'a str),
    /// Something of one cluster; the text as above.
    Cluster(&'a ClusterId, &'a str),
    /// What everybody with an identity may see.
    Known,
}

impl<'a> Scope<'a> {
    /// Of one member, or of all: then it is about the cooperative.
    pub fn of(member: Option<&'a MemberId>, name: &'a str) -> Self {
        member.map_or(Self::Cooperative, |member| Self::Member(member, name))
    }

    /// The member, and the name as the caller sent it.
    fn member(self) -> Option<(&'a MemberId, &'a str)> {
        match self {
            Self::Member(member, name) | Self::Account(member, _, name) => Some((member, name)),
            Self::Cooperative | Self::Cluster(..) | Self::Known => None,
        }
    }
}

/// Who acts and by which right; goes into the audit entry.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Identity text of the certificate, or of the token where there is one.
    pub principal: String,
    /// The right that allowed it.
    pub role: String,
    /// Acts in place of another ("i. V.").
    pub deputy: bool,
    /// The same as it counts where several must agree; none for a right that is no role.
    pub eye: Option<Eye>,
    /// For a service account: who made it.
    pub made_by: Option<String>,
}

/// Decides by the table, the certificate, the token's groups and the stored grants.
#[derive(Debug, Clone)]
pub struct Authorizer {
    store: Store,
    refusals: Refusals,
}

/// One role of a caller: for the member that the call names, or of the cooperative.
#[derive(Clone, Copy)]
pub(super) struct Held {
    role: Role,
    deputy: Option<Deputyship>,
}

impl From<Role> for Held {
    fn from(role: Role) -> Self {
        Self { role, deputy: None }
    }
}

/// By what an entry of the table lets the caller in.
struct Fit {
    text: String,
    held: Option<Held>,
}

impl Fit {
    fn without_role(text: &str) -> Self {
        Self { text: text.to_owned(), held: None }
    }
}

impl Authorizer {
    /// Grants are read from `store`; refusals are counted for the audit.
    pub fn new(store: Store, refusals: Refusals) -> Self {
        Self { store, refusals }
    }

    /// Allows or refuses the call of `context` on `scope`.
    ///
    /// # Errors
    /// NOT_FOUND when the caller has no right at all for the member or cluster, FORBIDDEN when it has another one, or when a certificate
    /// and a token do not go together.
    pub async fn require(&self, context: &Context, scope: Scope<'_>) -> Result<Actor, AppError> {
        let decided = self.decide(context, scope).await;
        if matches!(
            decided,
            Err(AppError::Forbidden { .. } | AppError::NotFound { .. } | AppError::AccountRefused)
        ) {
            self.note(context, scope);
        }
        decided
    }

    /// Whether the call would be allowed, without counting a refusal: for what can be named in more than one way.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn allows(&self, context: &Context, scope: Scope<'_>) -> Result<bool, AppError> {
        match self.decide(context, scope).await {
            Ok(_) => Ok(true),
            Err(AppError::Forbidden { .. } | AppError::NotFound { .. } | AppError::AccountRefused) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The account that calls; none: the caller is no service account.
    ///
    /// # Errors
    /// When its certificate does not speak for it now, or the store fails.
    pub async fn account(&self, context: &Context) -> Result<Option<ServiceAccount>, AppError> {
        let account = account::caller(&self.store, context).await?;
        match account {
            Some(account) if self.is_gone(&account.member, context).await? => Err(AppError::AccountRefused),
            account => Ok(account),
        }
    }

    fn note(&self, context: &Context, scope: Scope<'_>) {
        let (member, target) = match scope {
            Scope::Member(member, target) | Scope::Account(member, _, target) => (Some(member), target),
            Scope::Cluster(_, target) => (None, target),
            Scope::Cooperative => (None, "cooperative"),
            Scope::Known => (None, ""),
        };
        self.refusals.note(context, member, target);
    }

    async fn decide(&self, context: &Context, scope: Scope<'_>) -> Result<Actor, AppError> {
        let account = self.account(context).await?;
        let held = match &account {
            Some(account) => scope.member().map_or_else(Vec::new, |of| account::held(account, of, context)),
            None => self.held(context, scope).await?,
        };
        let gone = match scope {
            Scope::Member(member, _) if context.row.has_after_grace() => {
                self.is_gone(member, context).await?
            }
            _ => false,
        };
        let facts = Facts { held: &held, gone, account: account.as_ref() };
        for allow in context.row.allow {
            if let Some(fit) = fits(*allow, &context.caller.identity, scope, &facts) {
                let principal = context.caller.identity.to_string();
                if let Some((member, _)) = scope.member() {
                    tracing::Span::current().record("member", tracing::field::display(member));
                }
                let deputy = fit.held.is_some_and(|held| held.deputy.is_some());
                // A program is nobody's second pair of eyes.
                let eye = fit.held.filter(|_| account.is_none()).map(|held| Eye {
                    principal: principal.clone(),
                    role: held.role,
                    deputy: held.deputy,
                });
                let made_by = account.map(|account| account.created_by);
                return Ok(Actor { principal, role: fit.text, deputy, eye, made_by });
            }
        }
        Err(refusal(context, scope, &facts))
    }

    /// All roles that count for this call: of the cooperative, and for the member that it names.
    async fn held(&self, context: &Context, scope: Scope<'_>) -> Result<Vec<Held>, AppError> {
        let caller = &context.caller;
        let member = scope.member().map(|(member, _)| member);
        match &caller.bound_to {
            None => {
                let mut held = cooperative_roles(caller);
                if let Some(member) = member {
                    held.extend(self.roles_for(member, context).await?);
                }
                Ok(held)
            }
            // What certificate and token both name, and nothing beyond.
            Some(Identity::Member(id)) => {
                let own: MemberId = id.parse().map_err(|_| mismatch())?;
                let held = self.roles_for(&own, context).await?;
                if held.is_empty() {
                    return Err(mismatch());
                }
                Ok(if member == Some(&own) { held } else { Vec::new() })
            }
            Some(Identity::Cooperative(name)) => {
                let mut held = cooperative_roles(caller);
                held.retain(|held| held.role.cooperative_name() == Some(name));
                if held.is_empty() { Err(mismatch()) } else { Ok(held) }
            }
            Some(_) => Err(mismatch()),
        }
    }

    /// The roles that the caller has for `member` now. They end with the membership: when it has left and its grace is over.
    async fn roles_for(&self, member: &MemberId, context: &Context) -> Result<Vec<Held>, AppError> {
        let held = self.given(member, context).await?;
        if held.is_empty() {
            return Ok(held);
        }
        Ok(if self.is_gone(member, context).await? { Vec::new() } else { held })
    }

    /// Whether the member has left and its grace is over.
    async fn is_gone(&self, member: &MemberId, context: &Context) -> Result<bool, AppError> {
        let found = self.store.find(&keys::member(member)).await?;
        let today = day_in_berlin(context.now)?;
        Ok(found.is_some_and(|found| found.value.is_gone(today)))
    }

    /// What was given to the caller: by its certificate, by grants, by groups.
    async fn given(&self, member: &MemberId, context: &Context) -> Result<Vec<Held>, AppError> {
        let caller = &context.caller;
        match &caller.identity {
            Identity::Member(id) if id.as_str() == member.as_str() => return Ok(vec![Role::Admin.into()]),
            Identity::Member(_) | Identity::Principal(_) | Identity::Subject { .. } => {}
            Identity::Cluster(_)
            | Identity::Component(_)
            | Identity::Cooperative(_)
            | Identity::ServiceAccount { .. } => return Ok(Vec::new()),
        }
        let by_group = caller.rights.iter().filter(|right| right.member.as_ref() == Some(member));
        let mut held: Vec<Held> = by_group.map(|right| right.role.into()).collect();
        let (grants, _) = self.store.snapshot::<Grant>(&keys::grants(member)).await?;
        let principal = caller.identity.to_string();
        held.extend(
            grants
                .into_iter()
                .map(|grant| grant.value)
                .filter(|grant| grant.principal == principal && grant.is_valid_at(context.now))
                .map(|grant| {
                    let dates = Deputyship { from: grant.valid_from, until: grant.valid_until };
                    Held { role: grant.role, deputy: grant.deputy.then_some(dates) }
                }),
        );
        Ok(held)
    }
}

/// By the certificate or by groups.
fn cooperative_roles(caller: &Authenticated) -> Vec<Held> {
    let own = match &caller.identity {
        Identity::Cooperative(name) => {
            Role::ALL.iter().find(|role| role.cooperative_name() == Some(name)).copied()
        }
        _ => None,
    };
    let by_group = caller.rights.iter().filter(|right| right.member.is_none()).map(|right| right.role);
    own.into_iter().chain(by_group).map(Held::from).collect()
}

fn mismatch() -> AppError {
    AppError::Forbidden { description: PAIR_DIFFERS.to_owned() }
}

/// What is known of the caller when its row is read.
struct Facts<'a> {
    held: &'a [Held],
    /// The member that the call names has left, and its grace is over.
    gone: bool,
    /// The service account that calls.
    account: Option<&'a ServiceAccount>,
}

/// Whether one entry of a row lets the caller in, and by what.
fn fits(allow: Allow, identity: &Identity, scope: Scope<'_>, facts: &Facts<'_>) -> Option<Fit> {
    // Who has a right of its own does not act as a deputy.
    let has = |role: Role| {
        let fitting = facts.held.iter().filter(|have| have.role == role);
        let held = fitting.min_by_key(|have| have.deputy.is_some())?;
        Some(Fit { text: role.to_string(), held: Some(*held) })
    };
    match (allow, identity, scope) {
        // A cluster's certificate is for its operator program, which needs none of it.
        (Allow::Known, Identity::Cluster(_) | Identity::Component(_), _) => None,
        (Allow::Known, _, _) => Some(Fit::without_role("known")),
        (Allow::Cooperative(role), _, _) => has(role),
        (Allow::AfterGrace(role), _, Scope::Member(..)) if facts.gone => has(role),
        (Allow::OwnCluster, Identity::Cluster(own), Scope::Cluster(cluster, _))
            if own.as_str() == cluster.as_str() =>
        {
            Some(Fit::without_role("cluster"))
        }
        (Allow::OwnAccount, _, Scope::Account(member, id, _)) => facts
            .account
            .filter(|own| own.member == *member && own.id == *id && own.self_renew)
            .map(|_| Fit::without_role("service account")),
        (Allow::Person(role), _, Scope::Member(..) | Scope::Account(..)) if facts.account.is_none() => {
            has(role)
        }
        (Allow::Member(role), _, Scope::Member(..) | Scope::Account(..)) => has(role),
        _ => None,
    }
}

fn refusal(context: &Context, scope: Scope<'_>, facts: &Facts<'_>) -> AppError {
    let identity = &context.caller.identity;
    let unknown = scope.member().filter(|(member, resource)| match facts.account {
        Some(account) => !account::knows_of(account, member, resource),
        None => facts.held.is_empty(),
    });
    match (unknown, scope) {
        (Some((_, resource)), _) => AppError::not_found(resource),
        (None, Scope::Cluster(_, resource)) if matches!(identity, Identity::Cluster(_)) => {
            AppError::not_found(resource)
        }
        _ => {
            let allowed: Vec<String> = context.row.allow.iter().map(|allow| describe(*allow)).collect();
            let scopes = facts.account.map(account::described);
            let scopes = scopes.map(|scopes| format!(". Its scopes: {scopes}")).unwrap_or_default();
            AppError::Forbidden {
                description: format!(
                    "{identity} is not allowed to call {}: it is for {}{scopes}",
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
        Allow::Person(role) => format!("the member's {role}, in person"),
        Allow::OwnAccount => "the service account itself, where it may renew itself".to_owned(),
        Allow::Cooperative(role) => format!("the {role}"),
        Allow::AfterGrace(role) => format!("the {role} once the member has left and its grace is over"),
        Allow::OwnCluster => "the cluster itself".to_owned(),
        Allow::Known => "people and services".to_owned(),
        Allow::JoinToken => "the bearer of a join token".to_owned(),
    }
}
