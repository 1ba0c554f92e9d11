//! `TenantService`.

use std::sync::Arc;

use allmende_proto::v1::{self, tenant_service_server::TenantService};
use tonic::Request;

use super::{Answer, Apps, answer, page, split, written};
use crate::{
    convert::{operation, resources, tenant as convert},
    names,
};

/// See the module.
#[derive(Clone)]
pub struct TenantApi(pub Arc<Apps>);

#[tonic::async_trait]
impl TenantService for TenantApi {
    async fn create_tenant(
        &self,
        request: Request<v1::CreateTenantRequest>,
    ) -> Answer<v1::CreateTenantResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member(&request.parent)?;
            let accepted = self.0.tenants.create(&context, &member, &request).await?;
            Ok(v1::CreateTenantResponse {
                operation: (!request.validate_only).then(|| operation::write(&accepted.operation)),
                preview: Some(resources::preview(&accepted.preview)),
            })
        })
        .await
    }

    async fn get_tenant(&self, request: Request<v1::GetTenantRequest>) -> Answer<v1::Tenant> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, id) = names::tenant(&request.name)?;
            let (tenant, isolation) = self.0.tenants.get(&context, (&member, &id), &request.name).await?;
            Ok(convert::write(&tenant, &isolation))
        })
        .await
    }

    async fn list_tenants(
        &self,
        request: Request<v1::ListTenantsRequest>,
    ) -> Answer<v1::ListTenantsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member_or_all(&request.parent)?;
            let page = page(request.page_size, &request.page_token, &format!("{}/tenants", request.parent))?;
            let found = self.0.tenants.list(&context, member.as_ref(), &request.parent, &page).await?;
            let (tenants, next_page_token) =
                written(found, |(tenant, isolation)| convert::write(tenant, isolation));
            Ok(v1::ListTenantsResponse { tenants, next_page_token })
        })
        .await
    }

    async fn update_tenant(
        &self,
        request: Request<v1::UpdateTenantRequest>,
    ) -> Answer<v1::UpdateTenantResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, id) =
                names::tenant(request.tenant.as_ref().map_or("", |tenant| tenant.name.as_str()))?;
            let accepted = self.0.tenants.update(&context, (&member, &id), &request).await?;
            Ok(v1::UpdateTenantResponse {
                operation: (!request.validate_only).then(|| operation::write(&accepted.operation)),
                preview: Some(resources::preview(&accepted.preview)),
            })
        })
        .await
    }

    async fn delete_tenant(&self, request: Request<v1::DeleteTenantRequest>) -> Answer<v1::Operation> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, id) = names::tenant(&request.name)?;
            let begun = self.0.tenants.delete(&context, (&member, &id), &request).await?;
            Ok(operation::write(&begun))
        })
        .await
    }
}
