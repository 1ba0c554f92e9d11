//! `allmende usage`.

use std::time::Duration;

use allmende_proto::v1::{GetCostRequest, ImportUsageRequest, ListUsageRequest};
use clap::Subcommand;

use crate::{
    arguments::{ChangeArgs, FileArg},
    document,
    failure::Failure,
    session::{Session, change, list, read},
};

/// Facts in one message, well below the API's limit.
const PIECE: usize = 500;

/// All facts are checked before the API answers.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the member's usage of a month
    #[command(
        after_help = "Examples:\n  allmende usage list\n  allmende usage list --period 2026-09 -o json"
    )]
    List {
        /// Month (default: the running one)
        #[arg(long, value_name = "YYYY-MM", default_value = "", hide_default_value = true)]
        period: String,
    },
    /// Brings facts of the past into an open period (treasurer)
    #[command(after_help = "Examples:
  allmende usage import -f usage-2026-09.json --dry-run
The file is an ImportUsageRequest: source, and segments with id, member, meter, amount and interval. An id counts once.")]
    Import {
        #[command(flatten)]
        file: FileArg,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Shows what a month costs so far
    #[command(after_help = "Examples:\n  allmende usage cost\n  allmende usage cost --period 2026-09")]
    Cost {
        /// Month (default: the running one, up to now)
        #[arg(long, value_name = "YYYY-MM", default_value = "", hide_default_value = true)]
        period: String,
    },
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::List { period } => {
            let request =
                ListUsageRequest { parent: session.member(None)?, period, ..ListUsageRequest::default() };
            let segments = list!(session.usage().list_usage(request) => segments);
            session.printer.list(&segments, &["subject", "meter", "amount_milli", "interval"])
        }
        Command::Import { file, change: args } => {
            let request_id = args.id().to_string();
            let whole = document::read_one(&file.file)?;
            let mut request = session.call(futures::stream::iter(pieces(whole, &request_id, args.dry_run)));
            request.set_timeout(LIMIT);
            session.printer.one(&change(session.usage().import_usage(request), &request_id).await?)
        }
        Command::Cost { period } => {
            let request = GetCostRequest { parent: session.member(None)?, period };
            session.printer.one(&read(session.usage().get_cost(session.call(request))).await?)
        }
    }
}

/// The first message says where the facts come from, the others only carry facts.
fn pieces(whole: ImportUsageRequest, request_id: &str, validate_only: bool) -> Vec<ImportUsageRequest> {
    let first = ImportUsageRequest {
        source: whole.source,
        request_id: request_id.to_owned(),
        validate_only,
        segments: Vec::new(),
    };
    let rest = whole
        .segments
        .chunks(PIECE)
        .map(|segments| ImportUsageRequest { segments: segments.to_vec(), ..ImportUsageRequest::default() });
    std::iter::once(first).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use allmende_proto::v1::UsageSegment;

    use super::*;

    #[test]
    fn a_large_import_goes_in_pieces_and_loses_nothing() {
        let segments =
            (0..1201).map(|n| UsageSegment { id: n.to_string(), ..UsageSegment::default() }).collect();
        let whole = ImportUsageRequest { source: "meter".into(), segments, ..ImportUsageRequest::default() };
        let pieces = pieces(whole.clone(), "id", true);
        assert_eq!(pieces.len(), 4);
        assert!(pieces[0].validate_only && pieces[0].source == "meter" && pieces[0].request_id == "id");
        assert!(pieces[1..].iter().all(|piece| piece.source.is_empty()));
        let together: Vec<UsageSegment> = pieces.into_iter().flat_map(|piece| piece.segments).collect();
        assert_eq!(together, whole.segments);
    }
}
