//! September 2026 of the sample cooperative, in every intermediate value (data/golden_billing_1.json; usage, prices and shares invented).

use std::collections::BTreeMap;

use allmende_domain::{
    ids::MemberId,
    invoice::Invoice,
    issuer::Issuer,
    key::{AllocationKey, ComponentKind, KeyComponent},
    member::{BillTo, Member, MemberType, Population, ShareHolding, TaxProfile, VatCategory},
    money::{Cents, MicroEuro, Ratio},
    period::Period,
    pot::Pot,
    price::{MeterPrice, PriceList, PriceUnit},
    run::Cut,
    usage::{Meter, UsageSegment},
};
use jiff::{Timestamp, civil::date};
use serde_json::Value;

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/golden_billing_1.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn cents(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "00"));
    format!("{whole}{fraction:0<2}").parse().unwrap()
}

fn micro(text: &str) -> MicroEuro {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    MicroEuro(format!("{whole}{fraction:0<6}").parse().unwrap())
}

fn period() -> Period {
    "2026-09".parse().unwrap()
}

fn member(key: &str, entry: &Value) -> Member {
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
        shares: vec![ShareHolding { count: about["anteile"].as_i64().unwrap(), valid_from: date(2026, 1, 1) }],
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
    }
}

fn bill_to(member: &Member) -> BillTo {
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

fn segments(member: &MemberId, usage: &Value) -> Vec<UsageSegment> {
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

fn price_list(golden: &Value) -> PriceList {
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

fn key() -> AllocationKey {
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

fn cut(golden: &Value) -> Cut {
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

fn exact(text: &str) -> Ratio {
    let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
    Ratio::new(numerator.parse().unwrap(), denominator.parse().unwrap()).unwrap()
}

fn check_invoice(invoice: &Invoice, expected: &Value) {
    let lines = expected["lines"].as_array().unwrap();
    assert_eq!(invoice.lines.len(), lines.len());
    for (line, want) in invoice.lines.iter().zip(lines) {
        let who = format!("{} {}", invoice.member, line.title);
        assert_eq!(line.title, want["name"].as_str().unwrap(), "{who}");
        assert_eq!(line.quantity.to_string(), want["qty"].as_str().unwrap(), "{who}");
        assert_eq!(line.unit_code, want["unit"].as_str().unwrap(), "{who}");
        assert_eq!(line.unit_price, micro(want["price"].as_str().unwrap()), "{who}");
        assert_eq!(line.net.0, cents(want["net"].as_str().unwrap()), "{who}");
        if let Some(fraction) = want["exact"].as_str() {
            assert_eq!(line.quantity.exact_price(line.unit_price).unwrap(), exact(fraction), "{who}");
        }
    }
    let usage_net: i64 = invoice.lines.iter().take(4).map(|line| line.net.0).sum();
    assert_eq!(usage_net, cents(expected["usage_net"].as_str().unwrap()));
    for (line, part) in invoice.lines.iter().skip(4).zip(expected["umlage"].as_array().unwrap()) {
        assert_eq!(line.net.0, cents(part.as_str().unwrap()));
    }
    for (have, field) in [(invoice.net, "net"), (invoice.vat, "vat"), (invoice.gross, "gross")] {
        assert_eq!(have.0, cents(expected[field].as_str().unwrap()), "{} {field}", invoice.member);
    }
    let by_line: i64 = invoice
        .lines
        .iter()
        .map(|line| Ratio::new(i128::from(line.net.0) * 19, 100).unwrap().round_half_away().unwrap())
        .sum();
    assert_eq!(by_line, cents(expected["vat_if_rounded_per_line"].as_str().unwrap()), "the wrong way gives this");
}

#[test]
fn the_golden_month_comes_out_in_every_intermediate_value() {
    let golden = golden();
    let cut = cut(&golden);
    let invoices = cut.drafts(date(2026, 10, 5), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(invoices.len(), 12);
    let by_member: BTreeMap<&str, &Invoice> = invoices.iter().map(|i| (i.member.as_str(), i)).collect();
    for (key, expected) in golden["invoices"].as_object().unwrap() {
        check_invoice(by_member[MemberId::from_register_key(key).unwrap().as_str()], expected);
    }
    let sum = |part: fn(&Invoice) -> Cents| invoices.iter().map(|i| part(i).0).sum::<i64>();
    assert_eq!([sum(|i| i.net), sum(|i| i.vat), sum(|i| i.gross)], [2_480_001, 471_198, 2_951_199]);
    let parts: Vec<i64> = (4..7).map(|at| invoices.iter().map(|i| i.lines[at].net.0).sum()).collect();
    let wanted: Vec<i64> = golden["pot_parts"].as_array().unwrap().iter().map(|p| cents(p.as_str().unwrap())).collect();
    assert_eq!(parts, wanted, "the members' parts equal the pot's");
}

#[test]
fn the_same_cut_gives_the_same_drafts_in_whatever_order_usage_came() {
    let golden = golden();
    let mut shuffled = cut(&golden);
    shuffled.segments.reverse();
    let drafts = |cut: &Cut| cut.drafts(date(2026, 10, 5), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(drafts(&cut(&golden)), drafts(&shuffled));
}
