//! Invoices and their documents.

use allmende_domain::invoice::{DocumentReference, Invoice, InvoiceLine, InvoiceState};
use allmende_proto::v1;
use allmende_store::Versioned;

use super::{fields::time, resources::money};

/// An invoice; the list view has no lines.
pub fn write(invoice: &Versioned<Invoice>, with_lines: bool) -> v1::Invoice {
    let value = &invoice.value;
    let state = match value.state {
        InvoiceState::Draft => v1::invoice::State::Draft,
        InvoiceState::Issued => v1::invoice::State::Issued,
    };
    v1::Invoice {
        name: value.name(),
        number: value.number.clone(),
        type_code: i32::from(value.type_code),
        period: value.period.to_string(),
        issue_date: value.issue_date.to_string(),
        due_date: value.due_date.to_string(),
        state: state.into(),
        recipient_name: value.bill_to.recipient_name.clone(),
        leitweg_id: value.bill_to.leitweg_id.to_string(),
        lines: if with_lines { value.lines.iter().map(line).collect() } else { Vec::new() },
        vat_breakdown: value
            .vat_breakdown
            .iter()
            .map(|row| v1::VatBreakdown {
                category: row.category.code().to_owned(),
                rate_basis_points: row.rate_basis_points,
                taxable: Some(money(row.taxable)),
                tax: Some(money(row.tax)),
                exemption_reason: row.exemption_reason.clone(),
            })
            .collect(),
        net: Some(money(value.net)),
        vat: Some(money(value.vat)),
        gross: Some(money(value.gross)),
        documents: value.documents.iter().map(document).collect(),
        record_digest: value.record_digest.clone(),
        create_time: Some(time(value.create_time)),
        etag: invoice.etag(),
    }
}

fn line(line: &InvoiceLine) -> v1::InvoiceLine {
    v1::InvoiceLine {
        id: line.id.to_string(),
        title: line.title.clone(),
        quantity: line.quantity.to_string(),
        unit_code: line.unit_code.clone(),
        unit_price: line.unit_price.to_string(),
        net: Some(money(line.net)),
        vat_category: line.vat_category.code().to_owned(),
        vat_rate_basis_points: line.vat_rate_basis_points,
        accounting_reference: line.accounting_reference.clone(),
        subject: line.subject.clone(),
        resolution: line.resolution.clone(),
    }
}

fn document(document: &DocumentReference) -> v1::DocumentReference {
    v1::DocumentReference {
        format: format(&document.format).into(),
        file_name: file_name(&document.name).to_owned(),
        sha256: document.sha256.clone(),
        size_bytes: document.size,
    }
}

/// Format by the name under which it is stored.
pub fn format(text: &str) -> v1::DocumentFormat {
    match text {
        "xrechnung" => v1::DocumentFormat::Xrechnung,
        "json" => v1::DocumentFormat::Json,
        "csv" => v1::DocumentFormat::Csv,
        _ => v1::DocumentFormat::Unspecified,
    }
}

/// The last part of a document's name.
pub fn file_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// What a browser or mail program should take it for.
pub fn media_type(format: v1::DocumentFormat) -> &'static str {
    match format {
        v1::DocumentFormat::Xrechnung => "application/xml",
        v1::DocumentFormat::Json => "application/json",
        v1::DocumentFormat::Csv => "text/csv; charset=utf-8",
        v1::DocumentFormat::Unspecified => "application/octet-stream",
    }
}
