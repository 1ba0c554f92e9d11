//! What a loan's refusal says to the side that asked: never a number of the other side.

use allmende_domain::{
    quota::{
        approval::ApprovalError,
        lending::LendError,
        loan::{LoanError, Side},
    },
    resources::{Shortfall, amount_text},
};

use crate::error::AppError;

/// For the client that acts on `side` of the loan `name`; `account` is its own.
pub(super) fn refusal(side: Side, (name, account): (&str, &str), error: LoanError) -> AppError {
    let state = |resource: &str, description: String| AppError::WrongState {
        resource: resource.to_owned(),
        description,
    };
    match error {
        LoanError::State { .. } | LoanError::NotBefore(_) | LoanError::Unshown(_) => {
            state(name, error.to_string())
        }
        LoanError::ToOneself => AppError::invalid("name", "a member cannot lend to itself"),
        LoanError::DayNotAhead => AppError::invalid("extend_until", "must lie ahead"),
        LoanError::NotAParty => AppError::not_found(name),
        LoanError::Approval(refused) => approval(name, &refused),
        LoanError::Lend(refused) => lend(side, (name, account), refused),
    }
}

fn approval(name: &str, error: &ApprovalError) -> AppError {
    match error {
        ApprovalError::ByRequester | ApprovalError::WrongRole { .. } | ApprovalError::DeputyNotNow => {
            AppError::Forbidden { description: format!("{name}: {error}") }
        }
        ApprovalError::Twice(_) | ApprovalError::Over(_) => {
            AppError::WrongState { resource: name.to_owned(), description: error.to_string() }
        }
        ApprovalError::ReasonNeeded => AppError::invalid("reason", error.to_string()),
    }
}

fn lend(side: Side, (name, account): (&str, &str), error: LendError) -> AppError {
    let state = |resource: &str, description: String| AppError::WrongState {
        resource: resource.to_owned(),
        description,
    };
    match (side, error) {
        (_, LendError::Amount(error)) => error.into(),
        (_, LendError::Mismatch(loan)) => {
            AppError::internal(format!("loan {loan} and an account differ: {account}"))
        }
        (Side::Lender, LendError::NotIdle(short)) => AppError::QuotaExceeded {
            subject: account.to_owned(),
            shortfalls: short.into_iter().map(Into::into).collect(),
        },
        (Side::Borrower, LendError::NotIdle(_) | LendError::LenderBorrows(_)) => {
            let text = "the lender has not that much idle any more: ask it, or take another offer";
            state(name, text.to_owned())
        }
        (Side::Lender, LendError::BorrowerLends(_)) => {
            state(name, "the borrower cannot take it any more".to_owned())
        }
        (_, LendError::StillReserved(short)) => state(name, still_reserved(&short)),
        (_, error) => state(account, error.to_string()),
    }
}

/// `requests.memory: 6Gi held, 4Gi without the loan`.
fn still_reserved(short: &[Shortfall]) -> String {
    let parts = short.iter().map(|short| {
        let text = |amount| amount_text(&short.resource, amount);
        format!(
            "{}: {} held, {} allowed without the loan",
            short.resource,
            text(short.asked),
            text(short.limit)
        )
    });
    let parts: Vec<String> = parts.collect();
    format!("still in use ({}): shrink first, and wait until the cluster shows it", parts.join("; "))
}
