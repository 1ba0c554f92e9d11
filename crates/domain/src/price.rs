//! Price lists: dated, each with the number of the resolution that set it.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{ids::PriceListId, money::MicroEuro, usage::Meter, violation::FieldViolation};

/// What a price is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PriceUnit {
    /// Amount × hours.
    Hour,
    /// Amount × part of the calendar month.
    Month,
}

impl PriceUnit {
    /// UN/ECE Recommendation 20 (BT-130).
    pub fn code(self) -> &'static str {
        match self {
            Self::Hour => "HUR",
            Self::Month => "MON",
        }
    }
}

/// Price of one meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterPrice {
    /// Of what.
    pub meter: Meter,
    /// For how long.
    pub unit: PriceUnit,
    /// BT-146.
    pub price: MicroEuro,
    /// BT-153, German.
    pub title: String,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceList {
    /// Permanent.
    pub id: PriceListId,
    /// First day of a month; in force until a later list begins.
    pub valid_from: Date,
    /// Beschluss-Nr.
    pub resolution: String,
    /// One price a meter at most.
    pub prices: Vec<MeterPrice>,
}

impl PriceList {
    /// The price of a meter.
    pub fn price(&self, meter: Meter) -> Option<&MeterPrice> {
        self.prices.iter().find(|price| price.meter == meter)
    }

    /// Everything that is wrong; paths as in the proto message `PriceList`.
    pub fn violations(&self) -> Vec<FieldViolation> {
        let mut wrong = dated(self.valid_from, &self.resolution);
        if self.prices.is_empty() {
            wrong.push(FieldViolation::new("prices", "at least one price is needed"));
        }
        for (index, price) in self.prices.iter().enumerate() {
            if self.prices.iter().take(index).any(|other| other.meter == price.meter) {
                wrong.push(FieldViolation::new(format!("prices[{index}].meter"), "is there twice"));
            }
            if !(0..=1_000_000_000_000).contains(&price.price.0) {
                let text = "must be 0 to 1000000000000 (a price is never negative, BR-27)";
                wrong.push(FieldViolation::new(format!("prices[{index}].micro_euro"), text));
            }
            if price.title.trim().is_empty() {
                wrong.push(FieldViolation::new(format!("prices[{index}].title"), "is needed (BT-153)"));
            }
        }
        wrong
    }
}

/// The list in force on a day: the one that began last.
pub fn in_force(lists: &[PriceList], day: Date) -> Option<&PriceList> {
    lists.iter().filter(|list| list.valid_from <= day).max_by_key(|list| list.valid_from)
}

/// What all dated data must have.
pub(crate) fn dated(valid_from: Date, resolution: &str) -> Vec<FieldViolation> {
    let mut wrong = Vec::new();
    if valid_from.day() != 1 {
        wrong.push(FieldViolation::new("valid_from", "must be the first day of a calendar month"));
    }
    if resolution.trim().is_empty() {
        wrong.push(FieldViolation::new(
            "resolution",
            "the number of the resolution (Beschluss-Nr.) is needed",
        ));
    }
    wrong
}
