//! Carries divisions out, a batch of members a transaction, and settles what could not be there at once. Every replica of the API has one;
//! each batch compares the run, the cluster and the accounts, so any number of them do no harm.

use std::{collections::BTreeMap, time::Duration};

use allmende_domain::{
    account::{QuotaAccount, Target},
    cluster::Cluster,
    ids::{ClusterId, MemberId},
    quota::{
        rule::PoolRule,
        run::{PoolRun, PoolRunState},
    },
    resources::Resources,
};
use allmende_store::{Commit, Txn, Versioned, keys};
use jiff::{Timestamp, ToSpan};
use tokio_util::sync::CancellationToken;

use super::{Divided, Pools, digest, total};
use crate::{
    core::{Core, audit_keeper},
    error::AppError,
};

/// Pause between two passes.
const EVERY: Duration = Duration::from_secs(5);
/// Members of one transaction: account and audit entry each, beside cluster and run; etcd takes 128 operations.
const BATCH: usize = 40;
/// Conflicts with orders of the same members, one batch after the other.
const ATTEMPTS: usize = 8;

/// See the module.
#[derive(Clone)]
pub struct PoolKeeper {
    pools: Pools,
}

/// What one member is to have on one cluster.
struct Wanted {
    cluster: ClusterId,
    member: MemberId,
    guaranteed: Resources,
}

impl PoolKeeper {
    /// Over all runs.
    pub fn new(core: Core) -> Self {
        Self { pools: Pools { core } }
    }

    /// Passes until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            let now = self.pools.core.clock.now();
            if let Err(error) = Box::pin(self.pass(now)).await {
                tracing::warn!(?error, "the keeper of the pool could not go on");
            }
        }
    }

    /// Carries on every run, and settles what can be settled.
    ///
    /// # Errors
    /// When the store fails; what was done stays.
    pub async fn pass(&self, now: Timestamp) -> Result<(), AppError> {
        let (runs, _) = self.pools.core.store.snapshot(&keys::pool_runs()).await?;
        for run in runs.into_iter().filter(|run| run.value.state == PoolRunState::Dividing) {
            self.divide(run, now).await?;
        }
        let open = self.settle(now).await?;
        self.finish(&open, now).await
    }

    /// All batches of a run.
    async fn divide(&self, mut run: Versioned<PoolRun>, now: Timestamp) -> Result<(), AppError> {
        let core = &self.pools.core;
        let rule = self.pools.rule(&run.value.rule, run.key.raw()).await?.value;
        let seats = self.pools.seats(&rule, run.value.effective).await?;
        let divided = self.pools.divided(&rule, &seats).await?;
        let digest = digest(&divided)?;
        if digest != run.value.digest {
            // Members or capacities have changed: from the beginning, which sets the same again where nothing else came out.
            let next =
                PoolRun { digest, done_to: None, done: 0, total: total(&divided), ..run.value.clone() };
            let txn = Txn::new().expect_unchanged(&run).put(&run.key, &next);
            let Commit::Committed(_) = core.store.commit(txn).await? else { return Ok(()) };
            let Some(found) = core.store.find(&run.key).await? else { return Ok(()) };
            run = found;
        }
        let wanted = wanted(&divided);
        let mut conflicts = 0;
        while run.value.state == PoolRunState::Dividing && conflicts < ATTEMPTS {
            let (txn, _) = self.batch(&run, &rule, &wanted, now).await?;
            if let Commit::Conflict = core.store.commit(txn).await? {
                conflicts += 1;
            } else {
                conflicts = 0;
            }
            let Some(found) = core.store.find(&run.key).await? else { return Ok(()) };
            run = found;
        }
        Ok(())
    }

    /// The next members behind those that are done, all on one cluster.
    async fn batch(
        &self,
        run: &Versioned<PoolRun>,
        rule: &PoolRule,
        wanted: &[Wanted],
        now: Timestamp,
    ) -> Result<(Txn, usize), AppError> {
        let behind = |one: &&Wanted| {
            run.value
                .done_to
                .as_ref()
                .is_none_or(|(cluster, member)| (&one.cluster, &one.member) > (cluster, member))
        };
        let mut left = wanted.iter().filter(behind).peekable();
        let Some(first) = left.peek() else {
            let next = PoolRun { state: PoolRunState::Settling, ..run.value.clone() };
            return Ok((Txn::new().expect_unchanged(run).put(&run.key, &next), 0));
        };
        let cluster_id = first.cluster.clone();
        let batch: Vec<&Wanted> = left.take_while(|one| one.cluster == cluster_id).take(BATCH).collect();
        let resolve_by = run.value.effective.saturating_add(i64::from(rule.resolve_days).days());
        let place = self.cluster(&cluster_id).await?;
        let mut cluster = Cluster { overcommit: rule.overcommit.clone(), ..place.value.clone() };
        let mut txn = Txn::new().expect_unchanged(run).expect_unchanged(&place);
        for one in &batch {
            let key = keys::account(&one.member, &cluster_id);
            let found = self.pools.core.store.find(&key).await?;
            let before = found.as_ref().map_or_else(
                || QuotaAccount::empty(one.member.clone(), cluster_id.clone()),
                |found| found.value.clone(),
            );
            let target = Target {
                guaranteed: one.guaranteed.clone(),
                resolution: rule.resolution.clone(),
                resolve_by,
            };
            let next = before.retarget(target, &cluster.room()?)?;
            cluster = carved(&cluster, &before, &next)?;
            txn = txn.expect_as_read(&key, found.as_ref());
            if next != before {
                let summary = format!("Anspruch nach Verteilung: {}", one.guaranteed);
                txn = txn.put(&key, &next).and(told(&next, summary, &rule.resolution, now)?);
            }
        }
        let done_to = batch.last().map(|last| (last.cluster.clone(), last.member.clone()));
        let done = run.value.done.saturating_add(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        let next = PoolRun { done_to, done, ..run.value.clone() };
        Ok((txn.put(&place.key, &cluster).put(&run.key, &next), batch.len()))
    }

    /// Takes every account that is not yet what was decided as far as it can be now; those that lose before those that gain. Gives how many
    /// are left, by resolution.
    async fn settle(&self, now: Timestamp) -> Result<BTreeMap<String, u32>, AppError> {
        let mut open = BTreeMap::new();
        let (accounts, _) = self.pools.core.store.snapshot(&keys::accounts_all()).await?;
        let mut waiting: Vec<_> =
            accounts.into_iter().filter(|account| account.value.target.is_some()).collect();
        waiting.sort_by_key(|account| {
            let wanted = account.value.target.as_ref().map(|target| &target.guaranteed);
            wanted.is_some_and(|wanted| wanted.exceeds(&account.value.guaranteed))
        });
        for account in waiting {
            let Some(target) = account.value.target.clone() else { continue };
            let place = self.cluster(&account.value.cluster).await?;
            let next = account.value.settle(&place.value.room()?)?;
            let mut there = next.target.is_none();
            if next != account.value {
                let cluster = carved(&place.value, &account.value, &next)?;
                let summary = format!("Anspruch auf dem Weg zum Beschluss: {}", next.guaranteed);
                let txn = Txn::new()
                    .expect_unchanged(&place)
                    .put(&place.key, &cluster)
                    .expect_unchanged(&account)
                    .put(&account.key, &next)
                    .and(told(&next, summary, &target.resolution, now)?);
                // A conflict is looked at again by the next pass.
                there &= matches!(self.pools.core.store.commit(txn).await?, Commit::Committed(_));
            }
            if !there {
                *open.entry(target.resolution).or_insert(0) += 1;
            }
        }
        Ok(open)
    }

    /// Runs whose entitlements are all there are done.
    async fn finish(&self, open: &BTreeMap<String, u32>, now: Timestamp) -> Result<(), AppError> {
        let store = &self.pools.core.store;
        let (runs, _) = store.snapshot(&keys::pool_runs()).await?;
        for run in runs.into_iter().filter(|run| run.value.state == PoolRunState::Settling) {
            let rule = self.pools.rule(&run.value.rule, run.key.raw()).await?.value;
            let unsettled = open.get(&rule.resolution).copied().unwrap_or(0);
            let done = unsettled == 0;
            let next = PoolRun {
                unsettled,
                state: if done { PoolRunState::Done } else { PoolRunState::Settling },
                end_time: done.then_some(now),
                ..run.value.clone()
            };
            if next != run.value {
                store.commit(Txn::new().expect_unchanged(&run).put(&run.key, &next)).await?;
            }
        }
        Ok(())
    }

    async fn cluster(&self, id: &ClusterId) -> Result<Versioned<Cluster>, AppError> {
        let found = self.pools.core.store.find(&keys::cluster(id)).await?;
        found
            .ok_or_else(|| AppError::internal(format!("an account lies on cluster {id}, which is not there")))
    }
}

/// All that a division gives, by cluster and member; who takes no part any more gets nothing.
fn wanted(divided: &[Divided]) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = divided
        .iter()
        .flat_map(|one| {
            one.outlook.iter().map(|outlook| Wanted {
                cluster: one.division.cluster.clone(),
                member: outlook.member.clone(),
                guaranteed: outlook.after.clone(),
            })
        })
        .collect();
    wanted.sort_by(|one, other| (&one.cluster, &one.member).cmp(&(&other.cluster, &other.member)));
    wanted
}

fn carved(cluster: &Cluster, before: &QuotaAccount, next: &QuotaAccount) -> Result<Cluster, AppError> {
    cluster
        .carve(&before.guaranteed, &next.guaranteed)
        .map_err(|error| AppError::internal(format!("settled beyond the room of {}: {error}", cluster.id)))
}

/// An entry in the member's audit.
fn told(account: &QuotaAccount, summary: String, resolution: &str, now: Timestamp) -> Result<Txn, AppError> {
    let target = format!("members/{}/entitlements/{}", account.member, account.cluster);
    let action = "allmende.v1.PoolService/ApplyPoolRule";
    audit_keeper(now, &account.member, (action, &target), resolution, summary)
}
