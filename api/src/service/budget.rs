//! `BudgetService`.

use std::sync::Arc;

use allmende_proto::v1::{self, budget_service_server::BudgetService};
use tonic::Request;

use super::{Answer, Apps, answer, page, split};
use crate::{
    convert::{budget as convert, resources::money},
    names,
};

/// See the module.
#[derive(Clone)]
pub struct BudgetApi(pub Arc<Apps>);

#[tonic::async_trait]
impl BudgetService for BudgetApi {
    async fn set_budget(&self, request: Request<v1::SetBudgetRequest>) -> Answer<v1::Budget> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, bill_to, year) = names::budget(&request.name)?;
            let budget = self.0.budgets.set(&context, (&member, &bill_to, year), &request).await?;
            Ok(convert::write(&budget, String::new())?)
        })
        .await
    }

    async fn get_budget(&self, request: Request<v1::GetBudgetRequest>) -> Answer<v1::Budget> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, bill_to, year) = names::budget(&request.name)?;
            let budget = self.0.budgets.get(&context, (&member, &bill_to, year), &request.name).await?;
            Ok(convert::write(&budget.value, budget.etag())?)
        })
        .await
    }

    async fn list_budgets(
        &self,
        request: Request<v1::ListBudgetsRequest>,
    ) -> Answer<v1::ListBudgetsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member(&request.parent)?;
            let page = page(request.page_size, &request.page_token, &format!("{}/budgets", request.parent))?;
            let found = self.0.budgets.list(&context, &member, &request.parent, &page).await?;
            let budgets = found
                .items
                .iter()
                .map(|budget| convert::summary(&budget.value, budget.etag()))
                .collect::<Result<_, _>>()?;
            Ok(v1::ListBudgetsResponse { budgets, next_page_token: found.next_page_token })
        })
        .await
    }

    async fn recount_budget(
        &self,
        request: Request<v1::RecountBudgetRequest>,
    ) -> Answer<v1::RecountBudgetResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, bill_to, year) = names::budget(&request.name)?;
            let counted = self.0.budgets.recount(&context, (&member, &bill_to, year), &request).await?;
            let drifts = counted.drifts.into_iter().map(|(holder, ledger, records)| v1::BudgetDrift {
                holder,
                ledger: Some(money(ledger)),
                records: Some(money(records)),
            });
            Ok(v1::RecountBudgetResponse {
                budget: Some(convert::write(&counted.budget, String::new())?),
                drifts: drifts.collect(),
            })
        })
        .await
    }
}
