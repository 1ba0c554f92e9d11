//! The municipal register (Gemeindeverzeichnis), in dated editions.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::member::MemberType;

/// One body of an edition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterEntry {
    /// AGS (8 digits) or Kreisschlüssel (5 digits).
    pub key: String,
    /// Official name.
    pub name: String,
    /// Municipality or county.
    pub member_type: MemberType,
    /// Name of the Land.
    pub land: String,
    /// Inhabitants at the edition's population date.
    pub inhabitants: i64,
    /// Postal code of the seat; empty for counties.
    pub postal_code: String,
}

/// Head of an imported edition; written last, so that it is there whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterEdition {
    /// Territorial status (Gebietsstand); also its id.
    pub edition: Date,
    /// Date of the population figures.
    pub population_as_of: Date,
    /// Source and licence notice.
    pub source: String,
    /// How many municipalities (unincorporated areas included).
    pub municipalities: i64,
    /// How many counties and independent cities.
    pub counties: i64,
    /// SHA-256 of the content, hex.
    pub digest: String,
    /// In how many chunks the entries are stored.
    pub chunks: u32,
}

/// A part of an edition's entries, in key order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterChunk {
    /// Entries with ascending keys.
    pub entries: Vec<RegisterEntry>,
}

/// Whether the text has the form of an AGS or of a Kreisschlüssel: digits, and a Land from 01 to 16.
pub fn is_register_key(text: &str) -> bool {
    let land = text.get(0..2).and_then(|land| land.parse::<u8>().ok());
    matches!(text.len(), 5 | 8) && text.bytes().all(|b| b.is_ascii_digit()) && matches!(land, Some(1..=16))
}
