//! Whether network policies are enforced, and not merely stored: tried with pods.
//!
//! Two pods listen, `open` and `guarded`. A third must reach both: if it does not, a blocked connection would prove nothing. Then one policy
//! lets nobody in to `guarded` and another lets nobody out of `held`; both must be blocked within the limit. At last the policies go and both
//! must be reached again: the listeners were alive all the time, and it was the policies. Everything is removed, however it ends.

mod objects;
mod room;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use kube::Client;
use tokio::time::Instant;

use super::report::Verdict;
use crate::clock::Clock;
use objects::{Role, Sealed};
use room::{Ended, Room, Unready};

/// How long a connection without policies may take to work: routes of new pods are made first.
const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// Beyond the limits of the parts: requests to the API server.
const SLACK: Duration = Duration::from_secs(30);
/// For the removal, whatever happened before.
const CLEANUP_WITHIN: Duration = Duration::from_secs(30);

/// What is tried, where and for how long.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// This program's image.
    pub image: String,
    /// Secrets that it is pulled with.
    pub pull_secrets: Vec<String>,
    /// Namespace of the pods; made and removed when it is not there.
    pub namespace: String,
    /// Longest wait for a pod to run.
    pub pods_within: Duration,
    /// How long a policy may take until it is enforced.
    pub enforced_within: Duration,
}

/// What was seen; each is whether connections were as they must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Before the policies both listeners are reached.
    pub open_before: bool,
    /// Nobody gets in to the guarded one.
    pub kept_out: bool,
    /// Nobody gets out of the held one.
    pub kept_in: bool,
    /// Without the policies both are reached again.
    pub open_after: bool,
}

/// Tries it; `stop` ends it early. What was made is removed in each case.
pub async fn check(
    client: &Client,
    experiment: &Experiment,
    clock: &Arc<dyn Clock>,
    stop: impl Future<Output = ()>,
) -> Verdict {
    let mut room = Room::new(client.clone(), experiment, clock.clone());
    let limit = experiment.pods_within * 4 + OPEN_WITHIN * 2 + experiment.enforced_within + SLACK;
    let seen = tokio::select! {
        seen = tokio::time::timeout(limit, observe(&mut room, experiment)) => seen.unwrap_or(Err(Unready::Late)),
        () = stop => Err(Unready::Stopped),
    };
    let removed = tokio::time::timeout(CLEANUP_WITHIN, room.clear()).await;
    let verdict = match seen {
        Ok(seen) => judge(seen, experiment.enforced_within),
        Err(unready) => Verdict::not_proven(
            format!("the network could not be tried: {unready}"),
            format!(
                "pods of {} must run in namespace {} under Pod Security `restricted`; then check again",
                experiment.image, experiment.namespace
            ),
        ),
    };
    if matches!(removed, Ok(Ok(()))) {
        return verdict;
    }
    let namespace = &experiment.namespace;
    let detail = format!(
        "{}; something may be left: kubectl delete pod,networkpolicy -n {namespace} -l {}",
        verdict.detail,
        objects::SELECTOR
    );
    Verdict { detail, ..verdict }
}

async fn observe(room: &mut Room, experiment: &Experiment) -> Result<Seen, Unready> {
    let mut seen = Seen { open_before: false, kept_out: false, kept_in: false, open_after: false };
    room.open().await?;
    let (open, guarded) = tokio::try_join!(room.listener(Role::Open), room.listener(Role::Guarded))?;
    let both = [open, guarded];
    seen.open_before = as_expected(room, Role::Before, &both, objects::open(OPEN_WITHIN)).await?;
    if !seen.open_before {
        return Ok(seen);
    }
    room.seal(Sealed::In).await?;
    room.seal(Sealed::Out).await?;
    let blocked = objects::blocked(experiment.enforced_within);
    let (kept_out, kept_in) = tokio::try_join!(
        as_expected(room, Role::Outside, &both[1..], blocked),
        as_expected(room, Role::Held, &both[..1], blocked),
    )?;
    (seen.kept_out, seen.kept_in) = (kept_out, kept_in);
    if kept_out && kept_in {
        room.unseal().await?;
        seen.open_after = as_expected(room, Role::After, &both, objects::open(OPEN_WITHIN)).await?;
    }
    Ok(seen)
}

async fn as_expected(
    room: &Room,
    role: Role,
    to: &[SocketAddr],
    attempt: objects::Attempt,
) -> Result<bool, Unready> {
    match room.client(role, to, attempt).await? {
        Ended::AsExpected => Ok(true),
        Ended::Otherwise => Ok(false),
    }
}

/// Judges what was seen.
#[must_use]
pub fn judge(seen: Seen, enforced_within: Duration) -> Verdict {
    let seconds = enforced_within.as_secs();
    let again = "look at the events of the pods and check again";
    if !seen.open_before {
        return Verdict::not_proven("two pods do not reach each other even without a policy of ours", again);
    }
    let mut open = Vec::new();
    if !seen.kept_out {
        open.push("a pod that nobody may reach was reached");
    }
    if !seen.kept_in {
        open.push("a pod that may reach nobody reached another");
    }
    if !open.is_empty() {
        return Verdict::failed(
            format!("{seconds} s after the policies: {}", open.join(", and ")),
            "install a network plugin that enforces NetworkPolicy (Cilium, Calico, Antrea, kube-router): \
             without one, members' pods reach each other",
        );
    }
    if !seen.open_after {
        return Verdict::not_proven(
            "connections stayed blocked after the policies were gone: something else blocks them",
            again,
        );
    }
    Verdict::passed("open without policies, blocked by them in both directions, open again")
}

/// Waits until `holds` gives something, within the limit.
async fn until<T>(
    limit: Duration,
    holds: impl AsyncFn() -> Result<Option<T>, Unready>,
) -> Result<Option<T>, Unready> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = holds().await? {
            return Ok(Some(found));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{super::report::State, *};

    #[test]
    fn only_open_blocked_and_open_again_proves_that_policies_are_enforced() {
        for bits in 0..16u8 {
            let bit = |index: u8| bits & (1 << index) != 0;
            let seen = Seen { open_before: bit(0), kept_out: bit(1), kept_in: bit(2), open_after: bit(3) };
            let state = judge(seen, Duration::from_secs(10)).state;
            let expected = match (seen.open_before, seen.kept_out && seen.kept_in, seen.open_after) {
                (true, true, true) => State::Passed,
                (true, false, _) => State::Failed,
                _ => State::NotProven,
            };
            assert_eq!(state, expected, "{seen:?}");
        }
    }
}
