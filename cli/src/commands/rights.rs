//! `allmende member rights`.

use allmende_proto::v1::ListRightsRequest;
use clap::Args;

use crate::{
    failure::Failure,
    session::{Session, list},
};

const COLUMNS: [&str; 10] = [
    "member",
    "principal",
    "role",
    "tenant",
    "read_only",
    "source",
    "valid_from",
    "valid_until",
    "deputy",
    "granted_by",
];

#[derive(Debug, Args)]
pub(crate) struct RightsArgs {
    /// Over all members, with the cooperative's own roles (for the cooperative)
    #[arg(long)]
    all: bool,
    /// Rights that held at this time (UTC; default: now)
    #[arg(long, value_name = "TIME")]
    at: Option<jiff::Timestamp>,
}

pub(crate) const EXAMPLES: &str = "Examples:
  allmende member rights --member m-05766044
  allmende member rights --at 2026-06-30T22:00:00Z -o csv > rights.csv
  allmende member rights --all -o json
A certificate that names the member and groups of OpenID providers give rights as well as grants do; the source says which.";

pub(crate) async fn run(args: RightsArgs, session: &Session) -> Result<(), Failure> {
    let parent = if args.all { "members/-".to_owned() } else { session.member(None)? };
    let time =
        args.at.map(|at| prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() });
    let request = ListRightsRequest { parent, time, ..ListRightsRequest::default() };
    let all = list!(session.members().list_rights(request) => rights);
    session.printer.list(&all, &COLUMNS)
}
