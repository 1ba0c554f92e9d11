//! `CatalogService`.

use std::sync::Arc;

use allmende_proto::v1::{self, catalog_service_server::CatalogService};
use tonic::Request;

use super::{Answer, Apps, answer, page, split, written};
use crate::{convert::catalog as convert, names};

/// See the module.
#[derive(Clone)]
pub struct CatalogApi(pub Arc<Apps>);

#[tonic::async_trait]
impl CatalogService for CatalogApi {
    async fn get_offering(&self, request: Request<v1::GetOfferingRequest>) -> Answer<v1::Offering> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let id = names::offering(&request.name)?;
            Ok(convert::write(&self.0.catalog.get(&context, &id, &request.name).await?))
        })
        .await
    }

    async fn list_offerings(
        &self,
        request: Request<v1::ListOfferingsRequest>,
    ) -> Answer<v1::ListOfferingsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let page = page(request.page_size, &request.page_token, "offerings")?;
            let (offerings, next_page_token) =
                written(self.0.catalog.list(&context, &page).await?, convert::write);
            Ok(v1::ListOfferingsResponse { offerings, next_page_token })
        })
        .await
    }

    async fn publish_offering_version(
        &self,
        request: Request<v1::PublishOfferingVersionRequest>,
    ) -> Answer<v1::Offering> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            Ok(convert::write_value(&self.0.catalog.publish(&context, &request).await?))
        })
        .await
    }
}
