//! Brings revocations of clusters from the store to the TLS server of this replica, as soon as they are committed.

use std::{collections::BTreeMap, time::Duration};

use allmende_domain::credential::ClusterCredential;
use allmende_identity::{Bars, Identity, ServerTls};
use allmende_store::{Store, WatchEvent, keys};

/// Pause after the store failed.
const AGAIN: Duration = Duration::from_secs(1);
/// A whole look, in case a change was missed.
const WHOLE_EVERY: Duration = Duration::from_secs(60);

/// Keeps the bars of `tls` as the store says; ends with its task.
pub async fn keep(store: Store, tls: ServerTls) {
    loop {
        if let Err(error) = follow(&store, &tls).await {
            tracing::warn!(%error, "revocations of clusters cannot be read right now; those known stay");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn follow(store: &Store, tls: &ServerTls) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let range = keys::credentials();
    let (rows, revision) = store.snapshot(&range).await?;
    let mut bars: BTreeMap<String, i64> = rows.iter().filter_map(|row| bar(&row.value)).collect();
    set(tls, &bars)?;
    let mut watch = store.watch(&range, revision.next());
    let whole = tokio::time::sleep(WHOLE_EVERY);
    tokio::pin!(whole);
    loop {
        let event = tokio::select! {
            event = watch.next() => event,
            () = &mut whole => return Ok(()),
        };
        match event {
            Some(WatchEvent::Put(record)) => {
                if let Some((cluster, at)) = bar(&record.value)
                    && bars.insert(cluster, at) != Some(at)
                {
                    set(tls, &bars)?;
                }
            }
            Some(WatchEvent::Compacted) | None => return Ok(()),
            Some(_) => {}
        }
    }
}

fn bar(credential: &ClusterCredential) -> Option<(String, i64)> {
    Some((credential.cluster.to_string(), credential.barred_before?.as_second()))
}

fn set(tls: &ServerTls, bars: &BTreeMap<String, i64>) -> Result<(), allmende_identity::TlsError> {
    let bars: Bars = bars.iter().map(|(cluster, at)| (Identity::Cluster(cluster.clone()), *at)).collect();
    if tls.bars(&bars) { Ok(()) } else { tls.bar(bars) }
}
