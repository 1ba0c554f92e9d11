//! `QuotaService`.

use std::sync::Arc;

use allmende_proto::v1::{self, quota_service_server::QuotaService};
use tonic::Request;

use super::{Answer, Apps, answer, page, split};
use crate::{
    app::holdings::LevelStream,
    convert::{quota as convert, resources},
    error::AppError,
    names,
};

/// See the module.
#[derive(Clone)]
pub struct QuotaApi(pub Arc<Apps>);

#[tonic::async_trait]
impl QuotaService for QuotaApi {
    type WatchQuotaStream = LevelStream;

    async fn get_pool(&self, request: Request<v1::GetPoolRequest>) -> Answer<v1::Pool> {
        answer(async {
            let (context, _) = split(request, &self.0.clock)?;
            let parts = self.0.quotas.pool(&context).await?;
            Ok(convert::pool(&parts)?)
        })
        .await
    }

    async fn get_entitlement(&self, request: Request<v1::GetEntitlementRequest>) -> Answer<v1::Entitlement> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, cluster) = names::entitlement(&request.name)?;
            let account = self.0.quotas.get(&context, (&member, &cluster), &request.name).await?;
            Ok(convert::write(&account.value, account.etag())?)
        })
        .await
    }

    async fn list_entitlements(
        &self,
        request: Request<v1::ListEntitlementsRequest>,
    ) -> Answer<v1::ListEntitlementsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member_or_all(&request.parent)?;
            let page =
                page(request.page_size, &request.page_token, &format!("{}/entitlements", request.parent))?;
            let found = self.0.quotas.list(&context, member.as_ref(), &request.parent, &page).await?;
            let entitlements = found
                .items
                .iter()
                .map(|account| convert::write(&account.value, account.etag()))
                .collect::<Result<_, _>>()?;
            Ok(v1::ListEntitlementsResponse { entitlements, next_page_token: found.next_page_token })
        })
        .await
    }

    async fn set_entitlement(&self, request: Request<v1::SetEntitlementRequest>) -> Answer<v1::Entitlement> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, cluster) = names::entitlement(&request.name)?;
            let account = self.0.quotas.set(&context, (&member, &cluster), &request).await?;
            Ok(convert::write(&account, String::new())?)
        })
        .await
    }

    async fn get_usage(&self, request: Request<v1::GetUsageRequest>) -> Answer<v1::GetUsageResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member(&request.parent)?;
            let cluster = match request.cluster.as_str() {
                "" => None,
                name => Some(names::cluster(name)?),
            };
            let found = self.0.holdings.usage(&context, (&member, cluster.as_ref()), &request.parent).await?;
            let clusters = found.iter().map(convert::usage).collect::<Result<_, _>>()?;
            Ok(v1::GetUsageResponse { clusters })
        })
        .await
    }

    async fn watch_quota(&self, request: Request<v1::WatchQuotaRequest>) -> Answer<LevelStream> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member_or_all(&request.parent)?;
            self.0.holdings.watch(&context, member.as_ref(), &request.parent).await
        })
        .await
    }

    async fn list_reservations(
        &self,
        request: Request<v1::ListReservationsRequest>,
    ) -> Answer<v1::ListReservationsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member(&request.parent)?;
            let page =
                page(request.page_size, &request.page_token, &format!("{}/reservations", request.parent))?;
            let all = self.all_reservations(&context, &member, &request.parent).await?;
            let rows = all
                .into_iter()
                .filter(|row| page.after().is_none_or(|after| row.holder.as_str() > after))
                .take(page.limit())
                .collect();
            let found = page.page(rows, |row: &v1::Reservation| row.holder.clone());
            Ok(v1::ListReservationsResponse {
                reservations: found.items,
                next_page_token: found.next_page_token,
            })
        })
        .await
    }
}

impl QuotaApi {
    /// Every holder of the member on every cluster, by name.
    async fn all_reservations(
        &self,
        context: &crate::context::Context,
        member: &allmende_domain::ids::MemberId,
        parent: &str,
    ) -> Result<Vec<v1::Reservation>, AppError> {
        let page = page(i32::MAX, "", parent)?;
        let accounts = self.0.quotas.list(context, Some(member), parent, &page).await?;
        let mut all: Vec<v1::Reservation> = accounts
            .items
            .iter()
            .flat_map(|account| {
                account.value.holders.iter().map(|(holder, amounts)| v1::Reservation {
                    holder: holder.clone(),
                    cluster: format!("clusters/{}", account.value.cluster),
                    resources: Some(resources::write(amounts)),
                })
            })
            .collect();
        all.sort_by(|a, b| a.holder.cmp(&b.holder));
        Ok(all)
    }
}
