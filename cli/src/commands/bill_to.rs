//! `allmende member bill-to`.

use allmende_proto::v1::{BillTo, CreateBillToRequest, GetBillToRequest, ListBillTosRequest};
use clap::{Args, Subcommand};

use crate::{
    arguments::ChangeArgs,
    failure::Failure,
    session::{Session, change, list, read},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Adds a recipient of invoices
    #[command(after_help = "Examples:
  allmende member bill-to create schule --recipient Schulamt --leitweg-id 05766044-31004-90 --street Markt-1 --postal-code 32657 --city Lemgo --email schulamt@lemgo.example")]
    Create {
        /// Its id
        id: String,
        #[command(flatten)]
        fields: Box<Fields>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Shows one
    #[command(after_help = "Examples:\n  allmende member bill-to get main")]
    Get {
        /// Its id
        id: String,
    },
    /// Lists them
    #[command(after_help = "Examples:\n  allmende member bill-to list --member m-05766044")]
    List,
}

/// A recipient on the command line.
#[derive(Debug, Clone, Args)]
pub(crate) struct Fields {
    /// Recipient's name on the invoice
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    recipient: String,
    /// Leitweg-ID
    #[arg(long, default_value = "", hide_default_value = true)]
    leitweg_id: String,
    /// Street and number
    #[arg(long, default_value = "", hide_default_value = true)]
    street: String,
    /// Postal code
    #[arg(long, default_value = "", hide_default_value = true)]
    postal_code: String,
    /// Town
    #[arg(long, default_value = "", hide_default_value = true)]
    city: String,
    /// Electronic address for invoices
    #[arg(long, default_value = "", hide_default_value = true)]
    email: String,
    /// Order number on the invoice
    #[arg(long, default_value = "", hide_default_value = true)]
    order_reference: String,
    /// Accounting string (Kontierung)
    #[arg(long, default_value = "", hide_default_value = true)]
    accounting_reference: String,
    /// First day it is in force
    #[arg(long, value_name = "DATE", default_value = "", hide_default_value = true)]
    bill_to_from: String,
}

impl From<Fields> for BillTo {
    fn from(fields: Fields) -> Self {
        Self {
            recipient_name: fields.recipient,
            leitweg_id: fields.leitweg_id,
            street: fields.street,
            postal_code: fields.postal_code,
            city: fields.city,
            electronic_address: fields.email,
            order_reference: fields.order_reference,
            accounting_reference: fields.accounting_reference,
            valid_from: fields.bill_to_from,
            ..Self::default()
        }
    }
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Create { id, fields, change: args } => {
            let request_id = args.id().to_string();
            let request = CreateBillToRequest {
                parent: session.member(None)?,
                bill_to: Some((*fields).into()),
                bill_to_id: id,
                request_id: request_id.clone(),
                validate_only: args.dry_run,
            };
            session
                .printer
                .one(&change(session.members().create_bill_to(session.call(request)), &request_id).await?)
        }
        Command::Get { id } => {
            let request = GetBillToRequest { name: session.of_member("billTos", &id)? };
            session.printer.one(&read(session.members().get_bill_to(session.call(request))).await?)
        }
        Command::List => {
            let request =
                ListBillTosRequest { parent: session.member(None)?, ..ListBillTosRequest::default() };
            let all = list!(session.members().list_bill_tos(request) => bill_tos);
            session.printer.list(&all, &["name", "recipient_name", "leitweg_id", "city", "valid_from"])
        }
    }
}
