//! Brings revocations from the store to the TLS server of this replica, as soon as they are committed.

use std::{collections::BTreeMap, time::Duration};

use allmende_domain::{credential::ClusterCredential, revocation::Revocation};
use allmende_identity::{Bar, Identity, ServerTls, TlsError};
use allmende_store::{Store, WatchEvent, keys};

/// Pause after the store failed.
const AGAIN: Duration = Duration::from_secs(1);
/// A whole look, in case a change was missed.
const WHOLE_EVERY: Duration = Duration::from_secs(60);

/// By identity text. Clusters have a record of their own; no other principal's text is a cluster's.
type Known = BTreeMap<String, Bar>;

/// Keeps the bars of `tls` as the store says; ends with its task.
pub async fn keep(store: Store, tls: ServerTls) {
    loop {
        if let Err(error) = follow(&store, &tls).await {
            tracing::warn!(%error, "revocations cannot be read right now; those known stay");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn follow(store: &Store, tls: &ServerTls) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (clusters, principals) = (keys::credentials(), keys::revocations());
    let (rows, since) = store.snapshot(&clusters).await?;
    let mut known: Known = rows.iter().filter_map(|row| of_cluster(&row.value)).collect();
    let (rows, principals_since) = store.snapshot(&principals).await?;
    known.extend(rows.iter().map(|row| of_principal(&row.value)));
    set(tls, &known)?;
    let mut clusters = store.watch(&clusters, since.next());
    let mut principals = store.watch(&principals, principals_since.next());
    let whole = tokio::time::sleep(WHOLE_EVERY);
    tokio::pin!(whole);
    loop {
        let bar = tokio::select! {
            event = clusters.next() => match event {
                Some(WatchEvent::Put(record)) => of_cluster(&record.value),
                Some(WatchEvent::Compacted) | None => return Ok(()),
                Some(_) => None,
            },
            event = principals.next() => match event {
                Some(WatchEvent::Put(record)) => Some(of_principal(&record.value)),
                Some(WatchEvent::Compacted) | None => return Ok(()),
                Some(_) => None,
            },
            () = &mut whole => return Ok(()),
        };
        if let Some((identity, bar)) = bar
            && known.get(&identity) != Some(&bar)
        {
            known.insert(identity, bar);
            set(tls, &known)?;
        }
    }
}

fn of_cluster(credential: &ClusterCredential) -> Option<(String, Bar)> {
    let identity = Identity::Cluster(credential.cluster.to_string()).to_string();
    Some((identity, Bar::before(credential.barred_before?.as_second())))
}

fn of_principal(revocation: &Revocation) -> (String, Bar) {
    let bar = Bar {
        issued_before: revocation.issued_before.map(|at| at.as_second()),
        serials: revocation.certificates.iter().map(|one| one.serial.clone()).collect(),
        ends: revocation.ends.map(|at| at.as_second()),
        turn: revocation.turn,
    };
    (revocation.principal.clone(), bar)
}

fn set(tls: &ServerTls, known: &Known) -> Result<(), TlsError> {
    let bars = known.iter().map(|(identity, bar)| (identity.clone(), bar.clone())).collect();
    if tls.bars(&bars) { Ok(()) } else { tls.bar(bars) }
}
