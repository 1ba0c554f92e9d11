//! The lines as CSV for the Kämmerei: what a spreadsheet with German settings opens by a double click (`;`, decimal comma, BOM, CRLF).

use allmende_domain::invoice::{Invoice, InvoiceLine};
use csv::{Terminator, WriterBuilder};

use crate::{DocumentError, EInvoiceWriter, sound};

/// The CSV form: one row a line.
#[derive(Debug, Clone, Copy)]
pub struct Table;

const HEADER: [&str; 15] = [
    "Rechnungsnummer",
    "Rechnungsdatum",
    "Abrechnungszeitraum",
    "Rechnungsempfänger",
    "Leitweg-ID",
    "Position",
    "Bezeichnung",
    "Gegenstand",
    "Kontierung",
    "Menge",
    "Einheit",
    "Einzelpreis EUR",
    "Netto EUR",
    "USt-Satz %",
    "Beschluss",
];

/// Without it, spreadsheets take the file for the machine's old code page.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl EInvoiceWriter for Table {
    fn format(&self) -> &'static str {
        "csv"
    }

    fn extension(&self) -> &'static str {
        "csv"
    }

    fn write(&self, invoice: &Invoice) -> Result<Vec<u8>, DocumentError> {
        sound(invoice)?;
        rows(invoice).map_err(|reason| DocumentError::Unwritable { number: invoice.number.clone(), reason })
    }
}

fn rows(invoice: &Invoice) -> Result<Vec<u8>, String> {
    let mut writer = WriterBuilder::new()
        .delimiter(b';')
        .terminator(Terminator::CRLF)
        .from_writer(BYTE_ORDER_MARK.to_vec());
    writer.write_record(HEADER).map_err(|error| error.to_string())?;
    for line in &invoice.lines {
        writer.write_record(row(invoice, line)).map_err(|error| error.to_string())?;
    }
    writer.into_inner().map_err(|error| error.to_string())
}

fn row(invoice: &Invoice, line: &InvoiceLine) -> [String; 15] {
    let accounting = if line.accounting_reference.is_empty() {
        &invoice.bill_to.accounting_reference
    } else {
        &line.accounting_reference
    };
    [
        text(&invoice.number),
        invoice.issue_date.strftime("%d.%m.%Y").to_string(),
        invoice.period.to_string(),
        text(&invoice.bill_to.recipient_name),
        text(&invoice.bill_to.leitweg_id.to_string()),
        line.id.to_string(),
        text(&line.title),
        text(&line.subject),
        text(accounting),
        number(&line.quantity.to_string()),
        line.unit_code.clone(),
        number(&line.unit_price.to_string()),
        number(&line.net.to_string()),
        number(&percent(line.vat_rate_basis_points)),
        text(&line.resolution),
    ]
}

fn number(text: &str) -> String {
    text.replace('.', ",")
}

fn percent(basis_points: i32) -> String {
    format!("{}.{:02}", basis_points / 100, basis_points % 100)
}

/// A cell that begins like a formula, also behind blanks, is made a text by an apostrophe: what members type must not run in a bookkeeper's spreadsheet.
fn text(cell: &str) -> String {
    if cell.trim_start_matches(' ').starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}
