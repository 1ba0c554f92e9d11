//! The steps of a run, one transaction each. The record of the run alone says which step is next, so whoever finds it — after a crash, or
//! beside another worker — goes on where it stands; the comparing transaction lets each step happen once.

use jiff::Timestamp;

use crate::{
    invoice::Invoice,
    money::{Cents, MoneyError},
    run::{Run, RunState},
};

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Close the period: from then on late facts go to the next open one.
    ClosePeriod,
    /// Read all inputs at one revision and keep them under their digest.
    FreezeCut,
    /// Price the usage of the cut.
    Rate,
    /// Split the pots, and so know all drafts.
    Allocate,
    /// Write the draft at this position.
    DraftInvoice(usize),
    /// All drafts lie there: hand them over for review.
    OpenReview,
    /// Give the next draft its number.
    IssueInvoice,
    /// All drafts have numbers.
    BeginRendering,
    /// Write the documents of the next issued invoice.
    RenderInvoice,
    /// Everything is written: compare the result with what was reviewed, and end.
    CloseRun,
}

impl Step {
    /// For logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClosePeriod => "close_period",
            Self::FreezeCut => "freeze_cut",
            Self::Rate => "rate",
            Self::Allocate => "allocate",
            Self::DraftInvoice(_) => "draft_invoice",
            Self::OpenReview => "open_review",
            Self::IssueInvoice => "issue_invoice",
            Self::BeginRendering => "begin_rendering",
            Self::RenderInvoice => "render_invoice",
            Self::CloseRun => "close_run",
        }
    }
}

/// The next step of a run; none while it waits for a person, and none after its end.
pub fn next(run: &Run) -> Option<Step> {
    let left = run.invoices_done < run.invoices_total;
    match run.state {
        RunState::Pending => Some(Step::ClosePeriod),
        RunState::Freezing => Some(Step::FreezeCut),
        RunState::Rating => Some(Step::Rate),
        RunState::Allocating => Some(Step::Allocate),
        RunState::Drafting if left => usize::try_from(run.invoices_done).ok().map(Step::DraftInvoice),
        RunState::Drafting => Some(Step::OpenReview),
        RunState::Issuing if left => Some(Step::IssueInvoice),
        RunState::Issuing => Some(Step::BeginRendering),
        RunState::Rendering if left => Some(Step::RenderInvoice),
        RunState::Rendering => Some(Step::CloseRun),
        RunState::Review | RunState::Closed | RunState::Failed => None,
    }
}

impl Run {
    /// In another state, with no invoice of it done.
    #[must_use]
    pub fn entering(&self, state: RunState) -> Self {
        Self { state, invoices_done: 0, message: String::new(), ..self.clone() }
    }

    /// With the cut it is made from.
    #[must_use]
    pub fn frozen(&self, revision: i64, digest: &str) -> Self {
        Self { cut_revision: revision, cut_digest: digest.to_owned(), ..self.entering(RunState::Rating) }
    }

    /// With one invoice more done.
    #[must_use]
    pub fn one_done(&self) -> Self {
        Self { invoices_done: self.invoices_done.saturating_add(1), ..self.clone() }
    }

    /// Ready for review: the invoices added up, never computed anew from a sum (BR-CO-17 rounds by invoice).
    ///
    /// # Errors
    /// On overflow.
    pub fn reviewable(&self, drafts: &[Invoice], digest: &str) -> Result<Self, MoneyError> {
        Ok(Self {
            result_digest: digest.to_owned(),
            net: Cents::sum(drafts.iter().map(|draft| draft.net))?,
            vat: Cents::sum(drafts.iter().map(|draft| draft.vat))?,
            gross: Cents::sum(drafts.iter().map(|draft| draft.gross))?,
            invoices_done: self.invoices_total,
            ..self.entering(RunState::Review)
        })
    }

    /// Ended well.
    #[must_use]
    pub fn closed(&self, now: Timestamp) -> Self {
        Self { invoices_done: self.invoices_total, end_time: Some(now), ..self.entering(RunState::Closed) }
    }

    /// Ended, with the reason for people.
    #[must_use]
    pub fn failed(&self, message: &str, now: Timestamp) -> Self {
        Self { message: message.to_owned(), end_time: Some(now), ..self.entering(RunState::Failed) }
    }

    /// Whether it may still fail: nothing has a number yet.
    pub fn may_fail(&self) -> bool {
        self.state < RunState::Review
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn accepted() -> Run {
        Run::accepted("2026-09".parse().unwrap(), date(2026, 10, 5), "", Timestamp::UNIX_EPOCH)
    }

    /// Does a step as the worker does it, without its effects.
    fn done(run: &Run, step: Step, invoices: i64) -> Run {
        match step {
            Step::ClosePeriod => run.entering(RunState::Freezing),
            Step::FreezeCut => run.frozen(7, "cut"),
            Step::Rate => run.entering(RunState::Allocating),
            Step::Allocate => Run { invoices_total: invoices, ..run.entering(RunState::Drafting) },
            Step::DraftInvoice(_) | Step::IssueInvoice | Step::RenderInvoice => run.one_done(),
            Step::OpenReview => run.reviewable(&[], "result").unwrap(),
            Step::BeginRendering => run.entering(RunState::Rendering),
            Step::CloseRun => run.closed(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn a_run_waits_for_review_and_then_does_every_invoice_once_in_each_pass() {
        for invoices in [0, 1, 12] {
            let mut run = accepted();
            let mut steps = Vec::new();
            while let Some(step) = next(&run) {
                steps.push(step);
                run = done(&run, step, invoices);
            }
            assert_eq!(run.state, RunState::Review);
            assert_eq!(steps.len(), 5 + usize::try_from(invoices).unwrap());
            run = run.entering(RunState::Issuing);
            let mut passes = (0, 0);
            while let Some(step) = next(&run) {
                passes.0 += i64::from(step == Step::IssueInvoice);
                passes.1 += i64::from(step == Step::RenderInvoice);
                run = done(&run, step, invoices);
            }
            assert_eq!((run.state, passes), (RunState::Closed, (invoices, invoices)));
        }
    }

    #[test]
    fn a_run_may_fail_only_before_anything_has_a_number() {
        let states =
            [RunState::Pending, RunState::Drafting, RunState::Review, RunState::Issuing, RunState::Rendering];
        let may: Vec<bool> = states.into_iter().map(|state| accepted().entering(state).may_fail()).collect();
        assert_eq!(may, [true, true, false, false, false]);
        assert_eq!(next(&accepted().failed("why", Timestamp::UNIX_EPOCH)), None);
    }
}
