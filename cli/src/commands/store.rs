//! `allmende store`.

use allmende_proto::v1::RaiseStoreEpochRequest;
use clap::Subcommand;

use crate::{
    arguments::{ChangeArgs, ConfirmArgs},
    confirm,
    failure::Failure,
    session::{Session, change},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Confirms that the store was restored from a backup: every cluster takes the restored state as the valid one
    ///
    /// The store gets a higher epoch and a new id, and all streams begin anew. Clusters take older generations of what the store knows.
    /// Nothing is deleted: what only a cluster knows stays there and is reported as an orphan.
    #[command(after_help = "Examples:
  allmende store raise-epoch --reason Sicherung-02:00-eingespielt --dry-run
  allmende store raise-epoch --reason Sicherung-02:00-eingespielt --above-epoch 3 --yes")]
    RaiseEpoch {
        /// Which backup was restored and why, for the audit
        #[arg(long)]
        reason: String,
        /// The epoch that a refused cluster has applied, where it is higher than the store's own
        #[arg(long, value_name = "EPOCH", default_value_t = 0, hide_default_value = true)]
        above_epoch: u64,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::RaiseEpoch { reason, above_epoch, confirm: answer, change: args } => {
            if !args.dry_run {
                confirm::restored("store", answer, session.lang)?;
            }
            let request_id = args.id().to_string();
            let request = RaiseStoreEpochRequest {
                reason,
                above_epoch,
                request_id: request_id.clone(),
                validate_only: args.dry_run,
            };
            let call = session.call(request);
            session.printer.one(&change(session.clusters().raise_store_epoch(call), &request_id).await?)
        }
    }
}
