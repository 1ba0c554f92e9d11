//! `allmende kubectl-credential`: a plugin by which kubectl signs in to a cluster as whoever did `allmende login`
//! (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>).

use std::io::{IsTerminal, Write};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    arguments::Globals,
    config::{self, Config},
    failure::Failure,
    sign_in,
};

/// The form of what kubectl asks and is told.
const VERSION: &str = "client.authentication.k8s.io/v1";
/// Where kubectl says what it asks for.
const ASKED: &str = "KUBERNETES_EXEC_INFO";
/// How long before its end kubectl asks for another one, seconds: calls under way must not lose it.
const BEFORE_THE_END: i64 = 15;

/// Tells kubectl who you are: its kubeconfig calls this
///
/// Gives the ID token of `allmende login`, renewed when it is about to end. The clusters must trust the provider (docs/guides/signing-in.md).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  allmende kubectl-credential --context amt > credential.json
In a kubeconfig:
  users:
    - name: amt
      user:
        exec:
          apiVersion: client.authentication.k8s.io/v1
          command: allmende
          args: [--context, amt, kubectl-credential]
          interactiveMode: Never")]
pub(crate) struct CredentialArgs {}

pub(crate) async fn credential(_: CredentialArgs, globals: &Globals) -> Result<(), Failure> {
    let asked = std::env::var(ASKED).ok();
    match &asked {
        Some(text) => fits(text)?,
        None if std::io::stdout().is_terminal() => {
            return Err(Failure::Usage(
                "this is for kubectl, and would show a token on the terminal: name it as `exec` in a kubeconfig"
                    .to_owned(),
            ));
        }
        None => {}
    }
    let config = Config::read(&config::path()?)?;
    let (name, context) = config.context(globals.context.as_deref())?;
    let Some((token, end)) = sign_in::id_token(name, context).await? else {
        return Err(Failure::SignIn(format!("nobody is signed in: `allmende --context {name} login`")));
    };
    let answer = answer(&token, end)?;
    writeln!(std::io::stdout(), "{answer}").map_err(|error| Failure::Local(error.to_string()))
}

/// Whether kubectl asks in the form that is answered here.
fn fits(asked: &str) -> Result<(), Failure> {
    let version = serde_json::from_str::<Value>(asked)
        .ok()
        .and_then(|asked| asked.get("apiVersion").and_then(Value::as_str).map(str::to_owned));
    match version.as_deref() {
        Some(VERSION) => Ok(()),
        other => Err(Failure::Usage(format!(
            "the kubeconfig asks in the form `{}`: write `apiVersion: {VERSION}` there",
            other.unwrap_or_default()
        ))),
    }
}

fn answer(token: &str, end: i64) -> Result<Value, Failure> {
    let asks_again = Timestamp::from_second(end.saturating_sub(BEFORE_THE_END))
        .map_err(|_| Failure::Local("the ID token ends at a moment that is none".to_owned()))?;
    Ok(json!({
        "apiVersion": VERSION,
        "kind": "ExecCredential",
        "status": { "expirationTimestamp": asks_again.to_string(), "token": token },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubectl_reads_is_told_in_the_form_that_it_asks_for() {
        assert!(fits(r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential"}"#).is_ok());
        for other in [r#"{"apiVersion":"client.authentication.k8s.io/v1beta1"}"#, "{}", "no JSON"] {
            let failure = fits(other).unwrap_err();
            assert!(failure.to_string().contains(VERSION), "{failure}");
        }
        let told = answer("a.b.c", 1_790_000_015).unwrap();
        assert_eq!(told["status"]["expirationTimestamp"], "2026-09-21T14:13:20Z");
        assert_eq!((&told["status"]["token"], &told["kind"]), (&"a.b.c".into(), &"ExecCredential".into()));
        assert!(answer("a.b.c", i64::MAX).is_err());
    }
}
