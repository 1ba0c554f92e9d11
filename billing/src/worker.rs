//! Does one step of a run at a time.

use std::{collections::VecDeque, sync::Arc};

use allmende_domain::{
    closing::{Step, next},
    invoice::{Invoice, InvoiceState},
    period::Period,
    run::{Run, RunState},
};
use allmende_store::{Commit, Revision, Store, StoreError, Txn, Versioned, keys, objects::DocumentStore};
use jiff::Timestamp;

use crate::{audit, cut, drafts, error::BillingError, issue};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What came of asking for a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// This step was done.
    Done(Step),
    /// The run has failed; its record says why.
    Failed,
    /// Somebody else was faster, or an answer was lost: read the run again.
    Again,
    /// Nothing to do: it waits for people, has ended, or is not there.
    Idle,
}

/// See the module. Everything it remembers is only there to read less; a new worker goes on the same way.
pub struct Worker {
    store: Store,
    documents: DocumentStore,
    clock: Clock,
    /// Drafts of the cut with this digest.
    computed: Option<(String, Arc<Vec<Invoice>>)>,
    queue: Option<Queue>,
}

/// What is still to be issued or rendered, valid as long as nobody else has changed the run.
struct Queue {
    period: Period,
    state: RunState,
    run: Revision,
    rows: VecDeque<Versioned<Invoice>>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Worker {
    /// A new one.
    pub fn new(store: Store, documents: DocumentStore, clock: Clock) -> Self {
        Self { store, documents, clock, computed: None, queue: None }
    }

    /// Does the next step of a period's run, in one transaction that compares the run's revision.
    ///
    /// # Errors
    /// When the store does not answer, or what lies there does not fit together. Nothing was changed then.
    pub async fn step(&mut self, period: Period) -> Result<Progress, BillingError> {
        let Some(run) = self.store.find(&keys::run(period)).await? else { return Ok(Progress::Idle) };
        let Some(step) = next(&run.value) else { return Ok(Progress::Idle) };
        let now = (self.clock)();
        let (changes, progress) = match self.prepare(&run, step, now).await {
            Ok((txn, next)) => {
                let audited = txn.and(audit::of_step(step, &next, now)?);
                ((audited, next), Progress::Done(step))
            }
            // What was read after the run may be newer than it: only a run that still stands there can be at odds with the rest.
            Err(_) if self.has_moved_on(&run).await? => {
                self.queue = None;
                return Ok(Progress::Again);
            }
            Err(error) if error.is_of_the_inputs() && run.value.may_fail() => {
                let reason = error.to_string();
                let (txn, next) = drafts::fail(&self.store, &run, &reason, now).await?;
                ((txn.and(audit::of_failure(&next, &reason, now)?), next), Progress::Failed)
            }
            Err(error) => return Err(error),
        };
        self.commit(&run, changes, progress).await
    }

    async fn has_moved_on(&self, run: &Versioned<Run>) -> Result<bool, BillingError> {
        Ok(self.store.find(&run.key).await?.is_none_or(|present| present.revision != run.revision))
    }

    async fn prepare(
        &mut self,
        run: &Versioned<Run>,
        step: Step,
        now: Timestamp,
    ) -> Result<(Txn, Run), BillingError> {
        match step {
            Step::ClosePeriod => drafts::close_period(&self.store, run, now).await,
            Step::FreezeCut => drafts::freeze(&self.store, &self.documents, run).await,
            Step::Rate => {
                let cut = cut::kept(&self.documents, &run.value).await?;
                cut.rated(cut.price_list()?)?;
                Ok((Txn::new(), run.value.entering(RunState::Allocating)))
            }
            Step::Allocate => {
                let total = i64::try_from(self.computed(&run.value).await?.len()).unwrap_or(i64::MAX);
                Ok((Txn::new(), Run { invoices_total: total, ..run.value.entering(RunState::Drafting) }))
            }
            Step::DraftInvoice(position) => {
                let computed = self.computed(&run.value).await?;
                drafts::draft(&self.store, run, &computed, position).await
            }
            Step::OpenReview => {
                let computed = self.computed(&run.value).await?;
                drafts::open_review(&self.store, run, &computed).await
            }
            Step::IssueInvoice => {
                if run.value.invoices_done == 0 {
                    let all = drafts::of_run(&self.store, &run.value, InvoiceState::Draft).await?;
                    issue::as_reviewed(&run.value, &all)?;
                }
                let draft = self.head(run, InvoiceState::Draft).await?;
                issue::issue(&self.store, run, &draft, now).await
            }
            Step::BeginRendering => Ok((Txn::new(), run.value.entering(RunState::Rendering))),
            Step::RenderInvoice => {
                let invoice = self.head(run, InvoiceState::Issued).await?;
                issue::render(&self.documents, run, &invoice).await
            }
            Step::CloseRun => {
                let issued = drafts::of_run(&self.store, &run.value, InvoiceState::Issued).await?;
                issue::close(run, &issued, now)
            }
        }
    }

    async fn commit(
        &mut self,
        run: &Versioned<Run>,
        (txn, next): (Txn, Run),
        progress: Progress,
    ) -> Result<Progress, BillingError> {
        let txn = txn.expect_unchanged(run).put(&run.key, &next);
        match self.store.commit(txn).await {
            Ok(Commit::Committed(revision)) => {
                // What follows in the queue is still right: the change of the run was our own.
                if let Some(queue) = self.queue.as_mut().filter(|queue| queue.run == run.revision) {
                    queue.rows.pop_front();
                    queue.run = revision;
                }
                Ok(progress)
            }
            // An applied one that nobody told us of has changed the run, so the next read goes on behind it.
            Ok(Commit::Conflict) | Err(StoreError::UnknownOutcome(_)) => {
                self.queue = None;
                Ok(Progress::Again)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn computed(&mut self, run: &Run) -> Result<Arc<Vec<Invoice>>, BillingError> {
        if let Some((digest, drafts)) = &self.computed
            && *digest == run.cut_digest
        {
            return Ok(Arc::clone(drafts));
        }
        let cut = cut::kept(&self.documents, run).await?;
        let drafts = Arc::new(drafts::of(&cut, run)?);
        self.computed = Some((run.cut_digest.clone(), Arc::clone(&drafts)));
        Ok(drafts)
    }

    /// The next invoice of the run in a state: a draft without number, or an issued one without documents.
    async fn head(
        &mut self,
        run: &Versioned<Run>,
        state: InvoiceState,
    ) -> Result<Versioned<Invoice>, BillingError> {
        let fits = |queue: &Queue| {
            queue.period == run.value.period && queue.state == run.value.state && queue.run == run.revision
        };
        if !self.queue.as_ref().is_some_and(fits) {
            let mut rows = drafts::of_run(&self.store, &run.value, state).await?;
            rows.retain(|row| row.value.documents.is_empty());
            let rows = rows.into();
            self.queue =
                Some(Queue { period: run.value.period, state: run.value.state, run: run.revision, rows });
        }
        self.queue.as_ref().and_then(|queue| queue.rows.front().cloned()).ok_or_else(|| {
            issue::inconsistent(&run.value, "fewer invoices lie there than the run counts".to_owned())
        })
    }
}
