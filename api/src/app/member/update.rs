//! Dated attributes of a member: what lies in the past stays as it is.

use allmende_domain::{ids::MemberId, member::Member, period::day_in_berlin};
use allmende_proto::v1;
use allmende_store::{Txn, Versioned, keys};
use jiff::civil::Date;

use super::Members;
use crate::{
    authz::Scope,
    context::Context,
    convert::{fields::Fields, member as convert},
    error::AppError,
};

const PATHS: [&str; 4] = ["shares", "tax_profiles", "contact_email", "processing_agreement"];

impl Members {
    /// Changes shares, tax profiles or the mailbox.
    ///
    /// # Errors
    /// All wrong fields at once; a stale etag.
    pub async fn update(
        &self,
        context: &Context,
        id: &MemberId,
        request: &v1::UpdateMemberRequest,
    ) -> Result<Member, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let message = request.member.clone().unwrap_or_default();
        let today = day_in_berlin(context.now)?;
        let key = keys::member(id);
        self.core
            .commit(&change, || async {
                let found =
                    self.core.store.find(&key).await?.ok_or_else(|| AppError::not_found(&message.name))?;
                check_etag(&found, &message.etag, &message.name)?;
                let next = changed(&found.value, request, &message, today, context)?;
                let summary = format!("geändert: {}", paths(request).join(", "));
                let txn = Txn::new().expect_unchanged(&found).put(&key, &next).and(change.audit(
                    context.row.rpc,
                    Some(id),
                    &message.name,
                    summary,
                    "",
                ));
                Ok((txn, next))
            })
            .await
    }
}

/// An etag that was given must be the present one (AIP-154).
pub(crate) fn check_etag<T>(found: &Versioned<T>, etag: &str, resource: &str) -> Result<(), AppError> {
    if etag.is_empty() || etag == found.etag() {
        Ok(())
    } else {
        Err(AppError::StaleEtag { resource: resource.to_owned() })
    }
}

fn paths(request: &v1::UpdateMemberRequest) -> Vec<String> {
    request.update_mask.as_ref().map(|mask| mask.paths.clone()).unwrap_or_default()
}

fn changed(
    member: &Member,
    request: &v1::UpdateMemberRequest,
    message: &v1::Member,
    today: Date,
    context: &Context,
) -> Result<Member, AppError> {
    let mut fields = Fields::new();
    let mut next = Member { update_time: context.now, ..member.clone() };
    let paths = paths(request);
    if paths.is_empty() {
        fields.wrong("update_mask", format!("must name what changes: {}", PATHS.join(", ")));
    }
    for path in &paths {
        match path.as_str() {
            "shares" => next.shares = convert::read_shares(&mut fields, "member.shares", &message.shares),
            "tax_profiles" => {
                next.tax_profiles =
                    convert::read_tax_profiles(&mut fields, "member.tax_profiles", &message.tax_profiles);
            }
            "contact_email" => next.contact_email.clone_from(&message.contact_email),
            "processing_agreement" => {
                next.processing_agreement = convert::read_agreement(
                    &mut fields,
                    "member.processing_agreement",
                    message.processing_agreement.as_ref(),
                );
            }
            other => {
                fields.wrong("update_mask", format!("{other} cannot be changed; only {}", PATHS.join(", ")))
            }
        }
    }
    if !same_past(&member.shares, &next.shares, |holding| holding.valid_from, today) {
        fields.wrong(
            "member.shares",
            "entries that have begun must stay as they are: add one with a later date",
        );
    }
    if !same_past(&member.tax_profiles, &next.tax_profiles, |profile| profile.valid_from, today) {
        fields.wrong(
            "member.tax_profiles",
            "entries that have begun must stay as they are: add one with a later date",
        );
    }
    fields.wrong_under("member", next.violations());
    fields.finish(Some(next))
}

fn same_past<T: PartialEq>(before: &[T], after: &[T], date: impl Fn(&T) -> Date, today: Date) -> bool {
    let begun = |all: &[T]| all.iter().filter(|entry| date(entry) <= today).count();
    let (old, new) = (begun(before), begun(after));
    old == new && before.iter().take(old).eq(after.iter().take(new))
}
