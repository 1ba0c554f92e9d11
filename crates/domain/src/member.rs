//! Members, their bill-to recipients, shares and tax profiles: dated, with rules that name all wrong fields at once.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    departure::{Departure, ProcessingAgreement},
    ids::{BillToId, MemberId},
    leitweg::LeitwegId,
    violation::FieldViolation,
};

/// What kind of public body a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberType {
    /// Gemeinde or Stadt, also kreisfrei.
    Municipality,
    /// Kreis, Landkreis, Städteregion.
    County,
    /// Zweckverband.
    Association,
    /// Anstalt des öffentlichen Rechts.
    Institution,
    /// GmbH in public hands.
    PublicCompany,
    /// IT-Dienstleister.
    ItProvider,
}

impl MemberType {
    /// Whether the municipal register knows bodies of this kind.
    pub fn is_registered(self) -> bool {
        matches!(self, Self::Municipality | Self::County)
    }
}

/// Inhabitants at a date, by a register edition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Population {
    /// People.
    pub inhabitants: i64,
    /// Date of the count.
    pub as_of: Date,
    /// The edition (territorial status) it came from.
    pub source_edition: Date,
}

/// Shares from a date on (Geschäftsanteile).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareHolding {
    /// Whole shares.
    pub count: i64,
    /// First day of a calendar month: changes take effect with a period.
    pub valid_from: Date,
}

/// VAT category code (UNTDID 5305, BT-118) as far as this cooperative uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum VatCategory {
    /// Standard rate.
    S,
    /// Exempt (§ 4 Nr. 29 UStG).
    E,
    /// Reverse charge (§ 13b UStG).
    AE,
    /// Not subject to VAT (§ 2b UStG).
    O,
}

impl VatCategory {
    /// The code.
    pub fn code(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::E => "E",
            Self::AE => "AE",
            Self::O => "O",
        }
    }

    /// The category of a code.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::S, Self::E, Self::AE, Self::O].into_iter().find(|category| category.code() == code)
    }
}

/// How services to a member are taxed from a date on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxProfile {
    /// From this date of supply on.
    pub valid_from: Date,
    /// BT-118, BT-151.
    pub category: VatCategory,
    /// Percent × 100: 1900 is 19 %. Zero for all but S.
    pub rate_basis_points: i32,
    /// BT-120; needed for E, AE and O.
    pub exemption_reason: String,
}

/// A public body with shares in the cooperative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Permanent.
    pub id: MemberId,
    /// Official name.
    pub display_name: String,
    /// Kind of body.
    pub member_type: MemberType,
    /// AGS or Kreisschlüssel; empty for other bodies.
    pub register_key: String,
    /// Name of the Land; may be empty for bodies outside the register.
    pub land: String,
    /// By the register.
    pub population: Option<Population>,
    /// Ascending by date.
    pub shares: Vec<ShareHolding>,
    /// Ascending by date.
    pub tax_profiles: Vec<TaxProfile>,
    /// Function mailbox.
    pub contact_email: String,
    /// When it was onboarded.
    pub create_time: Timestamp,
    /// Last change.
    pub update_time: Timestamp,
    /// Why a key that the register lacks was accepted; empty in the normal case.
    pub register_override_reason: String,
    /// The processing agreement in force (AVV); none: not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing_agreement: Option<ProcessingAgreement>,
    /// When it leaves; none: it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub departure: Option<Departure>,
}

/// Recipient of invoices under a member (Rechnungsempfänger).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillTo {
    /// The member it belongs to.
    pub member: MemberId,
    /// Id under the member; the first is `main`.
    pub id: BillToId,
    /// BT-44.
    pub recipient_name: String,
    /// BT-10.
    pub leitweg_id: LeitwegId,
    /// BT-50.
    pub street: String,
    /// BT-53.
    pub postal_code: String,
    /// BT-52.
    pub city: String,
    /// BT-49, scheme EM.
    pub electronic_address: String,
    /// BT-13; may be empty.
    pub order_reference: String,
    /// BT-133; may be empty.
    pub accounting_reference: String,
    /// From this date on.
    pub valid_from: Date,
}

impl Member {
    /// Shares in force on a day; zero before the first.
    pub fn shares_at(&self, day: Date) -> i64 {
        self.shares.iter().rfind(|holding| holding.valid_from <= day).map_or(0, |holding| holding.count)
    }

    /// Tax profile in force on a day of supply.
    pub fn tax_profile_at(&self, day: Date) -> Option<&TaxProfile> {
        self.tax_profiles.iter().rfind(|profile| profile.valid_from <= day)
    }

    /// Everything that is wrong with the dated attributes and the mailbox; field paths as in the proto message `Member`.
    pub fn violations(&self) -> Vec<FieldViolation> {
        let mut wrong = Vec::new();
        if self.display_name.trim().is_empty() || self.display_name.chars().count() > 200 {
            wrong.push(FieldViolation::new("display_name", "must have 1 to 200 characters"));
        }
        if self.shares.is_empty() {
            wrong.push(FieldViolation::new("shares", "at least one share holding is needed"));
        }
        for (index, holding) in self.shares.iter().enumerate() {
            if !(1..=1_000_000).contains(&holding.count) {
                wrong.push(FieldViolation::new(format!("shares[{index}].count"), "must be 1 to 1000000"));
            }
            if holding.valid_from.day() != 1 {
                let text = "must be the first day of a calendar month: a change takes effect with a period";
                wrong.push(FieldViolation::new(format!("shares[{index}].valid_from"), text));
            }
        }
        if !ascending(self.shares.iter().map(|holding| holding.valid_from)) {
            wrong.push(FieldViolation::new("shares", "dates must ascend without repetition"));
        }
        if !ascending(self.tax_profiles.iter().map(|profile| profile.valid_from)) {
            wrong.push(FieldViolation::new("tax_profiles", "dates must ascend without repetition"));
        }
        for (index, profile) in self.tax_profiles.iter().enumerate() {
            wrong
                .extend(profile.violations().into_iter().map(|v| v.under(&format!("tax_profiles[{index}]"))));
        }
        if !self.contact_email.is_empty() && !is_mailbox(&self.contact_email) {
            wrong.push(FieldViolation::new("contact_email", "must be a mailbox such as it@stadt.example"));
        }
        let agreement = self.processing_agreement.iter().flat_map(ProcessingAgreement::violations);
        wrong.extend(agreement.map(|violation| violation.under("processing_agreement")));
        wrong
    }
}

impl TaxProfile {
    /// Rules of EN 16931 BR-S-05, BR-E-05, BR-O-05 and BR-*-10 as far as a profile can break them.
    fn violations(&self) -> Vec<FieldViolation> {
        let mut wrong = Vec::new();
        let standard = self.category == VatCategory::S;
        if standard && !(1..=10_000).contains(&self.rate_basis_points) {
            wrong.push(FieldViolation::new(
                "rate_basis_points",
                "must be 1 to 10000 for category S (1900 is 19 %)",
            ));
        }
        if !standard && self.rate_basis_points != 0 {
            wrong.push(FieldViolation::new("rate_basis_points", "must be 0 for every category but S"));
        }
        if standard && !self.exemption_reason.is_empty() {
            wrong.push(FieldViolation::new("exemption_reason", "must be empty for category S (BR-S-10)"));
        }
        if !standard && self.exemption_reason.trim().is_empty() {
            wrong.push(FieldViolation::new("exemption_reason", "is needed for E, AE and O (BT-120)"));
        }
        wrong
    }
}

impl BillTo {
    /// Everything that is wrong beside the Leitweg-ID, which its type has checked; paths as in the proto message `BillTo`.
    pub fn violations(&self) -> Vec<FieldViolation> {
        let mut wrong = Vec::new();
        for (field, text, max) in [
            ("recipient_name", &self.recipient_name, 200),
            ("street", &self.street, 200),
            ("city", &self.city, 100),
        ] {
            if text.trim().is_empty() || text.chars().count() > max {
                wrong.push(FieldViolation::new(field, format!("must have 1 to {max} characters")));
            }
        }
        if self.postal_code.len() != 5 || !self.postal_code.bytes().all(|b| b.is_ascii_digit()) {
            wrong.push(FieldViolation::new("postal_code", "must be 5 digits"));
        }
        if !is_mailbox(&self.electronic_address) {
            let text = "must be a mailbox such as rechnung@stadt.example (BT-49, scheme EM)";
            wrong.push(FieldViolation::new("electronic_address", text));
        }
        for (field, text) in
            [("order_reference", &self.order_reference), ("accounting_reference", &self.accounting_reference)]
        {
            if text.chars().count() > 100 {
                wrong.push(FieldViolation::new(field, "must have at most 100 characters"));
            }
        }
        wrong
    }
}

fn ascending(dates: impl Iterator<Item = Date> + Clone) -> bool {
    dates.clone().zip(dates.skip(1)).all(|(one, next)| one < next)
}

/// Enough to catch a slip: one @, something on both sides, a dot in the domain, no white space.
fn is_mailbox(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    !local.is_empty()
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !domain.contains('@')
        && text.len() <= 254
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn lemgo() -> Member {
        Member {
            id: "m-05766044".parse().unwrap(),
            display_name: "Lemgo, Stadt".into(),
            member_type: MemberType::Municipality,
            register_key: "05766044".into(),
            land: "Nordrhein-Westfalen".into(),
            population: None,
            shares: vec![ShareHolding { count: 4, valid_from: date(2026, 1, 1) }],
            tax_profiles: vec![TaxProfile {
                valid_from: date(2026, 1, 1),
                category: VatCategory::S,
                rate_basis_points: 1900,
                exemption_reason: String::new(),
            }],
            contact_email: "it@lemgo.example".into(),
            create_time: Timestamp::UNIX_EPOCH,
            update_time: Timestamp::UNIX_EPOCH,
            register_override_reason: String::new(),
            processing_agreement: None,
            departure: None,
        }
    }

    #[test]
    fn a_sound_member_has_no_violation() {
        assert_eq!(lemgo().violations(), []);
    }

    #[test]
    fn all_wrong_fields_are_named_at_once() {
        let mut member = lemgo();
        member.shares = vec![
            ShareHolding { count: -1, valid_from: date(2026, 2, 15) },
            ShareHolding { count: 3, valid_from: date(2026, 1, 1) },
        ];
        member.tax_profiles[0].rate_basis_points = 0;
        member.contact_email = "nobody".into();
        let fields: Vec<String> = member.violations().into_iter().map(|v| v.field).collect();
        assert_eq!(
            fields,
            [
                "shares[0].count",
                "shares[0].valid_from",
                "shares",
                "tax_profiles[0].rate_basis_points",
                "contact_email"
            ]
        );
    }

    #[test]
    fn the_holding_in_force_is_the_last_one_begun() {
        let mut member = lemgo();
        member.shares.push(ShareHolding { count: 9, valid_from: date(2026, 10, 1) });
        assert_eq!(member.shares_at(date(2025, 12, 31)), 0);
        assert_eq!(member.shares_at(date(2026, 9, 30)), 4);
        assert_eq!(member.shares_at(date(2026, 10, 1)), 9);
    }
}
