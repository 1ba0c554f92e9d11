//! `allmende member`.

use std::path::PathBuf;

use allmende_proto::v1::{
    BillTo, CreateMemberRequest, GetMemberRequest, ListMembersRequest, Member, MemberType,
    ProcessingAgreement, ShareHolding, TaxProfile, UpdateMemberRequest,
};
use clap::{Args, Subcommand, ValueEnum};
use prost_types::FieldMask;

use super::{bill_to, departure, grant, register, rights};
use crate::{
    arguments::{ChangeArgs, numbered},
    document,
    failure::Failure,
    session::{Session, change, list, read},
};

const COLUMNS: [&str; 5] = ["name", "display_name", "land", "population.inhabitants", "shares.count"];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the members
    #[command(
        after_help = "Examples:\n  allmende member list\n  allmende member list --land Nordrhein-Westfalen -o json"
    )]
    List {
        /// Only of this Land
        #[arg(long, default_value = "", hide_default_value = true)]
        land: String,
    },
    /// Shows a member
    #[command(after_help = "Examples:\n  allmende member get m-05766044\n  allmende member get -o yaml")]
    Get {
        /// Its id (default: the context's member)
        id: Option<String>,
    },
    /// Onboards a member, or several from a file
    #[command(after_help = "Examples:
  allmende member create --register-key 05766044 --shares 10 --shares-from 2026-01-01 --leitweg-id 05766044-31004-90
  allmende member create -f members.yaml
The first form needs the bill-to as well (--recipient, --street, --postal-code, --city, --email).
A file holds CreateMemberRequest objects in proto JSON form; a list onboards one after the other.")]
    Create(Box<CreateArgs>),
    /// Changes shares, tax or mailbox; what is in force already stays as it is
    #[command(after_help = "Examples:
  allmende member update m-05766044 --shares 12 --from 2027-01-01
  allmende member update m-05766044 --vat-category S --vat-rate 1900 --from 2027-01-01
  allmende member update m-05766044 --agreement-signed 2026-01-15 --agreement-version AVV-2026-1
  allmende member update m-05766044 --contact-email it@lemgo.example")]
    Update(UpdateArgs),
    /// Records that a member leaves (Austritt; operator)
    #[command(after_help = "Examples:
  allmende member exit m-05766044 --last-day 2026-12-31 --reason 'Austritt gemäß § 5 der Satzung' --dry-run
Nothing is ordered after the last day. In the grace the member deletes its workloads and takes its data along; then its rights end,
the operator may delete what is left, and invoices stay for the cooperative alone until their retention ends.")]
    Exit(departure::ExitArgs),
    /// Saves all that is the member's: JSON, CSV, documents, audit (Datenexport)
    #[command(after_help = departure::EXPORT_EXAMPLES)]
    Export(departure::ExportArgs),
    /// Imports an edition of the municipal register
    #[command(after_help = register::IMPORT_EXAMPLES)]
    RegisterImport(register::ImportArgs),
    /// Lists the imported editions of the register
    #[command(after_help = "Examples:\n  allmende member register-list")]
    RegisterList,
    /// Looks a key up in the newest edition
    #[command(after_help = "Examples:\n  allmende member register-get 05766044")]
    RegisterGet {
        /// AGS (8 digits) or Kreisschlüssel (5 digits)
        register_key: String,
    },
    /// Recipients of a member's invoices (Rechnungsempfänger)
    #[command(subcommand)]
    BillTo(bill_to::Command),
    /// Who may act for a member (Rechte)
    #[command(subcommand)]
    Grant(grant::Command),
    /// Who may do what for a member, and since when
    #[command(after_help = rights::EXAMPLES)]
    Rights(rights::RightsArgs),
}

/// Kinds of bodies without a register key.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Association,
    Institution,
    PublicCompany,
    ItProvider,
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// CreateMemberRequest objects, YAML or JSON; `-` reads standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["register_key", "display_name"])]
    file: Option<PathBuf>,
    /// AGS or Kreisschlüssel: name, type and population come from the register
    #[arg(long, value_name = "KEY")]
    register_key: Option<String>,
    /// Accept a key that the register lacks: why
    #[arg(long, value_name = "REASON")]
    register_override: Option<String>,
    /// Id, for a body without register key
    #[arg(long)]
    id: Option<String>,
    /// Name, for a body without register key
    #[arg(long)]
    display_name: Option<String>,
    /// Kind, for a body without register key
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Number of shares
    #[arg(long, value_name = "COUNT", requires = "shares_from")]
    shares: Option<i64>,
    /// First day of a month
    #[arg(long, value_name = "DATE")]
    shares_from: Option<String>,
    /// Function mailbox of the member
    #[arg(long, default_value = "", hide_default_value = true)]
    contact_email: String,
    #[command(flatten)]
    bill_to: bill_to::Fields,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Its id (default: the context's member)
    id: Option<String>,
    /// Number of shares from --from on
    #[arg(long, value_name = "COUNT", requires = "from")]
    shares: Option<i64>,
    /// VAT category from --from on: S, E, AE or O
    #[arg(long, requires = "from")]
    vat_category: Option<String>,
    /// Percent times 100: 1900 is 19 %
    #[arg(long, value_name = "BASIS_POINTS", requires = "vat_category", default_value_t = 0)]
    vat_rate: i32,
    /// Needed for E, AE and O
    #[arg(
        long,
        value_name = "TEXT",
        requires = "vat_category",
        default_value = "",
        hide_default_value = true
    )]
    exemption_reason: String,
    /// First day it is in force
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Day on which the processing agreement (AVV) was signed
    #[arg(long, value_name = "DATE", requires = "agreement_version")]
    agreement_signed: Option<String>,
    /// Which text of it was signed
    #[arg(long, value_name = "TEXT", requires = "agreement_signed")]
    agreement_version: Option<String>,
    /// Function mailbox
    #[arg(long)]
    contact_email: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::List { land } => {
            let request = ListMembersRequest { land, ..ListMembersRequest::default() };
            let members = list!(session.members().list_members(request) => members);
            session.printer.list(&members, &COLUMNS)
        }
        Command::Get { id } => session.printer.one(&get(session, id.as_deref()).await?),
        Command::Create(args) => create(*args, session).await,
        Command::Update(args) => update(args, session).await,
        Command::Exit(args) => departure::exit(args, session).await,
        Command::Export(args) => departure::export(args, session).await,
        Command::RegisterImport(args) => register::import(args, session).await,
        Command::RegisterList => register::list(session).await,
        Command::RegisterGet { register_key } => register::get(register_key, session).await,
        Command::BillTo(command) => bill_to::run(command, session).await,
        Command::Rights(args) => rights::run(args, session).await,
        Command::Grant(command) => grant::run(command, session).await,
    }
}

async fn get(session: &Session, id: Option<&str>) -> Result<Member, Failure> {
    let request = GetMemberRequest { name: session.member(id)? };
    read(session.members().get_member(session.call(request))).await
}

async fn create(args: CreateArgs, session: &Session) -> Result<(), Failure> {
    let ChangeArgs { dry_run, .. } = args.change;
    let id = args.change.id();
    let requests = match &args.file {
        Some(file) => document::read(file)?,
        None => vec![request_of(args)],
    };
    let mut members = Vec::new();
    for (index, mut request) in requests.into_iter().enumerate() {
        request.request_id = numbered(id, index);
        request.validate_only = dry_run;
        let request_id = request.request_id.clone();
        members.push(change(session.members().create_member(session.call(request)), &request_id).await?);
    }
    match members.as_slice() {
        [one] => session.printer.one(one),
        several => session.printer.list(several, &COLUMNS),
    }
}

fn request_of(args: CreateArgs) -> CreateMemberRequest {
    let kind = args.kind.map_or(MemberType::Unspecified, |kind| match kind {
        Kind::Association => MemberType::Association,
        Kind::Institution => MemberType::Institution,
        Kind::PublicCompany => MemberType::PublicCompany,
        Kind::ItProvider => MemberType::ItProvider,
    });
    let shares =
        args.shares.map(|count| ShareHolding { count, valid_from: args.shares_from.unwrap_or_default() });
    let member = Member {
        display_name: args.display_name.unwrap_or_default(),
        r#type: kind as i32,
        register_key: args.register_key.unwrap_or_default(),
        shares: shares.into_iter().collect(),
        contact_email: args.contact_email,
        ..Member::default()
    };
    let bill_to: BillTo = args.bill_to.into();
    CreateMemberRequest {
        member: Some(member),
        member_id: args.id.unwrap_or_default(),
        bill_to: Some(bill_to),
        register_override_reason: args.register_override.unwrap_or_default(),
        ..CreateMemberRequest::default()
    }
}

async fn update(args: UpdateArgs, session: &Session) -> Result<(), Failure> {
    let mut member = get(session, args.id.as_deref()).await?;
    let from = args.from.unwrap_or_default();
    let mut paths = Vec::new();
    if let Some(count) = args.shares {
        member.shares.push(ShareHolding { count, valid_from: from.clone() });
        paths.push("shares".to_owned());
    }
    if let Some(vat_category) = args.vat_category {
        let (rate_basis_points, exemption_reason) = (args.vat_rate, args.exemption_reason);
        member.tax_profiles.push(TaxProfile {
            valid_from: from,
            vat_category,
            rate_basis_points,
            exemption_reason,
        });
        paths.push("tax_profiles".to_owned());
    }
    if let Some(mailbox) = args.contact_email {
        member.contact_email = mailbox;
        paths.push("contact_email".to_owned());
    }
    if let Some(signed_on) = args.agreement_signed {
        let version = args.agreement_version.unwrap_or_default();
        member.processing_agreement = Some(ProcessingAgreement { signed_on, version });
        paths.push("processing_agreement".to_owned());
    }
    if paths.is_empty() {
        return Err(Failure::Usage(
            "nothing to change: say --shares, --vat-category, --contact-email or --agreement-signed"
                .to_owned(),
        ));
    }
    let request_id = args.change.id().to_string();
    let request = UpdateMemberRequest {
        member: Some(member),
        update_mask: Some(FieldMask { paths }),
        request_id: request_id.clone(),
        validate_only: args.change.dry_run,
    };
    session.printer.one(&change(session.members().update_member(session.call(request)), &request_id).await?)
}
