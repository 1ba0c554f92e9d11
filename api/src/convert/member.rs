//! Members, bill-tos, register.

use allmende_domain::{
    departure::ProcessingAgreement,
    ids::{BillToId, MemberId},
    leitweg::LeitwegId,
    member::{BillTo, Member, MemberType, Population, ShareHolding, TaxProfile, VatCategory},
    register::{RegisterEdition, RegisterEntry},
    violation::{FieldViolation, ViolationReason},
};
use allmende_proto::v1;
use allmende_store::Versioned;
use jiff::civil::Date;

use super::fields::{Fields, time};

/// Kind of body; none for an unspecified or unknown one.
pub fn read_type(value: i32) -> Option<MemberType> {
    match v1::MemberType::try_from(value).ok()? {
        v1::MemberType::Unspecified => None,
        v1::MemberType::Municipality => Some(MemberType::Municipality),
        v1::MemberType::County => Some(MemberType::County),
        v1::MemberType::Association => Some(MemberType::Association),
        v1::MemberType::Institution => Some(MemberType::Institution),
        v1::MemberType::PublicCompany => Some(MemberType::PublicCompany),
        v1::MemberType::ItProvider => Some(MemberType::ItProvider),
    }
}

fn write_type(kind: MemberType) -> v1::MemberType {
    match kind {
        MemberType::Municipality => v1::MemberType::Municipality,
        MemberType::County => v1::MemberType::County,
        MemberType::Association => v1::MemberType::Association,
        MemberType::Institution => v1::MemberType::Institution,
        MemberType::PublicCompany => v1::MemberType::PublicCompany,
        MemberType::ItProvider => v1::MemberType::ItProvider,
    }
}

/// Dated share holdings.
pub fn read_shares(fields: &mut Fields, path: &str, shares: &[v1::ShareHolding]) -> Vec<ShareHolding> {
    let mut all = Vec::new();
    for (index, holding) in shares.iter().enumerate() {
        if let Some(valid_from) = fields.date(&format!("{path}[{index}].valid_from"), &holding.valid_from) {
            all.push(ShareHolding { count: holding.count, valid_from });
        }
    }
    all
}

/// Dated tax profiles.
pub fn read_tax_profiles(fields: &mut Fields, path: &str, profiles: &[v1::TaxProfile]) -> Vec<TaxProfile> {
    let mut all = Vec::new();
    for (index, profile) in profiles.iter().enumerate() {
        let valid_from = fields.date(&format!("{path}[{index}].valid_from"), &profile.valid_from);
        let category = VatCategory::from_code(&profile.vat_category);
        if category.is_none() {
            fields.wrong(format!("{path}[{index}].vat_category"), "must be S, E, AE or O (BT-118)");
        }
        if let (Some(valid_from), Some(category)) = (valid_from, category) {
            all.push(TaxProfile {
                valid_from,
                category,
                rate_basis_points: profile.rate_basis_points,
                exemption_reason: profile.exemption_reason.clone(),
            });
        }
    }
    all
}

/// A signed processing agreement; none where there is none.
pub fn read_agreement(
    fields: &mut Fields,
    path: &str,
    message: Option<&v1::ProcessingAgreement>,
) -> Option<ProcessingAgreement> {
    let message = message?;
    let signed_on = fields.date(&format!("{path}.signed_on"), &message.signed_on)?;
    Some(ProcessingAgreement { signed_on, version: message.version.trim().to_owned() })
}

/// A bill-to of a member; `path` is where the message lies in the request.
pub fn read_bill_to(
    fields: &mut Fields,
    path: &str,
    message: Option<&v1::BillTo>,
    (member, id): (Option<&MemberId>, Option<BillToId>),
    today: Date,
) -> Option<BillTo> {
    let message = fields.needed(path, message)?;
    let leitweg_id = match message.leitweg_id.parse::<LeitwegId>() {
        Ok(leitweg_id) => Some(leitweg_id),
        Err(error) => {
            let violation = FieldViolation::new(format!("{path}.leitweg_id"), error.to_string());
            fields.push(violation.because(ViolationReason::LeitwegIdInvalid));
            None
        }
    };
    let valid_from = if message.valid_from.is_empty() {
        Some(today)
    } else {
        fields.date(&format!("{path}.valid_from"), &message.valid_from)
    };
    // Stand-ins, so that the rules over the other fields are asked too; they never leave, as something is wrong then.
    let stand_in = || "9930-87".parse::<LeitwegId>().ok();
    let sound = leitweg_id.is_some();
    let bill_to = BillTo {
        member: member.cloned().or_else(|| "stand-in".parse().ok())?,
        id: id.or_else(|| "main".parse().ok())?,
        recipient_name: message.recipient_name.clone(),
        leitweg_id: leitweg_id.or_else(stand_in)?,
        street: message.street.clone(),
        postal_code: message.postal_code.clone(),
        city: message.city.clone(),
        electronic_address: message.electronic_address.clone(),
        order_reference: message.order_reference.clone(),
        accounting_reference: message.accounting_reference.clone(),
        valid_from: valid_from.unwrap_or(today),
    };
    fields.wrong_under(path, bill_to.violations());
    (sound && valid_from.is_some()).then_some(bill_to)
}

/// A member with its etag.
pub fn write(member: &Versioned<Member>) -> v1::Member {
    v1::Member { etag: member.etag(), ..write_value(&member.value) }
}

/// A member that is not stored (preview).
pub fn write_value(member: &Member) -> v1::Member {
    v1::Member {
        name: format!("members/{}", member.id),
        display_name: member.display_name.clone(),
        r#type: write_type(member.member_type).into(),
        register_key: member.register_key.clone(),
        land: member.land.clone(),
        population: member.population.as_ref().map(|population| v1::Population {
            inhabitants: population.inhabitants,
            as_of: population.as_of.to_string(),
            source_edition: population.source_edition.to_string(),
        }),
        shares: member
            .shares
            .iter()
            .map(|holding| v1::ShareHolding {
                count: holding.count,
                valid_from: holding.valid_from.to_string(),
            })
            .collect(),
        tax_profiles: member
            .tax_profiles
            .iter()
            .map(|profile| v1::TaxProfile {
                valid_from: profile.valid_from.to_string(),
                vat_category: profile.category.code().to_owned(),
                rate_basis_points: profile.rate_basis_points,
                exemption_reason: profile.exemption_reason.clone(),
            })
            .collect(),
        contact_email: member.contact_email.clone(),
        create_time: Some(time(member.create_time)),
        update_time: Some(time(member.update_time)),
        etag: String::new(),
        register_override_reason: member.register_override_reason.clone(),
        processing_agreement: member.processing_agreement.as_ref().map(|agreement| v1::ProcessingAgreement {
            signed_on: agreement.signed_on.to_string(),
            version: agreement.version.clone(),
        }),
        departure: member.departure.as_ref().map(|departure| v1::MemberDeparture {
            last_day: departure.last_day.to_string(),
            grace_until: departure.grace_until.to_string(),
            reason: departure.reason.clone(),
        }),
    }
}

/// A bill-to, with the etag when stored.
pub fn write_bill_to(bill_to: &BillTo, etag: String) -> v1::BillTo {
    v1::BillTo {
        name: format!("members/{}/billTos/{}", bill_to.member, bill_to.id),
        recipient_name: bill_to.recipient_name.clone(),
        leitweg_id: bill_to.leitweg_id.to_string(),
        street: bill_to.street.clone(),
        postal_code: bill_to.postal_code.clone(),
        city: bill_to.city.clone(),
        electronic_address: bill_to.electronic_address.clone(),
        order_reference: bill_to.order_reference.clone(),
        accounting_reference: bill_to.accounting_reference.clone(),
        valid_from: bill_to.valid_from.to_string(),
        etag,
    }
}

/// An edition's head.
pub fn write_edition(edition: &RegisterEdition) -> v1::RegisterEdition {
    v1::RegisterEdition {
        edition: edition.edition.to_string(),
        population_as_of: edition.population_as_of.to_string(),
        source: edition.source.clone(),
        municipalities: edition.municipalities,
        counties: edition.counties,
        digest: edition.digest.clone(),
    }
}

/// The population of an entry.
pub fn population(entry: &RegisterEntry, edition: &RegisterEdition) -> Population {
    Population {
        inhabitants: entry.inhabitants,
        as_of: edition.population_as_of,
        source_edition: edition.edition,
    }
}

/// An entry of an edition.
pub fn write_entry(entry: &RegisterEntry, edition: &RegisterEdition) -> v1::RegisterEntry {
    v1::RegisterEntry {
        register_key: entry.key.clone(),
        display_name: entry.name.clone(),
        r#type: write_type(entry.member_type).into(),
        land: entry.land.clone(),
        population: Some(v1::Population {
            inhabitants: entry.inhabitants,
            as_of: edition.population_as_of.to_string(),
            source_edition: edition.edition.to_string(),
        }),
        postal_code: entry.postal_code.clone(),
    }
}
