//! `allmende member grant`.

use allmende_proto::v1::{CreateGrantRequest, Grant, ListGrantsRequest, RevokeGrantRequest, Role};
use clap::{Subcommand, ValueEnum};

use crate::{
    arguments::{ChangeArgs, ConfirmArgs},
    confirm,
    failure::Failure,
    session::{Session, change, list},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Gives a principal a role for the member
    #[command(after_help = "Examples:
  allmende member grant create --principal allmende://principal/kasse-amt-nord --role accountant
  allmende member grant create --principal allmende://principal/b --role approver --deputy --until 2026-12-31T23:00:00Z")]
    Create {
        /// Whom: allmende://principal/NAME, allmende://issuer/ALIAS/SUBJECT, or another member
        #[arg(long, value_name = "URI")]
        principal: String,
        /// What it may do
        #[arg(long, value_enum)]
        role: GrantRole,
        /// From when on (UTC; default: now)
        #[arg(long, value_name = "TIME")]
        from: Option<jiff::Timestamp>,
        /// Until when (UTC; default: without end; needed for auditors and deputies)
        #[arg(long, value_name = "TIME")]
        until: Option<jiff::Timestamp>,
        /// In place of another: shown as "i. V."
        #[arg(long)]
        deputy: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Lists them
    #[command(after_help = "Examples:\n  allmende member grant list --member m-05766044")]
    List,
    /// Ends one now
    #[command(after_help = "Examples:\n  allmende member grant revoke 0190f7a2 --yes")]
    Revoke {
        /// Its id
        id: String,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// Roles that a member has.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum GrantRole {
    Viewer,
    Orderer,
    Approver,
    Accountant,
    Auditor,
    Admin,
}

impl From<GrantRole> for Role {
    fn from(role: GrantRole) -> Self {
        match role {
            GrantRole::Viewer => Self::Viewer,
            GrantRole::Orderer => Self::Orderer,
            GrantRole::Approver => Self::Approver,
            GrantRole::Accountant => Self::Accountant,
            GrantRole::Auditor => Self::Auditor,
            GrantRole::Admin => Self::Admin,
        }
    }
}

fn timestamp(time: jiff::Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Create { principal, role, from, until, deputy, change: args } => {
            let request_id = args.id().to_string();
            let grant = Grant {
                principal,
                role: Role::from(role) as i32,
                valid_from: from.map(timestamp),
                valid_until: until.map(timestamp),
                deputy,
                ..Grant::default()
            };
            let request = CreateGrantRequest {
                parent: session.member(None)?,
                grant: Some(grant),
                request_id: request_id.clone(),
                validate_only: args.dry_run,
            };
            session
                .printer
                .one(&change(session.members().create_grant(session.call(request)), &request_id).await?)
        }
        Command::List => {
            let request = ListGrantsRequest { parent: session.member(None)?, ..ListGrantsRequest::default() };
            let all = list!(session.members().list_grants(request) => grants);
            session.printer.list(
                &all,
                &["name", "principal", "role", "valid_from", "valid_until", "deputy", "granted_by"],
            )
        }
        Command::Revoke { id, confirm, change: args } => {
            let name = session.of_member("grants", &id)?;
            if !args.dry_run {
                confirm::deletion(&name, confirm, session.lang)?;
            }
            let request_id = args.id().to_string();
            let request =
                RevokeGrantRequest { name, request_id: request_id.clone(), validate_only: args.dry_run };
            session
                .printer
                .one(&change(session.members().revoke_grant(session.call(request)), &request_id).await?)
        }
    }
}
