//! Leaving, and what a member's standing allows.

use allmende_domain::{
    departure::{Departure, GRACE_DAYS, GRACE_DAYS_MAX},
    ids::MemberId,
    member::Member,
    period::{day_in_berlin, end_of_day_in_berlin},
};
use allmende_identity::Identity;
use allmende_proto::v1;
use allmende_store::{Txn, Versioned, keys};

use super::{Members, check_etag};
use crate::{
    app::{loan::Loans, revocation::Pending},
    authz::Scope,
    context::Context,
    convert::fields::Fields,
    core::Core,
    error::AppError,
};

impl Members {
    /// Records that a member leaves, or other dates for it while its rights have not ended.
    ///
    /// # Errors
    /// All wrong fields at once; a stale etag; FAILED_PRECONDITION when its rights have ended already.
    pub async fn exit(
        &self,
        context: &Context,
        id: &MemberId,
        request: &v1::ExitMemberRequest,
    ) -> Result<Member, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let today = day_in_berlin(context.now)?;
        let mut fields = Fields::new();
        let last_day = fields.date("last_day", &request.last_day);
        // What does not fit is beyond the greatest grace, and named so.
        let grace = request
            .grace_days
            .map_or(GRACE_DAYS, |days| u16::try_from(days).unwrap_or(GRACE_DAYS_MAX.saturating_add(1)));
        let checked = Departure::new(last_day.unwrap_or(today), grace, &request.reason, (today, context.now));
        let departure = match checked {
            Ok(departure) => Some(departure),
            Err(wrong) => {
                wrong.into_iter().for_each(|violation| fields.push(violation));
                None
            }
        };
        let departure = fields.finish(departure)?;
        let key = keys::member(id);
        let accounts = Identity::service_accounts_of(id.as_str());
        let name = &request.name;
        self.core
            .commit(&change, || async {
                let found = self.core.store.find(&key).await?.ok_or_else(|| AppError::not_found(name))?;
                check_etag(&found, &request.etag, name)?;
                if found.value.is_gone(today) {
                    let description = "has left, and its grace is over".to_owned();
                    return Err(AppError::WrongState { resource: name.clone(), description });
                }
                let open = Loans::open_loans(&self.core, id).await?;
                if !open.is_empty() {
                    let description = format!(
                        "has loans that have not come to an end ({}): withdraw, recall or return them first",
                        open.join(", ")
                    );
                    return Err(AppError::WrongState { resource: name.clone(), description });
                }
                let next = Member {
                    departure: Some(departure.clone()),
                    update_time: context.now,
                    ..found.value.clone()
                };
                let summary =
                    format!("Austritt zum {}, Frist bis {}", departure.last_day, departure.grace_until);
                let audit = change.audit(context.row.rpc, Some(id), name, summary, &departure.reason);
                // Streams of service accounts end with the rights; calls are refused by then anyway.
                let pending = Pending::read(&self.core, &accounts, context.now).await?;
                // A day that no clock reaches ends nothing.
                let end = end_of_day_in_berlin(departure.grace_until).ok();
                let bars = pending.put(&pending.present.ending(end, context.now));
                Ok((Txn::new().expect_unchanged(&found).put(&key, &next).and(bars).and(audit), next))
            })
            .await
    }
}

/// The member, when it may order now. The caller compares it, so that an exit recorded meanwhile counts.
///
/// # Errors
/// FAILED_PRECONDITION with what to do.
pub(crate) async fn ordering_member(
    core: &Core,
    context: &Context,
    member: &MemberId,
    name: &str,
) -> Result<Versioned<Member>, AppError> {
    let found = core.store.find(&keys::member(member)).await?.ok_or_else(|| AppError::not_found(name))?;
    let today = day_in_berlin(context.now)?;
    found.value.may_order(today, core.needs_processing_agreement).map_err(|bar| AppError::WrongState {
        resource: format!("members/{member}"),
        description: bar.to_string(),
    })?;
    Ok(found)
}
