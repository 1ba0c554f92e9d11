//! `allmende run`: the monthly closing.

use allmende_proto::v1::{
    CreateRunRequest, FinalizeRunRequest, GetRunRequest, ListRunsRequest, Run, run::State,
};
use clap::{Args, Subcommand};

use crate::{
    arguments::{ChangeArgs, ConfirmArgs, WaitArgs},
    confirm,
    failure::Failure,
    progress,
    session::{Session, change, list, read, under},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts the closing of a month: freezes the inputs and drafts the invoices
    #[command(after_help = "Examples:
  allmende run create 2026-09 --wait
  allmende run create 2026-09 --issue-date 2026-10-05 --watermark-decision B-17 --wait --timeout 30m")]
    Create(CreateArgs),
    /// Shows a closing
    #[command(after_help = "Examples:\n  allmende run get 2026-09")]
    Get {
        /// The month
        #[arg(value_name = "YYYY-MM")]
        period: String,
    },
    /// Lists the closings
    #[command(after_help = "Examples:\n  allmende run list")]
    List,
    /// Numbers and issues the reviewed drafts; cannot be undone
    #[command(
        after_help = "Examples:\n  allmende run finalize 2026-09\n  allmende run finalize 2026-09 --yes --wait"
    )]
    Finalize(FinalizeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The month
    #[arg(value_name = "YYYY-MM")]
    period: String,
    /// Close although a cluster's facts are missing: why
    #[arg(long, value_name = "REASON", default_value = "", hide_default_value = true)]
    watermark_decision: String,
    /// Date on the invoices (default: today in Berlin)
    #[arg(long, value_name = "DATE", default_value = "", hide_default_value = true)]
    issue_date: String,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FinalizeArgs {
    /// The month
    #[arg(value_name = "YYYY-MM")]
    period: String,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Create(args) => create(args, session).await,
        Command::Get { period } => session.printer.one(&get(session, &period).await?),
        Command::List => {
            let runs = list!(session.billing().list_runs(ListRunsRequest::default()) => runs);
            session
                .printer
                .list(&runs, &["period", "state", "invoices_done", "invoices_total", "net", "vat", "gross"])
        }
        Command::Finalize(args) => finalize(args, session).await,
    }
}

async fn get(session: &Session, period: &str) -> Result<Run, Failure> {
    let request = GetRunRequest { name: under("runs", period) };
    read(session.billing().get_run(session.call(request))).await
}

async fn create(args: CreateArgs, session: &Session) -> Result<(), Failure> {
    let request_id = args.change.id().to_string();
    let request = CreateRunRequest {
        period: args.period,
        watermark_decision: args.watermark_decision,
        issue_date: args.issue_date,
        request_id: request_id.clone(),
        validate_only: args.change.dry_run,
    };
    let run = change(session.billing().create_run(session.call(request)), &request_id).await?;
    finish(session, run, State::Review, &args.change, &args.wait).await
}

async fn finalize(args: FinalizeArgs, session: &Session) -> Result<(), Failure> {
    let present = get(session, &args.period).await?;
    if !args.change.dry_run && !args.confirm.yes {
        session.printer.one(&present)?;
    }
    if !args.change.dry_run {
        confirm::issuing(&present.period, args.confirm, session.lang)?;
    }
    let request_id = args.change.id().to_string();
    let request = FinalizeRunRequest {
        name: present.name,
        etag: present.etag,
        request_id: request_id.clone(),
        validate_only: args.change.dry_run,
    };
    let run = change(session.billing().finalize_run(session.call(request)), &request_id).await?;
    finish(session, run, State::Closed, &args.change, &args.wait).await
}

async fn finish(
    session: &Session,
    run: Run,
    goal: State,
    change: &ChangeArgs,
    wait: &WaitArgs,
) -> Result<(), Failure> {
    let run = if wait.wait && !change.dry_run {
        progress::billing_run(session, run, goal, wait.timeout).await?
    } else {
        run
    };
    session.printer.one(&run)
}
