//! September 2026 of the sample cooperative, in every intermediate value (data/golden_billing_1.json; usage, prices and shares invented).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod golden;

use std::collections::BTreeMap;

use allmende_domain::{
    ids::MemberId,
    invoice::Invoice,
    money::{Cents, Ratio},
    run::Cut,
};
use golden::{cents, cut, golden, micro};
use jiff::{Timestamp, civil::date};
use serde_json::Value;

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
    assert_eq!(
        by_line,
        cents(expected["vat_if_rounded_per_line"].as_str().unwrap()),
        "the wrong way gives this"
    );
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
    let wanted: Vec<i64> =
        golden["pot_parts"].as_array().unwrap().iter().map(|p| cents(p.as_str().unwrap())).collect();
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
