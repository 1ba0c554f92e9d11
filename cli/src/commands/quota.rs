//! `allmende quota`.

use allmende_proto::v1::{
    Entitlement, GetEntitlementRequest, GetPoolRequest, ListEntitlementsRequest, ListReservationsRequest,
    SetEntitlementRequest,
};
use clap::Subcommand;
use tonic::Code;

use super::quota_usage;
use crate::{
    arguments::ChangeArgs,
    failure::Failure,
    quantity::ResourceArgs,
    session::{Session, change, id_of, list, read},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows what the clusters can give, and what is given
    #[command(after_help = "Examples:\n  allmende quota pool")]
    Pool,
    /// Shows the member's entitlements: guaranteed, reserved, available
    #[command(after_help = "Examples:
  allmende quota show
  allmende quota show --cluster local-1 -o json
  allmende quota show --all")]
    Show {
        /// On one cluster only
        #[arg(long, value_name = "ID")]
        cluster: Option<String>,
        /// Of all members (cooperative only)
        #[arg(long, conflicts_with = "cluster")]
        all: bool,
    },
    /// Shows what the member has, uses and has lent, tenant by tenant, and when it is full
    #[command(
        after_help = "Examples:\n  allmende quota usage\n  allmende quota usage --cluster local-1 -o json"
    )]
    Usage {
        /// On one cluster only
        #[arg(long, value_name = "ID")]
        cluster: Option<String>,
    },
    /// Tells when 50, 80 or 100 % of the quota are reached, or are not any more; until it is ended
    #[command(after_help = "Examples:\n  allmende quota watch\n  allmende quota watch --all")]
    Watch {
        /// Of all members (cooperative only)
        #[arg(long)]
        all: bool,
    },
    /// Sets what a member is guaranteed on a cluster; amounts that are not named stay
    #[command(after_help = "Examples:
  allmende quota set m-05766044 local-1 --cpu 8 --memory 32Gi --storage 200Gi --pods 80 --resolution B-2026-04")]
    Set {
        /// The member's id
        #[arg(value_name = "MEMBER")]
        entitled: String,
        /// The cluster's id
        cluster: String,
        #[command(flatten)]
        guaranteed: ResourceArgs,
        /// Number of the resolution (Beschluss-Nr.)
        #[arg(long, value_name = "NUMBER")]
        resolution: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Lists what holds the member's quota
    #[command(after_help = "Examples:\n  allmende quota reservations --member m-05766044")]
    Reservations,
}

const COLUMNS: [&str; 6] = ["name", "guaranteed", "lent", "borrowed", "reserved", "available"];

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Pool => {
            session.printer.one(&read(session.quotas().get_pool(session.call(GetPoolRequest {}))).await?)
        }
        Command::Show { cluster: Some(cluster), .. } => {
            let member = session.member(None)?;
            let request =
                GetEntitlementRequest { name: format!("{member}/entitlements/{}", id_of(&cluster)) };
            session.printer.one(&read(session.quotas().get_entitlement(session.call(request))).await?)
        }
        Command::Show { cluster: None, all } => {
            let parent = if all { "members/-".to_owned() } else { session.member(None)? };
            let request = ListEntitlementsRequest { parent, ..ListEntitlementsRequest::default() };
            let entitlements = list!(session.quotas().list_entitlements(request) => entitlements);
            session.printer.list(&entitlements, &COLUMNS)
        }
        Command::Usage { cluster } => quota_usage::usage(session, cluster.as_deref()).await,
        Command::Watch { all } => quota_usage::watch(session, all).await,
        Command::Set { entitled, cluster, guaranteed, resolution, change: args } => {
            let name = format!("{}/entitlements/{}", session.member(Some(&entitled))?, id_of(&cluster));
            let present = present(session, &name).await?;
            let request_id = args.id().to_string();
            let request = SetEntitlementRequest {
                name,
                guaranteed: Some(guaranteed.over(present.guaranteed.unwrap_or_default())),
                resolution,
                etag: present.etag,
                request_id: request_id.clone(),
                validate_only: args.dry_run,
            };
            session
                .printer
                .one(&change(session.quotas().set_entitlement(session.call(request)), &request_id).await?)
        }
        Command::Reservations => {
            let request = ListReservationsRequest {
                parent: session.member(None)?,
                ..ListReservationsRequest::default()
            };
            let reservations = list!(session.quotas().list_reservations(request) => reservations);
            session.printer.list(&reservations, &["holder", "cluster", "resources"])
        }
    }
}

/// The entitlement as it is; an empty one when there is none yet.
async fn present(session: &Session, name: &str) -> Result<Entitlement, Failure> {
    let request = GetEntitlementRequest { name: name.to_owned() };
    match session.quotas().get_entitlement(session.call(request)).await {
        Ok(answer) => Ok(answer.into_inner()),
        Err(status) if status.code() == Code::NotFound => Ok(Entitlement::default()),
        Err(status) => Err(Failure::read(status)),
    }
}
