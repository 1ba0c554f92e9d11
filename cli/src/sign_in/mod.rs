//! Signing in at the member's own OpenID provider: by a code on another device, or by the browser on this machine. The token is kept in a
//! file that only its owner reads, and is renewed while the provider allows it.

pub(crate) mod device;
pub(crate) mod redirect;
pub(crate) mod token_file;

use allmende_identity::http_client::HttpClient;
use serde_json::Value;

use crate::{config::Context, failure::Failure};
pub(crate) use token_file::{TokenFile, Tokens};

/// How long before its end a token is renewed, seconds: calls under way must not lose it.
const RENEW_BEFORE: i64 = 30;
/// What is asked for when the context does not say.
const SCOPE: &str = "openid";

/// The provider of a context: its addresses, and who we are there.
pub(crate) struct Provider {
    http: HttpClient,
    discovery: Value,
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) scope: String,
}

impl Provider {
    /// Reads the discovery document.
    pub(crate) async fn of(context: &Context) -> Result<Self, Failure> {
        let (Some(issuer), Some(client_id)) = (&context.issuer, &context.client_id) else {
            return Err(Failure::Usage(
                "the context names no OpenID provider: `allmende context add … --issuer URL --client-id ID`"
                    .to_owned(),
            ));
        };
        // Plain HTTP is taken on loopback alone.
        let http = HttpClient::new(context.issuer_ca.as_deref(), true)
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let discovery = http.discover(issuer).await.map_err(|error| Failure::Local(error.to_string()))?;
        Ok(Self {
            http,
            discovery,
            issuer: issuer.clone(),
            client_id: client_id.clone(),
            scope: context.scope.clone().unwrap_or_else(|| SCOPE.to_owned()),
        })
    }

    /// An address of the discovery document.
    pub(crate) fn endpoint(&self, name: &str) -> Result<&str, Failure> {
        self.discovery
            .get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| Failure::Local(format!("{} offers no {name}", self.issuer)))
    }

    /// Posts a form to an address of the discovery document; an answer with `error` comes back as it is.
    pub(crate) async fn post(&self, endpoint: &str, fields: &[(&str, &str)]) -> Result<Value, Failure> {
        let address = self.endpoint(endpoint)?;
        let (status, body) =
            self.http.post_form(address, fields).await.map_err(|error| Failure::Local(error.to_string()))?;
        if status.is_success() || body.get("error").is_some() {
            Ok(body)
        } else {
            Err(Failure::Local(format!("{address} answers {status}")))
        }
    }

    /// Asks for tokens; `now` in seconds since 1970.
    pub(crate) async fn tokens(&self, fields: &[(&str, &str)], now: i64) -> Result<Tokens, Failure> {
        let answer = self.post("token_endpoint", fields).await?;
        Tokens::of(&answer, &self.issuer, &self.client_id, now).ok_or_else(|| refused(&answer))
    }
}

/// What a provider said instead of giving a token. Its words only, never what we sent.
pub(crate) fn refused(answer: &Value) -> Failure {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    Failure::Local(
        format!("the provider refused: {} {}", text("error"), text("error_description"))
            .trim_end()
            .to_owned(),
    )
}

/// The access token of a context; renewed when it is about to end. None: nobody signed in.
pub(crate) async fn access_token(name: &str, context: &Context) -> Result<Option<String>, Failure> {
    let tokens = current(name, context, |tokens| tokens.expires_at).await?;
    Ok(tokens.map(|tokens| tokens.access_token))
}

/// The ID token of a context and its end, seconds since 1970: what a cluster's API server knows a person by. It is for the client alone, so
/// that a cluster which got it cannot speak for the person at Allmende's API. Renewed when it is about to end. None: nobody signed in.
pub(crate) async fn id_token(name: &str, context: &Context) -> Result<Option<(String, i64)>, Failure> {
    let Some(tokens) = current(name, context, |tokens| tokens.id_token_end().unwrap_or(i64::MIN)).await?
    else {
        return Ok(None);
    };
    let end = tokens.id_token_end().filter(|end| *end > now());
    match tokens.id_token.zip(end) {
        Some(found) => Ok(Some(found)),
        None => Err(Failure::SignIn(
            "the provider gave no ID token that counts; `allmende login`, with `openid` in the context's scope"
                .to_owned(),
        )),
    }
}

/// The tokens of a context, renewed when what `end` says of them is near. None: nobody signed in.
async fn current(name: &str, context: &Context, end: fn(&Tokens) -> i64) -> Result<Option<Tokens>, Failure> {
    let file = TokenFile::of(name)?;
    let fresh = |tokens: &Tokens| end(tokens) > now() + RENEW_BEFORE;
    match of_context(&file, context)? {
        Some(tokens) if !fresh(&tokens) => {}
        other => return Ok(other),
    }
    // A provider takes a refresh token once, and may end everything when it comes twice: of several programs one renews, the others wait.
    let _alone = file.lock()?;
    let tokens = match of_context(&file, context)? {
        Some(tokens) if !fresh(&tokens) => tokens,
        other => return Ok(other),
    };
    let Some(refresh) = &tokens.refresh_token else { return Err(sign_in_again()) };
    let provider = Provider::of(context).await?;
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.as_str()),
        ("client_id", &provider.client_id),
    ];
    let mut renewed = provider.tokens(&fields, now()).await.map_err(|_| sign_in_again())?;
    // A provider that does not rotate sends none: the present one stays good.
    renewed.refresh_token = renewed.refresh_token.or(tokens.refresh_token);
    renewed.id_token = renewed.id_token.or(tokens.id_token);
    file.write(&renewed)?;
    Ok(Some(renewed))
}

/// A context that was changed since belongs to another provider: its tokens are not sent to this API.
fn of_context(file: &TokenFile, context: &Context) -> Result<Option<Tokens>, Failure> {
    let same = |tokens: &Tokens| {
        context.issuer.as_ref() == Some(&tokens.issuer)
            && context.client_id.as_ref() == Some(&tokens.client_id)
    };
    Ok(file.read()?.filter(same))
}

fn sign_in_again() -> Failure {
    Failure::SignIn("the token has ended and cannot be renewed: `allmende login`".to_owned())
}

/// Seconds since 1970.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place where the program reads the machine's clock"
)]
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// 244 random bits in letters that every address may hold.
pub(crate) fn random() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}
