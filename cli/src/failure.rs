//! What went wrong, what to do about it, and the exit code that says so to a script.

use std::{error::Error, fmt, io::IsTerminal, path::Path};

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    language::Lang,
    quantity::{bytes_text, cpu_text},
};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line, the configuration or a file is wrong.
    Usage(String),
    /// Something on this machine failed.
    Local(String),
    /// The API refused or could not be reached.
    Refused {
        /// Its answer.
        status: Box<Status>,
        /// Of a change: with it the call can be repeated.
        request_id: Option<String>,
    },
    /// The change was accepted and did not succeed.
    NotReached(String),
    /// It was not done in time; it goes on.
    OutOfTime(String),
    /// Nobody is signed in, or no longer.
    SignIn(String),
    /// Whoever reads our output has gone: nothing to tell.
    NobodyReads,
}

impl Failure {
    /// A file that cannot be read or written.
    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        let text = format!("{}: {error}", path.display());
        if error.kind() == std::io::ErrorKind::NotFound { Self::Usage(text) } else { Self::Local(text) }
    }

    /// A refused read.
    pub(crate) fn read(status: Status) -> Self {
        Self::Refused { status: Box::new(status), request_id: None }
    }

    /// A refused change.
    pub(crate) fn change(status: Status, request_id: &str) -> Self {
        Self::Refused { status: Box::new(status), request_id: Some(request_id.to_owned()) }
    }

    /// As `allmende --help` documents them.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NobodyReads => 0,
            Self::Local(_) | Self::NotReached(_) => 1,
            Self::Usage(_) => 2,
            Self::SignIn(_) => 6,
            Self::OutOfTime(_) => 8,
            Self::Refused { status, .. } => code_of(status.code()),
        }
    }

    /// Tells a person, on standard error.
    pub(crate) fn tell(&self, lang: Lang) {
        if matches!(self, Self::NobodyReads) {
            return;
        }
        let colour = std::io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let word = lang.pick("Fehler", "error");
        let word = if colour { format!("\u{1b}[1;31m{word}:\u{1b}[0m") } else { format!("{word}:") };
        let mut text = format!("{word} {self}\n");
        if let Self::Refused { status, request_id } = self {
            text.push_str(&details(status, lang));
            if let Some(id) = request_id {
                let label = lang.pick(
                    "Anfrage-ID (zum Wiederholen mit --request-id)",
                    "request id (repeat with --request-id)",
                );
                text.push_str(&format!("  {label}: {id}\n"));
            }
        }
        // Nobody may be there to read; nothing more can be done then.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text)
            | Self::Local(text)
            | Self::NotReached(text)
            | Self::SignIn(text)
            | Self::OutOfTime(text) => f.write_str(text),
            Self::NobodyReads => f.write_str("nobody reads the output"),
            Self::Refused { status, .. } => {
                f.write_str(&reached(status).unwrap_or_else(|| status.message().to_owned()))
            }
        }
    }
}

/// Told in one line: what kept us from reaching the API, if that is it. TLS errors lie deep in the chain of causes.
fn reached(status: &Status) -> Option<String> {
    let mut cause = status.source()?;
    let mut texts = vec![cause.to_string()];
    while let Some(deeper) = cause.source() {
        cause = deeper;
        let text = cause.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
    }
    Some(format!("the API cannot be reached: {}", texts.join(": ")))
}

fn code_of(code: Code) -> u8 {
    match code {
        Code::Ok => 0,
        Code::InvalidArgument | Code::OutOfRange => 2,
        Code::ResourceExhausted => 4,
        Code::NotFound => 5,
        Code::PermissionDenied | Code::Unauthenticated => 6,
        Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => 7,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => 8,
        Code::Internal | Code::Unknown | Code::Unimplemented | Code::DataLoss => 1,
    }
}

/// Every wrong field, every short resource, the reason and the next step.
fn details(status: &Status, lang: Lang) -> String {
    let details = status.get_error_details();
    let mut lines = Vec::new();
    if let Some(bad) = details.bad_request() {
        lines.extend(
            bad.field_violations.iter().map(|wrong| format!("{}: {}", wrong.field, wrong.description)),
        );
    }
    if let Some(quota) = details.quota_failure() {
        lines.extend(quota.violations.iter().map(|short| shortage(&short.subject, &short.description, lang)));
    }
    if let Some(state) = details.precondition_failure() {
        lines
            .extend(state.violations.iter().map(|wrong| format!("{}: {}", wrong.subject, wrong.description)));
    }
    // One wrong field is told by the message itself already.
    lines.retain(|line| !status.message().contains(line));
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    if !reason.is_empty() {
        lines.push(format!("{}: {reason}", lang.pick("Grund", "reason")));
    }
    if let Some(hint) = hint(&reason, status.code(), lang) {
        lines.push(format!("{}: {hint}", lang.pick("Was tun", "what to do")));
    }
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

/// `pods limit 40, used 30, asked 20` with amounts as people write them; any other text stays as it is.
fn shortage(subject: &str, description: &str, lang: Lang) -> String {
    let resource = subject.rsplit('/').next().unwrap_or(subject);
    let number = |word: &str| {
        let (_, rest) = description.split_once(&format!("{word} "))?;
        let amount = rest.split(',').next()?.trim().parse().ok()?;
        Some(match resource {
            "requests.cpu" => cpu_text(amount),
            "pods" => amount.to_string(),
            _ => bytes_text(amount),
        })
    };
    match (number("limit"), number("used"), number("asked")) {
        (Some(limit), Some(used), Some(asked)) => match lang {
            Lang::De => format!("{subject}: Grenze {limit}, belegt {used}, angefordert {asked}"),
            Lang::En => format!("{subject}: limit {limit}, used {used}, asked {asked}"),
        },
        _ => format!("{subject}: {description}"),
    }
}

/// The next step, where the text of the API does not say it already.
fn hint(reason: &str, code: Code, lang: Lang) -> Option<&'static str> {
    let (german, english) = match (reason, code) {
        ("QUOTA_EXCEEDED", _) => (
            "weniger anfordern, Platz schaffen (allmende quota reservations), oder den Anspruch von der Genossenschaft erhöhen lassen",
            "ask for less, free something (allmende quota reservations), or have the cooperative raise the entitlement",
        ),
        ("OVER_ENTITLEMENT", _) => (
            "auf den beschlossenen Anspruch verkleinern (allmende quota show), oder von einem Mitglied leihen (allmende loan list --offers)",
            "come down to what was decided (allmende quota show), or borrow from a member (allmende loan list --offers)",
        ),
        ("LOAN_RECALLED", _) => (
            "verkleinern und zurückgeben (allmende loan return), oder ein anderes Angebot nehmen (allmende loan list --offers)",
            "shrink and give it back (allmende loan return), or take another offer (allmende loan list --offers)",
        ),
        ("STALE_ETAG", _) => ("neu lesen und wiederholen", "read again and repeat"),
        ("REQUEST_ID_REUSED", _) => ("ohne --request-id wiederholen", "repeat without --request-id"),
        ("WATERMARK_MISSING", _) => (
            "warten, oder den Abschluss mit --watermark-decision begründen",
            "wait, or give the reason for closing with --watermark-decision",
        ),
        ("REGISTER_KEY_UNKNOWN", _) => (
            "den Schlüssel prüfen (allmende member register-get), oder mit --register-override begründen",
            "check the key (allmende member register-get), or give a reason with --register-override",
        ),
        ("UNAVAILABLE" | "DEADLINE_EXCEEDED" | "CONTENTION", _)
        | (_, Code::Unavailable | Code::DeadlineExceeded) => (
            "mit derselben Anfrage-ID wiederholen; die Verbindung prüft allmende doctor",
            "repeat with the same request id; allmende doctor checks the connection",
        ),
        ("TOKEN_REFUSED", _) => ("neu anmelden: allmende login", "sign in again: allmende login"),
        ("UNAUTHENTICATED", _) | (_, Code::Unauthenticated) => (
            "anmelden (allmende login), oder Zertifikat und Schlüssel des Kontexts prüfen: allmende doctor",
            "sign in (allmende login), or check certificate and key of the context: allmende doctor",
        ),
        ("PERMISSION_DENIED", _) => (
            "ein Recht erbitten (allmende member grant create), oder einen anderen Kontext verwenden",
            "ask for a grant (allmende member grant create), or use another context",
        ),
        _ => return None,
    };
    Some(lang.pick(german, english))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn every_kind_of_failure_has_the_documented_exit_code() {
        let code = |code| Failure::read(Status::new(code, "")).exit_code();
        assert_eq!(Failure::Usage(String::new()).exit_code(), 2);
        assert_eq!(Failure::Local(String::new()).exit_code(), 1);
        assert_eq!(Failure::NotReached(String::new()).exit_code(), 1);
        assert_eq!(Failure::OutOfTime(String::new()).exit_code(), 8);
        assert_eq!(code(Code::InvalidArgument), 2);
        assert_eq!(code(Code::ResourceExhausted), 4);
        assert_eq!(code(Code::NotFound), 5);
        assert_eq!((code(Code::PermissionDenied), code(Code::Unauthenticated)), (6, 6));
        assert_eq!(
            (code(Code::AlreadyExists), code(Code::Aborted), code(Code::FailedPrecondition)),
            (7, 7, 7)
        );
        assert_eq!((code(Code::Unavailable), code(Code::DeadlineExceeded)), (8, 8));
        assert_eq!((code(Code::Internal), code(Code::Unimplemented)), (1, 1));
    }

    #[test]
    fn quota_numbers_are_told_as_people_write_them() {
        let memory = "requests.memory limit 34359738368, used 17179869184, asked 68719476736";
        assert_eq!(
            shortage("a/requests.memory", memory, Lang::En),
            "a/requests.memory: limit 32Gi, used 16Gi, asked 64Gi"
        );
        let cpu = shortage("a/requests.cpu", "requests.cpu limit 10000, used 4500, asked 40000", Lang::De);
        assert_eq!(cpu, "a/requests.cpu: Grenze 10, belegt 4500m, angefordert 40");
        assert_eq!(shortage("calls", "too many", Lang::De), "calls: too many");
    }

    #[test]
    fn all_wrong_fields_the_reason_and_the_next_step_are_told() {
        let mut errors = ErrorDetails::new();
        errors.set_error_info("QUOTA_EXCEEDED", "allmende", HashMap::<String, String>::new());
        errors.add_bad_request_violation("tenant.cluster", "is needed");
        errors.add_bad_request_violation("tenant_id", "too long");
        errors.add_quota_failure_violation(
            "members/m-1/entitlements/a/pods",
            "pods limit 40, used 30, asked 20",
        );
        let text = details(&Status::with_error_details(Code::ResourceExhausted, "no", errors), Lang::En);
        for part in [
            "tenant.cluster: is needed",
            "tenant_id: too long",
            "limit 40, used 30, asked 20",
            "QUOTA_EXCEEDED",
            "what to do",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }
}
