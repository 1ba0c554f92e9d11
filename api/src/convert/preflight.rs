//! What a preflight found, in and out.

use allmende_domain::{
    ids::ClusterId,
    preflight::{Check, CheckState, PreflightReport},
};
use allmende_proto::v1::{self, preflight_check::State};
use jiff::Timestamp;

use super::fields::{Fields, time};
use crate::error::AppError;

/// Most checks of a report.
const CHECKS_MAX: usize = 24;
/// Most characters of an id.
const ID_MAX: usize = 63;

/// A report of a cluster, received at `now`. Long texts are cut; a report that is no report is refused as a whole, because a part of it
/// could hide what failed.
///
/// # Errors
/// All wrong fields at once.
pub fn read(
    cluster: &ClusterId,
    message: &v1::PreflightReport,
    now: Timestamp,
) -> Result<PreflightReport, AppError> {
    let mut fields = Fields::new();
    let at = fields.time("preflight.check_time", message.check_time.as_ref());
    if message.checks.is_empty() || message.checks.len() > CHECKS_MAX {
        fields.wrong("preflight.checks", format!("must be 1 to {CHECKS_MAX}"));
    }
    let mut checks: Vec<Check> = Vec::new();
    for (index, check) in message.checks.iter().take(CHECKS_MAX).enumerate() {
        let path = format!("preflight.checks[{index}]");
        if check.id.is_empty() || check.id.len() > ID_MAX || checks.iter().any(|other| other.id == check.id) {
            fields.wrong(format!("{path}.id"), format!("must be there once, of at most {ID_MAX} bytes"));
        }
        let Some(state) = state(check.state) else {
            fields.wrong(format!("{path}.state"), "must be a state");
            continue;
        };
        checks.push(Check {
            id: check.id.clone(),
            title: cut(&check.title, 200),
            state,
            detail: cut(&check.detail, 1000),
            remedy: cut(&check.remedy, 2000),
        });
    }
    let at = fields.finish(at)?;
    Ok(PreflightReport {
        cluster: cluster.clone(),
        time: at,
        received: now,
        program_version: cut(&message.program_version, 63),
        kubernetes_version: cut(&message.kubernetes_version, 63),
        checks,
    })
}

/// A report as a message.
pub fn write(report: &PreflightReport) -> v1::PreflightReport {
    let check = |check: &Check| v1::PreflightCheck {
        id: check.id.clone(),
        title: check.title.clone(),
        state: match check.state {
            CheckState::Passed => State::Passed,
            CheckState::Warning => State::Warning,
            CheckState::NotProven => State::NotProven,
            CheckState::Failed => State::Failed,
        }
        .into(),
        detail: check.detail.clone(),
        remedy: check.remedy.clone(),
    };
    v1::PreflightReport {
        check_time: Some(time(report.time)),
        program_version: report.program_version.clone(),
        kubernetes_version: report.kubernetes_version.clone(),
        checks: report.checks.iter().map(check).collect(),
    }
}

fn state(number: i32) -> Option<CheckState> {
    match State::try_from(number).ok()? {
        State::Unspecified => None,
        State::Passed => Some(CheckState::Passed),
        State::Warning => Some(CheckState::Warning),
        State::NotProven => Some(CheckState::NotProven),
        State::Failed => Some(CheckState::Failed),
    }
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}
