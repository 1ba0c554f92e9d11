//! `allmende invoice`.

use allmende_proto::v1::{GetInvoiceRequest, Invoice, ListInvoicesRequest};
use clap::Subcommand;

use super::download;
use crate::{
    failure::Failure,
    session::{Session, list, read},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists invoices
    #[command(after_help = "Examples:
  allmende invoice list
  allmende invoice list --period 2026-09 --all")]
    List {
        /// Of one month only
        #[arg(long, value_name = "YYYY-MM", default_value = "", hide_default_value = true)]
        period: String,
        /// Of all members (cooperative only)
        #[arg(long)]
        all: bool,
    },
    /// Shows an invoice with its lines
    #[command(after_help = "Examples:\n  allmende invoice get MPG-2026-000001")]
    Get {
        /// Its number
        number: String,
    },
    /// Saves documents of issued invoices
    #[command(after_help = download::EXAMPLES)]
    Download(download::Args),
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::List { period, all } => {
            let invoices = invoices(session, period, all).await?;
            let columns =
                ["name", "period", "recipient_name", "state", "issue_date", "due_date", "net", "gross"];
            session.printer.list(&invoices, &columns)
        }
        Command::Get { number } => {
            let request = GetInvoiceRequest { name: session.of_member("invoices", &number)? };
            session.printer.one(&read(session.invoices().get_invoice(session.call(request))).await?)
        }
        Command::Download(args) => download::run(args, session).await,
    }
}

/// Of a month or of all time, of the member or of everybody.
pub(super) async fn invoices(session: &Session, period: String, all: bool) -> Result<Vec<Invoice>, Failure> {
    let parent = if all { "members/-".to_owned() } else { session.member(None)? };
    let request = ListInvoicesRequest { parent, period, ..ListInvoicesRequest::default() };
    Ok(list!(session.invoices().list_invoices(request) => invoices))
}
