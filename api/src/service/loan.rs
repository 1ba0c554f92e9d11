//! `LoanService`.

use std::sync::Arc;

use allmende_proto::v1::{self, loan_service_server::LoanService};
use tonic::Request;

use super::{Answer, Apps, answer, page, split, written};
use crate::{app::loan::Act, convert::loan::write, names};

/// See the module.
#[derive(Clone)]
pub struct LoanApi(pub Arc<Apps>);

/// One act on the loan that the request names.
macro_rules! act {
    ($self:ident, $message:ident, $act:expr) => {
        answer(async {
            let (context, message) = split($message, &$self.0.clock)?;
            let (member, id) = names::loan(&message.name)?;
            let act: fn(&_) -> Act<'_> = $act;
            let parts = (message.name.as_str(), &message);
            let loan = $self.0.loans.act(&context, (&member, &id), parts, act(&message)).await?;
            Ok(write(&loan))
        })
        .await
    };
}

#[tonic::async_trait]
impl LoanService for LoanApi {
    async fn offer_loan(&self, request: Request<v1::OfferLoanRequest>) -> Answer<v1::Loan> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let lender = names::member(&request.parent)?;
            Ok(write(&self.0.loans.offer(&context, &lender, &request).await?))
        })
        .await
    }

    async fn take_loan(&self, request: Request<v1::TakeLoanRequest>) -> Answer<v1::Loan> {
        act!(self, request, |_: &v1::TakeLoanRequest| Act::Take)
    }

    async fn approve_loan(&self, request: Request<v1::ApproveLoanRequest>) -> Answer<v1::Loan> {
        act!(self, request, |request: &v1::ApproveLoanRequest| Act::Approve(&request.comment))
    }

    async fn refuse_loan(&self, request: Request<v1::RefuseLoanRequest>) -> Answer<v1::Loan> {
        act!(self, request, |request: &v1::RefuseLoanRequest| Act::Refuse(&request.reason))
    }

    async fn withdraw_loan(&self, request: Request<v1::WithdrawLoanRequest>) -> Answer<v1::Loan> {
        act!(self, request, |_: &v1::WithdrawLoanRequest| Act::Withdraw)
    }

    async fn recall_loan(&self, request: Request<v1::RecallLoanRequest>) -> Answer<v1::Loan> {
        act!(self, request, |request: &v1::RecallLoanRequest| Act::Recall(&request.reason))
    }

    async fn return_loan(&self, request: Request<v1::ReturnLoanRequest>) -> Answer<v1::Loan> {
        act!(self, request, |_: &v1::ReturnLoanRequest| Act::GiveBack)
    }

    async fn decide_overdue_loan(&self, request: Request<v1::DecideOverdueLoanRequest>) -> Answer<v1::Loan> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, id) = names::loan(&request.name)?;
            Ok(write(&self.0.loans.decide(&context, (&member, &id), &request).await?))
        })
        .await
    }

    async fn get_loan(&self, request: Request<v1::GetLoanRequest>) -> Answer<v1::Loan> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, id) = names::loan(&request.name)?;
            Ok(write(&self.0.loans.get(&context, (&member, &id), &request.name).await?))
        })
        .await
    }

    async fn list_loans(&self, request: Request<v1::ListLoansRequest>) -> Answer<v1::ListLoansResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member_or_all(&request.parent)?;
            let list = format!("{}/loans?{}", request.parent, request.offers);
            let page = page(request.page_size, &request.page_token, &list)?;
            let wish = (request.parent.as_str(), request.offers);
            let found = self.0.loans.list(&context, member.as_ref(), wish, &page).await?;
            let (loans, next_page_token) = written(found, write);
            Ok(v1::ListLoansResponse { loans, next_page_token })
        })
        .await
    }
}
