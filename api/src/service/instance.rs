//! `InstanceService`.

use std::sync::Arc;

use allmende_proto::v1::{self, instance_service_server::InstanceService};
use tonic::Request;

use super::{Answer, Apps, answer, page, split, written};
use crate::{
    convert::{instance as convert, operation, resources},
    names,
};

/// See the module.
#[derive(Clone)]
pub struct InstanceApi(pub Arc<Apps>);

#[tonic::async_trait]
impl InstanceService for InstanceApi {
    async fn create_instance(
        &self,
        request: Request<v1::CreateInstanceRequest>,
    ) -> Answer<v1::CreateInstanceResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, tenant) = names::tenant(&request.parent)?;
            let accepted = self.0.instances.create(&context, (&member, &tenant), &request).await?;
            Ok(v1::CreateInstanceResponse {
                operation: (!request.validate_only).then(|| operation::write(&accepted.operation)),
                preview: Some(resources::preview(&accepted.preview)),
            })
        })
        .await
    }

    async fn get_instance(&self, request: Request<v1::GetInstanceRequest>) -> Answer<v1::Instance> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, tenant, id) = names::instance(&request.name)?;
            let found = self.0.instances.get(&context, (&member, &tenant, &id), &request.name).await?;
            Ok(convert::write(&found))
        })
        .await
    }

    async fn list_instances(
        &self,
        request: Request<v1::ListInstancesRequest>,
    ) -> Answer<v1::ListInstancesResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, tenant) = names::tenant_or_all(&request.parent)?;
            let page =
                page(request.page_size, &request.page_token, &format!("{}/instances", request.parent))?;
            let scope = (&member, tenant.as_ref());
            let found = self.0.instances.list(&context, scope, &request.parent, &page).await?;
            let (instances, next_page_token) = written(found, convert::write);
            Ok(v1::ListInstancesResponse { instances, next_page_token })
        })
        .await
    }

    async fn retry_instance(&self, request: Request<v1::RetryInstanceRequest>) -> Answer<v1::Operation> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, tenant, id) = names::instance(&request.name)?;
            let begun = self.0.instances.retry(&context, (&member, &tenant, &id), &request).await?;
            Ok(operation::write(&begun))
        })
        .await
    }

    async fn delete_instance(&self, request: Request<v1::DeleteInstanceRequest>) -> Answer<v1::Operation> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, tenant, id) = names::instance(&request.name)?;
            let begun = self.0.instances.delete(&context, (&member, &tenant, &id), &request).await?;
            Ok(operation::write(&begun))
        })
        .await
    }

    async fn get_instance_credentials(
        &self,
        request: Request<v1::GetInstanceCredentialsRequest>,
    ) -> Answer<v1::CredentialsReference> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, tenant, id) = names::instance(&request.name)?;
            let found = self.0.instances.get(&context, (&member, &tenant, &id), &request.name).await?;
            Ok(convert::credentials(&found.value))
        })
        .await
    }
}
