//! The municipal register: editions are imported whole or not at all, and read by key.

use std::collections::BTreeSet;

use allmende_domain::{
    member::MemberType,
    register::{RegisterChunk, RegisterEdition, RegisterEntry, is_register_key},
};
use allmende_store::{Txn, keys};
use jiff::civil::Date;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{
    core::{Change, Core},
    error::AppError,
};

/// Entries in one stored chunk: well below etcd's limit of a request.
const CHUNK: usize = 1_000;
/// Wrong rows that one refusal lists.
const WRONG_ROWS: usize = 20;

/// An edition as it came in.
#[derive(Debug, Default)]
pub struct Upload {
    /// Territorial status, ISO date.
    pub edition: String,
    /// Date of the population figures, ISO date.
    pub population_as_of: String,
    /// Source and licence notice.
    pub source: String,
    /// CSV of municipalities.
    pub municipalities: Vec<u8>,
    /// CSV of counties.
    pub counties: Vec<u8>,
}

#[derive(Deserialize)]
struct MunicipalityRow {
    ags: String,
    name: String,
    land: String,
    einwohner: i64,
    plz: String,
}

#[derive(Deserialize)]
struct CountyRow {
    kreisschluessel: String,
    name: String,
    land: String,
    einwohner: i64,
}

/// Use cases over the register.
#[derive(Clone)]
pub struct Registers {
    /// Shared parts.
    pub core: Core,
}

impl Registers {
    /// Stores an edition. The head is written last: readers see the whole edition or none of it.
    ///
    /// # Errors
    /// All wrong rows (the first twenty by number), or an edition of that date with other content.
    pub async fn import(
        &self,
        change: &Change,
        rpc: &str,
        upload: Upload,
    ) -> Result<RegisterEdition, AppError> {
        let (head, entries) = parse(&upload)?;
        let head_key = keys::register_edition(head.edition);
        if let Some(present) = self.core.store.find(&head_key).await? {
            return if present.value.digest == head.digest {
                Ok(present.value)
            } else {
                Err(AppError::AlreadyExists {
                    resource: format!("register edition {} with other content", head.edition),
                })
            };
        }
        if change.validate_only {
            return Ok(head);
        }
        for (number, chunk) in (0u32..).zip(entries.chunks(CHUNK)) {
            let key = keys::register_chunk(head.edition, number);
            self.core.store.commit(Txn::new().put(&key, &RegisterChunk { entries: chunk.to_vec() })).await?;
        }
        let summary =
            format!("{} Gemeinden, {} Kreise, SHA-256 {}", head.municipalities, head.counties, head.digest);
        let target = format!("register/{}", head.edition);
        self.core
            .commit(change, || async {
                let audit = change.audit(rpc, None, &target, summary.clone(), &head.source);
                Ok((Txn::new().expect_absent(&head_key).put(&head_key, &head).and(audit), head.clone()))
            })
            .await
    }

    /// The newest edition.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn newest(&self) -> Result<Option<RegisterEdition>, AppError> {
        let (editions, _) = self.core.store.snapshot(&keys::register_editions()).await?;
        Ok(editions.into_iter().next_back().map(|edition| edition.value))
    }

    /// An entry of the newest edition, with that edition.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, key: &str) -> Result<Option<(RegisterEntry, RegisterEdition)>, AppError> {
        let Some(edition) = self.newest().await? else { return Ok(None) };
        // Chunks ascend by key; a few of them are read, which is rare enough (onboarding) to need no index.
        for number in 0..edition.chunks {
            let Some(chunk) = self.core.store.find(&keys::register_chunk(edition.edition, number)).await?
            else {
                continue;
            };
            if chunk.value.entries.last().is_none_or(|last| last.key.as_str() < key) {
                continue;
            }
            let entry = chunk.value.entries.into_iter().find(|entry| entry.key == key);
            return Ok(entry.map(|entry| (entry, edition)));
        }
        Ok(None)
    }
}

/// Reads both tables.
///
/// # Errors
/// Names the fields and the first rows that are wrong.
pub fn parse(upload: &Upload) -> Result<(RegisterEdition, Vec<RegisterEntry>), AppError> {
    let mut fields = crate::convert::fields::Fields::new();
    let edition = fields.date("edition", &upload.edition);
    let population_as_of = fields.date("population_as_of", &upload.population_as_of);
    if upload.source.trim().is_empty() {
        fields.wrong("source", "the source and licence notice are needed");
    }
    let mut entries = Vec::new();
    let mut wrong_rows = 0;
    let mut note = |fields: &mut crate::convert::fields::Fields, file: &str, row: usize, text: String| {
        wrong_rows += 1;
        if wrong_rows <= WRONG_ROWS {
            fields.wrong(format!("{file} row {row}"), text);
        }
    };
    for (row, record) in csv::Reader::from_reader(upload.municipalities.as_slice()).deserialize().enumerate()
    {
        match record.map_err(|error| error.to_string()).and_then(municipality) {
            Ok(entry) => entries.push(entry),
            Err(text) => note(&mut fields, "municipalities_csv", row + 2, text),
        }
    }
    let municipalities = entries.len();
    for (row, record) in csv::Reader::from_reader(upload.counties.as_slice()).deserialize().enumerate() {
        match record.map_err(|error| error.to_string()).and_then(county) {
            Ok(entry) => entries.push(entry),
            Err(text) => note(&mut fields, "counties_csv", row + 2, text),
        }
    }
    let counties = entries.len() - municipalities;
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    let keys: BTreeSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    if keys.len() != entries.len() {
        fields.wrong("municipalities_csv", "a key is there twice");
    }
    if municipalities == 0 {
        fields.wrong("municipalities_csv", "holds no rows");
    }
    let dates: Option<(Date, Date)> = edition.zip(population_as_of);
    let (edition, population_as_of) = fields.finish(dates)?;
    let mut digest = Sha256::new();
    digest.update(&upload.municipalities);
    digest.update(&upload.counties);
    let head = RegisterEdition {
        edition,
        population_as_of,
        source: upload.source.clone(),
        municipalities: i64::try_from(municipalities).unwrap_or(i64::MAX),
        counties: i64::try_from(counties).unwrap_or(i64::MAX),
        digest: hex::encode(digest.finalize()),
        chunks: u32::try_from(entries.len().div_ceil(CHUNK)).unwrap_or(u32::MAX),
    };
    Ok((head, entries))
}

fn municipality(row: MunicipalityRow) -> Result<RegisterEntry, String> {
    if row.ags.len() != 8 || !is_register_key(&row.ags) {
        return Err(format!("{} is no AGS of 8 digits", row.ags));
    }
    entry(row.ags, row.name, MemberType::Municipality, row.land, row.einwohner, row.plz)
}

fn county(row: CountyRow) -> Result<RegisterEntry, String> {
    if row.kreisschluessel.len() != 5 || !is_register_key(&row.kreisschluessel) {
        return Err(format!("{} is no Kreisschlüssel of 5 digits", row.kreisschluessel));
    }
    entry(row.kreisschluessel, row.name, MemberType::County, row.land, row.einwohner, String::new())
}

fn entry(
    key: String,
    name: String,
    member_type: MemberType,
    land: String,
    inhabitants: i64,
    postal_code: String,
) -> Result<RegisterEntry, String> {
    if name.trim().is_empty() || inhabitants < 0 {
        return Err(format!("{key}: a name and a population of zero or more are needed"));
    }
    Ok(RegisterEntry { key, name, member_type, land, inhabitants, postal_code })
}
