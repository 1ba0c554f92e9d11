//! `OperationService`.

use std::sync::Arc;

use allmende_proto::v1::{self, operation_service_server::OperationService};
use tonic::Request;

use super::{Answer, Apps, answer, page, split, written};
use crate::{convert::operation as convert, names};

/// See the module.
#[derive(Clone)]
pub struct OperationApi(pub Arc<Apps>);

#[tonic::async_trait]
impl OperationService for OperationApi {
    async fn get_operation(&self, request: Request<v1::GetOperationRequest>) -> Answer<v1::Operation> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, id) = names::operation(&request.name)?;
            let found = self.0.operations.get(&context, (&member, &id), &request.name).await?;
            Ok(convert::write(&found))
        })
        .await
    }

    async fn list_operations(
        &self,
        request: Request<v1::ListOperationsRequest>,
    ) -> Answer<v1::ListOperationsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member(&request.parent)?;
            let page =
                page(request.page_size, &request.page_token, &format!("{}/operations", request.parent))?;
            let found = self.0.operations.list(&context, &member, &request.parent, &page).await?;
            let (operations, next_page_token) = written(found, |row| convert::write(&row.value));
            Ok(v1::ListOperationsResponse { operations, next_page_token })
        })
        .await
    }
}
