//! The one error table: every [`AppError`] has its gRPC code, its public text and its `google.rpc` details here.
//!
//! AIP-193. `ErrorInfo.reason` is the contract (`allmende.v1.ErrorReason`), texts are not.

use std::collections::HashMap;

use allmende_domain::{
    quota::budget::{Excess, Mode},
    violation::{FieldViolation, ViolationReason},
};
use allmende_identity::token::TokenError;
use allmende_proto::{ERROR_DOMAIN, v1::ErrorReason};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::{AppError, QuotaBar, QuotaShortfall};

/// What is said to a sender whose bytes are no message.
pub(crate) const NO_MESSAGE: &str =
    "the request is no valid message of allmende.v1: make it with the published .proto files";
/// How long a client should wait before it repeats a call that found the store unavailable.
const RETRY_DELAY: std::time::Duration = std::time::Duration::from_secs(1);
/// Longest text of a client that an error gives back, in characters. A status travels in headers, of which a client takes 16 KiB: one
/// that echoes a name of any length would end the whole connection.
const ECHO_MAX: usize = 384;
/// Bytes of wrong fields that are named; how many more there are is said.
const VIOLATIONS_MAX: usize = 6_000;

impl From<AppError> for Status {
    fn from(error: AppError) -> Self {
        let mut details = ErrorDetails::new();
        details.set_error_info(reason_text(reason(&error)), ERROR_DOMAIN, metadata(&error));
        let code = code(&error);
        let text = match &error {
            AppError::Internal { context } => incident(context),
            other => echo(&public_text(other)),
        };
        add_details(&mut details, &error);
        Status::with_error_details(code, text, details)
    }
}

/// A stream of requests that could not be read on: what came is no message of the contract, is too large, or the sender is gone.
pub(crate) fn unreadable(status: &Status) -> AppError {
    match status.code() {
        Code::Internal | Code::InvalidArgument => AppError::invalid("request", NO_MESSAGE),
        Code::OutOfRange => AppError::LimitExceeded {
            description: "a message of the stream is larger than 4 MiB: send it in smaller parts".to_owned(),
        },
        _ => AppError::DeadlineExceeded,
    }
}

/// Code of each error. No `_` arm: a new variant must choose.
fn code(error: &AppError) -> Code {
    match error {
        AppError::Invalid(_) => Code::InvalidArgument,
        AppError::NotFound { .. } => Code::NotFound,
        AppError::AlreadyExists { .. } | AppError::RequestIdReused => Code::AlreadyExists,
        AppError::StaleEtag { .. } | AppError::Contention => Code::Aborted,
        AppError::QuotaExceeded { .. }
        | AppError::QuotaBarred { .. }
        | AppError::BudgetExceeded { .. }
        | AppError::LimitExceeded { .. } => Code::ResourceExhausted,
        // The token may be good: it is we who cannot tell right now.
        AppError::TokenRefused(TokenError::KeysUnavailable) => Code::Unavailable,
        AppError::Unauthenticated
        | AppError::JoinRefused
        | AppError::AccountRefused
        | AppError::TokenRefused(_) => Code::Unauthenticated,
        AppError::Forbidden { .. } => Code::PermissionDenied,
        AppError::WrongState { .. }
        | AppError::StoreBehind { .. }
        | AppError::PeriodClosed { .. }
        | AppError::WatermarkMissing { .. } => Code::FailedPrecondition,
        AppError::Several(all) => all.first().map_or(Code::Internal, code),
        AppError::Unavailable => Code::Unavailable,
        AppError::DeadlineExceeded => Code::DeadlineExceeded,
        AppError::Internal { .. } => Code::Internal,
    }
}

/// Reason of each error, for programs.
fn reason(error: &AppError) -> ErrorReason {
    match error {
        AppError::Invalid(violations) => shared_reason(violations),
        AppError::NotFound { .. } => ErrorReason::NotFound,
        AppError::AlreadyExists { .. } => ErrorReason::AlreadyExists,
        AppError::RequestIdReused => ErrorReason::RequestIdReused,
        AppError::StaleEtag { .. } => ErrorReason::StaleEtag,
        AppError::Contention => ErrorReason::Contention,
        AppError::QuotaExceeded { .. } => ErrorReason::QuotaExceeded,
        AppError::QuotaBarred { bar: QuotaBar::OverEntitlement { .. }, .. } => ErrorReason::OverEntitlement,
        AppError::QuotaBarred { bar: QuotaBar::LoanRecalled { .. }, .. } => ErrorReason::LoanRecalled,
        AppError::BudgetExceeded { .. } => ErrorReason::BudgetExceeded,
        AppError::TokenRefused(TokenError::KeysUnavailable) => ErrorReason::Unavailable,
        AppError::TokenRefused(_) => ErrorReason::TokenRefused,
        AppError::Unauthenticated | AppError::JoinRefused | AppError::AccountRefused => {
            ErrorReason::Unauthenticated
        }
        AppError::Forbidden { .. } => ErrorReason::PermissionDenied,
        AppError::WrongState { .. } => ErrorReason::WrongState,
        AppError::StoreBehind { .. } => ErrorReason::StoreBehind,
        AppError::PeriodClosed { .. } => ErrorReason::PeriodClosed,
        AppError::WatermarkMissing { .. } => ErrorReason::WatermarkMissing,
        AppError::Several(all) => all.first().map_or(ErrorReason::Internal, reason),
        AppError::Unavailable => ErrorReason::Unavailable,
        AppError::DeadlineExceeded => ErrorReason::DeadlineExceeded,
        AppError::LimitExceeded { .. } => ErrorReason::LimitExceeded,
        AppError::Internal { .. } => ErrorReason::Internal,
    }
}

/// A special reason only when every wrong field has it; else the general one.
fn shared_reason(violations: &[FieldViolation]) -> ErrorReason {
    let mut reasons = violations.iter().map(|v| v.reason);
    let Some(first) = reasons.next() else { return ErrorReason::InvalidArgument };
    if reasons.any(|reason| reason != first) {
        return ErrorReason::InvalidArgument;
    }
    match first {
        ViolationReason::Invalid => ErrorReason::InvalidArgument,
        ViolationReason::RegisterKeyUnknown => ErrorReason::RegisterKeyUnknown,
        ViolationReason::LeitwegIdInvalid => ErrorReason::LeitwegIdInvalid,
        ViolationReason::ParametersInvalid => ErrorReason::ParametersInvalid,
        ViolationReason::PageTokenInvalid => ErrorReason::PageTokenInvalid,
    }
}

/// `QUOTA_EXCEEDED` for `ErrorReason::QuotaExceeded`.
fn reason_text(reason: ErrorReason) -> String {
    reason.as_str_name().trim_start_matches("ERROR_REASON_").to_owned()
}

/// The reason as clients read it.
pub(crate) fn reason_of(error: &AppError) -> String {
    reason_text(reason(error))
}

/// What may leave of an error, in words.
pub(crate) fn public_text(error: &AppError) -> String {
    match error {
        AppError::Several(all) => all.iter().map(public_text).collect::<Vec<_>>().join(". Also: "),
        AppError::Invalid(violations) => match violations.as_slice() {
            [one] => format!("{}: {}", one.field, one.description),
            many => format!("{} fields are wrong; the details name each", many.len()),
        },
        AppError::NotFound { resource } => format!("{resource} not found"),
        AppError::AlreadyExists { resource } => format!("{resource} exists already"),
        AppError::RequestIdReused => {
            "this request_id was used before with another body: use a new one for a new request".to_owned()
        }
        AppError::StaleEtag { resource } => {
            format!("{resource} was changed since it was read: read it again, then repeat with its new etag")
        }
        AppError::Contention => {
            "others change the same thing right now: repeat with the same request_id".to_owned()
        }
        AppError::QuotaExceeded { subject, shortfalls } => {
            format!("{subject}: {}. The cooperative's operator can raise the entitlement", texts(shortfalls))
        }
        AppError::QuotaBarred { subject, shortfalls, bar } => {
            // First what stands in the way: the numbers are in the details too, and a long text is cut.
            format!("{subject}: {}: {}", bar_text(bar), texts(shortfalls))
        }
        AppError::BudgetExceeded { budget, excess } => budget_text(budget, excess),
        AppError::Unauthenticated => {
            "no access token and no verified certificate with an allmende:// identity was shown: sign in, for \
             example with `allmende login`"
                .to_owned()
        }
        AppError::TokenRefused(error) => error.to_string(),
        AppError::JoinRefused => "this join token opens no cluster: it is unknown, used, replaced or past its time. \
            Ask the cooperative's operator for a new one (`allmende cluster join-token`)"
            .to_owned(),
        AppError::AccountRefused => "this certificate does not speak for its service account now: it was revoked, ended or renewed \
            elsewhere, or the account is disabled, ended or deleted, or its member has left. Ask the member's admin for a new one \
            (`allmende service-account credential`); if nobody knows why, somebody else may hold a copy"
            .to_owned(),
        AppError::Forbidden { description } | AppError::LimitExceeded { description } => description.clone(),
        AppError::WrongState { resource, description } | AppError::StoreBehind { resource, description } => {
            format!("{resource}: {description}")
        }
        AppError::PeriodClosed { period } => {
            format!("period {period} is closed: late facts go to the next open period")
        }
        AppError::WatermarkMissing { clusters } => format!(
            "the facts of {} are not complete to the period's end: wait for them, or record a decision in watermark_decision",
            clusters.join(", ")
        ),
        AppError::Unavailable => {
            "the store cannot be reached right now: repeat with the same request_id".to_owned()
        }
        AppError::DeadlineExceeded => {
            "the deadline passed and the outcome may be unknown: repeat with the same request_id".to_owned()
        }
        AppError::Internal { .. } => String::new(),
    }
}

fn texts(shortfalls: &[QuotaShortfall]) -> String {
    shortfalls.iter().map(shortfall_text).collect::<Vec<_>>().join("; ")
}

fn bar_text(bar: &QuotaBar) -> String {
    match bar {
        QuotaBar::OverEntitlement { resolve_by } => {
            format!("over its entitlement, to come down by {resolve_by}; nothing grows before")
        }
        QuotaBar::LoanRecalled { loans } => {
            format!("a loan was called back, and nothing new is ordered on it ({})", loans.join(", "))
        }
    }
}

fn budget_text(budget: &str, excess: &Excess) -> String {
    let Excess { limit, committed, asked, .. } = excess;
    format!(
        "{budget}: limit {limit} EUR, committed until the year's end {committed} EUR, asked {asked} EUR. The member's approver can raise \
         the limit by resolution (`allmende budget set`)"
    )
}

/// Numbers for programs.
fn metadata(error: &AppError) -> HashMap<String, String> {
    if let AppError::Several(all) = error {
        return all.iter().map(metadata).find(|numbers| !numbers.is_empty()).unwrap_or_default();
    }
    let AppError::BudgetExceeded { budget, excess } = error else { return HashMap::new() };
    let mode = match excess.mode {
        Mode::Block => "BLOCK",
        Mode::Ask => "ASK",
        Mode::Report => "REPORT",
    };
    HashMap::from([
        ("budget".to_owned(), budget.clone()),
        ("mode".to_owned(), mode.to_owned()),
        ("limit_cents".to_owned(), excess.limit.0.to_string()),
        ("committed_cents".to_owned(), excess.committed.0.to_string()),
        ("asked_cents".to_owned(), excess.asked.0.to_string()),
    ])
}

fn shortfall_text(short: &QuotaShortfall) -> String {
    format!("{} limit {}, used {}, asked {}", short.resource, short.limit, short.used, short.asked)
}

fn add_details(details: &mut ErrorDetails, error: &AppError) {
    match error {
        AppError::Invalid(violations) => {
            add_violations(details, violations);
        }
        AppError::QuotaExceeded { subject, shortfalls }
        | AppError::QuotaBarred { subject, shortfalls, .. } => {
            for short in shortfalls {
                details.add_quota_failure_violation(
                    format!("{subject}/{}", short.resource),
                    shortfall_text(short),
                );
            }
        }
        AppError::BudgetExceeded { budget, excess } => {
            details.add_quota_failure_violation(budget, budget_text(budget, excess));
        }
        AppError::Several(all) => all.iter().for_each(|error| add_details(details, error)),
        AppError::WrongState { resource, description } => {
            details.add_precondition_failure_violation("STATE", echo(resource), echo(description));
        }
        AppError::StoreBehind { resource, description } => {
            details.add_precondition_failure_violation("STORE", resource, description);
        }
        AppError::NotFound { resource } | AppError::AlreadyExists { resource } => {
            details.set_resource_info("allmende", echo(resource), "", "");
        }
        AppError::Unavailable
        | AppError::Contention
        | AppError::TokenRefused(TokenError::KeysUnavailable) => {
            details.set_retry_info(Some(RETRY_DELAY));
        }
        AppError::RequestIdReused
        | AppError::StaleEtag { .. }
        | AppError::Unauthenticated
        | AppError::JoinRefused
        | AppError::AccountRefused
        | AppError::TokenRefused(_)
        | AppError::Forbidden { .. }
        | AppError::PeriodClosed { .. }
        | AppError::WatermarkMissing { .. }
        | AppError::DeadlineExceeded
        | AppError::LimitExceeded { .. }
        | AppError::Internal { .. } => {}
    }
}

/// All wrong fields, as far as they fit.
fn add_violations(details: &mut ErrorDetails, violations: &[FieldViolation]) {
    let mut left = VIOLATIONS_MAX;
    for (named, violation) in violations.iter().enumerate() {
        let (field, description) = (echo(&violation.field), echo(&violation.description));
        let Some(rest) = left.checked_sub(field.len() + description.len()) else {
            let more = violations.len() - named;
            details.add_bad_request_violation("", format!("{more} more fields are wrong: mend these first"));
            return;
        };
        left = rest;
        details.add_bad_request_violation(field, description);
    }
}

/// A text that may hold what the client sent, at a length that headers can carry.
fn echo(text: &str) -> String {
    match text.char_indices().nth(ECHO_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Logs a defect under a fresh incident id and gives back the only text that may leave.
fn incident(context: &str) -> String {
    let id = uuid::Uuid::new_v4();
    tracing::error!(incident = %id, context, "internal error");
    format!("internal error, incident {id}: tell the cooperative's operator this id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internal_text_never_leaves() {
        let status = Status::from(AppError::internal("etcd password is hunter2"));
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("hunter2"));
        assert!(!String::from_utf8_lossy(status.details()).contains("hunter2"));
        assert!(status.message().contains("incident"));
    }

    #[test]
    fn all_wrong_fields_are_named_at_once() {
        let error =
            AppError::Invalid(vec![FieldViolation::new("a", "wrong"), FieldViolation::new("b", "wrong too")]);
        let status = Status::from(error);
        let fields: Vec<_> = status
            .get_details_bad_request()
            .map(|bad| bad.field_violations.into_iter().map(|v| v.field).collect())
            .unwrap_or_default();
        assert_eq!(fields, ["a", "b"]);
    }

    #[test]
    fn an_error_that_echoes_the_client_fits_into_headers() {
        let long = "ü".repeat(100_000);
        let many = (0..500).map(|n| FieldViolation::new(format!("f[{n}]{long}"), long.clone())).collect();
        for error in [AppError::Invalid(many), AppError::not_found(&long)] {
            let status = Status::from(error);
            // Percent-encoding makes three bytes of one, base64 four of three.
            assert!(status.message().len() * 3 + status.details().len() * 4 / 3 < 14 << 10);
        }
    }

    #[test]
    fn a_special_reason_is_given_only_when_every_wrong_field_has_it() {
        let leitweg = FieldViolation::new("x", "y").because(ViolationReason::LeitwegIdInvalid);
        assert_eq!(reason(&AppError::Invalid(vec![leitweg.clone()])), ErrorReason::LeitwegIdInvalid);
        let mixed = vec![leitweg, FieldViolation::new("z", "y")];
        assert_eq!(reason(&AppError::Invalid(mixed)), ErrorReason::InvalidArgument);
    }

    #[test]
    fn quota_failures_carry_limit_used_and_asked() {
        let shortfalls =
            vec![QuotaShortfall { resource: "requests.cpu".into(), limit: 4000, used: 3000, asked: 2000 }];
        let status =
            Status::from(AppError::QuotaExceeded { subject: "members/a/entitlements/b".into(), shortfalls });
        let quota = status.get_details_quota_failure().map(|q| q.violations).unwrap_or_default();
        assert_eq!(quota[0].subject, "members/a/entitlements/b/requests.cpu");
        assert_eq!(quota[0].description, "requests.cpu limit 4000, used 3000, asked 2000");
    }
}
