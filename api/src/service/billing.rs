//! `BillingService`.

use std::sync::Arc;

use allmende_proto::v1::{self, billing_service_server::BillingService};
use allmende_store::keys;
use tonic::Request;

use super::{Answer, Apps, answer, page, split, written};
use crate::{convert::billing as convert, error::AppError};

/// See the module.
#[derive(Clone)]
pub struct BillingApi(pub Arc<Apps>);

#[tonic::async_trait]
impl BillingService for BillingApi {
    async fn create_price_list(&self, request: Request<v1::CreatePriceListRequest>) -> Answer<v1::PriceList> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            self.0.billing.create_price_list(&context, &request).await
        })
        .await
    }

    async fn list_price_lists(
        &self,
        request: Request<v1::ListPriceListsRequest>,
    ) -> Answer<v1::ListPriceListsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let page = page(request.page_size, &request.page_token, "priceLists")?;
            let found = self.0.billing.list(&context, &keys::price_lists(), &page).await?;
            let (price_lists, next_page_token) =
                written(found, |row| convert::write_price_list(&row.value, row.etag()));
            Ok(v1::ListPriceListsResponse { price_lists, next_page_token })
        })
        .await
    }

    async fn create_allocation_key(
        &self,
        request: Request<v1::CreateAllocationKeyRequest>,
    ) -> Answer<v1::AllocationKey> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            self.0.billing.create_key(&context, &request).await
        })
        .await
    }

    async fn list_allocation_keys(
        &self,
        request: Request<v1::ListAllocationKeysRequest>,
    ) -> Answer<v1::ListAllocationKeysResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let page = page(request.page_size, &request.page_token, "keys")?;
            let found = self.0.billing.list(&context, &keys::allocation_keys(), &page).await?;
            let (keys, next_page_token) = written(found, |row| convert::write_key(&row.value, row.etag()));
            Ok(v1::ListAllocationKeysResponse { keys, next_page_token })
        })
        .await
    }

    async fn create_pot(&self, request: Request<v1::CreatePotRequest>) -> Answer<v1::Pot> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            self.0.billing.create_pot(&context, &request).await
        })
        .await
    }

    async fn list_pots(&self, request: Request<v1::ListPotsRequest>) -> Answer<v1::ListPotsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let page = page(request.page_size, &request.page_token, &format!("pots {}", request.period))?;
            let found = self.0.billing.list(&context, &keys::pots(), &page).await?;
            let (mut pots, next_page_token) =
                written(found, |row| convert::write_pot(&row.value, row.etag()));
            pots.retain(|pot| request.period.is_empty() || pot.period == request.period);
            Ok(v1::ListPotsResponse { pots, next_page_token })
        })
        .await
    }

    async fn set_issuer(&self, request: Request<v1::SetIssuerRequest>) -> Answer<v1::Issuer> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let issuer = self.0.billing.set_issuer(&context, &request).await?;
            Ok(convert::write_issuer(&issuer, String::new()))
        })
        .await
    }

    async fn get_issuer(&self, request: Request<v1::GetIssuerRequest>) -> Answer<v1::Issuer> {
        answer(async {
            let (context, _) = split(request, &self.0.clock)?;
            let issuer = self.0.billing.issuer(&context).await?;
            Ok(convert::write_issuer(&issuer.value, issuer.etag()))
        })
        .await
    }

    async fn create_run(&self, request: Request<v1::CreateRunRequest>) -> Answer<v1::Run> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let run = self.0.billing.create_run(&context, &request).await?;
            Ok(convert::write_run(&run, String::new()))
        })
        .await
    }

    async fn get_run(&self, request: Request<v1::GetRunRequest>) -> Answer<v1::Run> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let run = self.0.billing.run(&context, &request.name).await?;
            Ok::<_, AppError>(convert::write_run(&run.value, run.etag()))
        })
        .await
    }

    async fn list_runs(&self, request: Request<v1::ListRunsRequest>) -> Answer<v1::ListRunsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let page = page(request.page_size, &request.page_token, "runs")?;
            let found = self.0.billing.list(&context, &keys::runs(), &page).await?;
            let (runs, next_page_token) = written(found, |row| convert::write_run(&row.value, row.etag()));
            Ok(v1::ListRunsResponse { runs, next_page_token })
        })
        .await
    }

    async fn finalize_run(&self, request: Request<v1::FinalizeRunRequest>) -> Answer<v1::Run> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let run = self.0.billing.finalize_run(&context, &request).await?;
            Ok(convert::write_run(&run, String::new()))
        })
        .await
    }
}
