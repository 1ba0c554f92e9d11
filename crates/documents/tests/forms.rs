//! The three forms of an invoice: stable, complete, refused when the sums do not hold.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../domain/tests/golden/mod.rs"]
mod golden;

use allmende_documents::{DocumentError, EInvoiceWriter, Record, Table, XRechnung3, check, writers};
use allmende_domain::{invoice::Invoice, money::Cents};
use jiff::{Timestamp, civil::date};
use serde_json::Value;

fn lemgo() -> Invoice {
    let drafts = golden::cut(&golden::golden()).drafts(date(2026, 10, 5), Timestamp::UNIX_EPOCH).unwrap();
    drafts.iter().find(|draft| draft.member.as_str() == "m-05766044").unwrap().issued("MPG-2026-000007")
}

/// Makes one amount wrong.
type Spoil = fn(&mut Invoice);

fn text(writer: &dyn EInvoiceWriter, invoice: &Invoice) -> String {
    String::from_utf8(writer.write(invoice).unwrap()).unwrap()
}

#[test]
fn the_same_invoice_gives_the_same_bytes_in_every_form() {
    for writer in writers() {
        assert_eq!(writer.write(&lemgo()).unwrap(), writer.write(&lemgo()).unwrap(), "{}", writer.format());
    }
}

#[test]
fn a_draft_has_no_documents() {
    let mut draft = lemgo();
    draft.state = allmende_domain::invoice::InvoiceState::Draft;
    for writer in writers() {
        assert!(matches!(writer.write(&draft), Err(DocumentError::Draft(_))), "{}", writer.format());
    }
}

#[test]
fn every_sum_that_is_off_by_one_cent_is_refused_and_named() {
    let wrong: [(&str, Spoil); 6] = [
        ("BT-131", |invoice| invoice.lines[0].net.0 += 1),
        ("BR-CO-13", |invoice| invoice.net.0 -= 1),
        ("BR-CO-14", |invoice| invoice.vat.0 += 1),
        ("BR-CO-15", |invoice| invoice.gross.0 += 1),
        ("BR-CO-17", |invoice| invoice.vat_breakdown[0].tax.0 += 1),
        ("BR-CO-18", |invoice| invoice.vat_breakdown[0].taxable.0 -= 1),
    ];
    for (rule, spoil) in wrong {
        let mut invoice = lemgo();
        spoil(&mut invoice);
        assert!(
            check(&invoice).iter().any(|mismatch| mismatch.rule == rule),
            "{rule}: {:?}",
            check(&invoice)
        );
        for writer in writers() {
            assert!(
                matches!(writer.write(&invoice), Err(DocumentError::Arithmetic { .. })),
                "{rule} {}",
                writer.format()
            );
        }
    }
    assert_eq!(check(&lemgo()), []);
}

#[test]
fn tax_rounded_by_line_is_refused_although_the_official_rules_would_take_it() {
    let mut invoice = lemgo();
    assert_eq!(invoice.vat, Cents(14_229));
    for amount in [&mut invoice.vat_breakdown[0].tax, &mut invoice.vat, &mut invoice.gross] {
        amount.0 += 1;
    }
    let error = XRechnung3.write(&invoice).unwrap_err().to_string();
    assert!(error.contains("BR-CO-17") && error.contains("142.30 instead of 142.29"), "{error}");
}

#[test]
fn the_original_carries_recipient_period_and_accounting_reference() {
    let mut invoice = lemgo();
    invoice.bill_to.accounting_reference = "KST 4711".into();
    invoice.bill_to.order_reference = "B-2026-17".into();
    invoice.lines[0].accounting_reference = "KTR 12".into();
    let xml = text(&XRechnung3, &invoice);
    for part in [
        "urn:xeinkauf.de:kosit:xrechnung_3.0",
        "<cbc:ID>MPG-2026-000007</cbc:ID>",
        "<cbc:BuyerReference>05766044-KST4711-12</cbc:BuyerReference>",
        "<cbc:StartDate>2026-09-01</cbc:StartDate>",
        "<cbc:EndDate>2026-09-30</cbc:EndDate>",
        "<cbc:DueDate>2026-11-04</cbc:DueDate>",
        "<cbc:AccountingCost>KTR 12</cbc:AccountingCost>",
        "<cbc:AccountingCost>KST 4711</cbc:AccountingCost>",
        "B-2026-17",
        "Beschluss: Muster 2025/12",
        "unitCode=\"HUR\">5760<",
        ">0.0123</cbc:PriceAmount>",
        ">891.21</cbc:PayableAmount>",
    ] {
        assert!(xml.contains(part), "{part} is missing in {xml}");
    }
}

#[test]
fn an_original_that_lacks_what_xrechnung_asks_for_is_not_written() {
    let lacking: [(&str, Spoil); 11] = [
        ("BT-27", |invoice| invoice.issuer.legal_name.clear()),
        ("BT-34", |invoice| invoice.issuer.electronic_address.clear()),
        ("BT-37", |invoice| invoice.issuer.city = " ".into()),
        ("BT-41", |invoice| invoice.issuer.contact_name.clear()),
        ("BT-42", |invoice| invoice.issuer.contact_phone.clear()),
        ("BT-44", |invoice| invoice.bill_to.recipient_name.clear()),
        ("BT-49", |invoice| invoice.bill_to.electronic_address.clear()),
        ("BT-52", |invoice| invoice.bill_to.city.clear()),
        ("BT-53", |invoice| invoice.bill_to.postal_code.clear()),
        ("BT-84", |invoice| invoice.issuer.iban.clear()),
        ("BG-25", |invoice| {
            invoice.lines.clear();
            invoice.vat_breakdown.clear();
            (invoice.net, invoice.vat, invoice.gross) = (Cents(0), Cents(0), Cents(0));
        }),
    ];
    for (term, spoil) in lacking {
        let mut invoice = lemgo();
        spoil(&mut invoice);
        let written = XRechnung3.write(&invoice);
        assert!(matches!(written, Err(DocumentError::Invalid { .. })), "{term}: {written:?}");
    }
}

#[test]
fn the_json_form_has_amounts_as_texts() {
    let value: Value = serde_json::from_str(&text(&Record, &lemgo())).unwrap();
    assert_eq!(value["gross"], "891.21");
    assert_eq!(value["lines"][0]["unit_price"], "0.0123");
    assert_eq!(value["lines"].as_array().unwrap().len(), 7);
    assert_eq!(value["buyer"]["leitweg_id"], "05766044-KST4711-12");
}

#[test]
fn the_csv_form_opens_in_a_german_spreadsheet_and_runs_nothing() {
    let mut invoice = lemgo();
    invoice.lines[0].accounting_reference = "=HYPERLINK(\"http://x.example\")".into();
    invoice.lines[1].accounting_reference = " @SUM(1)".into();
    invoice.lines[2].accounting_reference = "a;b\"c".into();
    let csv = text(&Table, &invoice);
    assert!(csv.starts_with("\u{feff}Rechnungsnummer;Rechnungsdatum;"));
    let rows: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(rows.len(), 9, "a header, seven lines, nothing after the last end of line");
    assert!(
        rows[1].starts_with(
            "MPG-2026-000007;05.10.2026;2026-09;Lemgo, Stadt;05766044-KST4711-12;1;vCPU-Stunden;;"
        ),
        "{}",
        rows[1]
    );
    assert!(
        rows[1].contains("\"'=HYPERLINK(\"\"http://x.example\"\")\";5760;HUR;0,0123;70,85;19,00;"),
        "{}",
        rows[1]
    );
    assert!(rows[2].contains("' @SUM(1);"), "{}", rows[2]);
    assert!(rows[3].contains("\"a;b\"\"c\""), "{}", rows[3]);
}
