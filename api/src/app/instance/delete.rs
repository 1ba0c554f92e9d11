//! Ending and retrying: both change the desired record and its generation, nothing else.

use allmende_domain::{
    desired::{DesiredBody, DesiredRecord},
    ids::OperationId,
    instance::Instance,
    operation::{Operation, Verb},
    tenant::State,
    usage::FactKind,
};
use allmende_proto::v1;
use allmende_store::{Txn, Versioned, keys};

use super::{Instances, Path};
use crate::{
    app::{budget::Ledgers, member::check_etag, usage::fact_of_instance},
    authz::Scope,
    context::Context,
    core::fresh,
    error::AppError,
};

impl Instances {
    /// Begins the deletion. Billing ends now; the record stays DELETING until the cluster confirms.
    ///
    /// # Errors
    /// A stale etag; FAILED_PRECONDITION when it is being deleted already.
    pub async fn delete(
        &self,
        context: &Context,
        path: Path<'_>,
        request: &v1::DeleteInstanceRequest,
    ) -> Result<Operation, AppError> {
        let change = self.core.change(context, Scope::Member(path.0, &request.name), request).await?;
        let operation_id: OperationId = fresh()?;
        self.core
            .commit(&change, || async {
                let (found, desired) = self.living(path, &request.name).await?;
                check_etag(&found, &request.etag, &request.name)?;
                let next = Instance {
                    state: State::Deleting,
                    generation: found.value.generation.saturating_add(1),
                    operation: operation_id.clone(),
                    update_time: context.now,
                    delete_time: Some(context.now),
                    ..found.value.clone()
                };
                let record =
                    DesiredRecord { generation: next.generation, deleting: true, ..desired.value.clone() };
                let ended =
                    fact_of_instance(&next, FactKind::Ended, next.generation, context.now, context.now);
                let operation = begun(&next, Verb::DeleteInstance, context);
                let payer = (path.0, &next.bill_to);
                let ledgers = Ledgers::load(&self.core.store, payer, context.now).await?;
                let money = ledgers.release(&next.name(), context.now)?;
                let txn = write(&found, &next, &desired, &record)
                    .put(&keys::fact(path.0, &ended.id), &ended)
                    .and(money)
                    .put(&keys::operation(path.0, &operation.id), &operation)
                    .and(change.audit(
                        context.row.rpc,
                        Some(path.0),
                        &request.name,
                        "Löschung angenommen".to_owned(),
                        "",
                    ));
                Ok((txn, operation))
            })
            .await
    }

    /// Asks for another attempt now.
    ///
    /// # Errors
    /// FAILED_PRECONDITION when it is being deleted.
    pub async fn retry(
        &self,
        context: &Context,
        path: Path<'_>,
        request: &v1::RetryInstanceRequest,
    ) -> Result<Operation, AppError> {
        let change = self.core.change(context, Scope::Member(path.0, &request.name), request).await?;
        let operation_id: OperationId = fresh()?;
        self.core
            .commit(&change, || async {
                let (found, desired) = self.living(path, &request.name).await?;
                let next = Instance {
                    state: State::Provisioning,
                    generation: found.value.generation.saturating_add(1),
                    operation: operation_id.clone(),
                    update_time: context.now,
                    ..found.value.clone()
                };
                let mut record = DesiredRecord { generation: next.generation, ..desired.value.clone() };
                if let DesiredBody::Instance(body) = &mut record.body {
                    body.retry_nonce = body.retry_nonce.saturating_add(1);
                }
                let operation = begun(&next, Verb::RetryInstance, context);
                let txn = write(&found, &next, &desired, &record)
                    .put(&keys::operation(path.0, &operation.id), &operation)
                    .and(change.audit(
                        context.row.rpc,
                        Some(path.0),
                        &request.name,
                        "neuer Versuch".to_owned(),
                        "",
                    ));
                Ok((txn, operation))
            })
            .await
    }

    async fn living(
        &self,
        (member, tenant, id): Path<'_>,
        name: &str,
    ) -> Result<(Versioned<Instance>, Versioned<DesiredRecord>), AppError> {
        let store = &self.core.store;
        let found = store
            .find(&keys::instance(member, tenant, id))
            .await?
            .ok_or_else(|| AppError::not_found(name))?;
        if found.value.state == State::Deleting {
            let description = "is being deleted already: wait until it is gone".to_owned();
            return Err(AppError::WrongState { resource: name.to_owned(), description });
        }
        let desired = store
            .find(&keys::desired_instance(&found.value.cluster, member, tenant, id))
            .await?
            .ok_or_else(|| AppError::internal(format!("{name} has no desired record")))?;
        Ok((found, desired))
    }
}

fn write(
    found: &Versioned<Instance>,
    next: &Instance,
    desired: &Versioned<DesiredRecord>,
    record: &DesiredRecord,
) -> Txn {
    Txn::new()
        .expect_unchanged(found)
        .put(&found.key, next)
        .expect_unchanged(desired)
        .put(&desired.key, record)
}

fn begun(instance: &Instance, verb: Verb, context: &Context) -> Operation {
    let (member, id) = (instance.member.clone(), instance.operation.clone());
    Operation::accepted(member, id, instance.name(), verb, instance.generation, context.now)
}
