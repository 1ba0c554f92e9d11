//! `allmende instance credentials`: the API says where they lie, the member's own kubeconfig reads them. They pass through this program
//! only, never through the API, and never through anybody's arguments.

use std::{collections::BTreeMap, io::IsTerminal, path::PathBuf, process::Stdio};

use allmende_proto::v1::{CredentialsReference, GetInstanceCredentialsRequest};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::{
    arguments::Format,
    failure::Failure,
    session::{Session, read},
};

pub(super) const EXAMPLES: &str = "Examples:
  allmende instance credentials prod/db
  allmende instance credentials prod/db --show
  allmende instance credentials prod/db --env > db.env
On a terminal the values are hidden unless --show is given. Needs kubectl and the member's kubeconfig.";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// TENANT/INSTANCE
    name: String,
    /// Show the values on a terminal
    #[arg(long)]
    show: bool,
    /// As lines for a shell: HOST='…'
    #[arg(long)]
    env: bool,
    /// Only say where they lie
    #[arg(long, conflicts_with_all = ["show", "env"])]
    reference: bool,
    /// The member's kubeconfig (default: the context's)
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Secret {
    #[serde(default)]
    data: BTreeMap<String, String>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), Failure> {
    let request = GetInstanceCredentialsRequest { name: session.instance(&args.name)? };
    let reference = read(session.instances().get_instance_credentials(session.call(request))).await?;
    if args.reference {
        return session.printer.one(&reference);
    }
    let kubeconfig = session.kubeconfig(args.kubeconfig)?;
    let values = values(&fetch(&reference, kubeconfig).await?, &reference)?;
    let hidden = std::io::stdout().is_terminal() && !args.show;
    if hidden {
        session.printer.note(
            session.lang.pick("Werte verborgen; zeigen mit --show", "values hidden; show them with --show"),
        );
    }
    let shown: BTreeMap<String, String> = values
        .into_iter()
        .map(|(key, value)| (key, if hidden { "********".to_owned() } else { value }))
        .collect();
    if args.env {
        let lines: Vec<String> = shown.iter().map(|(key, value)| env_line(key, value)).collect();
        return session.printer.text(&lines.join("\n"));
    }
    match session.printer.format() {
        Format::Table => {
            let headers = [session.lang.pick("SCHLÜSSEL", "KEY"), session.lang.pick("WERT", "VALUE")];
            session.printer.rows(&headers, shown.into_iter().map(|(key, value)| vec![key, value]).collect())
        }
        Format::Json | Format::Yaml | Format::Csv => session.printer.value(&serde_json::json!(shown)),
    }
}

/// Asks kubectl, so that this program needs no way of its own to sign in to a cluster.
async fn fetch(reference: &CredentialsReference, kubeconfig: PathBuf) -> Result<Vec<u8>, Failure> {
    let output = tokio::process::Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args([
            "--namespace",
            &reference.namespace,
            "--request-timeout",
            "20s",
            "get",
            "secret",
            "--output",
            "json",
            "--",
        ])
        .arg(&reference.secret)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| {
            Failure::Local(format!(
                "kubectl cannot be run: {error}; install it, or read secret {} in namespace {} yourself",
                reference.secret, reference.namespace
            ))
        })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(Failure::Local(format!(
        "secret {} in namespace {} cannot be read: {}",
        reference.secret,
        reference.namespace,
        told.trim()
    )))
}

/// The keys that the API named; a secret may hold more. Errors never carry content.
fn values(json: &[u8], reference: &CredentialsReference) -> Result<BTreeMap<String, String>, Failure> {
    let unreadable = || Failure::Local(format!("secret {} is not readable text", reference.secret));
    let secret: Secret = serde_json::from_slice(json).map_err(|_| unreadable())?;
    let mut values = BTreeMap::new();
    for (key, encoded) in secret.data {
        if reference.keys.is_empty() || reference.keys.contains(&key) {
            let bytes = STANDARD.decode(encoded).map_err(|_| unreadable())?;
            values.insert(key, String::from_utf8(bytes).map_err(|_| unreadable())?);
        }
    }
    if values.is_empty() {
        return Err(Failure::NotReached(format!(
            "secret {} holds none of the expected keys yet",
            reference.secret
        )));
    }
    Ok(values)
}

/// Quoted so that a shell takes the value as it is.
fn env_line(key: &str, value: &str) -> String {
    let name: String =
        key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("{name}='{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_keys_are_read() {
        let reference =
            CredentialsReference { keys: vec!["host".into(), "password".into()], ..Default::default() };
        let secret = br#"{"data":{"host":"ZGI=","password":"cCdx","other":"eA=="}}"#;
        let read = values(secret, &reference).unwrap();
        assert_eq!(read, BTreeMap::from([("host".into(), "db".into()), ("password".into(), "p'q".into())]));
        let failure = values(br#"{"data":{"host":"!"}}"#, &reference).unwrap_err().to_string();
        assert!(!failure.contains('!'), "{failure}");
        assert!(values(br#"{"data":{}}"#, &reference).is_err());
    }

    #[test]
    fn a_shell_reads_the_value_as_it_is() {
        assert_eq!(env_line("db-host", "db"), "DB_HOST='db'");
        assert_eq!(env_line("password", "p'q$(x)"), r"PASSWORD='p'\''q$(x)'");
    }
}
