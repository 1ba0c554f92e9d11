//! `allmende member register-*`: editions of the municipal register.

use std::{path::PathBuf, time::Duration};

use allmende_proto::v1::{GetRegisterEntryRequest, ImportRegisterRequest, ListRegisterEditionsRequest};
use clap::Args;

use crate::{
    failure::Failure,
    session::{Session, list, read},
};

pub(super) const IMPORT_EXAMPLES: &str = "Examples:
  allmende member register-import --edition 2023-11-30 --population-as-of 2022-12-31 --municipalities gemeinden.csv --counties kreise.csv --source Destatis";

/// One piece of a file, well below the API's limit for a message.
const PIECE: usize = 128 << 10;

/// An edition is checked whole before the API answers.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Territorial status: the date the edition describes
    #[arg(long, value_name = "DATE")]
    edition: String,
    /// Date of the population figures
    #[arg(long, value_name = "DATE")]
    population_as_of: String,
    /// Source and licence notice, kept with the edition
    #[arg(long, value_name = "TEXT")]
    source: String,
    /// CSV of the municipalities
    #[arg(long, value_name = "FILE")]
    municipalities: PathBuf,
    /// CSV of the counties
    #[arg(long, value_name = "FILE")]
    counties: PathBuf,
}

pub(super) async fn import(args: ImportArgs, session: &Session) -> Result<(), Failure> {
    let bytes = |path: &PathBuf| std::fs::read(path).map_err(|error| Failure::file(path, &error));
    let (municipalities, counties) = (bytes(&args.municipalities)?, bytes(&args.counties)?);
    let mut pieces = vec![ImportRegisterRequest {
        edition: args.edition,
        population_as_of: args.population_as_of,
        source: args.source,
        ..ImportRegisterRequest::default()
    }];
    pieces.extend(municipalities.chunks(PIECE).map(|piece| ImportRegisterRequest {
        municipalities_csv: piece.to_vec(),
        ..ImportRegisterRequest::default()
    }));
    pieces.extend(counties.chunks(PIECE).map(|piece| ImportRegisterRequest {
        counties_csv: piece.to_vec(),
        ..ImportRegisterRequest::default()
    }));
    let mut request = session.call(futures::stream::iter(pieces));
    request.set_timeout(LIMIT);
    session.printer.one(&read(session.members().import_register(request)).await?)
}

pub(super) async fn list(session: &Session) -> Result<(), Failure> {
    let request = ListRegisterEditionsRequest::default();
    let editions = list!(session.members().list_register_editions(request) => editions);
    session.printer.list(&editions, &["edition", "population_as_of", "municipalities", "counties", "source"])
}

pub(super) async fn get(register_key: String, session: &Session) -> Result<(), Failure> {
    let request = GetRegisterEntryRequest { register_key };
    session.printer.one(&read(session.members().get_register_entry(session.call(request))).await?)
}
