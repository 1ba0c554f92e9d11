//! The invoice as JSON, in our own words: for programs. Amounts are texts with a decimal point, so that no reader turns them into floats.

use allmende_domain::invoice::{Invoice, InvoiceLine, VatBreakdown};
use serde::Serialize;

use crate::{DocumentError, EInvoiceWriter, sound};

/// The JSON form. Fields stand in the order below, always.
#[derive(Debug, Clone, Copy)]
pub struct Record;

/// Version of the form below; a change of meaning raises it.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    number: &'a str,
    type_code: u16,
    period: String,
    issue_date: String,
    due_date: String,
    currency: &'static str,
    seller: Seller<'a>,
    buyer: Buyer<'a>,
    lines: Vec<Line<'a>>,
    vat_breakdown: Vec<Tax<'a>>,
    net: String,
    vat: String,
    gross: String,
    record_digest: &'a str,
}

#[derive(Serialize)]
struct Seller<'a> {
    name: &'a str,
    legal_registration: &'a str,
    vat_id: &'a str,
    street: &'a str,
    postal_code: &'a str,
    city: &'a str,
    contact_name: &'a str,
    contact_phone: &'a str,
    contact_email: &'a str,
    electronic_address: &'a str,
    iban: &'a str,
    payment_terms: &'a str,
}

#[derive(Serialize)]
struct Buyer<'a> {
    member: &'a str,
    bill_to: &'a str,
    name: &'a str,
    leitweg_id: String,
    street: &'a str,
    postal_code: &'a str,
    city: &'a str,
    electronic_address: &'a str,
    order_reference: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    id: u32,
    title: &'a str,
    subject: &'a str,
    accounting_reference: &'a str,
    quantity: String,
    unit_code: &'a str,
    unit_price: String,
    net: String,
    vat_category: &'static str,
    vat_rate_basis_points: i32,
    resolution: &'a str,
}

#[derive(Serialize)]
struct Tax<'a> {
    category: &'static str,
    rate_basis_points: i32,
    taxable: String,
    tax: String,
    exemption_reason: &'a str,
}

impl EInvoiceWriter for Record {
    fn format(&self) -> &'static str {
        "json"
    }

    fn extension(&self) -> &'static str {
        "json"
    }

    fn write(&self, invoice: &Invoice) -> Result<Vec<u8>, DocumentError> {
        sound(invoice)?;
        let mut bytes = serde_json::to_vec_pretty(&document(invoice)).map_err(|error| {
            DocumentError::Unwritable { number: invoice.number.clone(), reason: error.to_string() }
        })?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn document(invoice: &Invoice) -> Document<'_> {
    let (issuer, to) = (&invoice.issuer, &invoice.bill_to);
    Document {
        format: FORMAT,
        number: &invoice.number,
        type_code: invoice.type_code,
        period: invoice.period.to_string(),
        issue_date: invoice.issue_date.to_string(),
        due_date: invoice.due_date.to_string(),
        currency: "EUR",
        seller: Seller {
            name: &issuer.legal_name,
            legal_registration: &issuer.legal_registration,
            vat_id: &issuer.vat_id,
            street: &issuer.street,
            postal_code: &issuer.postal_code,
            city: &issuer.city,
            contact_name: &issuer.contact_name,
            contact_phone: &issuer.contact_phone,
            contact_email: &issuer.contact_email,
            electronic_address: &issuer.electronic_address,
            iban: &issuer.iban,
            payment_terms: &issuer.payment_terms,
        },
        buyer: Buyer {
            member: to.member.as_str(),
            bill_to: to.id.as_str(),
            name: &to.recipient_name,
            leitweg_id: to.leitweg_id.to_string(),
            street: &to.street,
            postal_code: &to.postal_code,
            city: &to.city,
            electronic_address: &to.electronic_address,
            order_reference: &to.order_reference,
        },
        lines: invoice.lines.iter().map(line).collect(),
        vat_breakdown: invoice.vat_breakdown.iter().map(tax).collect(),
        net: invoice.net.to_string(),
        vat: invoice.vat.to_string(),
        gross: invoice.gross.to_string(),
        record_digest: &invoice.record_digest,
    }
}

fn line(line: &InvoiceLine) -> Line<'_> {
    Line {
        id: line.id,
        title: &line.title,
        subject: &line.subject,
        accounting_reference: &line.accounting_reference,
        quantity: line.quantity.to_string(),
        unit_code: &line.unit_code,
        unit_price: line.unit_price.to_string(),
        net: line.net.to_string(),
        vat_category: line.vat_category.code(),
        vat_rate_basis_points: line.vat_rate_basis_points,
        resolution: &line.resolution,
    }
}

fn tax(row: &VatBreakdown) -> Tax<'_> {
    Tax {
        category: row.category.code(),
        rate_basis_points: row.rate_basis_points,
        taxable: row.taxable.to_string(),
        tax: row.tax.to_string(),
        exemption_reason: &row.exemption_reason,
    }
}
