//! `allmende operation`.

use allmende_proto::v1::{GetOperationRequest, ListOperationsRequest, Operation};
use clap::Subcommand;

use crate::{
    arguments::WaitArgs,
    failure::Failure,
    progress,
    session::{Session, list, read},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows an operation with its steps
    #[command(after_help = "Examples:\n  allmende operation get 0190f7a2")]
    Get {
        /// Its id or full name
        id: String,
    },
    /// Lists the member's operations
    #[command(after_help = "Examples:\n  allmende operation list")]
    List,
    /// Waits until it is done, and shows the steps
    #[command(after_help = "Examples:\n  allmende operation wait 0190f7a2 --timeout 5m")]
    Wait {
        /// Its id or full name
        id: String,
        #[command(flatten)]
        wait: WaitArgs,
    },
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Get { id } => session.printer.one(&get(session, &id).await?),
        Command::List => {
            let request =
                ListOperationsRequest { parent: session.member(None)?, ..ListOperationsRequest::default() };
            let operations = list!(session.operations().list_operations(request) => operations);
            session
                .printer
                .list(&operations, &["name", "verb", "target", "done", "succeeded", "create_time", "message"])
        }
        Command::Wait { id, wait } => {
            let operation = get(session, &id).await?;
            session.printer.one(&progress::operation(session, operation, wait.timeout).await?)
        }
    }
}

async fn get(session: &Session, id: &str) -> Result<Operation, Failure> {
    let request = GetOperationRequest { name: session.of_member("operations", id)? };
    read(session.operations().get_operation(session.call(request))).await
}
