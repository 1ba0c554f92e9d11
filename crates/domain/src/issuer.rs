//! Who issues the invoices (BG-4 to BG-6, BG-16).

use serde::{Deserialize, Serialize};

use crate::violation::FieldViolation;

/// The seller's data on every invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// BT-27.
    pub legal_name: String,
    /// BT-30.
    pub legal_registration: String,
    /// BT-31.
    pub vat_id: String,
    /// BT-35.
    pub street: String,
    /// BT-38.
    pub postal_code: String,
    /// BT-37.
    pub city: String,
    /// BT-41.
    pub contact_name: String,
    /// BT-42.
    pub contact_phone: String,
    /// BT-43.
    pub contact_email: String,
    /// BT-34, scheme EM.
    pub electronic_address: String,
    /// BT-84.
    pub iban: String,
    /// BT-20.
    pub payment_terms: String,
    /// From issue to due (BT-9).
    pub payment_days: i32,
    /// `MPG` in `MPG-2026-000001`.
    pub number_prefix: String,
}

impl Issuer {
    /// Everything that is wrong; paths as in the proto message `Issuer`.
    pub fn violations(&self) -> Vec<FieldViolation> {
        let mut wrong = Vec::new();
        for (field, text) in [
            ("legal_name", &self.legal_name),
            ("legal_registration", &self.legal_registration),
            ("vat_id", &self.vat_id),
            ("street", &self.street),
            ("postal_code", &self.postal_code),
            ("city", &self.city),
            ("contact_name", &self.contact_name),
            ("contact_phone", &self.contact_phone),
            ("contact_email", &self.contact_email),
            ("electronic_address", &self.electronic_address),
            ("payment_terms", &self.payment_terms),
        ] {
            if text.trim().is_empty() || text.chars().count() > 300 {
                wrong.push(FieldViolation::new(field, "must have 1 to 300 characters (BR-DE-2 to BR-DE-7)"));
            }
        }
        if !is_iban(&self.iban) {
            wrong.push(FieldViolation::new(
                "iban",
                "must be an IBAN without blanks whose check digits fit (BR-DE-19)",
            ));
        }
        if !(0..=365).contains(&self.payment_days) {
            wrong.push(FieldViolation::new("payment_days", "must be 0 to 365"));
        }
        let prefix = self.number_prefix.as_bytes();
        if !(1..=10).contains(&prefix.len()) || !prefix.iter().all(u8::is_ascii_uppercase) {
            wrong.push(FieldViolation::new("number_prefix", "must be 1 to 10 of A-Z"));
        }
        wrong
    }
}

/// ISO 13616: first four characters to the end, letters as 10 to 35, remainder 1 of 97.
fn is_iban(text: &str) -> bool {
    if !(15..=34).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
    {
        return false;
    }
    let (head, tail) = text.split_at(4);
    let mut remainder = 0u32;
    for digit in tail.chars().chain(head.chars()).filter_map(|c| c.to_digit(36)) {
        let shift = if digit < 10 { 10 } else { 100 };
        remainder = remainder.wrapping_mul(shift).wrapping_add(digit).checked_rem(97).unwrap_or_default();
    }
    remainder == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_iban_is_checked_by_its_digits() {
        assert!(is_iban("DE02120300000000202051"));
        assert!(!is_iban("DE03120300000000202051"));
        assert!(!is_iban("DE02 1203 0000 0000 2020 51"));
    }
}
