//! `allmende price-list`, `key`, `pot`, `issuer`: what the treasurer decides before a month is closed.

use allmende_proto::v1::{
    CreateAllocationKeyRequest, CreatePotRequest, CreatePriceListRequest, GetIssuerRequest,
    ListAllocationKeysRequest, ListPotsRequest, ListPriceListsRequest, SetIssuerRequest,
};
use clap::Subcommand;

use crate::{
    arguments::{ChangeArgs, FileArg, numbered},
    document,
    failure::Failure,
    session::{Session, change, list, read},
};

#[derive(Debug, Subcommand)]
pub(crate) enum PriceListCommand {
    /// Sets prices from a date on
    #[command(after_help = "Examples:
  allmende price-list create -f prices.yaml
The file is a CreatePriceListRequest:
  priceListId: pl-2026
  priceList: {validFrom: 2026-01-01, resolution: B-1, prices: [{meter: vcpu, unit: UNIT_HOUR, microEuro: 12000, title: vCPU}]}")]
    Create {
        #[command(flatten)]
        file: FileArg,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Lists the price lists
    #[command(after_help = "Examples:\n  allmende price-list list -o yaml")]
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Sets a key from a date on
    #[command(after_help = "Examples:
  allmende key create -f key.yaml
The file is a CreateAllocationKeyRequest:
  keyId: standard
  key: {validFrom: 2026-01-01, resolution: B-2, components: [{kind: KIND_INHABITANTS, percent: 100, title: Grundkosten}]}")]
    Create {
        #[command(flatten)]
        file: FileArg,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Lists the keys
    #[command(after_help = "Examples:\n  allmende key list -o yaml")]
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PotCommand {
    /// Adds a common cost to a period
    #[command(after_help = "Examples:
  allmende pot create -f pots.yaml
The file is a CreatePotRequest:
  potId: strom-2026-09
  pot: {period: 2026-09, title: Strom, amount: {currencyCode: EUR, cents: 123456}, key: keys/standard, resolution: B-3}")]
    Create {
        #[command(flatten)]
        file: FileArg,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Lists the pots
    #[command(after_help = "Examples:\n  allmende pot list --period 2026-09")]
    List {
        /// Of one month only
        #[arg(long, value_name = "YYYY-MM", default_value = "", hide_default_value = true)]
        period: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum IssuerCommand {
    /// Sets who issues the invoices from now on
    #[command(
        visible_alias = "create",
        after_help = "Examples:
  allmende issuer set -f issuer.yaml
The file is a SetIssuerRequest: issuer with legalName, vatId, address, contact, iban, paymentDays, numberPrefix."
    )]
    Set {
        #[command(flatten)]
        file: FileArg,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Shows the issuer
    #[command(visible_alias = "list", after_help = "Examples:\n  allmende issuer get")]
    Get,
}

/// Sends every request of a file; prints every answer.
macro_rules! create_all {
    ($session:ident, $file:ident, $args:ident, $request:ty, $rpc:ident) => {{
        let id = $args.id();
        for (index, mut request) in document::read::<$request>(&$file.file)?.into_iter().enumerate() {
            request.request_id = numbered(id, index);
            request.validate_only = $args.dry_run;
            let request_id = request.request_id.clone();
            let answer = change($session.billing().$rpc($session.call(request)), &request_id).await?;
            $session.printer.one(&answer)?;
        }
        Ok(())
    }};
}

pub(crate) async fn price_list(command: PriceListCommand, session: &Session) -> Result<(), Failure> {
    match command {
        PriceListCommand::Create { file, change: args } => {
            create_all!(session, file, args, CreatePriceListRequest, create_price_list)
        }
        PriceListCommand::List => {
            let all =
                list!(session.billing().list_price_lists(ListPriceListsRequest::default()) => price_lists);
            session.printer.list(&all, &["name", "valid_from", "resolution"])
        }
    }
}

pub(crate) async fn key(command: KeyCommand, session: &Session) -> Result<(), Failure> {
    match command {
        KeyCommand::Create { file, change: args } => {
            create_all!(session, file, args, CreateAllocationKeyRequest, create_allocation_key)
        }
        KeyCommand::List => {
            let request = ListAllocationKeysRequest::default();
            let all = list!(session.billing().list_allocation_keys(request) => keys);
            session.printer.list(&all, &["name", "valid_from", "resolution", "components"])
        }
    }
}

pub(crate) async fn pot(command: PotCommand, session: &Session) -> Result<(), Failure> {
    match command {
        PotCommand::Create { file, change: args } => {
            create_all!(session, file, args, CreatePotRequest, create_pot)
        }
        PotCommand::List { period } => {
            let request = ListPotsRequest { period, ..ListPotsRequest::default() };
            let all = list!(session.billing().list_pots(request) => pots);
            session.printer.list(&all, &["name", "period", "title", "amount", "key", "resolution"])
        }
    }
}

pub(crate) async fn issuer(command: IssuerCommand, session: &Session) -> Result<(), Failure> {
    match command {
        IssuerCommand::Set { file, change: args } => {
            create_all!(session, file, args, SetIssuerRequest, set_issuer)
        }
        IssuerCommand::Get => {
            session.printer.one(&read(session.billing().get_issuer(session.call(GetIssuerRequest {}))).await?)
        }
    }
}
