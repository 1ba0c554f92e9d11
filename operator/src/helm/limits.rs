//! How long things may take around a Helm run. Pure; every limit is derived from the one that the order sets, so that none can cut another.

use std::time::Duration;

/// How long a child that was asked to end may go on before it is killed: time enough for Helm to write into its record how it ended.
pub const END_GRACE: Duration = Duration::from_secs(10);
/// The same when the lease is lost. Shorter than the time between giving up a lease and its end, see [`crate::leader::Times`].
pub const LOST_LEASE_GRACE: Duration = Duration::from_secs(2);
/// Longest run of a question, a way back or a removal: Helm's own limit in these is at most 90 s.
pub const SHORT_RUN: Duration = Duration::from_secs(150);
/// What a run may take beyond Helm's own limits: rendering, the registry, writing its record.
const RUN_MARGIN: Duration = Duration::from_secs(30);
/// What a reconcile may take beside its runs: reads, secrets, the status.
const RECONCILE_MARGIN: Duration = Duration::from_secs(120);
/// The shortest life of a token that the API server gives.
const TOKEN_MIN: Duration = Duration::from_secs(600);

/// Longest run of an installation or an upgrade with this limit. Twice the limit: an upgrade that used its own up goes back to what was in
/// force, and Helm gives the way back the whole limit again. A way back that is cut off leaves a release that is neither the one nor the other.
#[must_use]
pub fn run(timeout: Duration) -> Duration {
    timeout.saturating_mul(2).saturating_add(RUN_MARGIN)
}

/// Life of the token of a run that may take so long; also while it is ended.
#[must_use]
pub fn token(run: Duration) -> Duration {
    run.saturating_add(END_GRACE).saturating_add(RUN_MARGIN).max(TOKEN_MIN)
}

/// Longest reconcile of an instance with this limit: the history, a way back or a removal, then the run itself.
#[must_use]
pub fn reconcile(timeout: Duration) -> Duration {
    let ended = |run: Duration| run.saturating_add(END_GRACE);
    ended(SHORT_RUN).saturating_mul(2).saturating_add(ended(run(timeout))).saturating_add(RECONCILE_MARGIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::leader::Times;

    proptest! {
        #[test]
        fn an_upgrade_and_its_way_back_fit_into_the_run_and_the_run_into_token_and_reconcile(seconds in 1_u64..=3600) {
            let timeout = Duration::from_secs(seconds);
            prop_assert!(run(timeout) > timeout * 2, "the way back may take the whole limit again");
            prop_assert!(token(run(timeout)) > run(timeout) + END_GRACE);
            prop_assert!(token(SHORT_RUN) >= TOKEN_MIN);
            prop_assert!(reconcile(timeout) > (SHORT_RUN + END_GRACE) * 2 + run(timeout) + END_GRACE);
        }
    }

    #[test]
    fn a_child_is_gone_before_another_process_may_lead() {
        let times = Times::default();
        assert!(times.give_up + LOST_LEASE_GRACE < times.lease);
    }
}
