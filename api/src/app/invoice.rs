//! Invoices, read: records from the store, documents from the document store, with their digests checked.

use allmende_domain::{ids::MemberId, invoice::Invoice, period::Period};
use allmende_proto::v1;
use allmende_store::{
    Versioned, keys,
    objects::{DocumentStore, sha256},
};

use crate::{
    authz::Scope,
    context::Context,
    convert::invoice as convert,
    core::Core,
    error::AppError,
    pagination::{Page, PageRequest},
};

/// Use cases over invoices.
#[derive(Clone)]
pub struct Invoices {
    /// Shared parts.
    pub core: Core,
    /// Where the worker puts documents.
    pub documents: DocumentStore,
}

/// Most characters of an invoice's id: number or draft id.
const ID_MAX: usize = 64;

impl Invoices {
    /// One invoice.
    ///
    /// # Errors
    /// NOT_FOUND, also where the caller may not know of it.
    pub async fn get(
        &self,
        context: &Context,
        (member, id): (&MemberId, &str),
        name: &str,
    ) -> Result<Versioned<Invoice>, AppError> {
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        let sound = id.len() <= ID_MAX && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let found = if sound { self.core.store.find(&keys::invoice(member, id)).await? } else { None };
        found.ok_or_else(|| AppError::not_found(name))
    }

    /// A member's invoices, or all of them for the cooperative.
    ///
    /// # Errors
    /// Refusal, no such period, a page token of another list.
    pub async fn list(
        &self,
        context: &Context,
        member: Option<&MemberId>,
        (name, period): (&str, &str),
        page: &PageRequest,
    ) -> Result<Page<Versioned<Invoice>>, AppError> {
        self.core.authorizer.require(context, Scope::of(member, name)).await?;
        let period: Option<Period> = if period.is_empty() {
            None
        } else {
            Some(period.parse().map_err(|error| AppError::invalid("period", format!("{error}")))?)
        };
        let range = member.map_or_else(keys::invoices_all, keys::invoices);
        let (rows, _) = self.core.store.snapshot(&range).await?;
        let rows = rows
            .into_iter()
            .filter(|row| period.is_none_or(|period| row.value.period == period))
            .filter(|row| page.after().is_none_or(|after| row.key.raw() > after))
            .take(page.limit())
            .collect();
        Ok(page.page(rows, |row: &Versioned<Invoice>| row.key.raw().to_owned()))
    }

    /// One rendered document of an issued invoice.
    ///
    /// # Errors
    /// NOT_FOUND; a document that differs from its digest is a defect and is not handed out.
    pub async fn document(
        &self,
        context: &Context,
        (member, id): (&MemberId, &str),
        request: &v1::GetInvoiceDocumentRequest,
    ) -> Result<v1::InvoiceDocument, AppError> {
        let invoice = self.get(context, (member, id), &request.name).await?;
        let format = request.format();
        let missing = || AppError::not_found(format!("{} as {}", request.name, format.as_str_name()));
        let reference = invoice
            .value
            .documents
            .iter()
            .find(|document| convert::format(&document.format) == format)
            .ok_or_else(missing)?;
        let content = self.documents.get(&reference.name).await?.ok_or_else(missing)?;
        if sha256(&content) != reference.sha256 {
            return Err(AppError::internal(format!("document {} differs from its digest", reference.name)));
        }
        Ok(v1::InvoiceDocument {
            format: format.into(),
            file_name: convert::file_name(&reference.name).to_owned(),
            media_type: convert::media_type(format).to_owned(),
            sha256: reference.sha256.clone(),
            content,
        })
    }
}
