//! `allmende invoice download`.

use std::path::{Path, PathBuf};

use allmende_proto::v1::{DocumentFormat, GetInvoiceDocumentRequest, InvoiceDocument, invoice::State};
use clap::ValueEnum;
use sha2::{Digest, Sha256};

use super::invoice::invoices;
use crate::{
    failure::Failure,
    session::{Session, read},
};

pub(super) const EXAMPLES: &str = "Examples:
  allmende invoice download MPG-2026-000001 --out rechnungen
  allmende invoice download --all --period 2026-09 --format xrechnung --format csv --out rechnungen
With --all it saves the issued invoices of the month: the member's, or everybody's when --every-member is given.";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Number of one invoice
    #[arg(required_unless_present = "all")]
    number: Option<String>,
    /// All issued invoices of a month
    #[arg(long, requires = "period", conflicts_with = "number")]
    all: bool,
    /// The month
    #[arg(long, value_name = "YYYY-MM", requires = "all")]
    period: Option<String>,
    /// Of all members (cooperative only)
    #[arg(long, requires = "all")]
    every_member: bool,
    /// Which documents; may be given more than once
    #[arg(long = "format", value_enum, default_values_t = [Document::Xrechnung])]
    formats: Vec<Document>,
    /// Folder to save them in
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Document {
    /// XRechnung, the original
    Xrechnung,
    /// The record
    Json,
    /// The lines
    Csv,
}

impl From<Document> for DocumentFormat {
    fn from(document: Document) -> Self {
        match document {
            Document::Xrechnung => Self::Xrechnung,
            Document::Json => Self::Json,
            Document::Csv => Self::Csv,
        }
    }
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), Failure> {
    let names = match &args.number {
        Some(number) => vec![session.of_member("invoices", number)?],
        None => {
            let all = invoices(session, args.period.clone().unwrap_or_default(), args.every_member).await?;
            all.into_iter()
                .filter(|invoice| invoice.state() == State::Issued)
                .map(|invoice| invoice.name)
                .collect()
        }
    };
    if names.is_empty() {
        session.printer.note(session.lang.pick("keine ausgestellten Rechnungen", "no issued invoices"));
        return Ok(());
    }
    std::fs::create_dir_all(&args.out).map_err(|error| Failure::file(&args.out, &error))?;
    for name in names {
        for format in &args.formats {
            let request = GetInvoiceDocumentRequest {
                name: name.clone(),
                format: DocumentFormat::from(*format) as i32,
            };
            let document = read(session.invoices().get_invoice_document(session.call(request))).await?;
            let path = save(&document, &args.out)?;
            session.printer.text(&path.display().to_string())?;
        }
    }
    Ok(())
}

/// Checks the digest, and lets no file name lead out of the folder.
fn save(document: &InvoiceDocument, folder: &Path) -> Result<PathBuf, Failure> {
    let digest: String = Sha256::digest(&document.content).iter().map(|byte| format!("{byte:02x}")).collect();
    if digest != document.sha256 {
        return Err(Failure::Local(format!(
            "{}: the content does not have the digest that it should",
            document.file_name
        )));
    }
    let name = Path::new(&document.file_name);
    if name.file_name().is_none_or(|file| file != name.as_os_str()) {
        return Err(Failure::Local(format!("{}: is no plain file name", document.file_name)));
    }
    let path = folder.join(name);
    let beside = folder.join(format!(".{}.new", document.file_name));
    std::fs::write(&beside, &document.content).map_err(|error| Failure::file(&beside, &error))?;
    std::fs::rename(&beside, &path).map_err(|error| Failure::file(&path, &error))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(file_name: &str) -> InvoiceDocument {
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        InvoiceDocument {
            file_name: file_name.to_owned(),
            sha256,
            content: b"abc".to_vec(),
            ..Default::default()
        }
    }

    #[test]
    fn a_document_is_saved_whole_when_its_digest_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let path = save(&document("MPG-1.xml"), folder.path()).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"abc");
        let changed = InvoiceDocument { content: b"abd".to_vec(), ..document("MPG-2.xml") };
        assert!(save(&changed, folder.path()).is_err());
        assert!(!folder.path().join("MPG-2.xml").exists());
    }

    #[test]
    fn a_file_name_never_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["../x", "/etc/x", "a/b", "..", ""] {
            assert!(save(&document(name), folder.path()).is_err(), "{name}");
        }
    }
}
