//! `allmende context`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::{
    arguments::{Format, Globals},
    config::{self, Config, Context},
    failure::Failure,
    output::Printer,
    session::id_of,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Adds or replaces a context; the first one becomes the current
    #[command(after_help = "Examples:
  allmende context add local --endpoint https://127.0.0.1:7443 --ca ca.crt --cert lemgo.crt --key lemgo.key --member m-05766044
  allmende context add amt --endpoint https://api.example.org --ca ca.crt --issuer https://id.example.org --client-id allmende-cli
  allmende context add treasurer --endpoint https://api.example.org --ca ca.crt --cert t.crt --key t.key --use")]
    Add(Box<AddArgs>),
    /// Lists the contexts
    #[command(after_help = "Examples:\n  allmende context list")]
    List,
    /// Makes a context the current one
    #[command(after_help = "Examples:\n  allmende context use local")]
    Use {
        /// Its name
        context_name: String,
    },
    /// Shows the current context, or another
    #[command(after_help = "Examples:\n  allmende context show\n  allmende context show local -o json")]
    Show {
        /// Its name
        context_name: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Its name
    context_name: String,
    /// `https://host:port` of the API
    #[arg(long)]
    endpoint: String,
    /// Authorities of the server, PEM
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// Own certificate, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// OpenID provider to sign in at (allmende login): its issuer
    #[arg(long, value_name = "URL", requires = "client_id")]
    issuer: Option<String>,
    /// Who this program is at the provider
    #[arg(long, value_name = "ID", requires = "issuer")]
    client_id: Option<String>,
    /// What is asked for at the provider (default: openid)
    #[arg(long, value_name = "TEXT", requires = "issuer")]
    scope: Option<String>,
    /// Authorities of the provider, PEM (default: those of the system)
    #[arg(long, value_name = "FILE", requires = "issuer")]
    issuer_ca: Option<PathBuf>,
    /// The member's kubeconfig, to read credentials with
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Make it the current one
    #[arg(long = "use")]
    make_current: bool,
}

pub(crate) fn run(command: Command, globals: &Globals) -> Result<(), Failure> {
    let path = config::path()?;
    let mut config = Config::read(&path)?;
    let printer = Printer::new(globals.output, globals.lang());
    match command {
        Command::Add(args) => {
            let (context_name, make_current) = (args.context_name.clone(), args.make_current);
            config.contexts.insert(context_name.clone(), context_of(*args, globals)?);
            if make_current || config.current.is_none() {
                config.current = Some(context_name);
            }
            config.write(&path)
        }
        Command::List => list(&config, &printer),
        Command::Use { context_name } => {
            config.context(Some(&context_name))?;
            config.current = Some(context_name);
            config.write(&path)
        }
        Command::Show { context_name } => {
            show(&config, context_name.or_else(|| globals.context.clone()), &printer)
        }
    }
}

fn context_of(args: AddArgs, globals: &Globals) -> Result<Context, Failure> {
    if !args.endpoint.starts_with("https://") {
        return Err(Failure::Usage(format!("{}: expected https://host:port", args.endpoint)));
    }
    Ok(Context {
        endpoint: args.endpoint,
        ca: found(&args.ca)?,
        cert: args.cert.as_deref().map(found).transpose()?,
        key: args.key.as_deref().map(found).transpose()?,
        issuer: args.issuer,
        client_id: args.client_id,
        scope: args.scope,
        issuer_ca: args.issuer_ca.as_deref().map(found).transpose()?,
        member: globals.member.as_deref().map(|member| id_of(member).to_owned()),
        kubeconfig: args.kubeconfig.as_deref().map(found).transpose()?,
    })
}

/// Paths are kept absolute: the program runs in other folders later.
fn found(path: &Path) -> Result<PathBuf, Failure> {
    if !path.exists() {
        return Err(Failure::file(path, &std::io::ErrorKind::NotFound.into()));
    }
    // Links stay links: certificates are renewed behind them.
    std::path::absolute(path).map_err(|error| Failure::file(path, &error))
}

fn list(config: &Config, printer: &Printer) -> Result<(), Failure> {
    if printer.format() != Format::Table {
        return printer
            .value(&serde_json::to_value(config).map_err(|error| Failure::Local(error.to_string()))?);
    }
    let rows = config.contexts.iter().map(|(name, context)| {
        let mark = if config.current.as_ref() == Some(name) { "*" } else { "" };
        let member = context.member.clone().unwrap_or_else(|| "-".to_owned());
        vec![mark.to_owned(), name.clone(), context.endpoint.clone(), member]
    });
    printer.rows(&["", "NAME", "ENDPOINT", "MEMBER"], rows.collect())
}

fn show(config: &Config, named: Option<String>, printer: &Printer) -> Result<(), Failure> {
    let (name, context) = config.context(named.as_deref())?;
    if printer.format() != Format::Table {
        return printer
            .value(&serde_json::to_value(context).map_err(|error| Failure::Local(error.to_string()))?);
    }
    let text = toml::to_string(context).map_err(|error| Failure::Local(error.to_string()))?;
    printer.text(&format!("[{name}]\n{text}"))
}
