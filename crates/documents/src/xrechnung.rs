//! XRechnung 3.0 in UBL syntax, through the semantic model of EN 16931.

use allmende_domain::{
    invoice::{Invoice, InvoiceLine, VatBreakdown},
    member::VatCategory,
    money::Cents,
};
use en16931::{
    Date, DocumentReference, Identifier, InvoiceAmount, Percentage, Quantity, UnitPriceAmount, Validated,
    XRechnung,
    invoice::{self as model, Code, Contact, Party, PaymentInstructions, PostalAddress, PriceDetails},
};
use en16931_formats::Syntax;
use jiff::civil;
use rust_decimal::Decimal;

use crate::{DocumentError, EInvoiceWriter, sound};

/// The original of an invoice.
#[derive(Debug, Clone, Copy)]
pub struct XRechnung3;

/// BT-24.
const SPECIFICATION: &str = "urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0";
/// BT-23.
const PROCESS: &str = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0";
const CURRENCY: &str = "EUR";
const COUNTRY: &str = "DE";
/// Electronic address scheme: a mailbox.
const MAILBOX: &str = "EM";

impl EInvoiceWriter for XRechnung3 {
    fn format(&self) -> &'static str {
        "xrechnung"
    }

    fn extension(&self) -> &'static str {
        "xml"
    }

    fn write(&self, invoice: &Invoice) -> Result<Vec<u8>, DocumentError> {
        sound(invoice)?;
        let unwritable =
            |reason: String| DocumentError::Unwritable { number: invoice.number.clone(), reason };
        let semantic = semantic(invoice).map_err(unwritable)?;
        let valid: Validated<XRechnung> = Validated::new(semantic).map_err(|rejected| {
            let (_, report) = rejected.into_parts();
            let findings = report.fatal().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            DocumentError::Invalid { number: invoice.number.clone(), findings }
        })?;
        let written = en16931_formats::write(&valid, Syntax::Ubl);
        // Whatever the syntax could not carry would be missing on the original.
        if !written.entries.is_empty() {
            return Err(unwritable(format!("{:?}", written.entries)));
        }
        Ok(written.xml.into_bytes())
    }
}

fn semantic(invoice: &Invoice) -> Result<model::Invoice, String> {
    let text = |code: u16| Code::new(code.to_string());
    let mut made = model::Invoice::builder(
        SPECIFICATION,
        invoice.number.as_str(),
        date(invoice.issue_date)?,
        text(invoice.type_code),
        Code::new(CURRENCY),
    )
    .build();
    made.business_process = Some(PROCESS.to_owned());
    made.due_date = Some(date(invoice.due_date)?);
    made.payment_terms = owned(&invoice.issuer.payment_terms);
    made.buyer_reference = Some(invoice.bill_to.leitweg_id.to_string());
    made.purchase_order_reference = given(&invoice.bill_to.order_reference).map(DocumentReference::new);
    made.invoicing_period = Some(model::Period {
        start: Some(date(invoice.period.first_day())?),
        end: Some(date(invoice.period.last_day())?),
    });
    made.seller = seller(invoice)?;
    made.buyer = buyer(invoice)?;
    made.payment = Some(PaymentInstructions::sepa_credit_transfer(invoice.issuer.iban.as_str(), None));
    made.lines = invoice.lines.iter().map(|row| line(row, &invoice.bill_to.accounting_reference)).collect();
    made.vat_breakdown = invoice.vat_breakdown.iter().map(breakdown).collect();
    made.totals = model::DocumentTotals {
        line_total: amount(invoice.net),
        taxable_total: amount(invoice.net),
        vat_total: Some(amount(invoice.vat)),
        gross_total: amount(invoice.gross),
        due: amount(invoice.gross),
        ..model::DocumentTotals::default()
    };
    Ok(made)
}

fn seller(invoice: &Invoice) -> Result<Party, String> {
    let issuer = &invoice.issuer;
    let mut party = party(
        &issuer.legal_name,
        &issuer.electronic_address,
        (&issuer.street, &issuer.city, &issuer.postal_code),
    )?;
    party.contact = Contact {
        name: owned(&issuer.contact_name),
        phone: owned(&issuer.contact_phone),
        email: owned(&issuer.contact_email),
    };
    party.legal_registration = given(&issuer.legal_registration).map(Identifier::new);
    // BR-O-02: what is not taxable carries no VAT identifier.
    if invoice.vat_breakdown.iter().all(|row| row.category != VatCategory::O) {
        party.vat_identifier = owned(&issuer.vat_id);
    }
    Ok(party)
}

fn buyer(invoice: &Invoice) -> Result<Party, String> {
    let to = &invoice.bill_to;
    let mut party =
        party(&to.recipient_name, &to.electronic_address, (&to.street, &to.city, &to.postal_code))?;
    party.identifiers = vec![Identifier::new(to.member.as_str())];
    Ok(party)
}

/// Blank is absent: the rules ask whether an element is there, and an empty one would pass for it.
fn party(
    name: &str,
    mailbox: &str,
    (street, city, postal_code): (&str, &str, &str),
) -> Result<Party, String> {
    let mut party = Party::new(name, address(street, city, postal_code)?);
    party.name = owned(name);
    party.electronic_address = given(mailbox).map(|mailbox| Identifier::schemed(mailbox, MAILBOX));
    Ok(party)
}

fn address(street: &str, city: &str, postal_code: &str) -> Result<PostalAddress, String> {
    let address =
        PostalAddress::new(street, city, postal_code, COUNTRY).map_err(|error| error.to_string())?;
    Ok(PostalAddress { line1: owned(street), city: owned(city), post_code: owned(postal_code), ..address })
}

fn line(row: &InvoiceLine, accounting_reference: &str) -> model::InvoiceLine {
    let rate = (row.vat_category != VatCategory::O).then(|| percentage(row.vat_rate_basis_points));
    let quantity = Quantity::new(Decimal::new(row.quantity.0, 6).normalize());
    let mut made = model::InvoiceLine::new(
        row.id.to_string(),
        row.title.as_str(),
        quantity,
        Code::new(row.unit_code.as_str()),
        amount(row.net),
        Code::new(row.vat_category.code()),
        rate,
    )
    .with_price(PriceDetails {
        net_price: UnitPriceAmount::new(Decimal::new(row.unit_price.0, 6).normalize()),
        ..PriceDetails::default()
    });
    made.accounting_reference =
        given(&row.accounting_reference).or_else(|| given(accounting_reference)).map(str::to_owned);
    made.item.description = description(row);
    made
}

/// BT-154: what the line is for and which resolution sets its price or key, so that the recipient can check it (§ 4 Nr. 29 UStG).
fn description(row: &InvoiceLine) -> Option<String> {
    let parts = [("Gegenstand", &row.subject), ("Beschluss", &row.resolution)];
    let texts: Vec<String> = parts
        .into_iter()
        .filter_map(|(word, text)| given(text).map(|text| format!("{word}: {text}")))
        .collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

fn breakdown(row: &VatBreakdown) -> model::VatBreakdown {
    // VATEX codes of the CEF list that go with the categories (BR-E-10, BR-AE-10, BR-O-10).
    let code = match row.category {
        VatCategory::S => None,
        VatCategory::E => Some("VATEX-EU-132-1F"),
        VatCategory::AE => Some("VATEX-EU-AE"),
        VatCategory::O => Some("VATEX-EU-O"),
    };
    model::VatBreakdown {
        taxable_amount: amount(row.taxable),
        tax_amount: amount(row.tax),
        category: Code::new(row.category.code()),
        // Also for O: BR-DE-14 wants BT-119 in the breakdown.
        rate: Some(percentage(row.rate_basis_points)),
        exemption_reason: owned(&row.exemption_reason),
        exemption_reason_code: code.map(Code::new),
    }
}

fn amount(cents: Cents) -> InvoiceAmount {
    InvoiceAmount::from_minor_units(cents.0)
}

fn percentage(basis_points: i32) -> Percentage {
    Percentage::new(Decimal::new(i64::from(basis_points), 2).normalize())
}

fn owned(text: &str) -> Option<String> {
    given(text).map(str::to_owned)
}

fn given(text: &str) -> Option<&str> {
    (!text.trim().is_empty()).then_some(text)
}

fn date(day: civil::Date) -> Result<Date, String> {
    let (Ok(month), Ok(of_month)) = (u8::try_from(day.month()), u8::try_from(day.day())) else {
        return Err(format!("{day} is no date"));
    };
    Date::new(i32::from(day.year()), month, of_month).map_err(|error| error.to_string())
}
