//! `allmende cluster preflight`: what the last preflight of a cluster found.

use allmende_proto::v1::{Cluster, PreflightCheck, PreflightReport, Tenant, preflight_check::State};

use crate::{
    arguments::Format,
    failure::Failure,
    language::Lang,
    session::{Session, id_of},
};

/// Shows the report; a failed check fails the command.
pub(super) fn show(cluster: &Cluster, session: &Session) -> Result<(), Failure> {
    let lang = session.lang;
    let Some(report) = &cluster.preflight else {
        let text = lang.pick(
            "der Cluster wurde noch nicht geprüft: im Chart allmende-operator `preflight.enabled=true` setzen",
            "the cluster has not been checked yet: set `preflight.enabled=true` in the chart allmende-operator",
        );
        return Err(Failure::NotReached(text.to_owned()));
    };
    if session.printer.format() == Format::Table {
        session.printer.text(&text(id_of(&cluster.name), report, lang))?;
    } else {
        session.printer.one(report)?;
    }
    let failed = report.checks.iter().filter(|check| check.state() == State::Failed).count();
    if failed == 0 {
        return Ok(());
    }
    let total = report.checks.len();
    Err(Failure::NotReached(match lang {
        Lang::De => format!("{failed} von {total} Prüfungen nicht bestanden"),
        Lang::En => format!("{failed} of {total} checks failed"),
    }))
}

/// What a tenant's own people are told of the walls around it.
pub(super) fn isolation(tenant: &Tenant, lang: Lang) -> String {
    if tenant.isolation_proven {
        return lang.pick("Isolation: nachgewiesen", "Isolation: proven").to_owned();
    }
    let verdict = lang.pick("Isolation: nicht nachgewiesen", "Isolation: not proven");
    if tenant.isolation_reasons.is_empty() {
        return verdict.to_owned();
    }
    format!("{verdict} ({})", tenant.isolation_reasons.join("; "))
}

fn text(cluster: &str, report: &PreflightReport, lang: Lang) -> String {
    let time = report.check_time.as_ref().and_then(|time| jiff::Timestamp::from_second(time.seconds).ok());
    let time = time.map_or_else(String::new, |time| format!(", {time}"));
    let mut text = format!("{cluster}: Kubernetes {}{time}\n", report.kubernetes_version);
    let width = report.checks.iter().map(|check| check.title.chars().count()).max().unwrap_or(0);
    for check in &report.checks {
        let (mark, word) = verdict(check, lang);
        let padding = " ".repeat(width - check.title.chars().count());
        text.push_str(&format!("{mark} {}{padding}  {word}  {}\n", check.title, one_line(&check.detail)));
        if check.state() != State::Passed && !check.remedy.is_empty() {
            let lines: Vec<String> = check.remedy.lines().map(|line| format!("    {line}")).collect();
            text.push_str(&format!("{}\n", lines.join("\n")));
        }
    }
    text
}

fn verdict(check: &PreflightCheck, lang: Lang) -> (&'static str, &'static str) {
    match check.state() {
        State::Passed => ("✓", lang.pick("bestanden         ", "passed    ")),
        State::Warning => ("!", lang.pick("Warnung           ", "warning   ")),
        State::NotProven | State::Unspecified => ("?", lang.pick("nicht nachgewiesen", "not proven")),
        State::Failed => ("✗", lang.pick("nicht bestanden   ", "failed    ")),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(title: &str, state: State, remedy: &str) -> PreflightCheck {
        PreflightCheck {
            title: title.into(),
            state: state.into(),
            detail: "seen".into(),
            remedy: remedy.into(),
            ..PreflightCheck::default()
        }
    }

    #[test]
    fn each_check_has_its_mark_and_only_what_is_not_passed_says_what_to_do() {
        let report = PreflightReport {
            kubernetes_version: "v1.36.0".into(),
            checks: vec![
                check("Kubernetes", State::Passed, "nothing"),
                check("Network policy", State::Failed, "install a CNI\nthat enforces"),
            ],
            ..PreflightReport::default()
        };
        let lines = "local-1: Kubernetes v1.36.0
✓ Kubernetes      passed      seen
✗ Network policy  failed      seen
    install a CNI
    that enforces
";
        assert_eq!(text("local-1", &report, Lang::En), lines);
    }

    #[test]
    fn a_tenant_tells_why_isolation_is_not_proven() {
        let tenant = Tenant { isolation_reasons: vec!["a".into(), "b".into()], ..Tenant::default() };
        assert_eq!(isolation(&tenant, Lang::De), "Isolation: nicht nachgewiesen (a; b)");
        let proven = Tenant { isolation_proven: true, ..Tenant::default() };
        assert_eq!(isolation(&proven, Lang::De), "Isolation: nachgewiesen");
    }
}
