//! `allmende instance`.

use allmende_proto::v1::{
    CreateInstanceRequest, CreateInstanceResponse, DeleteInstanceRequest, GetInstanceRequest, Instance,
    ListInstancesRequest, RetryInstanceRequest,
};
use clap::{Args, Subcommand};

use super::{
    credentials, obstacle,
    tenant::{finished, reached},
};
use crate::{
    arguments::{ChangeArgs, ConfirmArgs, WaitArgs},
    confirm,
    failure::Failure,
    session::{Session, change, id_of, list, read, under},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists instances
    #[command(
        after_help = "Examples:\n  allmende instance list\n  allmende instance list --tenant prod -o json"
    )]
    List {
        /// Of one tenant only
        #[arg(long, value_name = "ID")]
        tenant: Option<String>,
    },
    /// Shows an instance
    #[command(after_help = "Examples:\n  allmende instance get prod/db")]
    Get {
        /// TENANT/INSTANCE
        name: String,
    },
    /// Orders a service
    #[command(after_help = "Examples:
  allmende instance create prod/db --offering postgresql --plan small --dry-run
  allmende instance create prod/db --offering postgresql --plan small --parameters '{\"max_connections\":50}' --wait")]
    Create(Box<CreateArgs>),
    /// Deletes a service and its data; billing ends now
    #[command(
        after_help = "Examples:\n  allmende instance delete prod/db\n  allmende instance delete prod/db --yes --wait"
    )]
    Delete(DeleteArgs),
    /// Tries a failed one again now
    #[command(after_help = "Examples:\n  allmende instance retry prod/db --wait")]
    Retry(RetryArgs),
    /// Reads the credentials from the member's own namespace
    #[command(after_help = credentials::EXAMPLES)]
    Credentials(credentials::Args),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// TENANT/INSTANCE
    name: String,
    /// What to order
    #[arg(long, value_name = "ID")]
    offering: String,
    /// Its plan
    #[arg(long, value_name = "ID")]
    plan: String,
    /// Its version (default: the newest)
    #[arg(long, default_value = "", hide_default_value = true)]
    offering_version: String,
    /// Parameters of the offering, a JSON object
    #[arg(long, value_name = "JSON", value_parser = json_object, default_value = "{}")]
    parameters: String,
    /// Recipient of its invoices (default: the tenant's)
    #[arg(long, value_name = "ID")]
    bill_to: Option<String>,
    /// Accounting string on the invoice (Kontierung)
    #[arg(long, default_value = "", hide_default_value = true)]
    accounting_reference: String,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// TENANT/INSTANCE
    name: String,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// TENANT/INSTANCE
    name: String,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Told here, where the shell's quotes went wrong, and not by the API.
fn json_object(text: &str) -> Result<String, String> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Object(_)) => Ok(text.to_owned()),
        Ok(_) => Err("expected a JSON object".to_owned()),
        Err(error) => Err(format!("expected a JSON object: {error}")),
    }
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::List { tenant } => {
            let parent = session.tenant(tenant.as_deref().unwrap_or("-"))?;
            let request = ListInstancesRequest { parent, ..ListInstancesRequest::default() };
            let instances = list!(session.instances().list_instances(request) => instances);
            let columns = ["name", "offering", "version", "plan", "state", "ready_time", "state_message"];
            session.printer.list(&instances, &columns)
        }
        Command::Get { name } => {
            let request = GetInstanceRequest { name: session.instance(&name)? };
            session.printer.one(&read(session.instances().get_instance(session.call(request))).await?)
        }
        Command::Create(args) => create(*args, session).await,
        Command::Delete(args) => delete(args, session).await,
        Command::Retry(args) => retry(args, session).await,
        Command::Credentials(args) => credentials::run(args, session).await,
    }
}

async fn create(args: CreateArgs, session: &Session) -> Result<(), Failure> {
    let name = session.instance(&args.name)?;
    let parent = name.split_once("/instances/").map(|(tenant, _)| tenant.to_owned()).ok_or_else(|| {
        Failure::Usage(format!("{name}: an instance is written TENANT/INSTANCE, for example prod/db"))
    })?;
    let request_id = args.change.id().to_string();
    let instance = Instance {
        offering: under("offerings", &args.offering),
        version: args.offering_version,
        plan: args.plan,
        parameters_json: args.parameters,
        bill_to: args.bill_to.map(|id| session.of_member("billTos", &id)).transpose()?.unwrap_or_default(),
        accounting_reference: args.accounting_reference,
        ..Instance::default()
    };
    let request = CreateInstanceRequest {
        parent,
        instance_id: id_of(&name).to_owned(),
        instance: Some(instance),
        request_id: request_id.clone(),
        validate_only: args.change.dry_run,
    };
    let mut answer: CreateInstanceResponse =
        change(session.instances().create_instance(session.call(request)), &request_id).await?;
    answer.operation = finished(session, answer.operation, &args.change, &args.wait).await?;
    session.printer.one(&answer)?;
    obstacle::none(answer.preview.as_ref(), session.lang)
}

async fn delete(args: DeleteArgs, session: &Session) -> Result<(), Failure> {
    let name = session.instance(&args.name)?;
    if !args.change.dry_run {
        confirm::deletion(&name, args.confirm, session.lang)?;
    }
    let request_id = args.change.id().to_string();
    let request = DeleteInstanceRequest {
        name,
        request_id: request_id.clone(),
        validate_only: args.change.dry_run,
        ..DeleteInstanceRequest::default()
    };
    let operation = change(session.instances().delete_instance(session.call(request)), &request_id).await?;
    session.printer.one(&reached(session, operation, &args.change, &args.wait).await?)
}

async fn retry(args: RetryArgs, session: &Session) -> Result<(), Failure> {
    let request_id = args.change.id().to_string();
    let request = RetryInstanceRequest {
        name: session.instance(&args.name)?,
        request_id: request_id.clone(),
        validate_only: args.change.dry_run,
    };
    let operation = change(session.instances().retry_instance(session.call(request)), &request_id).await?;
    session.printer.one(&reached(session, operation, &args.change, &args.wait).await?)
}
