//! Looks at the whole pool once a minute: sets the metrics, tells the log of levels that were crossed, and keeps what was reserved at the
//! end of each day. Every replica has one; a compare lets one of them write.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use allmende_domain::{
    account::QuotaAccount,
    cluster::Cluster,
    ids::{ClusterId, MemberId},
    period::day_in_berlin,
    quota::{
        level::{LEVELS, Told, fills},
        trend::QuotaHistory,
    },
};
use allmende_store::{Txn, Versioned, keys};
use tokio_util::sync::CancellationToken;

use super::{Holdings, metrics::Sums};
use crate::error::AppError;

/// Pause between two looks.
const EVERY: Duration = Duration::from_secs(60);
/// Histories that one transaction writes: a compare and a put each, far below etcd's limit of operations.
const AT_ONCE: usize = 32;

/// See the module.
pub struct HoldingsKeeper {
    holdings: Holdings,
    told: HashMap<(MemberId, ClusterId), Told>,
    /// The first look tells what is, not what happened.
    has_looked: bool,
}

impl Holdings {
    /// The keeper of this replica.
    pub fn keeper(&self) -> HoldingsKeeper {
        HoldingsKeeper { holdings: self.clone(), told: HashMap::new(), has_looked: false }
    }
}

impl HoldingsKeeper {
    /// Looks until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.look().await {
                self.holdings.metrics.error();
                tracing::warn!(?error, "the pool could not be looked at");
            }
            if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }

    /// One look.
    ///
    /// # Errors
    /// When the store fails: the next look does what is left.
    pub async fn look(&mut self) -> Result<(), AppError> {
        let store = self.holdings.core.store.clone();
        let clusters = store.snapshot(&keys::clusters()).await?.0;
        let accounts = store.snapshot(&keys::accounts_all()).await?.0;
        let mut sums: BTreeMap<ClusterId, Sums> = BTreeMap::new();
        for account in &accounts {
            self.count(&account.value, sums.entry(account.value.cluster.clone()).or_default())?;
        }
        for shown in store.snapshot(&keys::shown_quotas_all()).await?.0 {
            let sum = sums.entry(shown.value.cluster.clone()).or_default();
            sum.used = sum.used.checked_add(shown.value.used()?)?;
        }
        self.measure(&clusters, &sums);
        self.has_looked = true;
        self.keep_days(&accounts).await
    }

    fn count(&mut self, account: &QuotaAccount, sums: &mut Sums) -> Result<(), AppError> {
        sums.reserved = sums.reserved.checked_add(account.reserved()?)?;
        sums.lent = sums.lent.checked_add(account.lent()?)?;
        let fills = fills(account)?;
        for fill in &fills {
            for level in LEVELS.into_iter().filter(|level| *level <= fill.level()) {
                *sums.members.entry((fill.resource.clone(), level)).or_default() += 1;
            }
        }
        let told = self.told.entry((account.member.clone(), account.cluster.clone())).or_default();
        for crossing in told.take(&fills) {
            if self.has_looked {
                self.holdings.metrics.crossed(&crossing);
                tracing::info!(
                    member = %account.member,
                    cluster = %account.cluster,
                    resource = crossing.fill.resource,
                    level = crossing.level,
                    reached = crossing.up,
                    limit = crossing.fill.limit,
                    reserved = crossing.fill.reserved,
                    "quota level crossed"
                );
            }
        }
        Ok(())
    }

    fn measure(&self, clusters: &[Versioned<Cluster>], sums: &BTreeMap<ClusterId, Sums>) {
        let none = Sums::default();
        for cluster in clusters {
            self.holdings.metrics.set(&cluster.value, sums.get(&cluster.value.id).unwrap_or(&none));
        }
    }

    /// Keeps what is reserved today, where it differs from what is kept.
    async fn keep_days(&self, accounts: &[Versioned<QuotaAccount>]) -> Result<(), AppError> {
        let core = &self.holdings.core;
        let today = day_in_berlin(core.clock.now())?;
        let kept = core.store.snapshot(&keys::quota_histories_all()).await?.0;
        let kept: HashMap<&str, &Versioned<QuotaHistory>> =
            kept.iter().map(|row| (row.key.raw(), row)).collect();
        let mut changed = Vec::new();
        for account in accounts {
            let account = &account.value;
            let key = keys::quota_history(&account.member, &account.cluster);
            let found = kept.get(key.raw()).copied();
            let present = found.map_or_else(
                || QuotaHistory::empty(account.member.clone(), account.cluster.clone()),
                |found| found.value.clone(),
            );
            let next = present.with(today, &account.reserved()?);
            if next != present {
                changed.push((key, found, next));
            }
        }
        for batch in changed.chunks(AT_ONCE) {
            let txn = batch
                .iter()
                .fold(Txn::new(), |txn, (key, found, next)| txn.expect_as_read(key, *found).put(key, next));
            // A lost race means that another replica kept it.
            core.store.commit(txn).await?;
        }
        Ok(())
    }
}
