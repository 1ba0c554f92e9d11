//! `allmende tenant`.

use allmende_proto::v1::{
    CreateTenantRequest, CreateTenantResponse, DeleteTenantRequest, GetTenantRequest, ListTenantsRequest,
    Operation, Tenant, UpdateTenantRequest, UpdateTenantResponse,
};
use clap::{Args, Subcommand};
use prost_types::FieldMask;

use super::{obstacle, preflight};
use crate::{
    arguments::{ChangeArgs, ConfirmArgs, Format, WaitArgs},
    confirm,
    failure::Failure,
    progress,
    quantity::ResourceArgs,
    session::{Session, change, list, read, under},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the member's tenants
    #[command(after_help = "Examples:\n  allmende tenant list\n  allmende tenant list --all -o json")]
    List {
        /// Of all members (cooperative only)
        #[arg(long)]
        all: bool,
    },
    /// Shows a tenant
    #[command(after_help = "Examples:\n  allmende tenant get prod")]
    Get {
        /// Its id
        id: String,
    },
    /// Makes a tenant: quota, namespace, rights
    #[command(after_help = "Examples:
  allmende tenant create prod --cluster local-1 --cpu 4 --memory 16Gi --storage 120Gi --pods 40 --wait
  allmende tenant create test --cluster local-1 --cpu 500m --memory 1Gi --pods 5 --dry-run")]
    Create(CreateArgs),
    /// Changes the workspace quota; amounts that are not named stay
    #[command(after_help = "Examples:\n  allmende tenant resize prod --cpu 8 --memory 32Gi --wait")]
    Resize(ResizeArgs),
    /// Deletes a tenant that holds no instances
    #[command(after_help = "Examples:\n  allmende tenant delete test --yes --wait")]
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its id, usually the stage
    id: String,
    /// The cluster to place it on
    #[arg(long, value_name = "ID")]
    cluster: String,
    #[command(flatten)]
    quota: ResourceArgs,
    /// Recipient of its invoices (default: main)
    #[arg(long, value_name = "ID")]
    bill_to: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ResizeArgs {
    /// Its id
    id: String,
    #[command(flatten)]
    quota: ResourceArgs,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Its id
    id: String,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::List { all } => {
            let parent = if all { "members/-".to_owned() } else { session.member(None)? };
            let request = ListTenantsRequest { parent, ..ListTenantsRequest::default() };
            let tenants = list!(session.tenants().list_tenants(request) => tenants);
            session
                .printer
                .list(&tenants, &["name", "cluster", "namespace", "workspace_quota", "used", "state"])
        }
        Command::Get { id } => show(&get(session, &id).await?, session),
        Command::Create(args) => create(args, session).await,
        Command::Resize(args) => resize(args, session).await,
        Command::Delete(args) => delete(args, session).await,
    }
}

async fn get(session: &Session, id: &str) -> Result<Tenant, Failure> {
    let request = GetTenantRequest { name: session.tenant(id)? };
    read(session.tenants().get_tenant(session.call(request))).await
}

/// In a table the walls are one sentence.
fn show(tenant: &Tenant, session: &Session) -> Result<(), Failure> {
    if session.printer.format() != Format::Table {
        return session.printer.one(tenant);
    }
    let plain = Tenant { isolation_proven: false, isolation_reasons: Vec::new(), ..tenant.clone() };
    session.printer.one(&plain)?;
    session.printer.text(&preflight::isolation(tenant, session.lang))
}

async fn create(args: CreateArgs, session: &Session) -> Result<(), Failure> {
    let parent = session.member(None)?;
    let request_id = args.change.id().to_string();
    let tenant = Tenant {
        cluster: under("clusters", &args.cluster),
        workspace_quota: Some(args.quota.resources()),
        bill_to: args.bill_to.map(|id| session.of_member("billTos", &id)).transpose()?.unwrap_or_default(),
        ..Tenant::default()
    };
    let request = CreateTenantRequest {
        parent,
        tenant_id: args.id,
        tenant: Some(tenant),
        request_id: request_id.clone(),
        validate_only: args.change.dry_run,
    };
    let mut answer: CreateTenantResponse =
        change(session.tenants().create_tenant(session.call(request)), &request_id).await?;
    answer.operation = finished(session, answer.operation, &args.change, &args.wait).await?;
    session.printer.one(&answer)?;
    obstacle::none(answer.preview.as_ref(), session.lang)
}

async fn resize(args: ResizeArgs, session: &Session) -> Result<(), Failure> {
    if args.quota.is_empty() {
        return Err(Failure::Usage("nothing to change: say --cpu, --memory, --storage or --pods".to_owned()));
    }
    let mut tenant = get(session, &args.id).await?;
    tenant.workspace_quota = Some(args.quota.over(tenant.workspace_quota.unwrap_or_default()));
    let request_id = args.change.id().to_string();
    let request = UpdateTenantRequest {
        tenant: Some(tenant),
        update_mask: Some(FieldMask { paths: vec!["workspace_quota".to_owned()] }),
        request_id: request_id.clone(),
        validate_only: args.change.dry_run,
    };
    let mut answer: UpdateTenantResponse =
        change(session.tenants().update_tenant(session.call(request)), &request_id).await?;
    answer.operation = finished(session, answer.operation, &args.change, &args.wait).await?;
    session.printer.one(&answer)?;
    obstacle::none(answer.preview.as_ref(), session.lang)
}

async fn delete(args: DeleteArgs, session: &Session) -> Result<(), Failure> {
    let name = session.tenant(&args.id)?;
    if !args.change.dry_run {
        confirm::deletion(&name, args.confirm, session.lang)?;
    }
    let request_id = args.change.id().to_string();
    let request = DeleteTenantRequest {
        name,
        request_id: request_id.clone(),
        validate_only: args.change.dry_run,
        ..DeleteTenantRequest::default()
    };
    let operation = change(session.tenants().delete_tenant(session.call(request)), &request_id).await?;
    session.printer.one(&reached(session, operation, &args.change, &args.wait).await?)
}

/// The operation at its end, when that was asked for.
pub(super) async fn finished(
    session: &Session,
    operation: Option<Operation>,
    change: &ChangeArgs,
    wait: &WaitArgs,
) -> Result<Option<Operation>, Failure> {
    match operation {
        Some(operation) => reached(session, operation, change, wait).await.map(Some),
        None => Ok(None),
    }
}

/// As [`finished`]. A dry run shows an operation that will never be: there is nothing to wait for.
pub(super) async fn reached(
    session: &Session,
    operation: Operation,
    change: &ChangeArgs,
    wait: &WaitArgs,
) -> Result<Operation, Failure> {
    if wait.wait && !change.dry_run {
        return progress::operation(session, operation, wait.timeout).await;
    }
    Ok(operation)
}
