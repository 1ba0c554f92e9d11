//! One file for each noun.

mod audit;
mod bill_to;
mod billing_data;
mod budget;
mod certificate;
mod cluster;
mod completion;
mod context;
mod credential;
mod credentials;
mod departure;
mod doctor;
mod download;
mod grant;
mod instance;
mod invoice;
mod kubectl;
mod loan;
mod login;
mod member;
mod obstacle;
mod offering;
mod operation;
mod pool;
mod preflight;
mod quota;
mod quota_usage;
mod register;
mod revocation;
mod rights;
mod run;
mod service_account;
mod store;
mod tenant;
mod usage;

use clap::Subcommand;

use crate::{arguments::Cli, failure::Failure, session::Session};

/// The nouns.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Installations this program talks to, and as whom
    #[command(subcommand)]
    Context(context::Command),
    /// Signs in at the OpenID provider of the context
    Login(login::LoginArgs),
    /// Forgets the token, here and at the provider
    Logout(login::LogoutArgs),
    /// Shows as whom the API sees you, and what you may do
    Whoami(login::WhoAmIArgs),
    /// Tells kubectl who you are: its kubeconfig calls this
    KubectlCredential(kubectl::CredentialArgs),
    /// Members of the cooperative, their bill-tos and grants (Mitglieder)
    #[command(subcommand)]
    Member(member::Command),
    /// Identities of a member's programs, with scopes and short-lived keys (Dienstkonten)
    #[command(subcommand)]
    ServiceAccount(service_account::Command),
    /// Certificates that are refused before their time is over
    #[command(subcommand)]
    Certificate(revocation::Command),
    /// Clusters and their capacity
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// The store behind the API, after a restore
    #[command(subcommand)]
    Store(store::Command),
    /// Pool, entitlements and reservations (Kontingente)
    #[command(subcommand)]
    Quota(quota::Command),
    /// What may be spent in a year, and what is committed (Haushalt)
    #[command(subcommand)]
    Budget(budget::Command),
    /// Loans of idle entitlement between members (Leihen)
    #[command(subcommand)]
    Loan(loan::Command),
    /// How the pool is divided (Verteilung)
    #[command(subcommand)]
    Pool(pool::Command),
    /// A member's places on the clusters (Mandanten)
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// What can be ordered (Leistungsangebote)
    #[command(subcommand)]
    Offering(offering::Command),
    /// Ordered services (Serviceinstanzen)
    #[command(subcommand)]
    Instance(instance::Command),
    /// Usage and its cost (Verbrauch)
    #[command(subcommand)]
    Usage(usage::Command),
    /// Dated prices (Preislisten)
    #[command(subcommand)]
    PriceList(billing_data::PriceListCommand),
    /// How common costs are split (Umlageschlüssel)
    #[command(subcommand)]
    Key(billing_data::KeyCommand),
    /// Common costs of a period (Umlagetöpfe)
    #[command(subcommand)]
    Pot(billing_data::PotCommand),
    /// Who issues the invoices
    #[command(subcommand)]
    Issuer(billing_data::IssuerCommand),
    /// The monthly closing (Abrechnungslauf)
    #[command(subcommand)]
    Run(run::Command),
    /// Invoices and their documents (Rechnungen)
    #[command(subcommand)]
    Invoice(invoice::Command),
    /// Who did what, and the proof that nobody changed it (Protokoll)
    #[command(subcommand)]
    Audit(audit::Command),
    /// Long-running work (Vorgänge)
    #[command(subcommand)]
    Operation(operation::Command),
    /// Checks configuration, certificates and the way to the API
    Doctor(doctor::Args),
    /// Completion for a shell
    Completion(completion::Args),
}

/// Does what was asked.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    let globals = &cli.globals;
    let command = match cli.command {
        Command::Context(command) => return context::run(command, globals),
        Command::Audit(audit::Command::Verify(args)) => return audit::run_offline(&args, globals),
        Command::Login(args) => return login::login(args, globals).await,
        Command::Logout(args) => return login::logout(args, globals).await,
        Command::KubectlCredential(args) => return kubectl::credential(args, globals).await,
        Command::Doctor(args) => return doctor::run(args, globals).await,
        Command::Completion(args) => return completion::run(args, globals),
        other => other,
    };
    let session = &Session::open(globals).await?;
    match command {
        Command::Whoami(args) => login::who_am_i(args, session).await,
        Command::Member(command) => member::run(command, session).await,
        Command::ServiceAccount(command) => service_account::run(command, session).await,
        Command::Certificate(command) => revocation::run(command, session).await,
        Command::Cluster(command) => cluster::run(command, session).await,
        Command::Store(command) => store::run(command, session).await,
        Command::Quota(command) => quota::run(command, session).await,
        Command::Budget(command) => budget::run(command, session).await,
        Command::Loan(command) => loan::run(command, session).await,
        Command::Pool(command) => pool::run(command, session).await,
        Command::Tenant(command) => tenant::run(command, session).await,
        Command::Offering(command) => offering::run(command, session).await,
        Command::Instance(command) => instance::run(command, session).await,
        Command::Usage(command) => usage::run(command, session).await,
        Command::PriceList(command) => billing_data::price_list(command, session).await,
        Command::Key(command) => billing_data::key(command, session).await,
        Command::Pot(command) => billing_data::pot(command, session).await,
        Command::Issuer(command) => billing_data::issuer(command, session).await,
        Command::Run(command) => run::run(command, session).await,
        Command::Invoice(command) => invoice::run(command, session).await,
        Command::Audit(command) => audit::run(command, session).await,
        Command::Operation(command) => operation::run(command, session).await,
        // Done above, without a session.
        Command::Context(_)
        | Command::Login(_)
        | Command::Logout(_)
        | Command::KubectlCredential(_)
        | Command::Doctor(_)
        | Command::Completion(_) => Ok(()),
    }
}
