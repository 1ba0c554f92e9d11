//! Keys of service accounts: made here, kept in one file with their certificate, renewed in place.

use std::{path::Path, time::Duration};

use allmende_identity::{Identity, KeyAndRequest, PeerCertificate};
use allmende_proto::v1::{IssueServiceAccountCredentialRequest, IssueServiceAccountCredentialResponse};

use super::certificate::{local, secret_file};
use crate::{
    arguments::ChangeArgs,
    config::{self, Config, Context},
    failure::Failure,
    output,
    session::{Session, change, id_of},
    sign_in,
};

fn wish(
    parent: &str,
    pair: &KeyAndRequest,
    ttl: Duration,
    request_id: &str,
) -> IssueServiceAccountCredentialRequest {
    let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
    IssueServiceAccountCredentialRequest {
        parent: parent.to_owned(),
        certificate_request: pair.request.clone(),
        ttl: Some(prost_types::Duration { seconds, nanos: 0 }),
        request_id: request_id.to_owned(),
        validate_only: false,
    }
}

/// Key and certificate are one file, so that a renewal replaces both or neither.
fn keep(
    path: &Path,
    pair: &KeyAndRequest,
    given: IssueServiceAccountCredentialResponse,
    session: &Session,
) -> Result<(), Failure> {
    secret_file(path, &format!("{}{}", pair.key, given.certificate_chain))?;
    if !given.shortened.is_empty() {
        let text = session.lang.pick("gilt kürzer als gewünscht", "counts shorter than was asked for");
        output::note(&format!("{text}: {}", given.shortened));
    }
    let shown = IssueServiceAccountCredentialResponse { certificate_chain: String::new(), ..given };
    session.printer.one(&shown)
}

/// A first key for an account, and a context that uses it.
pub(super) async fn issue(
    session: &Session,
    account: &str,
    (out, ttl): (&Path, Duration),
    context_name: Option<String>,
    args: &ChangeArgs,
) -> Result<(), Failure> {
    let pair = KeyAndRequest::generate().map_err(|error| Failure::Local(error.to_string()))?;
    let request_id = args.id().to_string();
    let request = IssueServiceAccountCredentialRequest {
        validate_only: args.dry_run,
        ..wish(account, &pair, ttl, &request_id)
    };
    let mut accounts = session.service_accounts();
    let call = accounts.issue_service_account_credential(session.call(request));
    let given = change(call, &request_id).await?;
    if args.dry_run {
        return session.printer.one(&given);
    }
    keep(out, &pair, given, session)?;
    let member = account.split('/').nth(1).unwrap_or_default();
    let name = context_name.unwrap_or_else(|| format!("{member}-{}", id_of(account)));
    // Links stay links, and the program runs in other folders later.
    let file = std::path::absolute(out).map_err(|error| local(out, &error))?;
    let own = session.context();
    let context = Context {
        endpoint: own.endpoint.clone(),
        ca: own.ca.clone(),
        cert: Some(file.clone()),
        key: Some(file),
        member: Some(member.to_owned()),
        ..Context::default()
    };
    let path = config::path()?;
    let mut config = Config::read(&path)?;
    config.contexts.insert(name.clone(), context);
    config.write(&path)?;
    let text = session.lang.pick("Kontext", "context");
    output::note(&format!("{text} {name}: allmende --context {name} whoami"));
    Ok(())
}

/// A new key and certificate for the account whose context this is.
pub(super) async fn renew(session: &Session, ttl: Duration, if_due: bool) -> Result<(), Failure> {
    let context = session.context();
    let file = match (&context.cert, &context.key) {
        (Some(cert), Some(key)) if cert == key => cert,
        _ => {
            return Err(Failure::Usage(
                "the context is no service account's: make one with `allmende service-account credential`"
                    .to_owned(),
            ));
        }
    };
    let text = std::fs::read_to_string(file).map_err(|error| local(file, &error))?;
    let own = PeerCertificate::of_pem(&text);
    let Some((own, Identity::ServiceAccount { member, account })) =
        own.as_ref().map(|own| (own, &own.identity))
    else {
        return Err(Failure::Usage(format!("{}: holds no service account's certificate", file.display())));
    };
    if if_due && sign_in::now() < own.not_before.midpoint(own.not_after) {
        output::note(session.lang.pick("noch nicht fällig", "not due yet"));
        return Ok(());
    }
    let pair = KeyAndRequest::generate().map_err(|error| Failure::Local(error.to_string()))?;
    let request_id = uuid::Uuid::new_v4().to_string();
    let name = format!("members/{member}/serviceAccounts/{account}");
    let request = session.call(wish(&name, &pair, ttl, &request_id));
    let mut accounts = session.service_accounts();
    let given = change(accounts.issue_service_account_credential(request), &request_id).await?;
    keep(file, &pair, given, session)
}
