//! A cluster confirmed that something being deleted is gone: its records go, its reservation is free, its operation ends.

use allmende_domain::{instance::Instance, tenant::Tenant};
use allmende_store::{Txn, Versioned, keys};

use super::{Clusters, observe::Taken};
use crate::{app::placement::Placement, context::Context, error::AppError};

const FREED: &str = "Vom Cluster als entfernt bestätigt, Reservierung frei";

impl Clusters {
    pub(super) async fn tenant_gone(
        &self,
        context: &Context,
        found: &Versioned<Tenant>,
        operation: Txn,
    ) -> Result<Taken, AppError> {
        let tenant = &found.value;
        let place = Placement::load(&self.core.store, &tenant.member, &tenant.id, &tenant.name()).await?;
        if !place.desired_tenant()?.footprints.is_empty() {
            // Its instances are confirmed first; the operator will say it again.
            return Ok(Taken::Yes);
        }
        let account = place.account.value.release(&tenant.name());
        let txn = operation
            .expect_unchanged(found)
            .delete(&found.key)
            .delete(&keys::shown_quota(&tenant.member, &tenant.id))
            .expect_unchanged(&place.desired)
            .delete(&place.desired.key)
            .expect_unchanged(&place.account)
            .put(&place.account.key, &account)
            .and(context.audit_report(Some(&tenant.member), &tenant.name(), FREED.to_owned())?);
        Ok(self.core.store.commit(txn).await?.into())
    }

    pub(super) async fn instance_gone(
        &self,
        context: &Context,
        found: &Versioned<Instance>,
        operation: Txn,
    ) -> Result<Taken, AppError> {
        let instance = &found.value;
        let (member, tenant_id) = (&instance.member, &instance.tenant);
        let tenant_name = allmende_domain::tenant::name(member, tenant_id);
        let place = Placement::load(&self.core.store, member, tenant_id, &tenant_name).await?;
        let desired_key = keys::desired_instance(&instance.cluster, member, tenant_id, &instance.id);
        let account = place.account.value.release(&instance.name());
        let desired = place.with_footprint(&instance.id, None)?;
        let txn = operation
            .and(place.write(place.tenant.value.clone(), desired, &account, false))
            .expect_unchanged(found)
            .delete(&found.key)
            .delete(&desired_key)
            .and(context.audit_report(Some(member), &instance.name(), FREED.to_owned())?);
        Ok(self.core.store.commit(txn).await?.into())
    }
}
