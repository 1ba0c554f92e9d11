//! `UsageService`.

use std::sync::Arc;

use allmende_proto::v1::{self, usage_service_server::UsageService};
use tonic::{Request, Streaming};

use super::{Answer, Apps, answer, page, split, written};
use crate::{
    app::usage::Import,
    authz::Scope,
    context::Context,
    convert::{fields::Fields, usage as convert},
    core::Change,
    error::AppError,
    names,
    status::unreadable,
};

/// Most segments of one import.
const SEGMENTS_MAX: usize = 50_000;

/// See the module.
#[derive(Clone)]
pub struct UsageApi(pub Arc<Apps>);

#[tonic::async_trait]
impl UsageService for UsageApi {
    async fn report_facts(
        &self,
        request: Request<v1::ReportFactsRequest>,
    ) -> Answer<v1::ReportFactsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            self.0.usages.report(&context, &names::cluster(&request.name)?, &request).await
        })
        .await
    }

    async fn import_usage(
        &self,
        request: Request<Streaming<v1::ImportUsageRequest>>,
    ) -> Answer<v1::ImportUsageResponse> {
        answer(async {
            let (context, mut stream) = split(request, &self.0.clock)?;
            self.import(&context, &mut stream).await
        })
        .await
    }

    async fn list_usage(&self, request: Request<v1::ListUsageRequest>) -> Answer<v1::ListUsageResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member(&request.parent)?;
            let list = format!("{}/usage {}", request.parent, request.period);
            let page = page(request.page_size, &request.page_token, &list)?;
            let span = (request.parent.as_str(), request.period.as_str());
            let found = self.0.usages.list(&context, &member, span, &page).await?;
            let (segments, next_page_token) = written(found, convert::write_segment);
            Ok(v1::ListUsageResponse { segments, next_page_token })
        })
        .await
    }

    async fn get_cost(&self, request: Request<v1::GetCostRequest>) -> Answer<v1::Cost> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            self.0.usages.cost(&context, &names::member(&request.parent)?, &request).await
        })
        .await
    }
}

impl UsageApi {
    async fn import(
        &self,
        context: &Context,
        stream: &mut Streaming<v1::ImportUsageRequest>,
    ) -> Result<v1::ImportUsageResponse, AppError> {
        let actor = self.0.usages.core.authorizer.require(context, Scope::Cooperative).await?;
        let mut head = v1::ImportUsageRequest::default();
        let (mut fields, mut segments, mut index) = (Fields::new(), Vec::new(), 0usize);
        while let Some(mut part) = stream.message().await.map_err(|error| unreadable(&error))? {
            for segment in std::mem::take(&mut part.segments) {
                segments.extend(convert::read_segment(&mut fields, &format!("segments[{index}]"), &segment));
                index = index.saturating_add(1);
            }
            if head.source.is_empty() {
                head = part;
            }
            if index > SEGMENTS_MAX {
                let description = format!("more than {SEGMENTS_MAX} segments: import them in parts");
                return Err(AppError::LimitExceeded { description });
            }
        }
        fields.check()?;
        let change = Change::new(actor, &head.request_id, &head, head.validate_only, context.now)?;
        let counted =
            self.0.usages.import(context, &change, &Import { source: head.source, segments }).await?;
        Ok(v1::ImportUsageResponse { imported: counted.imported, already_counted: counted.already_counted })
    }
}
