//! Tenants: reserved, recorded and asked for in one transaction each.

use allmende_domain::{
    account::QuotaAccount,
    catalog::FootprintPart,
    desired::{DesiredBody, DesiredRecord, DesiredTenant},
    ids::{BillToId, ClusterId, MemberId, OperationId, TenantId},
    observation::Seen,
    operation::{Operation, Verb},
    preflight::Isolation,
    resources::Resources,
    tenant::{self, State, Tenant},
    usage::FactKind,
};
use allmende_proto::v1;
use allmende_store::{Txn, Versioned, keys};
use serde::{Deserialize, Serialize};

use super::{
    budget::{Ledgers, charge_of_workspace},
    cluster::preflight,
    member::{check_etag, ordering_member},
    obstacle::Obstacles,
    placement::{Placement, must_be_known, reserve_error},
    preview::{Preview, Subject, preview},
    usage::fact_of_tenant,
};
use crate::{
    authz::Scope,
    context::Context,
    convert::{fields::Fields, resources},
    core::{Change, Core, fresh},
    error::AppError,
    names,
    pagination::{Page, PageRequest},
};

/// Use cases over tenants.
#[derive(Clone)]
pub struct Tenants {
    /// Shared parts.
    pub core: Core,
}

/// What a change of a tenant or instance answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Accepted {
    /// The work that waits for the cluster.
    pub operation: Operation,
    /// What it costs and takes.
    pub preview: Preview,
}

/// The fields of a tenant to create.
struct Wanted {
    id: TenantId,
    cluster: ClusterId,
    quota: Resources,
    bill_to: BillToId,
}

impl Tenants {
    /// Reserves the workspace quota and asks the cluster for the namespace.
    ///
    /// # Errors
    /// All wrong fields at once, over quota with numbers, ALREADY_EXISTS.
    pub async fn create(
        &self,
        context: &Context,
        member: &MemberId,
        request: &v1::CreateTenantRequest,
    ) -> Result<Accepted, AppError> {
        let change = self.core.change(context, Scope::Member(member, &request.parent), request).await?;
        let wanted = read(request)?;
        let (uid, operation) = (fresh()?, fresh()?);
        let tenant = Tenant {
            member: member.clone(),
            id: wanted.id,
            uid,
            cluster: wanted.cluster,
            workspace_quota: wanted.quota,
            bill_to: wanted.bill_to,
            state: State::Provisioning,
            generation: 1,
            sized_generation: 1,
            seen: Seen::default(),
            operation,
            create_time: context.now,
            update_time: context.now,
            delete_time: None,
        };
        self.core.commit(&change, || self.create_once(context, request, &change, &tenant)).await
    }

    async fn create_once(
        &self,
        context: &Context,
        request: &v1::CreateTenantRequest,
        change: &Change,
        tenant: &Tenant,
    ) -> Result<(Txn, Accepted), AppError> {
        let store = &self.core.store;
        let member = &tenant.member;
        let mut obstacles = Obstacles::default();
        let owner = obstacles.note(ordering_member(&self.core, context, member, &request.parent).await)?;
        if store.find(&keys::bill_to(member, &tenant.bill_to)).await?.is_none() {
            return Err(AppError::invalid("tenant.bill_to", "there is no such bill-to under this member"));
        }
        let key = keys::tenant(member, &tenant.id);
        if store.find(&key).await?.is_some() {
            return Err(AppError::AlreadyExists { resource: tenant.name() });
        }
        let quota = &tenant.workspace_quota;
        must_be_known(store, &tenant.cluster, "tenant.workspace_quota.extended", quota).await?;
        let account = obstacles.note(self.account(tenant).await)?;
        let reserved = match &account {
            Some(account) => {
                let reserved = account.value.admit(&tenant.name(), quota.clone());
                obstacles.note(reserved.map_err(|error| reserve_error(member, &tenant.cluster, error)))?
            }
            None => None,
        };
        let money = Ledgers::load(store, (member, &tenant.bill_to), context.now).await?.commit(
            &tenant.name(),
            &charge_of_workspace(quota),
            context.now,
        );
        let money = obstacles.note(money)?;
        let operation = begun(tenant, Verb::CreateTenant, context)?;
        let none = QuotaAccount::empty(member.clone(), tenant.cluster.clone());
        let after = reserved.as_ref().or(account.as_ref().map(|account| &account.value)).unwrap_or(&none);
        let mut preview =
            preview(store, &subject(quota.clone(), Resources::ZERO, after), context.now).await?;
        preview.obstacles = obstacles.end(change.validate_only)?;
        let (Some(owner), Some(account), Some(reserved), Some(money)) = (owner, account, reserved, money)
        else {
            return Ok((Txn::new(), Accepted { operation, preview }));
        };
        let desired_key = keys::desired_tenant(&tenant.cluster, member, &tenant.id);
        let txn = Txn::new()
            .expect_unchanged(&owner)
            .expect_absent(&key)
            .put(&key, tenant)
            .expect_unchanged(&account)
            .put(&account.key, &reserved)
            .expect_absent(&desired_key)
            .put(&desired_key, &desired(tenant, &owner.value.display_name))
            .put(&keys::operation(member, &operation.id), &operation)
            .and(money)
            .and(change.audit(
                context.row.rpc,
                Some(member),
                &tenant.name(),
                format!("Kontingent {quota}"),
                "",
            ));
        Ok((txn, Accepted { operation, preview }))
    }

    /// The account that the tenant's quota is reserved in: a member without entitlement on the cluster has none.
    async fn account(&self, tenant: &Tenant) -> Result<Versioned<QuotaAccount>, AppError> {
        let key = keys::account(&tenant.member, &tenant.cluster);
        if let Some(account) = self.core.store.find(&key).await? {
            return Ok(account);
        }
        let cluster = &tenant.cluster;
        if self.core.store.find(&keys::cluster(cluster)).await?.is_none() {
            return Err(AppError::invalid("tenant.cluster", "there is no such cluster"));
        }
        let none = QuotaAccount::empty(tenant.member.clone(), cluster.clone());
        Err(match none.admit(&tenant.name(), tenant.workspace_quota.clone()) {
            Err(error) => reserve_error(&tenant.member, cluster, error),
            Ok(_) => AppError::invalid("tenant.workspace_quota", "must ask for something"),
        })
    }

    /// Changes the workspace quota.
    ///
    /// # Errors
    /// All wrong fields at once, over quota with numbers, a stale etag.
    pub async fn update(
        &self,
        context: &Context,
        (member, id): (&MemberId, &TenantId),
        request: &v1::UpdateTenantRequest,
    ) -> Result<Accepted, AppError> {
        let message = request.tenant.clone().unwrap_or_default();
        let change = self.core.change(context, Scope::Member(member, &message.name), request).await?;
        let mut fields = Fields::new();
        if request.update_mask.as_ref().is_none_or(|mask| mask.paths != ["workspace_quota"]) {
            fields.wrong("update_mask", "must be workspace_quota: nothing else can be changed");
        }
        let quota = resources::read(&mut fields, "tenant.workspace_quota", message.workspace_quota.as_ref());
        let quota = fields.finish(quota)?;
        let operation_id: OperationId = fresh()?;
        self.core
            .commit(&change, || async {
                let place = Placement::load(&self.core.store, member, id, &message.name).await?;
                check_etag(&place.tenant, &message.etag, &message.name)?;
                let mut obstacles = Obstacles::default();
                obstacles.note(place.must_live())?;
                let before = place.tenant.value.workspace_quota.clone();
                // Who has left may still give back.
                let owner = if quota.exceeds(&before) {
                    let (cluster, field) = (&place.tenant.value.cluster, "tenant.workspace_quota.extended");
                    must_be_known(&self.core.store, cluster, field, &quota.saturating_sub(&before)).await?;
                    obstacles.note(ordering_member(&self.core, context, member, &message.name).await)?
                } else {
                    None
                };
                let account = place.account.value.change(&place.tenant.value.name(), quota.clone());
                let account = obstacles.note(
                    account.map_err(|error| reserve_error(member, &place.tenant.value.cluster, error)),
                )?;
                let ledgers = self.ledgers(&place, context).await?;
                let money =
                    ledgers.commit(&place.tenant.value.name(), &charge_of_workspace(&quota), context.now);
                let money = obstacles.note(money)?;
                let tenant = Tenant {
                    workspace_quota: quota.clone(),
                    sized_generation: place.tenant.value.generation.saturating_add(1),
                    state: State::Provisioning,
                    operation: operation_id.clone(),
                    update_time: context.now,
                    ..place.tenant.value.clone()
                };
                let desired =
                    DesiredTenant { workspace_quota: quota.clone(), ..place.desired_tenant()?.clone() };
                let next = Tenant { generation: tenant.generation.saturating_add(1), ..tenant.clone() };
                let operation = begun(&next, Verb::UpdateTenant, context)?;
                let after = account.as_ref().unwrap_or(&place.account.value);
                let mut preview =
                    preview(&self.core.store, &subject(quota.clone(), before, after), context.now).await?;
                preview.obstacles = obstacles.end(change.validate_only)?;
                let (Some(account), Some(money)) = (account, money) else {
                    return Ok((Txn::new(), Accepted { operation, preview }));
                };
                let txn = place
                    .write(tenant, desired, &account, false)
                    .put(&keys::operation(member, &operation.id), &operation)
                    .and(money)
                    .and(change.audit(
                        context.row.rpc,
                        Some(member),
                        &message.name,
                        format!("Kontingent {quota}"),
                        "",
                    ));
                let txn = owner.iter().fold(txn, Txn::expect_unchanged);
                Ok((txn, Accepted { operation, preview }))
            })
            .await
    }

    /// Begins the deletion. Billing ends now; the record stays DELETING until the cluster confirms.
    ///
    /// # Errors
    /// FAILED_PRECONDITION while it holds instances; a stale etag.
    pub async fn delete(
        &self,
        context: &Context,
        (member, id): (&MemberId, &TenantId),
        request: &v1::DeleteTenantRequest,
    ) -> Result<Operation, AppError> {
        let change = self.core.change(context, Scope::Member(member, &request.name), request).await?;
        let operation_id: OperationId = fresh()?;
        self.core
            .commit(&change, || async {
                let place = Placement::load(&self.core.store, member, id, &request.name).await?;
                check_etag(&place.tenant, &request.etag, &request.name)?;
                place.must_live()?;
                let desired = place.desired_tenant()?.clone();
                if !desired.footprints.is_empty() {
                    let names: Vec<&str> = desired.footprints.keys().map(|id| id.as_str()).collect();
                    let description =
                        format!("holds service instances ({}): delete them first", names.join(", "));
                    return Err(AppError::WrongState { resource: request.name.clone(), description });
                }
                let tenant = Tenant {
                    state: State::Deleting,
                    operation: operation_id.clone(),
                    update_time: context.now,
                    delete_time: Some(context.now),
                    ..place.tenant.value.clone()
                };
                let next = Tenant { generation: tenant.generation.saturating_add(1), ..tenant.clone() };
                let operation = begun(&next, Verb::DeleteTenant, context)?;
                let money = self.ledgers(&place, context).await?.release(&next.name(), context.now)?;
                let ended = fact_of_tenant(&next, FactKind::Ended, next.generation, context.now, context.now);
                let txn = place
                    .write(tenant, desired, &place.account.value, true)
                    .put(&keys::fact(member, &ended.id), &ended)
                    .and(money)
                    .put(&keys::operation(member, &operation.id), &operation)
                    .and(change.audit(
                        context.row.rpc,
                        Some(member),
                        &request.name,
                        "Löschung angenommen".to_owned(),
                        "",
                    ));
                Ok((txn, operation))
            })
            .await
    }

    /// The budgets that a change of a placed tenant touches.
    async fn ledgers(&self, place: &Placement, context: &Context) -> Result<Ledgers, AppError> {
        let tenant = &place.tenant.value;
        Ledgers::load(&self.core.store, (&tenant.member, &tenant.bill_to), context.now).await
    }

    /// One tenant.
    ///
    /// # Errors
    /// NOT_FOUND, also where the caller may not know of it.
    pub async fn get(
        &self,
        context: &Context,
        (member, id): (&MemberId, &TenantId),
        name: &str,
    ) -> Result<(Versioned<Tenant>, Isolation), AppError> {
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        let store = &self.core.store;
        let tenant = store.find(&keys::tenant(member, id)).await?.ok_or_else(|| AppError::not_found(name))?;
        let isolation = preflight::isolation(store, &tenant.value.cluster, context.now).await?;
        Ok((tenant, isolation))
    }

    /// A member's tenants, or all of them for the cooperative.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn list(
        &self,
        context: &Context,
        member: Option<&MemberId>,
        name: &str,
        page: &PageRequest,
    ) -> Result<Page<(Versioned<Tenant>, Isolation)>, AppError> {
        self.core.authorizer.require(context, Scope::of(member, name)).await?;
        let range = member.map_or_else(keys::tenants_all, keys::tenants);
        let found = self.core.page(&range, page).await?;
        let known = preflight::isolations(&self.core.store, context.now).await?;
        let never = Isolation::of(None, context.now);
        let items = found.items.into_iter().map(|tenant| {
            let isolation = known.get(&tenant.value.cluster).unwrap_or(&never).clone();
            (tenant, isolation)
        });
        Ok(Page { items: items.collect(), next_page_token: found.next_page_token })
    }
}

fn read(request: &v1::CreateTenantRequest) -> Result<Wanted, AppError> {
    let mut fields = Fields::new();
    let id: Option<TenantId> = fields.parse("tenant_id", &request.tenant_id);
    let message = fields.needed("tenant", request.tenant.as_ref()).cloned().unwrap_or_default();
    let cluster = message.cluster.strip_prefix("clusters/").unwrap_or_default();
    let cluster: Option<ClusterId> = fields.parse("tenant.cluster", cluster);
    let quota = resources::read(&mut fields, "tenant.workspace_quota", message.workspace_quota.as_ref());
    if quota.as_ref().is_some_and(Resources::is_zero) {
        fields.wrong("tenant.workspace_quota", "must ask for something");
    }
    let bill_to = read_bill_to(&mut fields, "tenant.bill_to", &message.bill_to, &request.parent);
    let all = id.zip(cluster).zip(quota.zip(bill_to));
    let ((id, cluster), (quota, bill_to)) = fields.finish(all)?;
    Ok(Wanted { id, cluster, quota, bill_to })
}

/// A bill-to of the same member, `main` when empty.
pub(super) fn read_bill_to(fields: &mut Fields, path: &str, name: &str, parent: &str) -> Option<BillToId> {
    if name.is_empty() {
        return "main".parse().ok();
    }
    match names::bill_to(name) {
        Ok((member, id)) if parent.split('/').nth(1) == Some(member.as_str()) => Some(id),
        _ => {
            fields.wrong(path, "must be members/{member}/billTos/{bill_to} of the same member");
            None
        }
    }
}

fn begun(tenant: &Tenant, verb: Verb, context: &Context) -> Result<Operation, AppError> {
    let (member, id) = (tenant.member.clone(), tenant.operation.clone());
    Ok(Operation::accepted(member, id, tenant.name(), verb, tenant.generation, context.now))
}

fn desired(tenant: &Tenant, display_name: &str) -> DesiredRecord {
    let body = DesiredTenant {
        namespace: tenant.namespace(),
        member: tenant.member.clone(),
        tenant: tenant.id.clone(),
        member_display_name: display_name.to_owned(),
        workspace_quota: tenant.workspace_quota.clone(),
        services: false,
        footprints: std::collections::BTreeMap::new(),
        group_bindings: DesiredTenant::groups_of(&tenant.member),
    };
    DesiredRecord {
        name: tenant::name(&tenant.member, &tenant.id),
        cluster: tenant.cluster.clone(),
        uid: tenant.uid.clone(),
        generation: tenant.generation,
        deleting: false,
        body: DesiredBody::Tenant(Box::new(body)),
    }
}

fn subject(amounts: Resources, before: Resources, account: &QuotaAccount) -> Subject<'_> {
    let footprint = vec![FootprintPart { title: "Arbeitsbereich".to_owned(), resources: amounts.clone() }];
    Subject { amounts, before, workspace: true, footprint, account }
}
