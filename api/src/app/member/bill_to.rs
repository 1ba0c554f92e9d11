//! Bill-tos beside the first.

use allmende_domain::{
    ids::{BillToId, MemberId},
    member::BillTo,
    period::day_in_berlin,
};
use allmende_proto::v1;
use allmende_store::{Txn, Versioned, keys};

use super::Members;
use crate::{
    authz::Scope,
    context::Context,
    convert::{fields::Fields, member as convert},
    error::AppError,
};

impl Members {
    /// Adds a recipient of invoices.
    ///
    /// # Errors
    /// All wrong fields at once; ALREADY_EXISTS.
    pub async fn create_bill_to(
        &self,
        context: &Context,
        member: &MemberId,
        request: &v1::CreateBillToRequest,
    ) -> Result<BillTo, AppError> {
        let change = self.core.change(context, Scope::Member(member, &request.parent), request).await?;
        let mut fields = Fields::new();
        let id: Option<BillToId> = fields.parse("bill_to_id", &request.bill_to_id);
        let place = (Some(member), id);
        let today = day_in_berlin(context.now)?;
        let bill_to = convert::read_bill_to(&mut fields, "bill_to", request.bill_to.as_ref(), place, today);
        let bill_to = fields.finish(bill_to)?;
        let (key, member_key) = (keys::bill_to(member, &bill_to.id), keys::member(member));
        let name = format!("{}/billTos/{}", request.parent, bill_to.id);
        self.core
            .commit(&change, || async {
                let owner = self
                    .core
                    .store
                    .find(&member_key)
                    .await?
                    .ok_or_else(|| AppError::not_found(&request.parent))?;
                if self.core.store.find(&key).await?.is_some() {
                    return Err(AppError::AlreadyExists { resource: name.clone() });
                }
                let summary = format!(
                    "Rechnungsempfänger {}, Leitweg-ID {}",
                    bill_to.recipient_name, bill_to.leitweg_id
                );
                let txn = Txn::new()
                    .expect_unchanged(&owner)
                    .expect_absent(&key)
                    .put(&key, &bill_to)
                    .and(change.audit(context.row.rpc, Some(member), &name, summary, ""));
                Ok((txn, bill_to.clone()))
            })
            .await
    }

    /// One bill-to.
    ///
    /// # Errors
    /// NOT_FOUND, also where the caller may not know of it.
    pub async fn get_bill_to(
        &self,
        context: &Context,
        (member, id): (&MemberId, &BillToId),
        name: &str,
    ) -> Result<Versioned<BillTo>, AppError> {
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        self.core.store.find(&keys::bill_to(member, id)).await?.ok_or_else(|| AppError::not_found(name))
    }
}
