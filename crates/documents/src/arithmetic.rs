//! Exact sums. The official rules take a VAT amount that is off by up to one euro (BR-CO-17, BR-S-09); these take none.

use std::{collections::BTreeMap, fmt};

use allmende_domain::{
    invoice::Invoice,
    money::{Cents, MoneyError, Ratio},
};

/// A sum that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Rule of EN 16931 that says how it is computed.
    pub rule: &'static str,
    /// Where: a line, a VAT category, or the document.
    pub place: String,
    /// What it should be.
    pub expected: Cents,
    /// What it is.
    pub found: Cents,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {} instead of {}", self.rule, self.place, self.found, self.expected)
    }
}

/// All sums of an invoice that do not hold to the cent.
pub fn check(invoice: &Invoice) -> Vec<Mismatch> {
    let mut found = Mismatches(Vec::new());
    for line in &invoice.lines {
        found.compare(
            "BT-131",
            || format!("line {}", line.id),
            line.quantity.priced(line.unit_price),
            line.net,
        );
    }
    let lines = Cents::sum(invoice.lines.iter().map(|line| line.net));
    // No allowances, charges, prepayments or roundings: BT-106 = BT-109 and BT-112 = BT-115.
    found.compare("BR-CO-13", || "net".to_owned(), lines, invoice.net);
    let taxes = Cents::sum(invoice.vat_breakdown.iter().map(|row| row.tax));
    found.compare("BR-CO-14", || "VAT".to_owned(), taxes, invoice.vat);
    found.compare("BR-CO-15", || "gross".to_owned(), invoice.net.checked_add(invoice.vat), invoice.gross);
    found.breakdown(invoice);
    found.0
}

struct Mismatches(Vec<Mismatch>);

impl Mismatches {
    fn compare(
        &mut self,
        rule: &'static str,
        place: impl Fn() -> String,
        expected: Result<Cents, MoneyError>,
        found: Cents,
    ) {
        // What cannot be computed is certainly not what is written there.
        let expected = expected.unwrap_or(Cents(i64::MAX));
        if expected != found {
            self.0.push(Mismatch { rule, place: place(), expected, found });
        }
    }

    /// One row for each category and rate of the lines, its base their sum, its tax rounded once.
    fn breakdown(&mut self, invoice: &Invoice) {
        let mut bases: BTreeMap<_, Result<Cents, MoneyError>> = BTreeMap::new();
        for line in &invoice.lines {
            let base =
                bases.entry((line.vat_category, line.vat_rate_basis_points)).or_insert(Ok(Cents::ZERO));
            *base = base.and_then(|sum| sum.checked_add(line.net));
        }
        for row in &invoice.vat_breakdown {
            let place = || format!("{} at {} basis points", row.category.code(), row.rate_basis_points);
            let base = bases.remove(&(row.category, row.rate_basis_points)).unwrap_or(Ok(Cents::ZERO));
            self.compare("BR-CO-18", place, base, row.taxable);
            self.compare("BR-CO-17", place, tax(row.taxable, row.rate_basis_points), row.tax);
        }
        for ((category, rate), base) in bases {
            let place = || format!("{} at {rate} basis points has no row", category.code());
            self.compare("BR-CO-18", place, base, Cents::ZERO);
        }
    }
}

fn tax(taxable: Cents, rate_basis_points: i32) -> Result<Cents, MoneyError> {
    let rate = Ratio::new(i128::from(rate_basis_points), 10_000)?;
    Ratio::whole(taxable.0).checked_mul(rate)?.round_half_away().map(Cents)
}
