//! Waiting for what a change started, with its steps on standard error as they change.

use std::{collections::HashMap, time::Duration};

use allmende_proto::v1::{GetOperationRequest, GetRunRequest, Operation, Run, operation_step, run};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::{failure::Failure, session::Session};

/// Between two looks: quick at first, then calm.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Looks again and again until something is true or the time is over.
struct Watch {
    started: Instant,
    limit: Duration,
    pause: Duration,
}

impl Watch {
    fn new(limit: Duration) -> Self {
        Self { started: Instant::now(), limit, pause: FIRST_PAUSE }
    }

    fn seconds(&self) -> String {
        format!("{:>4} s", self.started.elapsed().as_secs())
    }

    /// False when the time is over.
    async fn again(&mut self) -> bool {
        let left = self.limit.saturating_sub(self.started.elapsed());
        if left.is_zero() {
            return false;
        }
        tokio::time::sleep(self.pause.min(left)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

/// An API that restarts while we wait is no reason to stop waiting.
fn passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled)
}

/// Waits for an operation; its steps are shown as they change.
pub(crate) async fn operation(
    session: &Session,
    first: Operation,
    limit: Duration,
) -> Result<Operation, Failure> {
    let mut watch = Watch::new(limit);
    let mut shown = HashMap::new();
    let mut present = first;
    loop {
        show_steps(session, &watch, &present, &mut shown);
        if present.done {
            return if present.succeeded {
                Ok(present)
            } else {
                Err(Failure::NotReached(format!("{} {}: {}", present.verb, present.target, present.message)))
            };
        }
        if !watch.again().await {
            return Err(Failure::OutOfTime(format!(
                "{}: {} ({}); allmende operation wait {}",
                present.target,
                session.lang.pick("noch nicht fertig, es läuft weiter", "not done yet, it goes on"),
                present.message,
                present.name
            )));
        }
        let request = GetOperationRequest { name: present.name.clone() };
        match session.operations().get_operation(session.call(request)).await {
            Ok(answer) => present = answer.into_inner(),
            Err(status) if passing(&status) => {}
            Err(status) => return Err(Failure::read(status)),
        }
    }
}

fn show_steps(
    session: &Session,
    watch: &Watch,
    operation: &Operation,
    shown: &mut HashMap<String, (i32, String)>,
) {
    use operation_step::State;
    for step in &operation.steps {
        let now = (step.state, step.message.clone());
        let mark = match step.state() {
            State::Unspecified | State::Pending => continue,
            State::Running => "…",
            State::Done => "✓",
            State::Failed => "✗",
        };
        if shown.get(&step.id) == Some(&now) {
            continue;
        }
        let message = if step.message.is_empty() { String::new() } else { format!(": {}", step.message) };
        session.printer.note(&format!("{} {mark} {}{message}", watch.seconds(), step.title));
        shown.insert(step.id.clone(), now);
    }
}

/// Waits until a billing run lies for review or is closed.
pub(crate) async fn billing_run(
    session: &Session,
    first: Run,
    goal: run::State,
    limit: Duration,
) -> Result<Run, Failure> {
    let mut watch = Watch::new(limit);
    let mut shown = None;
    let mut present = first;
    loop {
        let now = (present.state, present.invoices_done);
        if shown != Some(now) {
            let count = format!("{}/{}", present.invoices_done, present.invoices_total);
            let state = present.state().as_str_name().trim_start_matches("STATE_");
            session.printer.note(&format!("{} {state} {count} {}", watch.seconds(), present.message));
            shown = Some(now);
        }
        if present.state() == run::State::Failed {
            return Err(Failure::NotReached(format!("{}: {}", present.name, present.message)));
        }
        if present.state() as i32 >= goal as i32 {
            return Ok(present);
        }
        if !watch.again().await {
            let state = present.state().as_str_name();
            return Err(Failure::OutOfTime(format!(
                "{}: {state}; allmende run get {}",
                present.name, present.period
            )));
        }
        let request = GetRunRequest { name: present.name.clone() };
        match session.billing().get_run(session.call(request)).await {
            Ok(answer) => present = answer.into_inner(),
            Err(status) if passing(&status) => {}
            Err(status) => return Err(Failure::read(status)),
        }
    }
}
