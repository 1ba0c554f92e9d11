//! `PoolService`.

use std::sync::Arc;

use allmende_proto::v1::{self, pool_service_server::PoolService};
use tonic::Request;

use super::{Answer, Apps, answer, page, split, written};
use crate::{convert::pool as convert, names};

/// See the module.
#[derive(Clone)]
pub struct PoolApi(pub Arc<Apps>);

#[tonic::async_trait]
impl PoolService for PoolApi {
    async fn create_pool_rule(&self, request: Request<v1::CreatePoolRuleRequest>) -> Answer<v1::PoolRule> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            Ok(convert::write(&self.0.pools.create(&context, &request).await?))
        })
        .await
    }

    async fn get_pool_rule(&self, request: Request<v1::GetPoolRuleRequest>) -> Answer<v1::PoolRule> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let id = names::pool_rule(&request.name)?;
            Ok(convert::write(&self.0.pools.get(&context, &id, &request.name).await?))
        })
        .await
    }

    async fn list_pool_rules(
        &self,
        request: Request<v1::ListPoolRulesRequest>,
    ) -> Answer<v1::ListPoolRulesResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let page = page(request.page_size, &request.page_token, "poolRules")?;
            let found = self.0.pools.list(&context, &page).await?;
            let (pool_rules, next_page_token) = written(found, |rule| convert::write(&rule.value));
            Ok(v1::ListPoolRulesResponse { pool_rules, next_page_token })
        })
        .await
    }

    async fn preview_division(
        &self,
        request: Request<v1::PreviewDivisionRequest>,
    ) -> Answer<v1::PreviewDivisionResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let divided = self.0.pools.preview(&context, &request).await?;
            Ok(v1::PreviewDivisionResponse { clusters: divided.iter().map(convert::write_divided).collect() })
        })
        .await
    }

    async fn apply_pool_rule(&self, request: Request<v1::ApplyPoolRuleRequest>) -> Answer<v1::PoolRun> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let id = names::pool_rule(&request.name)?;
            Ok(convert::write_run(&self.0.pools.apply(&context, &id, &request).await?))
        })
        .await
    }

    async fn get_pool_run(&self, request: Request<v1::GetPoolRunRequest>) -> Answer<v1::PoolRun> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (rule, effective) = names::pool_run(&request.name)?;
            Ok(convert::write_run(&self.0.pools.run(&context, (&rule, effective), &request.name).await?))
        })
        .await
    }
}
