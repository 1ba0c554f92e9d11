//! `allmende member exit` and `allmende member export`.

use std::{
    fs::File,
    io::Write,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use allmende_proto::v1::{ExitMemberRequest, ExportMemberDataRequest, ExportMemberDataResponse};
use clap::Args;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    arguments::ChangeArgs,
    failure::Failure,
    session::{Session, change, read},
};

pub(super) const EXPORT_EXAMPLES: &str = "Examples:
  allmende member export daten
  allmende member export daten --id m-05766044
Writes all files into the folder, and manifest.json with the size and SHA-256 of each.";

const MANIFEST: &str = "manifest.json";
/// Years of invoices may be long.
const LIMIT: Duration = Duration::from_secs(3600);

#[derive(Debug, Args)]
pub(crate) struct ExitArgs {
    /// Its id
    id: String,
    /// Last day of the membership
    #[arg(long, value_name = "DATE")]
    last_day: String,
    /// Days after it in which the member may still delete and export (default: 90)
    #[arg(long, value_name = "DAYS")]
    grace_days: Option<i32>,
    /// Why; kept in the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Folder to save it in; must be empty or not there yet
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The member's id (default: the context's member)
    #[arg(long)]
    id: Option<String>,
}

/// A file under way.
struct Saving {
    name: String,
    media_type: String,
    sha256: String,
    size: i64,
    path: PathBuf,
    file: File,
    hash: Sha256,
    written: i64,
}

pub(super) async fn exit(args: ExitArgs, session: &Session) -> Result<(), Failure> {
    let request_id = args.change.id().to_string();
    let request = ExitMemberRequest {
        name: session.member(Some(&args.id))?,
        last_day: args.last_day,
        grace_days: args.grace_days,
        reason: args.reason,
        request_id: request_id.clone(),
        validate_only: args.change.dry_run,
        ..ExitMemberRequest::default()
    };
    session.printer.one(&change(session.members().exit_member(session.call(request)), &request_id).await?)
}

pub(super) async fn export(args: ExportArgs, session: &Session) -> Result<(), Failure> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
    let mut entries = std::fs::read_dir(folder).map_err(|error| Failure::file(folder, &error))?;
    if entries.next().is_some() {
        return Err(Failure::Usage(format!("{}: is not empty", folder.display())));
    }
    let name = session.member(args.id.as_deref())?;
    let mut request = session.call(ExportMemberDataRequest { name: name.clone() });
    request.set_timeout(LIMIT);
    let mut stream = read(session.members().export_member_data(request)).await?;
    let (mut saving, mut files): (Option<Saving>, Vec<Value>) = (None, Vec::new());
    while let Some(piece) = stream.message().await.map_err(Failure::read)? {
        if let Some(done) = saving.take_if(|saving| saving.name != piece.name) {
            files.push(done.finish()?);
        }
        let current = match saving.take() {
            Some(current) => current,
            None => Saving::begin(folder, &piece)?,
        };
        saving = Some(current.write(&piece)?);
    }
    if let Some(done) = saving {
        files.push(done.finish()?);
    }
    let count = files.len();
    // Written last: a folder without it is not whole.
    let manifest = json!({ "member": name, "files": files });
    let path = folder.join(MANIFEST);
    let text = serde_json::to_string_pretty(&manifest).map_err(|error| Failure::Local(error.to_string()))?;
    std::fs::write(&path, text).map_err(|error| Failure::file(&path, &error))?;
    session.printer.note(&format!("{count} {}", session.lang.pick("Dateien", "files")));
    session.printer.text(&path.display().to_string())
}

impl Saving {
    fn begin(folder: &Path, piece: &ExportMemberDataResponse) -> Result<Self, Failure> {
        let relative = Path::new(&piece.name);
        let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || piece.name.is_empty() || piece.name == MANIFEST {
            return Err(Failure::Local(format!("{}: is no name of a file in the folder", piece.name)));
        }
        let path = folder.join(relative);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| Failure::file(parent, &error))?;
        }
        let file = File::create_new(&path).map_err(|error| Failure::file(&path, &error))?;
        Ok(Self {
            name: piece.name.clone(),
            media_type: piece.media_type.clone(),
            sha256: piece.sha256.clone(),
            size: piece.size_bytes,
            path,
            file,
            hash: Sha256::new(),
            written: 0,
        })
    }

    fn write(mut self, piece: &ExportMemberDataResponse) -> Result<Self, Failure> {
        self.file.write_all(&piece.content).map_err(|error| Failure::file(&self.path, &error))?;
        self.hash.update(&piece.content);
        self.written = self.written.saturating_add(i64::try_from(piece.content.len()).unwrap_or(i64::MAX));
        Ok(self)
    }

    /// Checks length and digest; gives the line of the manifest.
    fn finish(self) -> Result<Value, Failure> {
        let digest: String = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if digest != self.sha256 || self.written != self.size {
            return Err(Failure::Local(format!("{}: does not have the digest that it should", self.name)));
        }
        Ok(json!({
            "name": self.name, "mediaType": self.media_type, "sizeBytes": self.size, "sha256": self.sha256,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(name: &str, content: &[u8]) -> ExportMemberDataResponse {
        ExportMemberDataResponse {
            name: name.into(),
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
            size_bytes: 3,
            content: content.to_vec(),
            ..Default::default()
        }
    }

    #[test]
    fn pieces_become_one_file_whose_digest_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (piece("documents/a.xml", b"a"), piece("documents/a.xml", b"bc"));
        let saving =
            Saving::begin(folder.path(), &first).unwrap().write(&first).unwrap().write(&second).unwrap();
        assert_eq!(saving.finish().unwrap()["sizeBytes"], 3);
        assert_eq!(std::fs::read(folder.path().join("documents/a.xml")).unwrap(), b"abc");
        let short =
            Saving::begin(folder.path(), &piece("b", b"")).unwrap().write(&piece("b", b"ab")).unwrap();
        assert!(short.finish().is_err(), "a piece that is missing is noticed");
    }

    #[test]
    fn no_name_leads_out_of_the_folder_or_takes_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["../x", "/etc/x", "a/../../x", "", "manifest.json"] {
            assert!(Saving::begin(folder.path(), &piece(name, b"")).is_err(), "{name}");
        }
        Saving::begin(folder.path(), &piece("once", b"")).unwrap();
        assert!(Saving::begin(folder.path(), &piece("once", b"")).is_err());
    }
}
