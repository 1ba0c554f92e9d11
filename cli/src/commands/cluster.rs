//! `allmende cluster`.

use std::path::PathBuf;

use allmende_proto::v1::{
    Cluster, CreateClusterRequest, GetClusterRequest, ListClustersRequest, ShrinkPlan,
    UpdateClusterCapacityRequest,
};
use clap::Subcommand;

use super::{certificate, preflight};
use crate::{
    arguments::ChangeArgs,
    document,
    failure::Failure,
    quantity::ResourceArgs,
    session::{Session, change, list, read, under},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the clusters
    #[command(after_help = "Examples:\n  allmende cluster list")]
    List,
    /// Shows a cluster
    #[command(after_help = "Examples:\n  allmende cluster get local-1 -o yaml")]
    Get {
        /// Its id
        id: String,
    },
    /// Shows whether a cluster is fit for members: what its last preflight found
    ///
    /// Ends with 1 when a check failed or the cluster was never checked.
    #[command(
        after_help = "Examples:\n  allmende cluster preflight local-1\n  allmende cluster preflight local-1 -o json"
    )]
    Preflight {
        /// Its id
        id: String,
    },
    /// Registers a cluster
    #[command(after_help = "Examples:
  allmende cluster create local-1 --display-name Lokal --cpu 64 --memory 256Gi --storage 2Ti --pods 1000")]
    Create {
        /// Its id
        id: String,
        /// Name for people
        #[arg(long, default_value = "", hide_default_value = true)]
        display_name: String,
        #[command(flatten)]
        capacity: ResourceArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Sets what can be given out; amounts that are not named stay
    #[command(after_help = "Examples:
  allmende cluster set-capacity local-1 --cpu 96 --memory 384Gi --dry-run
  allmende cluster set-capacity local-1 --cpu 32 --plan plan.yaml
The plan is for less than what is promised:
  {resolution: V-3/2026, resolveBy: 2027-03-31, shrink: [{member: members/m-05766044, guaranteed: {cpuMilli: 8000}}]}")]
    SetCapacity {
        /// Its id
        id: String,
        #[command(flatten)]
        capacity: ResourceArgs,
        /// Who comes down to what, and until when: a ShrinkPlan as YAML or JSON
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    #[command(flatten)]
    Certificate(certificate::Command),
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::List => {
            let clusters =
                list!(session.clusters().list_clusters(ListClustersRequest::default()) => clusters);
            session.printer.list(&clusters, &["name", "display_name", "capacity", "carved", "last_seen_time"])
        }
        Command::Certificate(command) => certificate::run(command, session).await,
        Command::Get { id } => session.printer.one(&get(session, &id).await?),
        Command::Preflight { id } => preflight::show(&get(session, &id).await?, session),
        Command::Create { id, display_name, capacity, change: args } => {
            let request_id = args.id().to_string();
            let cluster =
                Cluster { display_name, capacity: Some(capacity.resources()), ..Cluster::default() };
            let request = CreateClusterRequest {
                cluster_id: id,
                cluster: Some(cluster),
                request_id: request_id.clone(),
                validate_only: args.dry_run,
            };
            session
                .printer
                .one(&change(session.clusters().create_cluster(session.call(request)), &request_id).await?)
        }
        Command::SetCapacity { id, capacity, plan, change: args } => {
            if capacity.is_empty() {
                return Err(Failure::Usage(
                    "nothing to change: say --cpu, --memory, --storage or --pods".to_owned(),
                ));
            }
            let present = get(session, &id).await?;
            let request_id = args.id().to_string();
            let request = UpdateClusterCapacityRequest {
                name: present.name,
                capacity: Some(capacity.over(present.capacity.unwrap_or_default())),
                etag: present.etag,
                plan: plan.map(|file| document::read_one::<ShrinkPlan>(&file)).transpose()?,
                request_id: request_id.clone(),
                validate_only: args.dry_run,
            };
            let call = session.call(request);
            session.printer.one(&change(session.clusters().update_cluster_capacity(call), &request_id).await?)
        }
    }
}

async fn get(session: &Session, id: &str) -> Result<Cluster, Failure> {
    let request = GetClusterRequest { name: under("clusters", id) };
    read(session.clusters().get_cluster(session.call(request))).await
}
