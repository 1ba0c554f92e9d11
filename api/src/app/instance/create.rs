//! The order: catalogue, parameters, quota, desired state, operation, audit — one transaction.

use allmende_domain::{
    catalog::{Offering, OfferingVersion, Plan},
    desired::{DesiredBody, DesiredInstance, DesiredRecord},
    ids::{BillToId, InstanceId, MemberId, OfferingId, TenantId},
    instance::{Instance, binding_secret},
    observation::Seen,
    operation::{Operation, Verb},
    resources::Resources,
    tenant::{State, Tenant},
};
use allmende_proto::v1;
use allmende_store::{Txn, Versioned, keys};

use super::{Instances, parameters};
use crate::{
    app::{
        budget::{Ledgers, charge_of_instance},
        member::ordering_member,
        obstacle::Obstacles,
        placement::{Placement, must_be_known, reserve_error},
        preview::{Subject, preview},
        tenant::{Accepted, read_bill_to},
    },
    authz::Scope,
    context::Context,
    convert::fields::Fields,
    core::{Change, fresh},
    error::AppError,
};

/// The fields of an order.
struct Order {
    id: InstanceId,
    offering: OfferingId,
    version: String,
    plan: String,
    parameters: String,
    bill_to: Option<BillToId>,
    accounting_reference: String,
}

/// An order with what the catalogue says to it.
struct Offer<'a> {
    version: &'a OfferingVersion,
    plan: &'a Plan,
    footprint: Resources,
    values_json: String,
}

impl Instances {
    /// Orders an instance.
    ///
    /// # Errors
    /// All wrong fields at once, over quota with numbers, ALREADY_EXISTS.
    pub async fn create(
        &self,
        context: &Context,
        (member, tenant): (&MemberId, &TenantId),
        request: &v1::CreateInstanceRequest,
    ) -> Result<Accepted, AppError> {
        let change = self.core.change(context, Scope::Member(member, &request.parent), request).await?;
        let order = read(request)?;
        let (uid, operation): (allmende_domain::ids::Uid, allmende_domain::ids::OperationId) =
            (fresh()?, fresh()?);
        self.core
            .commit(&change, || async {
                let place = Placement::load(&self.core.store, member, tenant, &request.parent).await?;
                let mut obstacles = Obstacles::default();
                obstacles.note(place.must_live())?;
                let owner = ordering_member(&self.core, context, member, &request.parent).await;
                let owner = obstacles.note(owner)?;
                let offering = self.core.store.find(&keys::offering(&order.offering)).await?;
                let offer = offer(&order, offering.as_ref())?;
                let instance = instance(&order, &offer, &place, (uid.clone(), operation.clone()), context);
                let (txn, accepted) =
                    self.accept(context, &change, &place, (&offer, obstacles), instance).await?;
                Ok((owner.iter().fold(txn, Txn::expect_unchanged), accepted))
            })
            .await
    }

    async fn accept(
        &self,
        context: &Context,
        change: &Change,
        place: &Placement,
        (offer, mut obstacles): (&Offer<'_>, Obstacles),
        instance: Instance,
    ) -> Result<(Txn, Accepted), AppError> {
        let store = &self.core.store;
        let member = &instance.member;
        let key = keys::instance(member, &instance.tenant, &instance.id);
        if store.find(&key).await?.is_some() {
            return Err(AppError::AlreadyExists { resource: instance.name() });
        }
        if store.find(&keys::bill_to(member, &instance.bill_to)).await?.is_none() {
            return Err(AppError::invalid("instance.bill_to", "there is no such bill-to under this member"));
        }
        must_be_known(store, &instance.cluster, "instance.plan", &offer.footprint).await?;
        let account = place.account.value.admit(&instance.name(), offer.footprint.clone());
        let account =
            obstacles.note(account.map_err(|error| reserve_error(member, &instance.cluster, error)))?;
        let money = Ledgers::load(store, (member, &instance.bill_to), context.now).await?.commit(
            &instance.name(),
            &charge_of_instance(&instance.footprint),
            context.now,
        );
        let money = obstacles.note(money)?;
        let subject = Subject {
            amounts: offer.footprint.clone(),
            before: Resources::ZERO,
            workspace: false,
            footprint: offer.plan.footprint.clone(),
            account: account.as_ref().unwrap_or(&place.account.value),
        };
        let mut preview = preview(store, &subject, context.now).await?;
        preview.obstacles = obstacles.end(change.validate_only)?;
        let desired_key = keys::desired_instance(&instance.cluster, member, &instance.tenant, &instance.id);
        let tenant = Tenant { update_time: context.now, ..place.tenant.value.clone() };
        let desired_tenant = place.with_footprint(&instance.id, Some(offer.footprint.clone()))?;
        let operation = Operation::accepted(
            member.clone(),
            instance.operation.clone(),
            instance.name(),
            Verb::CreateInstance,
            instance.generation,
            context.now,
        );
        let (Some(account), Some(money)) = (account, money) else {
            return Ok((Txn::new(), Accepted { operation, preview }));
        };
        let summary = format!("{} {} Plan {}", instance.offering, instance.version, instance.plan);
        let txn = place
            .write(tenant, desired_tenant, &account, false)
            .expect_absent(&key)
            .put(&key, &instance)
            .expect_absent(&desired_key)
            .put(&desired_key, &desired(&instance, offer, place))
            .put(&keys::operation(member, &operation.id), &operation)
            .and(money)
            .and(change.audit(context.row.rpc, Some(member), &instance.name(), summary, ""));
        Ok((txn, Accepted { operation, preview }))
    }
}

fn read(request: &v1::CreateInstanceRequest) -> Result<Order, AppError> {
    let mut fields = Fields::new();
    let id: Option<InstanceId> = fields.parse("instance_id", &request.instance_id);
    let message = fields.needed("instance", request.instance.as_ref()).cloned().unwrap_or_default();
    let offering = message.offering.strip_prefix("offerings/").unwrap_or_default();
    let offering: Option<OfferingId> = fields.parse("instance.offering", offering);
    if message.plan.is_empty() {
        fields.wrong("instance.plan", "is needed: see the offering's plans");
    }
    if message.accounting_reference.chars().count() > 100 {
        fields.wrong("instance.accounting_reference", "must have at most 100 characters");
    }
    let bill_to = if message.bill_to.is_empty() {
        None
    } else {
        read_bill_to(&mut fields, "instance.bill_to", &message.bill_to, &request.parent)
    };
    let (id, offering) = fields.finish(id.zip(offering))?;
    Ok(Order {
        id,
        offering,
        version: message.version,
        plan: message.plan,
        parameters: message.parameters_json,
        bill_to,
        accounting_reference: message.accounting_reference,
    })
}

fn offer<'a>(order: &Order, offering: Option<&'a Versioned<Offering>>) -> Result<Offer<'a>, AppError> {
    let Some(offering) = offering else {
        let text = format!("there is no offering {}: see ListOfferings", order.offering);
        return Err(AppError::invalid("instance.offering", text));
    };
    let Some(version) = offering.value.version(&order.version) else {
        let known: Vec<&str> = offering.value.versions.iter().map(|v| v.version.as_str()).collect();
        return Err(AppError::invalid("instance.version", format!("must be one of {}", known.join(", "))));
    };
    let Some(plan) = version.plan(&order.plan) else {
        let known: Vec<&str> = version.plans.iter().map(|p| p.id.as_str()).collect();
        return Err(AppError::invalid("instance.plan", format!("must be one of {}", known.join(", "))));
    };
    let values_json = parameters::values(&order.parameters, &version.parameters_schema, &plan.values_json)?;
    Ok(Offer { version, plan, footprint: plan.footprint_sum()?, values_json })
}

fn instance(
    order: &Order,
    offer: &Offer<'_>,
    place: &Placement,
    (uid, operation): (allmende_domain::ids::Uid, allmende_domain::ids::OperationId),
    context: &Context,
) -> Instance {
    let tenant = &place.tenant.value;
    let bound = offer.version.secret_fields.iter().filter(|field| field.bound).map(|field| field.key.clone());
    let binding_keys = bound.chain(offer.version.binding_fields.keys().cloned()).collect();
    Instance {
        member: tenant.member.clone(),
        tenant: tenant.id.clone(),
        id: order.id.clone(),
        uid,
        cluster: tenant.cluster.clone(),
        offering: order.offering.clone(),
        version: offer.version.version.clone(),
        plan: offer.plan.id.clone(),
        parameters_json: order.parameters.clone(),
        footprint: offer.footprint.clone(),
        bill_to: order.bill_to.clone().unwrap_or_else(|| tenant.bill_to.clone()),
        accounting_reference: order.accounting_reference.clone(),
        binding_keys,
        state: State::Provisioning,
        generation: 1,
        seen: Seen::default(),
        operation,
        create_time: context.now,
        update_time: context.now,
        ready_time: None,
        delete_time: None,
    }
}

fn desired(instance: &Instance, offer: &Offer<'_>, place: &Placement) -> DesiredRecord {
    let body = DesiredInstance {
        member: instance.member.clone(),
        tenant: instance.tenant.clone(),
        instance: instance.id.clone(),
        namespace: place.tenant.value.namespace(),
        offering: instance.offering.clone(),
        version: instance.version.clone(),
        plan: instance.plan.clone(),
        chart: offer.version.chart.clone(),
        values_json: offer.values_json.clone(),
        footprint: offer.footprint.clone(),
        timeout_seconds: offer.version.timeout_seconds,
        secret_fields: offer.version.secret_fields.clone(),
        binding_secret: binding_secret(&instance.id),
        binding_fields: offer.version.binding_fields.clone(),
        retry_nonce: 0,
    };
    DesiredRecord {
        name: instance.name(),
        cluster: instance.cluster.clone(),
        uid: instance.uid.clone(),
        generation: instance.generation,
        deleting: false,
        body: DesiredBody::Instance(Box::new(body)),
    }
}
