//! `allmende certificate`: certificates that are refused before their time is over.

use allmende_proto::v1::{ListCertificateRevocationsRequest, RevokeCertificatesRequest};
use clap::Subcommand;

use crate::{
    arguments::{ChangeArgs, ConfirmArgs},
    confirm,
    failure::Failure,
    session::{Session, change, list},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Refuses certificates of a member, person, service or role, and cuts their connections
    #[command(after_help = "Examples:
  allmende certificate revoke allmende://principal/kasse-amt-nord --reason 'Laptop gestohlen' --yes
  allmende certificate revoke allmende://member/m-05766044 --serial 4F:1A:09 --reason 'Schlüssel verloren' --yes
  allmende certificate revoke allmende://member/m-05766044/serviceaccount/- --reason 'Einbruch' --yes
Without --serial all that were issued up to now (or before --issued-before) are refused; what is issued afterwards counts.")]
    Revoke {
        /// Whose: the identity text of the certificate
        #[arg(value_name = "URI")]
        principal: String,
        /// Only the one with this serial number: hex, as `openssl x509 -serial` shows it
        #[arg(long, value_name = "HEX")]
        serial: Option<String>,
        /// All that were issued before (UTC; default: now)
        #[arg(long, value_name = "TIME", conflicts_with = "serial")]
        issued_before: Option<jiff::Timestamp>,
        /// Why, for the audit
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Lists what is refused now (cooperative only)
    #[command(after_help = "Examples:\n  allmende certificate list")]
    List,
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Revoke { principal, serial, issued_before, reason, confirm: asked, change: args } => {
            if !args.dry_run {
                confirm::shut_out(&principal, asked, session.lang)?;
            }
            let request_id = args.id().to_string();
            let time = |at: jiff::Timestamp| prost_types::Timestamp {
                seconds: at.as_second(),
                nanos: at.subsec_nanosecond(),
            };
            let request = RevokeCertificatesRequest {
                principal,
                serial: serial.unwrap_or_default(),
                issued_before: issued_before.map(time),
                reason,
                request_id: request_id.clone(),
                validate_only: args.dry_run,
            };
            let mut certificates = session.certificates();
            let call = certificates.revoke_certificates(session.call(request));
            session.printer.one(&change(call, &request_id).await?)
        }
        Command::List => {
            let request = ListCertificateRevocationsRequest::default();
            let all = list!(session.certificates().list_certificate_revocations(request) => revocations);
            session.printer.list(&all, &["principal", "issued_before", "serials", "end_time", "update_time"])
        }
    }
}
