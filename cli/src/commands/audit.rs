//! `allmende audit`: who did what, and the proof that nobody changed it afterwards.

use std::{
    fs::File,
    io::{BufReader, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use allmende_evidence::{Head, VerifyingKey, export};
use allmende_proto::v1::{
    AuditHead, ExportAuditRequest, GetAuditHeadRequest, ListAuditEntriesRequest, export_audit_response::Part,
};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    arguments::Globals,
    failure::Failure,
    output::Printer,
    session::{Session, list, read},
};

/// Files of an export.
const ENTRIES: &str = "audit.jsonl";
const HEAD: &str = "head.json";
const KEY: &str = "key.pem";
/// A whole chain may be long.
const EXPORT_LIMIT: Duration = Duration::from_secs(3600);

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists what was done, and what was refused
    #[command(after_help = "Examples:
  allmende audit list
  allmende audit list --refused
  allmende audit list --action CreateTenant --since 2026-11-01 --until 2026-12-01
  allmende audit list --target members/m-05766044/tenants/prod -o json")]
    List(ListArgs),
    /// Shows the signed end of the chain: keep it, it proves later that nothing before it was changed
    #[command(after_help = "Examples:\n  allmende audit head\n  allmende audit head --out head-2026-11.json")]
    Head {
        /// The cooperative's chain over everything (cooperative only)
        #[arg(long)]
        all: bool,
        /// File to keep it in
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Saves the whole chain with its head and key, for verifying offline
    #[command(after_help = "Examples:
  allmende audit export protokoll
  allmende audit export protokoll --all
Writes audit.jsonl (one entry a line), head.json and key.pem into the folder.")]
    Export {
        /// Folder to save it in
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// The cooperative's chain over everything (cooperative only)
        #[arg(long)]
        all: bool,
    },
    /// Proves offline that an export is whole and unchanged
    #[command(after_help = "Examples:
  allmende audit verify protokoll
  allmende audit verify protokoll --key schluessel.pem --earlier head-2026-10.json
Finds any change, deletion, swap, renumbering and cut-off end. With --earlier also whether anything was rewritten since that head.")]
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Everything, of all members (cooperative only)
    #[arg(long)]
    all: bool,
    /// Only by this identity: allmende://member/m-05766044
    #[arg(long, value_name = "IDENTITY", default_value = "", hide_default_value = true)]
    actor: String,
    /// Only this RPC: CreateTenant
    #[arg(long, value_name = "RPC", default_value = "", hide_default_value = true)]
    action: String,
    /// Only of this resource and what is below it
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    target: String,
    /// From this day or time on
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<jiff::Timestamp>,
    /// Before this day or time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<jiff::Timestamp>,
    /// Only refused attempts
    #[arg(long)]
    refused: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Folder of the export
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Public key that the cooperative published, PEM; may be given more than once. Default: the one in the export
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// A head that was kept earlier; may be given more than once
    #[arg(long, value_name = "FILE")]
    earlier: Vec<PathBuf>,
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::List(args) => {
            let request = ListAuditEntriesRequest {
                parent: parent(session, args.all)?,
                actor: args.actor,
                action: args.action,
                target: args.target,
                start_time: args.since.map(timestamp),
                end_time: args.until.map(timestamp),
                refused_only: args.refused,
                ..ListAuditEntriesRequest::default()
            };
            let entries = list!(session.audits().list_audit_entries(request) => entries);
            let columns = ["time", "actor", "role", "action", "target", "summary", "reason", "retain_until"];
            session.printer.list(&entries, &columns)
        }
        Command::Head { all, out } => {
            let request = GetAuditHeadRequest { parent: parent(session, all)? };
            let head = read(session.audits().get_audit_head(session.call(request))).await?;
            if let Some(path) = out {
                write(&path, signed(&head)?.to_text().as_bytes())?;
            }
            session.printer.one(&head)
        }
        Command::Export { folder, all } => save(session, &folder, all).await,
        Command::Verify(args) => verify(&args, &session.printer),
    }
}

/// Needs no context and no connection: an auditor has the files alone.
pub(crate) fn run_offline(args: &VerifyArgs, globals: &Globals) -> Result<(), Failure> {
    verify(args, &Printer::new(globals.output, globals.lang()))
}

fn parent(session: &Session, all: bool) -> Result<String, Failure> {
    if all { Ok("members/-".to_owned()) } else { session.member(None) }
}

async fn save(session: &Session, folder: &Path, all: bool) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
    let mut request = session.call(ExportAuditRequest { parent: parent(session, all)? });
    request.set_timeout(EXPORT_LIMIT);
    let mut stream = read(session.audits().export_audit(request)).await?;
    let path = folder.join(ENTRIES);
    let beside = folder.join(format!(".{ENTRIES}.new"));
    let mut file = File::create(&beside).map_err(|error| Failure::file(&beside, &error))?;
    let mut head = None;
    while let Some(message) = stream.message().await.map_err(Failure::read)? {
        match message.part {
            Some(Part::Head(first)) => head = Some(first),
            Some(Part::Lines(lines)) => {
                file.write_all(lines.as_bytes()).map_err(|error| Failure::file(&beside, &error))?;
            }
            None => {}
        }
    }
    let head = head.ok_or_else(|| Failure::Local("the export had no head".to_owned()))?;
    std::fs::rename(&beside, &path).map_err(|error| Failure::file(&path, &error))?;
    write(&folder.join(HEAD), signed(&head)?.to_text().as_bytes())?;
    write(&folder.join(KEY), head.public_key.as_bytes())?;
    for name in [ENTRIES, HEAD, KEY] {
        session.printer.text(&folder.join(name).display().to_string())?;
    }
    Ok(())
}

fn verify(args: &VerifyArgs, printer: &Printer) -> Result<(), Failure> {
    let keys = if args.keys.is_empty() { vec![args.folder.join(KEY)] } else { args.keys.clone() };
    let keys: Vec<VerifyingKey> = keys.iter().map(|path| key(path)).collect::<Result<_, _>>()?;
    let earlier: Vec<Head> = args.earlier.iter().map(|path| head(path)).collect::<Result<_, _>>()?;
    let head = head(&args.folder.join(HEAD))?;
    let path = args.folder.join(ENTRIES);
    let file = File::open(&path).map_err(|error| Failure::file(&path, &error))?;
    let verified = export::verify(BufReader::new(file), &head, &earlier, &keys)
        .map_err(|finding| Failure::Local(format!("{}: {finding}", path.display())))?;
    printer.value(&json!({
        "chain": head.chain,
        "installation": head.installation,
        "entries": verified.entries,
        "digest": verified.digest.to_string(),
        "sealedAt": head.sealed_at,
        "keyId": head.key_id.to_string(),
        "keyGiven": !args.keys.is_empty(),
        "earlierHeads": earlier.len(),
    }))
}

fn key(path: &Path) -> Result<VerifyingKey, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    VerifyingKey::from_pem(&text).map_err(|error| Failure::Local(format!("{} {error}", path.display())))
}

fn head(path: &Path) -> Result<Head, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    Head::from_text(&text).map_err(|error| Failure::Local(format!("{}: {error}", path.display())))
}

/// The head in the form in which it was signed.
fn signed(head: &AuditHead) -> Result<Head, Failure> {
    let malformed = |field: &str| Failure::Local(format!("the head's {field} is malformed"));
    Ok(Head {
        installation: head.installation.clone(),
        chain: head.chain.clone(),
        sequence: u64::try_from(head.sequence).map_err(|_| malformed("sequence"))?,
        digest: head.digest.clone().try_into().map_err(|_| malformed("digest"))?,
        sealed_at: head.sealed_at.clone(),
        key_id: head.key_id.clone().try_into().map_err(|_| malformed("key_id"))?,
        signature: head.signature.clone(),
    })
}

fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, content).map_err(|error| Failure::file(path, &error))
}

fn timestamp(time: jiff::Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

/// `2026-11-24T10:00:00Z`, or a day, which begins in UTC.
fn parse_time(text: &str) -> Result<jiff::Timestamp, String> {
    text.parse()
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .map_err(|_| format!("`{text}` is no time: write 2026-11-24 or 2026-11-24T10:00:00Z"))
}

#[cfg(test)]
mod tests {
    use allmende_evidence::{Link, SigningKey, genesis};

    use super::*;
    use crate::{arguments::Format, language::Lang};

    const SECRET: &str = include_str!("../../../crates/evidence/tests/key.pem");

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::from_pem(SECRET).unwrap();
        let first = Link::new(1, genesis("i", "members/m-05766044"), "{}".to_owned());
        let second = Link::new(2, first.digest, r#"{"a":1}"#.to_owned());
        let lines = format!("{}{}", export::line(&first), export::line(&second));
        let end = (2, second.digest);
        let head = Head::sign("i", "members/m-05766044", end, "2026-11-24T10:00:00Z".to_owned(), &key);
        write(&folder.path().join(ENTRIES), lines.as_bytes()).unwrap();
        write(&folder.path().join(HEAD), head.to_text().as_bytes()).unwrap();
        write(&folder.path().join(KEY), key.verifying_key().to_pem().as_bytes()).unwrap();
        folder
    }

    fn verified(folder: &Path) -> Result<(), Failure> {
        let args = VerifyArgs { folder: folder.to_owned(), keys: Vec::new(), earlier: Vec::new() };
        verify(&args, &Printer::new(Format::Json, Lang::En))
    }

    #[test]
    fn an_export_is_verified_from_its_files_alone_and_a_change_of_any_of_them_is_found() {
        verified(folder().path()).unwrap();
        for name in [ENTRIES, HEAD, KEY] {
            let folder = folder();
            let path = folder.path().join(name);
            let text = std::fs::read_to_string(&path).unwrap();
            let (head, tail) = text.split_at(text.len() / 2);
            let changed = if tail.starts_with('7') { "8" } else { "7" };
            write(&path, format!("{head}{changed}{}", &tail[1..]).as_bytes()).unwrap();
            assert!(verified(folder.path()).is_err(), "{name}");
        }
    }

    #[test]
    fn a_day_begins_in_utc() {
        assert_eq!(parse_time("2026-11-24").unwrap().to_string(), "2026-11-24T00:00:00Z");
        assert_eq!(parse_time("2026-11-24T10:00:00+01:00").unwrap().to_string(), "2026-11-24T09:00:00Z");
        assert!(parse_time("yesterday").is_err());
    }
}
