//! Follows the runs: all that lie there, then each change, and all anew when the watch says so or something failed.

use std::time::Duration;

use allmende_domain::{closing::next, period::Period};
use allmende_store::{Revision, Store, WatchEvent, keys};
use tokio_util::sync::CancellationToken;

use crate::{BillingError, Progress, Worker, metrics::BillingMetrics};

/// First pause after a failure; doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Works until `stop`. A step under way is finished first.
pub async fn follow(store: Store, mut worker: Worker, metrics: BillingMetrics, stop: CancellationToken) {
    let mut pause = PAUSE_MIN;
    while !stop.is_cancelled() {
        match pass(&store, &mut worker, &metrics, &stop).await {
            // The watch ended: read all runs anew.
            Ok(()) => pause = PAUSE_MIN,
            Err(error) => {
                metrics.error();
                tracing::error!(%error, retry_in_ms = pause.as_millis(), "billing cannot go on");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// All runs as they lie there, then their changes until the watch ends.
async fn pass(
    store: &Store,
    worker: &mut Worker,
    metrics: &BillingMetrics,
    stop: &CancellationToken,
) -> Result<(), BillingError> {
    let (runs, revision) = store.snapshot(&keys::runs()).await?;
    metrics.reached();
    // One run that is stuck must not keep the others from going on; its error is told after them.
    let mut stuck = None;
    for run in runs.into_iter().filter(|run| next(&run.value).is_some()) {
        if let Err(error) = work_off(worker, run.value.period, metrics, stop).await {
            stuck = Some(error);
        }
    }
    if let Some(error) = stuck {
        return Err(error);
    }
    changes(store, worker, revision.next(), metrics, stop).await
}

async fn changes(
    store: &Store,
    worker: &mut Worker,
    from: Revision,
    metrics: &BillingMetrics,
    stop: &CancellationToken,
) -> Result<(), BillingError> {
    let mut watch = store.watch(&keys::runs(), from);
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            event = watch.next() => event,
        };
        match event {
            // Our own steps come back too: their runs are read again, and nothing is left to do.
            Some(WatchEvent::Put(run)) if next(&run.value).is_some() => {
                work_off(worker, run.value.period, metrics, stop).await?;
            }
            Some(WatchEvent::Put(_) | WatchEvent::Delete(..) | WatchEvent::Progress(_)) => metrics.reached(),
            Some(WatchEvent::Unreadable(error)) => return Err(error.into()),
            Some(WatchEvent::Compacted) | None => return Ok(()),
        }
    }
}

/// Steps until the run waits for people or has ended.
async fn work_off(
    worker: &mut Worker,
    period: Period,
    metrics: &BillingMetrics,
    stop: &CancellationToken,
) -> Result<(), BillingError> {
    while !stop.is_cancelled() {
        match worker.step(period).await? {
            Progress::Done(step) => {
                metrics.step(step);
                tracing::info!(%period, step = step.as_str(), "billing step done");
            }
            Progress::Failed => {
                metrics.failed();
                tracing::warn!(%period, "billing run failed: its record says why");
            }
            Progress::Again => tracing::debug!(%period, "billing run is read again"),
            Progress::Idle => return Ok(()),
        }
        metrics.reached();
    }
    Ok(())
}
