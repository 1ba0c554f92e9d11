//! `allmende service-account`: identities of a member's programs.

use std::{path::PathBuf, time::Duration};

use allmende_proto::v1::{
    CreateServiceAccountRequest, DeleteServiceAccountRequest, GetServiceAccountRequest,
    ListServiceAccountCredentialsRequest, ListServiceAccountsRequest, RevokeServiceAccountCredentialRequest,
    ServiceAccount, ServiceAccountScope, UpdateServiceAccountRequest,
};
use clap::{Args, Subcommand, ValueEnum};

use super::{credential, grant::GrantRole};
use crate::{
    arguments::{ChangeArgs, ConfirmArgs, parse_span},
    confirm,
    failure::Failure,
    session::{Session, change, list, read},
};

const COLUMNS: [&str; 6] = ["name", "display_name", "scopes", "self_renew", "disabled", "expire_time"];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes an account, without a credential
    #[command(after_help = "Examples:
  allmende service-account create ci --scope orderer@test --self-renew --display-name 'Testumgebung, IT-Abteilung'
  allmende service-account create bericht --scope viewer --scope accountant:read --until 2027-12-31T23:00:00Z
A scope is a role, narrowed to a tenant by @TENANT and to reading by :read. Grants and accounts are given by people alone.")]
    Create {
        /// Its id
        id: String,
        #[command(flatten)]
        wish: WishArgs,
        /// What it may do: ROLE, ROLE@TENANT, ROLE:read or ROLE@TENANT:read; may be given more than once
        #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = parse_scope)]
        scopes: Vec<Scope>,
        /// It may renew its credential by itself
        #[arg(long)]
        self_renew: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Lists a member's accounts
    #[command(after_help = "Examples:\n  allmende service-account list --member m-05766044")]
    List,
    /// Shows one
    #[command(after_help = "Examples:\n  allmende service-account get ci -o yaml")]
    Get {
        /// Its id
        id: String,
    },
    /// Changes what is named; streams that it has open are cut
    #[command(after_help = "Examples:
  allmende service-account update ci --scope viewer@test
  allmende service-account update ci --until 2027-06-30T22:00:00Z --dry-run")]
    Update {
        /// Its id
        id: String,
        #[command(flatten)]
        wish: WishArgs,
        /// What it may do from now on: these and no others
        #[arg(long = "scope", value_name = "SCOPE", value_parser = parse_scope)]
        scopes: Vec<Scope>,
        /// Whether it may renew its credential by itself
        #[arg(long, value_name = "BOOL")]
        self_renew: Option<bool>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Ends all that it has: credentials, connections, rights
    #[command(after_help = "Examples:\n  allmende service-account disable ci")]
    Disable {
        /// Its id
        id: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Lets it have credentials again
    #[command(after_help = "Examples:\n  allmende service-account enable ci")]
    Enable {
        /// Its id
        id: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Deletes it, with its credentials
    #[command(after_help = "Examples:\n  allmende service-account delete ci --yes")]
    Delete {
        /// Its id
        id: String,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Makes a key here and has a certificate issued for it; both go into one file, and a context uses it
    #[command(after_help = "Examples:
  allmende service-account credential ci --out ci.pem
  allmende service-account credential ci --out ci.pem --ttl 12h --context-name ci
The key leaves this machine never. A day is the longest; the account renews it by `allmende service-account renew`.")]
    Credential {
        /// The account's id
        id: String,
        /// File for key and certificate, readable by its owner alone
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// How long it counts: five minutes to a day
        #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = parse_span)]
        ttl: Duration,
        /// Name of the context that uses it (default: MEMBER-ID)
        #[arg(long, value_name = "NAME")]
        context_name: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// As the account itself: a new key and certificate, in place of those of the context
    #[command(after_help = "Examples:
  allmende service-account renew --context ci
  allmende service-account renew --context ci --if-due --ttl 12h
For a timer: with --if-due nothing is done before half of the certificate's life is over.")]
    Renew {
        /// Only when half of the certificate's life is over
        #[arg(long)]
        if_due: bool,
        /// How long the new one counts: five minutes to a day
        #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = parse_span)]
        ttl: Duration,
    },
    /// Lists an account's credentials that have not ended
    #[command(after_help = "Examples:\n  allmende service-account credentials ci")]
    Credentials {
        /// The account's id
        id: String,
    },
    /// Ends one credential, with all that it was renewed to
    #[command(
        after_help = "Examples:\n  allmende service-account revoke-credential ci 0190f7a2-0000-7000-8000-000000000001 --yes"
    )]
    RevokeCredential {
        /// The account's id
        id: String,
        /// The credential's id
        credential: String,
        /// Why, for the audit
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WishArgs {
    /// For people: what it does, and which office answers for it
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// Nothing of it counts from then on (UTC; default: without end; needed for auditors)
    #[arg(long, value_name = "TIME")]
    until: Option<jiff::Timestamp>,
}

/// `orderer@test:read`.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    role: GrantRole,
    tenant: Option<String>,
    read_only: bool,
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    let (rest, read_only) = text.strip_suffix(":read").map_or((text, false), |rest| (rest, true));
    let (role, tenant) = rest.split_once('@').map_or((rest, None), |(role, tenant)| (role, Some(tenant)));
    let wrong =
        || format!("`{text}` is no scope: write orderer, orderer@test, orderer:read or orderer@test:read");
    let role = GrantRole::from_str(role, false).map_err(|_| wrong())?;
    let sound = tenant.is_none_or(|tenant| !tenant.is_empty() && !tenant.contains(['@', ':', '/']));
    if sound { Ok(Scope { role, tenant: tenant.map(str::to_owned), read_only }) } else { Err(wrong()) }
}

fn scopes(given: Vec<Scope>, member: &str) -> Vec<ServiceAccountScope> {
    let scope = |scope: Scope| ServiceAccountScope {
        role: allmende_proto::v1::Role::from(scope.role) as i32,
        tenant: scope.tenant.map(|tenant| format!("{member}/tenants/{tenant}")).unwrap_or_default(),
        read_only: scope.read_only,
    };
    given.into_iter().map(scope).collect()
}

fn timestamp(time: jiff::Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Create { id, wish, scopes: given, self_renew, change: args } => {
            let parent = session.member(None)?;
            let account = ServiceAccount {
                display_name: wish.display_name.unwrap_or_default(),
                scopes: scopes(given, &parent),
                self_renew,
                expire_time: wish.until.map(timestamp),
                ..ServiceAccount::default()
            };
            create(session, (parent, id), account, &args).await
        }
        Command::List => {
            let request = ListServiceAccountsRequest {
                parent: session.member(None)?,
                ..ListServiceAccountsRequest::default()
            };
            let all = list!(session.service_accounts().list_service_accounts(request) => service_accounts);
            session.printer.list(&all, &COLUMNS)
        }
        Command::Get { id } => {
            let request = GetServiceAccountRequest { name: name(session, &id)? };
            let call = session.call(request);
            session.printer.one(&read(session.service_accounts().get_service_account(call)).await?)
        }
        Command::Update { id, wish, scopes: given, self_renew, change: args } => {
            let account = ServiceAccount {
                display_name: wish.display_name.clone().unwrap_or_default(),
                scopes: scopes(given, &session.member(None)?),
                self_renew: self_renew.unwrap_or_default(),
                expire_time: wish.until.map(timestamp),
                ..ServiceAccount::default()
            };
            let named = [
                ("display_name", wish.display_name.is_some()),
                ("scopes", !account.scopes.is_empty()),
                ("self_renew", self_renew.is_some()),
                ("expire_time", wish.until.is_some()),
            ];
            let paths: Vec<&str> = named.iter().filter(|(_, given)| *given).map(|(path, _)| *path).collect();
            update(session, &id, account, &paths, &args).await
        }
        Command::Disable { id, change: args } => able(session, &id, true, &args).await,
        Command::Enable { id, change: args } => able(session, &id, false, &args).await,
        Command::Delete { id, confirm: asked, change: args } => delete(session, &id, asked, &args).await,
        Command::Credential { id, out, ttl, context_name, change: args } => {
            let account = name(session, &id)?;
            credential::issue(session, &account, (&out, ttl), context_name, &args).await
        }
        Command::Renew { if_due, ttl } => credential::renew(session, ttl, if_due).await,
        Command::Credentials { id } => {
            let parent = name(session, &id)?;
            let request = ListServiceAccountCredentialsRequest { parent, ..Default::default() };
            let all =
                list!(session.service_accounts().list_service_account_credentials(request) => credentials);
            session.printer.list(&all, &["name", "serial", "issued_by", "expire_time", "renewals"])
        }
        Command::RevokeCredential { id, credential, reason, confirm: asked, change: args } => {
            let name = format!("{}/credentials/{credential}", name(session, &id)?);
            revoke(session, name, reason, asked, &args).await
        }
    }
}

async fn create(
    session: &Session,
    (parent, id): (String, String),
    account: ServiceAccount,
    args: &ChangeArgs,
) -> Result<(), Failure> {
    let request_id = args.id().to_string();
    let request = CreateServiceAccountRequest {
        parent,
        service_account_id: id,
        service_account: Some(account),
        request_id: request_id.clone(),
        validate_only: args.dry_run,
    };
    let mut accounts = session.service_accounts();
    session.printer.one(&change(accounts.create_service_account(session.call(request)), &request_id).await?)
}

async fn revoke(
    session: &Session,
    name: String,
    reason: String,
    asked: ConfirmArgs,
    args: &ChangeArgs,
) -> Result<(), Failure> {
    if !args.dry_run {
        confirm::deletion(&name, asked, session.lang)?;
    }
    let request_id = args.id().to_string();
    let request = RevokeServiceAccountCredentialRequest {
        name,
        reason,
        request_id: request_id.clone(),
        validate_only: args.dry_run,
    };
    let mut accounts = session.service_accounts();
    let call = accounts.revoke_service_account_credential(session.call(request));
    session.printer.one(&change(call, &request_id).await?)
}

fn name(session: &Session, id: &str) -> Result<String, Failure> {
    session.of_member("serviceAccounts", id)
}

async fn able(session: &Session, id: &str, disabled: bool, args: &ChangeArgs) -> Result<(), Failure> {
    let account = ServiceAccount { disabled, ..ServiceAccount::default() };
    update(session, id, account, &["disabled"], args).await
}

async fn update(
    session: &Session,
    id: &str,
    account: ServiceAccount,
    paths: &[&str],
    args: &ChangeArgs,
) -> Result<(), Failure> {
    if paths.is_empty() {
        return Err(Failure::Usage(
            "nothing to change: say --scope, --self-renew, --display-name or --until".to_owned(),
        ));
    }
    let request_id = args.id().to_string();
    let request = UpdateServiceAccountRequest {
        service_account: Some(ServiceAccount { name: name(session, id)?, ..account }),
        update_mask: Some(prost_types::FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }),
        request_id: request_id.clone(),
        validate_only: args.dry_run,
    };
    let mut accounts = session.service_accounts();
    session.printer.one(&change(accounts.update_service_account(session.call(request)), &request_id).await?)
}

async fn delete(session: &Session, id: &str, asked: ConfirmArgs, args: &ChangeArgs) -> Result<(), Failure> {
    let name = name(session, id)?;
    if !args.dry_run {
        confirm::deletion(&name, asked, session.lang)?;
    }
    let request_id = args.id().to_string();
    let request =
        DeleteServiceAccountRequest { name, request_id: request_id.clone(), validate_only: args.dry_run };
    let mut accounts = session.service_accounts();
    session.printer.one(&change(accounts.delete_service_account(session.call(request)), &request_id).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_role_narrowed_to_a_tenant_and_to_reading() {
        let read = |text: &str| scopes(vec![parse_scope(text).unwrap()], "members/m-1").remove(0);
        let whole = read("orderer");
        assert_eq!((whole.role, whole.tenant.as_str(), whole.read_only), (2, "", false));
        let narrow = read("admin@test:read");
        assert_eq!(
            (narrow.role, narrow.tenant.as_str(), narrow.read_only),
            (6, "members/m-1/tenants/test", true)
        );
        for bad in ["", "king", "orderer@", "orderer@a@b", "orderer@a/b", "orderer:write", "@test", ":read"] {
            assert!(parse_scope(bad).is_err(), "{bad}");
        }
    }
}
