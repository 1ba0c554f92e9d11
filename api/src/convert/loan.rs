//! Loans.

use std::collections::BTreeMap;

use allmende_domain::{
    ids::{ClusterId, MemberId},
    money::MicroEuro,
    quota::loan::{Loan, LoanState, LoanTerms, OverdueDecision, Side},
};
use allmende_proto::v1;
use jiff::civil::Date;

use super::{
    approval,
    fields::{Fields, time},
    resources,
};
use crate::names;

/// A loan as one member sees it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LoanView {
    /// At the time of the call.
    pub loan: Loan,
    /// By whom it is looked at; none: by the cooperative.
    pub seen_by: Option<MemberId>,
    /// Official names, by member.
    pub display_names: BTreeMap<MemberId, String>,
}

/// What is offered.
pub fn read_terms(fields: &mut Fields, message: Option<&v1::Loan>, today: Date) -> Option<LoanTerms> {
    let message = fields.needed("loan", message)?;
    let cluster: Option<ClusterId> = names::cluster(&message.cluster)
        .map_err(|_| fields.wrong("loan.cluster", "must be clusters/{cluster}"))
        .ok();
    let amount = resources::read(fields, "loan.amount", message.amount.as_ref());
    let from = fields.date("loan.from", &message.from);
    let until = fields.date("loan.until", &message.until);
    let notice_days = u16::try_from(message.notice_days)
        .map_err(|_| fields.wrong("loan.notice_days", "must be a number of days, zero or more"))
        .ok();
    let mut prices = BTreeMap::new();
    for (index, price) in message.prices.iter().enumerate() {
        if prices.insert(price.resource.clone(), MicroEuro(price.micro_euro)).is_some() {
            fields.wrong(format!("loan.prices[{index}].resource"), "is there twice");
        }
    }
    let terms = LoanTerms {
        cluster: cluster?,
        amount: amount?,
        from: from?,
        until: until?,
        notice_days: notice_days?,
        prices,
    };
    fields.wrong_under("loan", terms.violations(today));
    Some(terms)
}

/// What the cooperative's operator decided, with the number of the resolution where it needs one.
pub fn read_decision(fields: &mut Fields, request: &v1::DecideOverdueLoanRequest) -> Option<OverdueDecision> {
    use v1::decide_overdue_loan_request::Decision;
    match &request.decision {
        Some(Decision::ExtendUntil(day)) => fields.date("extend_until", day).map(OverdueDecision::Extend),
        Some(Decision::Leave(true)) => Some(OverdueDecision::Leave),
        Some(Decision::WriteOffResolution(number)) if !number.trim().is_empty() => {
            Some(OverdueDecision::WriteOff)
        }
        Some(Decision::WriteOffResolution(_)) => {
            fields.wrong("write_off_resolution", "the number of the resolution (Beschluss-Nr.) is needed");
            None
        }
        Some(Decision::Leave(false)) | None => {
            fields.wrong("decision", "say one of extend_until, leave, write_off_resolution");
            None
        }
    }
}

/// As a message. Of an open offer, others than its lender see what they need to take it, and nothing else.
pub fn write(view: &LoanView) -> v1::Loan {
    let loan = &view.loan;
    let member = |id: &MemberId| format!("members/{id}");
    let called = |id: &MemberId| view.display_names.get(id).cloned().unwrap_or_default();
    let offer = v1::Loan {
        name: loan.name_for(view.seen_by.as_ref().unwrap_or(&loan.lender)),
        lender: member(&loan.lender),
        lender_display_name: called(&loan.lender),
        cluster: format!("clusters/{}", loan.terms.cluster),
        amount: Some(resources::write(&loan.terms.amount)),
        from: loan.terms.from.to_string(),
        until: loan.terms.until.to_string(),
        notice_days: i32::from(loan.terms.notice_days),
        prices: loan
            .terms
            .prices
            .iter()
            .map(|(resource, price)| v1::LoanPrice { resource: resource.clone(), micro_euro: price.0 })
            .collect(),
        state: state(loan.state).into(),
        ..v1::Loan::default()
    };
    let side = view.seen_by.as_ref().map(|member| loan.side_of(member));
    if side == Some(None) {
        return offer;
    }
    // Whose people agreed on the other side is not a member's matter.
    let lender_approval = (side != Some(Some(Side::Borrower))).then(|| approval::write(&loan.offer));
    let borrower_approval =
        loan.take.as_ref().filter(|_| side != Some(Some(Side::Lender))).map(approval::write);
    v1::Loan {
        borrower: loan.borrower.as_ref().map(member).unwrap_or_default(),
        borrower_display_name: loan.borrower.as_ref().map(called).unwrap_or_default(),
        state_time: Some(time(loan.state_since)),
        due_date: loan.due.map(|due| due.to_string()).unwrap_or_default(),
        recall_reason: loan.recall_reason.clone(),
        lender_approval,
        borrower_approval,
        create_time: Some(time(loan.create_time)),
        ..offer
    }
}

fn state(state: LoanState) -> v1::loan::State {
    use v1::loan::State;
    match state {
        LoanState::Offered => State::Offered,
        LoanState::Open => State::Open,
        LoanState::Taken => State::Taken,
        LoanState::Active => State::Active,
        LoanState::Recalled => State::Recalled,
        LoanState::Overdue => State::Overdue,
        LoanState::Returned => State::Returned,
        LoanState::WrittenOff => State::WrittenOff,
        LoanState::Refused => State::Refused,
        LoanState::Withdrawn => State::Withdrawn,
        LoanState::Expired => State::Expired,
    }
}
