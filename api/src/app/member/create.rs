//! Onboarding: the id follows from the register key, name and population from the edition in force.

use allmende_domain::{
    ids::{BillToId, MemberId},
    member::{BillTo, Member, MemberType, TaxProfile, VatCategory},
    period::day_in_berlin,
    register::{RegisterEdition, RegisterEntry},
    violation::{FieldViolation, ViolationReason},
};
use allmende_proto::v1;
use allmende_store::{Txn, keys};
use jiff::civil::Date;

use super::Members;
use crate::{
    authz::Scope,
    context::Context,
    convert::{fields::Fields, member as convert},
    error::AppError,
};

/// What the register says of a key.
type Registered = Option<(RegisterEntry, RegisterEdition)>;

impl Members {
    /// Creates a member with its first bill-to.
    ///
    /// # Errors
    /// All wrong fields at once; ALREADY_EXISTS.
    pub async fn create(
        &self,
        context: &Context,
        request: &v1::CreateMemberRequest,
    ) -> Result<Member, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let key = request.member.as_ref().map_or("", |member| member.register_key.as_str());
        let registered = if key.is_empty() { None } else { self.registers.find(key).await? };
        let (member, bill_to) = read(request, registered, context)?;
        let (member_key, bill_to_key) = (keys::member(&member.id), keys::bill_to(&member.id, &bill_to.id));
        let name = format!("members/{}", member.id);
        self.core
            .commit(&change, || async {
                if self.core.store.find(&member_key).await?.is_some() {
                    return Err(AppError::AlreadyExists { resource: name.clone() });
                }
                let summary =
                    format!("{} aufgenommen, Leitweg-ID {}", member.display_name, bill_to.leitweg_id);
                let reason = &member.register_override_reason;
                let txn = Txn::new()
                    .expect_absent(&member_key)
                    .put(&member_key, &member)
                    .expect_absent(&bill_to_key)
                    .put(&bill_to_key, &bill_to)
                    .and(change.audit(context.row.rpc, Some(&member.id), &name, summary, reason));
                Ok((txn, member.clone()))
            })
            .await
    }
}

fn read(
    request: &v1::CreateMemberRequest,
    registered: Registered,
    context: &Context,
) -> Result<(Member, BillTo), AppError> {
    let today = day_in_berlin(context.now)?;
    let mut fields = Fields::new();
    let message = fields.needed("member", request.member.as_ref()).cloned().unwrap_or_default();
    let kind = convert::read_type(message.r#type);
    let id = read_id(&mut fields, request, &message, kind);
    check_register(&mut fields, request, &message, registered.is_some());
    let member_type =
        registered.as_ref().map(|(entry, _)| entry.member_type).or(kind).or_else(|| by_key(&message));
    if member_type.is_none() {
        fields.wrong("member.type", "is needed for a body without register key");
    }
    let member = Member {
        id: id.clone().unwrap_or(stand_in()?),
        display_name: display_name(request, &message, registered.as_ref()),
        member_type: member_type.unwrap_or(MemberType::Municipality),
        register_key: message.register_key.clone(),
        land: registered.as_ref().map_or(message.land.clone(), |(entry, _)| entry.land.clone()),
        population: registered.as_ref().map(|(entry, edition)| convert::population(entry, edition)),
        shares: convert::read_shares(&mut fields, "member.shares", &message.shares),
        tax_profiles: tax_profiles(&mut fields, &message, today),
        contact_email: message.contact_email.clone(),
        create_time: context.now,
        update_time: context.now,
        register_override_reason: if registered.is_some() {
            String::new()
        } else {
            request.register_override_reason.trim().to_owned()
        },
        processing_agreement: convert::read_agreement(
            &mut fields,
            "member.processing_agreement",
            message.processing_agreement.as_ref(),
        ),
        departure: None,
    };
    fields.wrong_under("member", member.violations());
    let main: Option<BillToId> = "main".parse().ok();
    let bill_to =
        convert::read_bill_to(&mut fields, "bill_to", request.bill_to.as_ref(), (id.as_ref(), main), today);
    fields.finish(bill_to.map(|bill_to| (member, bill_to)))
}

fn read_id(
    fields: &mut Fields,
    request: &v1::CreateMemberRequest,
    message: &v1::Member,
    kind: Option<MemberType>,
) -> Option<MemberId> {
    if message.register_key.is_empty() {
        if kind.is_some_and(MemberType::is_registered) {
            fields.wrong(
                "member.register_key",
                "is needed for municipalities (AGS) and counties (Kreisschlüssel)",
            );
        }
        return fields.parse("member_id", &request.member_id);
    }
    match MemberId::from_register_key(&message.register_key) {
        Err(error) => {
            fields.wrong("member.register_key", error);
            None
        }
        Ok(id) => {
            if !request.member_id.is_empty() && request.member_id != id.as_str() {
                fields.wrong("member_id", format!("follows from the register key: leave it empty, or {id}"));
            }
            Some(id)
        }
    }
}

fn check_register(fields: &mut Fields, request: &v1::CreateMemberRequest, message: &v1::Member, found: bool) {
    let sound = MemberId::from_register_key(&message.register_key).is_ok();
    if found
        || message.register_key.is_empty()
        || !sound
        || !request.register_override_reason.trim().is_empty()
    {
        return;
    }
    let text = "is not in the newest register edition: check it, import a newer edition, or give register_override_reason";
    let violation = FieldViolation::new("member.register_key", text);
    fields.push(violation.because(ViolationReason::RegisterKeyUnknown));
}

/// By the register; as given where the register lacks the body. The key stands in while it is the key that is wrong.
fn display_name(
    request: &v1::CreateMemberRequest,
    message: &v1::Member,
    registered: Option<&(RegisterEntry, RegisterEdition)>,
) -> String {
    let refused = !message.register_key.is_empty() && request.register_override_reason.trim().is_empty();
    match registered {
        Some((entry, _)) => entry.name.clone(),
        None if refused => message.register_key.clone(),
        None => message.display_name.clone(),
    }
}

/// Kind of a body that was accepted although the register lacks it.
fn by_key(message: &v1::Member) -> Option<MemberType> {
    match message.register_key.len() {
        8 => Some(MemberType::Municipality),
        5 => Some(MemberType::County),
        _ => None,
    }
}

/// As given, or the standard rate from this year on: § 12 Abs. 1 UStG.
fn tax_profiles(fields: &mut Fields, message: &v1::Member, today: Date) -> Vec<TaxProfile> {
    if message.tax_profiles.is_empty() {
        let valid_from = today.first_of_year();
        let standard = TaxProfile {
            valid_from,
            category: VatCategory::S,
            rate_basis_points: 1900,
            exemption_reason: String::new(),
        };
        return vec![standard];
    }
    convert::read_tax_profiles(fields, "member.tax_profiles", &message.tax_profiles)
}

/// Takes the place of a wrong id while the other fields are checked; never leaves.
fn stand_in() -> Result<MemberId, AppError> {
    "stand-in".parse().map_err(AppError::internal)
}
