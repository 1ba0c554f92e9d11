//! All that is a member's, in files (Art. 15 and 20 DSGVO): records as JSON, usage and invoices as CSV too, documents of invoices, and the
//! member's chain of the audit with what is needed to verify it. Everything that lies in etcd is of one revision.

use std::{collections::VecDeque, pin::Pin};

use allmende_domain::{ids::MemberId, invoice::Invoice, usage::UsageSegment};
use allmende_evidence::export;
use allmende_proto::v1;
use allmende_store::{
    Key, Range, Record, Revision, Store, Versioned, keys,
    objects::{DocumentStore, sha256},
};
use futures::{Stream, stream};
use serde::Serialize;

use super::Members;
use crate::{
    app::audit::{self, Archive},
    authz::Scope,
    context::Context,
    error::AppError,
};

/// Bytes of content in one message.
const PIECE: usize = 1 << 20;

/// Messages of an export.
pub type MemberDataStream =
    Pin<Box<dyn Stream<Item = Result<v1::ExportMemberDataResponse, tonic::Status>> + Send>>;

/// A file before it is cut into pieces.
struct File {
    name: String,
    media_type: &'static str,
    content: Vec<u8>,
}

/// What is still to be sent.
struct Rest {
    files: VecDeque<File>,
    documents: VecDeque<(String, String)>,
    store: DocumentStore,
    offset: usize,
}

/// One revision of the store.
struct Cut<'a> {
    store: &'a Store,
    at: Revision,
}

impl Members {
    /// All that is a member's.
    ///
    /// # Errors
    /// NOT_FOUND, also where the caller may not know of it.
    pub async fn export(
        &self,
        context: &Context,
        member: &MemberId,
        name: &str,
        documents: &DocumentStore,
    ) -> Result<MemberDataStream, AppError> {
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        let store = &self.core.store;
        let found = store.find(&keys::member(member)).await?.ok_or_else(|| AppError::not_found(name))?;
        let (invoices, at) = store.snapshot(&keys::invoices(member)).await?;
        let invoices: Vec<Invoice> = invoices.into_iter().map(|row| row.value).collect();
        let mut files = records(&Cut { store, at }, member, &found, self.core.archive.as_ref()).await?;
        files.push_back(json("invoices.json", &invoices)?);
        files.push_back(invoices_table(&invoices)?);
        let wanted = invoices
            .iter()
            .flat_map(|invoice| &invoice.documents)
            .map(|document| (document.name.clone(), document.sha256.clone()))
            .collect();
        let rest = Rest { files, documents: wanted, store: documents.clone(), offset: 0 };
        Ok(Box::pin(stream::try_unfold(rest, |rest| async move {
            rest.next().await.map_err(tonic::Status::from)
        })))
    }
}

async fn records(
    cut: &Cut<'_>,
    member: &MemberId,
    found: &Versioned<allmende_domain::member::Member>,
    archive: Option<&Archive>,
) -> Result<VecDeque<File>, AppError> {
    let imported = cut.all(&keys::segments(member)).await?;
    let segments: Vec<UsageSegment> = imported.iter().map(|stored| stored.segment.clone()).collect();
    let mut files = VecDeque::from([
        json("member.json", &found.value)?,
        json("bill-tos.json", &cut.all(&keys::bill_tos(member)).await?)?,
        json("grants.json", &cut.all(&keys::grants(member)).await?)?,
        json("service-accounts.json", &cut.all(&keys::service_accounts(member)).await?)?,
        json("entitlements.json", &cut.all(&keys::accounts(member)).await?)?,
        json("tenants.json", &cut.all(&keys::tenants(member)).await?)?,
        json("instances.json", &cut.all(&keys::instances_of(member)).await?)?,
        json("operations.json", &cut.all(&keys::operations(member)).await?)?,
        json("usage-facts.json", &cut.all(&keys::facts(member)).await?)?,
        json("usage-imported.json", &imported)?,
        usage_table(&segments)?,
    ]);
    let mut lines = String::new();
    let store = cut.store;
    for segment in store.snapshot_at(&keys::audit_segments(Some(member)), cut.at).await? {
        let links = audit::links(archive, &segment).await?;
        links.iter().for_each(|link| lines.push_str(&export::line(link)));
    }
    files.push_back(File {
        name: "audit/audit.jsonl".into(),
        media_type: "application/jsonl",
        content: lines.into_bytes(),
    });
    if let Some(head) = cut.one(&keys::audit_head(Some(member))).await? {
        let content = head.head.to_text().into_bytes();
        files.push_back(File { name: "audit/head.json".into(), media_type: "application/json", content });
        let content = head.public_key.into_bytes();
        files.push_back(File { name: "audit/key.pem".into(), media_type: "application/x-pem-file", content });
    }
    Ok(files)
}

impl Cut<'_> {
    async fn all<T: Record>(&self, range: &Range<T>) -> Result<Vec<T>, AppError> {
        let rows = self.store.snapshot_at(range, self.at).await?;
        Ok(rows.into_iter().map(|row| row.value).collect())
    }

    async fn one<T: Record>(&self, key: &Key<T>) -> Result<Option<T>, AppError> {
        Ok(self.store.find_as_of(key, self.at).await?.map(|row| row.value))
    }
}

impl Rest {
    async fn next(mut self) -> Result<Option<(v1::ExportMemberDataResponse, Self)>, AppError> {
        if self.files.is_empty()
            && let Some((name, digest)) = self.documents.pop_front()
        {
            let content = self.store.get(&name).await?;
            let content = content.filter(|content| sha256(content) == digest).ok_or_else(|| {
                AppError::internal(format!("document {name} is not there, or differs from its digest"))
            })?;
            let name = format!("documents/{name}");
            self.files.push_back(File { name, media_type: "application/octet-stream", content });
        }
        let Some(file) = self.files.front() else { return Ok(None) };
        let rest = file.content.get(self.offset..).unwrap_or_default();
        let piece = &rest[..rest.len().min(PIECE)];
        let message = v1::ExportMemberDataResponse {
            name: file.name.clone(),
            media_type: file.media_type.to_owned(),
            sha256: sha256(&file.content),
            size_bytes: i64::try_from(file.content.len()).unwrap_or(i64::MAX),
            content: piece.to_vec(),
        };
        self.offset = self.offset.saturating_add(piece.len());
        if self.offset >= file.content.len() {
            self.files.pop_front();
            self.offset = 0;
        }
        Ok(Some((message, self)))
    }
}

fn json(name: &str, value: &impl Serialize) -> Result<File, AppError> {
    let content = serde_json::to_vec_pretty(value).map_err(AppError::internal)?;
    Ok(File { name: name.to_owned(), media_type: "application/json", content })
}

fn table(name: &str, header: &[&str], rows: Vec<Vec<String>>) -> Result<File, AppError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).map_err(AppError::internal)?;
    for row in rows {
        writer.write_record(row.iter().map(|text| harmless(text))).map_err(AppError::internal)?;
    }
    let content = writer.into_inner().map_err(|error| AppError::internal(error.to_string()))?;
    Ok(File { name: name.to_owned(), media_type: "text/csv; charset=utf-8", content })
}

/// A text that a spreadsheet would take for a formula gets an apostrophe (CWE-1236).
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err() {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn usage_table(segments: &[UsageSegment]) -> Result<File, AppError> {
    let header =
        ["id", "meter", "amount_milli", "start", "end", "subject", "bill_to", "accounting_reference"];
    let row = |segment: &UsageSegment| {
        vec![
            segment.id.clone(),
            segment.meter.to_string(),
            segment.amount_milli.to_string(),
            segment.start.to_string(),
            segment.end.to_string(),
            segment.subject.clone(),
            segment.bill_to.to_string(),
            segment.accounting_reference.clone(),
        ]
    };
    table("usage-imported.csv", &header, segments.iter().map(row).collect())
}

fn invoices_table(invoices: &[Invoice]) -> Result<File, AppError> {
    let header = [
        "number",
        "period",
        "issue_date",
        "due_date",
        "retained_until",
        "leitweg_id",
        "net_cents",
        "vat_cents",
        "gross_cents",
    ];
    let row = |invoice: &Invoice| {
        let retained = allmende_domain::departure::invoice_retained_until(invoice.issue_date);
        vec![
            invoice.id.clone(),
            invoice.period.to_string(),
            invoice.issue_date.to_string(),
            invoice.due_date.to_string(),
            retained.map_or_else(String::new, |date| date.to_string()),
            invoice.bill_to.leitweg_id.to_string(),
            invoice.net.0.to_string(),
            invoice.vat.0.to_string(),
            invoice.gross.0.to_string(),
        ]
    };
    table("invoices.csv", &header, invoices.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_looks_like_a_formula_is_made_harmless_and_a_number_stays() {
        assert_eq!(harmless("=1+1"), "'=1+1");
        assert_eq!(harmless("@x"), "'@x");
        assert_eq!(harmless("-5"), "-5");
        assert_eq!(harmless("Lemgo"), "Lemgo");
    }
}
