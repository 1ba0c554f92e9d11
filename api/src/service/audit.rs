//! `AuditService`.

use std::sync::Arc;

use allmende_proto::v1::{self, audit_service_server::AuditService};
use tonic::Request;

use super::{Answer, Apps, answer, page, split, written};
use crate::{
    app::audit::{ExportStream, Filter},
    convert::{audit as convert, fields::Fields},
    error::AppError,
    names,
};

/// See the module.
#[derive(Clone)]
pub struct AuditApi(pub Arc<Apps>);

#[tonic::async_trait]
impl AuditService for AuditApi {
    type ExportAuditStream = ExportStream;

    async fn list_audit_entries(
        &self,
        request: Request<v1::ListAuditEntriesRequest>,
    ) -> Answer<v1::ListAuditEntriesResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member_or_all(&request.parent)?;
            let filter = read_filter(&request)?;
            let list = format!("{}/audit {filter:?}", request.parent);
            let page = page(request.page_size, &request.page_token, &list)?;
            let chain = (member.as_ref(), request.parent.as_str());
            let found = self.0.audits.list(&context, chain, &filter, &page).await?;
            let (entries, next_page_token) = written(found, convert::write);
            Ok(v1::ListAuditEntriesResponse { entries, next_page_token })
        })
        .await
    }

    async fn get_audit_head(&self, request: Request<v1::GetAuditHeadRequest>) -> Answer<v1::AuditHead> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member_or_all(&request.parent)?;
            let head = self.0.audits.head(&context, member.as_ref(), &request.parent).await?;
            Ok(convert::write_head(&head.value))
        })
        .await
    }

    async fn export_audit(&self, request: Request<v1::ExportAuditRequest>) -> Answer<ExportStream> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member_or_all(&request.parent)?;
            self.0.audits.export(&context, member.as_ref(), &request.parent).await
        })
        .await
    }
}

fn read_filter(request: &v1::ListAuditEntriesRequest) -> Result<Filter, AppError> {
    let mut fields = Fields::new();
    let start = request.start_time.as_ref().and_then(|time| fields.time("start_time", Some(time)));
    let end = request.end_time.as_ref().and_then(|time| fields.time("end_time", Some(time)));
    fields.check()?;
    Ok(Filter {
        actor: request.actor.clone(),
        action: request.action.clone(),
        target: request.target.clone(),
        start,
        end,
        refused_only: request.refused_only,
    })
}
