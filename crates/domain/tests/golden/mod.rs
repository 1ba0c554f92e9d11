//! The golden month's inputs from data/golden_billing_1.json. Tests of other crates include this file by its path, so that all of them
//! bill the very same month.

#![allow(dead_code, unreachable_pub, reason = "each test that includes it uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a fixture fails by panicking")]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "the file is known")]

use allmende_domain::{
    ids::MemberId,
    issuer::Issuer,
    key::{AllocationKey, ComponentKind, KeyComponent},
    member::{BillTo, Member, MemberType, Population, ShareHolding, TaxProfile, VatCategory},
    money::{Cents, MicroEuro},
    period::Period,
    pot::Pot,
    price::{MeterPrice, PriceList, PriceUnit},
    run::Cut,
    usage::{Meter, UsageSegment},
};
use jiff::{Timestamp, civil::date};
use serde_json::Value;

/// The file as it is.
pub fn golden() -> Value {
    let crate_folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = crate_folder.ancestors().map(|folder| folder.join("data/golden_billing_1.json"));
    serde_json::from_str(&std::fs::read_to_string(paths.find(|path| path.is_file()).unwrap()).unwrap())
        .unwrap()
}

/// `12.34` in cents.
pub fn cents(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "00"));
    format!("{whole}{fraction:0<2}").parse().unwrap()
}

/// `0.0123` in millionths.
pub fn micro(text: &str) -> MicroEuro {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    MicroEuro(format!("{whole}{fraction:0<6}").parse().unwrap())
}

/// The golden month.
pub fn period() -> Period {
    "2026-09".parse().unwrap()
}

/// A member of the sample.
pub fn member(key: &str, entry: &Value) -> Member {
    let about = &entry["member"];
    Member {
        id: MemberId::from_register_key(key).unwrap(),
        display_name: about["name"].as_str().unwrap().into(),
        member_type: if key.len() == 8 { MemberType::Municipality } else { MemberType::County },
        register_key: key.into(),
        land: about["land"].as_str().unwrap().into(),
        population: Some(Population {
            inhabitants: about["einwohner"].as_i64().unwrap(),
            as_of: date(2022, 12, 31),
            source_edition: date(2023, 11, 30),
        }),
        shares: vec![ShareHolding {
            count: about["anteile"].as_i64().unwrap(),
            valid_from: date(2026, 1, 1),
        }],
        tax_profiles: vec![TaxProfile {
            valid_from: date(2026, 1, 1),
            category: VatCategory::S,
            rate_basis_points: 1900,
            exemption_reason: String::new(),
        }],
        contact_email: String::new(),
        create_time: Timestamp::UNIX_EPOCH,
        update_time: Timestamp::UNIX_EPOCH,
        register_override_reason: String::new(),
        processing_agreement: None,
        departure: None,
    }
}

/// Its recipient; address and Leitweg-ID are invented.
pub fn bill_to(member: &Member) -> BillTo {
    BillTo {
        member: member.id.clone(),
        id: "main".parse().unwrap(),
        recipient_name: member.display_name.clone(),
        leitweg_id: "05766044-KST4711-12".parse().unwrap(),
        street: "Musterweg 1".into(),
        postal_code: "10115".into(),
        city: "Musterstadt".into(),
        electronic_address: "rechnungseingang@example.org".into(),
        order_reference: String::new(),
        accounting_reference: String::new(),
        valid_from: date(2026, 1, 1),
    }
}

/// Its usage, one segment a meter over the whole month.
pub fn segments(member: &MemberId, usage: &Value) -> Vec<UsageSegment> {
    let meters = [
        (Meter::Vcpu, "vcpu"),
        (Meter::MemoryGib, "ram_gib"),
        (Meter::StorageGib, "storage_gib"),
        (Meter::Namespace, "namespaces"),
    ];
    meters
        .into_iter()
        .map(|(meter, field)| UsageSegment {
            id: format!("golden-{field}"),
            member: member.clone(),
            meter,
            amount_milli: usage[field].as_i64().unwrap() * 1000,
            start: period().start().unwrap(),
            end: period().end().unwrap(),
            subject: String::new(),
            bill_to: "main".parse().unwrap(),
            accounting_reference: String::new(),
        })
        .collect()
}

/// The prices.
pub fn price_list(golden: &Value) -> PriceList {
    let rows = [
        (Meter::Vcpu, PriceUnit::Hour, "vcpu", "vCPU-Stunden"),
        (Meter::MemoryGib, PriceUnit::Hour, "ram", "Arbeitsspeicher GiB-Stunden"),
        (Meter::StorageGib, PriceUnit::Month, "sto", "Speicher GiB-Monat"),
        (Meter::Namespace, PriceUnit::Month, "base", "Grundgebühr Namespace"),
    ];
    let price = |(meter, unit, field, title): (Meter, PriceUnit, &str, &str)| MeterPrice {
        meter,
        unit,
        price: micro(golden["prices"][field].as_str().unwrap()),
        title: title.into(),
    };
    PriceList {
        id: "preise-2026".parse().unwrap(),
        valid_from: date(2026, 1, 1),
        resolution: "Muster 2025/12".into(),
        prices: rows.map(price).to_vec(),
    }
}

/// 50 % inhabitants, 30 % shares, 20 % usage.
pub fn key() -> AllocationKey {
    let component = |kind, percent, title: &str| KeyComponent { kind, percent, title: title.into() };
    AllocationKey {
        id: "standard".parse().unwrap(),
        valid_from: date(2026, 1, 1),
        resolution: "Muster 2025/13".into(),
        components: vec![
            component(ComponentKind::Inhabitants, 50, "Umlage Einwohnerschlüssel (50 %)"),
            component(ComponentKind::Shares, 30, "Umlage Anteilsschlüssel (30 %)"),
            component(ComponentKind::Usage, 20, "Umlage Nutzungsschlüssel (20 %)"),
        ],
    }
}

/// All inputs of the month.
pub fn cut(golden: &Value) -> Cut {
    let mut members: Vec<Member> =
        golden["invoices"].as_object().unwrap().iter().map(|(key, entry)| member(key, entry)).collect();
    members.sort_by(|a, b| a.id.cmp(&b.id));
    let usage = golden["usage"].as_object().unwrap();
    Cut {
        period: period(),
        issuer: Issuer {
            legal_name: "Muster-Plattformgenossenschaft eG".into(),
            legal_registration: "GnR 000 B".into(),
            vat_id: "DE123456789".into(),
            street: "Musterweg 1".into(),
            postal_code: "10115".into(),
            city: "Berlin".into(),
            contact_name: "Rechnungsstelle (Muster)".into(),
            contact_phone: "+49 30 0000000".into(),
            contact_email: "rechnung@example.org".into(),
            electronic_address: "rechnung@example.org".into(),
            iban: "DE02120300000000202051".into(),
            payment_terms: "Zahlbar innerhalb von 30 Tagen ohne Abzug".into(),
            payment_days: 30,
            number_prefix: "MPG".into(),
        },
        bill_tos: members.iter().map(bill_to).collect(),
        segments: members.iter().flat_map(|m| segments(&m.id, &usage[&m.register_key])).collect(),
        members,
        price_lists: vec![price_list(golden)],
        keys: vec![key()],
        pots: vec![Pot {
            id: "umlage-2026-09".parse().unwrap(),
            period: period(),
            title: "Umlage September 2026".into(),
            amount: Cents(cents(golden["pot"].as_str().unwrap())),
            key: "standard".parse().unwrap(),
            resolution: "Muster 2026/07".into(),
        }],
    }
}
