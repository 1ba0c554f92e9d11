//! `allmende offering`.

use allmende_proto::v1::{GetOfferingRequest, ListOfferingsRequest, PublishOfferingVersionRequest};
use clap::Subcommand;

use crate::{
    arguments::{ChangeArgs, FileArg, numbered},
    document,
    failure::Failure,
    session::{Session, change, list, read, under},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists what can be ordered
    #[command(after_help = "Examples:\n  allmende offering list")]
    List,
    /// Shows an offering with its versions and plans
    #[command(
        after_help = "Examples:\n  allmende offering get postgresql\n  allmende offering get postgresql -o json"
    )]
    Get {
        /// Its id
        id: String,
    },
    /// Publishes a version (cooperative only); a published version never changes
    #[command(after_help = "Examples:
  allmende offering publish -f catalog/postgresql.yaml --dry-run
The file is a PublishOfferingVersionRequest. Values and parameter schemas may be written as objects instead of JSON text.")]
    Publish {
        #[command(flatten)]
        file: FileArg,
        /// Chart by digest, in place of the one in the file: `oci://host/repository@sha256:…`
        #[arg(long, value_name = "REFERENCE")]
        chart: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::List => {
            let offerings =
                list!(session.catalog().list_offerings(ListOfferingsRequest::default()) => offerings);
            session.printer.list(&offerings, &["name", "title", "versions.version", "description"])
        }
        Command::Get { id } => {
            let request = GetOfferingRequest { name: under("offerings", &id) };
            session.printer.one(&read(session.catalog().get_offering(session.call(request))).await?)
        }
        Command::Publish { file, chart, change: args } => {
            let requests: Vec<PublishOfferingVersionRequest> = document::read(&file.file)?;
            if chart.is_some() && requests.len() > 1 {
                return Err(Failure::Usage("--chart fits a file with one offering only".to_owned()));
            }
            let id = args.id();
            for (index, mut request) in requests.into_iter().enumerate() {
                if let (Some(chart), Some(version)) = (&chart, request.version.as_mut()) {
                    version.chart.clone_from(chart);
                }
                request.request_id = numbered(id, index);
                request.validate_only = args.dry_run;
                let request_id = request.request_id.clone();
                let call = session.call(request);
                let offering = change(session.catalog().publish_offering_version(call), &request_id).await?;
                session.printer.one(&offering)?;
            }
            Ok(())
        }
    }
}
