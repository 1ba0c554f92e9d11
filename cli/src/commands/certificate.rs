//! `allmende cluster join-token`, `join`, `revoke`: how a cluster gets its certificate and loses it.

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use allmende_identity::KeyAndRequest;
use allmende_proto::v1::{
    ClusterCertificate, CreateJoinTokenRequest, JoinClusterRequest, RevokeClusterCertificatesRequest,
};
use clap::Subcommand;

use crate::{
    arguments::{ChangeArgs, ConfirmArgs, parse_span},
    confirm,
    failure::Failure,
    output,
    session::{Session, change, under},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes the token with which a cluster joins, once; a token that was not used yet is void then
    #[command(after_help = "Examples:
  allmende cluster join-token north-2 --out north-2.token
  allmende cluster join-token north-2 --ttl 10m --out north-2.token")]
    JoinToken {
        /// Id of the cluster
        id: String,
        /// How long it can be used: a minute to a day
        #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = parse_span)]
        ttl: Duration,
        /// File for the token, readable by its owner alone; it is shown nowhere else
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Exchanges a join token for a certificate, on the cluster's side; needs a context without a certificate
    ///
    /// Where the operator keeps its certificate itself, put the token into its secret instead.
    #[command(
        after_help = "Examples:\n  allmende cluster join north-2 --token-file north-2.token --out identity"
    )]
    Join {
        /// Id of the cluster
        id: String,
        /// File with the token
        #[arg(long, value_name = "FILE")]
        token_file: PathBuf,
        /// Folder for tls.crt and tls.key
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Refuses every certificate of a cluster that was issued up to now, and cuts its connections
    #[command(after_help = "Examples:\n  allmende cluster revoke north-2 --reason stolen --yes")]
    Revoke {
        /// Id of the cluster
        id: String,
        /// Why, for the audit
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::JoinToken { id, ttl, out, change: args } => {
            let request_id = args.id().to_string();
            let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
            let request = CreateJoinTokenRequest {
                parent: under("clusters", &id),
                ttl: Some(prost_types::Duration { seconds, nanos: 0 }),
                request_id: request_id.clone(),
                validate_only: args.dry_run,
            };
            let mut certificates = session.certificates();
            let call = certificates.create_join_token(session.call(request));
            let mut made = change(call, &request_id).await?;
            if !args.dry_run && made.join_token.is_empty() {
                return Err(Failure::Usage(
                    "this request was answered before, and its token shown then: make a new one without --request-id"
                        .to_owned(),
                ));
            }
            if !args.dry_run {
                secret_file(&out, &made.join_token)?;
            }
            made.join_token.clear();
            session.printer.one(&made)
        }
        Command::Join { id, token_file, out } => join(session, &id, &token_file, &out).await,
        Command::Revoke { id, reason, confirm: args, change: change_args } => {
            if !change_args.dry_run {
                confirm::revocation(&id, args, session.lang)?;
            }
            let request_id = change_args.id().to_string();
            let request = RevokeClusterCertificatesRequest {
                name: under("clusters", &id),
                reason,
                request_id: request_id.clone(),
                validate_only: change_args.dry_run,
            };
            let mut certificates = session.certificates();
            let call = certificates.revoke_cluster_certificates(session.call(request));
            session.printer.one(&change(call, &request_id).await?)
        }
    }
}

async fn join(session: &Session, id: &str, token_file: &Path, out: &Path) -> Result<(), Failure> {
    let token = std::fs::read_to_string(token_file).map_err(|error| local(token_file, &error))?;
    let pair = KeyAndRequest::generate().map_err(|error| Failure::Local(error.to_string()))?;
    std::fs::create_dir_all(out).map_err(|error| local(out, &error))?;
    // The key first: a certificate whose key could not be written would have used the token up.
    secret_file(&out.join("tls.key"), &pair.key)?;
    let request_id = uuid::Uuid::new_v4().to_string();
    let request = JoinClusterRequest {
        name: under("clusters", id),
        join_token: token.trim().to_owned(),
        certificate_request: pair.request,
        request_id: request_id.clone(),
    };
    let given: ClusterCertificate =
        change(session.certificates().join_cluster(session.call(request)), &request_id).await?;
    let file = out.join("tls.crt");
    std::fs::write(&file, &given.certificate_chain).map_err(|error| local(&file, &error))?;
    output::note(
        session.lang.pick("Zertifikat und Schlüssel liegen bereit", "certificate and key are there"),
    );
    session.printer.one(&ClusterCertificate { certificate_chain: String::new(), ..given })
}

/// A file that its owner alone can read; an old one is replaced.
pub(super) fn secret_file(path: &Path, text: &str) -> Result<(), Failure> {
    let new = path.with_extension("new");
    // One that was left behind keeps its mode: it must go first.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(local(&new, &error)),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(&new).map_err(|error| local(&new, &error))?;
    file.write_all(text.as_bytes()).map_err(|error| local(&new, &error))?;
    std::fs::rename(&new, path).map_err(|error| local(path, &error))
}

pub(super) fn local(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Local(format!("{}: {error}", path.display()))
}
