//! `InvoiceService`.

use std::sync::Arc;

use allmende_proto::v1::{self, invoice_service_server::InvoiceService};
use tonic::Request;

use super::{Answer, Apps, answer, page, split, written};
use crate::{convert::invoice as convert, names};

/// See the module.
#[derive(Clone)]
pub struct InvoiceApi(pub Arc<Apps>);

#[tonic::async_trait]
impl InvoiceService for InvoiceApi {
    async fn get_invoice(&self, request: Request<v1::GetInvoiceRequest>) -> Answer<v1::Invoice> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, id) = names::invoice(&request.name)?;
            let found = self.0.invoices.get(&context, (&member, &id), &request.name).await?;
            Ok(convert::write(&found, true))
        })
        .await
    }

    async fn list_invoices(
        &self,
        request: Request<v1::ListInvoicesRequest>,
    ) -> Answer<v1::ListInvoicesResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member_or_all(&request.parent)?;
            let list = format!("{}/invoices {}", request.parent, request.period);
            let page = page(request.page_size, &request.page_token, &list)?;
            let scope = (request.parent.as_str(), request.period.as_str());
            let found = self.0.invoices.list(&context, member.as_ref(), scope, &page).await?;
            let (invoices, next_page_token) = written(found, |row| convert::write(row, false));
            Ok(v1::ListInvoicesResponse { invoices, next_page_token })
        })
        .await
    }

    async fn get_invoice_document(
        &self,
        request: Request<v1::GetInvoiceDocumentRequest>,
    ) -> Answer<v1::InvoiceDocument> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, id) = names::invoice(&request.name)?;
            self.0.invoices.document(&context, (&member, &id), &request).await
        })
        .await
    }
}
