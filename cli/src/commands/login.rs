//! `allmende login`, `allmende logout`, `allmende whoami`.

use allmende_proto::v1::GetCallerRequest;

use crate::{
    arguments::Globals,
    config::{self, Config},
    failure::Failure,
    output::note,
    session::{Session, read},
    sign_in::{Provider, TokenFile, device, redirect},
};

/// Signs in at the member's OpenID provider
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  allmende login
  allmende login --device
Without --device the browser on this machine is used. The token is kept in a file that only you can read, and is renewed by itself.")]
pub(crate) struct LoginArgs {
    /// Type a code in on another device: for machines without a browser
    #[arg(long)]
    device: bool,
    /// Only tell the address
    #[arg(long, conflicts_with = "device")]
    no_browser: bool,
}

/// Forgets the token, here and at the provider
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  allmende logout")]
pub(crate) struct LogoutArgs {}

/// Shows as whom the API sees you, and what you may do
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  allmende whoami\n  allmende whoami -o json")]
pub(crate) struct WhoAmIArgs {}

pub(crate) async fn login(args: LoginArgs, globals: &Globals) -> Result<(), Failure> {
    let config = Config::read(&config::path()?)?;
    let (name, context) = config.context(globals.context.as_deref())?;
    let lang = globals.lang();
    let provider = Provider::of(context).await?;
    let tokens = if args.device {
        device::sign_in(&provider, lang).await?
    } else {
        redirect::sign_in(&provider, !args.no_browser, lang).await?
    };
    TokenFile::of(name)?.write(&tokens)?;
    note(lang.pick(
        "angemeldet; als wen die API Sie sieht, sagt allmende whoami",
        "signed in; allmende whoami says as whom",
    ));
    Ok(())
}

pub(crate) async fn logout(_: LogoutArgs, globals: &Globals) -> Result<(), Failure> {
    let config = Config::read(&config::path()?)?;
    let (name, context) = config.context(globals.context.as_deref())?;
    let lang = globals.lang();
    let file = TokenFile::of(name)?;
    // A file that cannot be read is deleted all the same.
    let tokens = file.read().ok().flatten();
    let there_was_one = file.delete()?;
    if let Some(refresh) = tokens.and_then(|tokens| tokens.refresh_token) {
        let fields = |client: &str| [("token", refresh.clone()), ("client_id", client.to_owned())];
        let revoked = async {
            let provider = Provider::of(context).await?;
            let fields = fields(&provider.client_id);
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            provider.post("revocation_endpoint", &fields).await
        };
        if revoked.await.is_err() {
            note(lang.pick(
                "! beim Anbieter konnte die Anmeldung nicht beendet werden; hier ist sie vergessen",
                "! the provider could not be told; here it is forgotten",
            ));
        }
    }
    note(if there_was_one {
        lang.pick("abgemeldet", "signed out")
    } else {
        lang.pick("es war niemand angemeldet", "nobody was signed in")
    });
    Ok(())
}

pub(crate) async fn who_am_i(_: WhoAmIArgs, session: &Session) -> Result<(), Failure> {
    session.printer.one(&read(session.members().get_caller(session.call(GetCallerRequest {}))).await?)
}
