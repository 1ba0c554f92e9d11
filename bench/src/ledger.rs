//! Durable reservations: in groups beside one transaction of etcd per change, in the store and through the API.

use std::sync::Arc;

use allmende_domain::{
    account::QuotaAccount,
    ids::{MemberId, RequestId},
    resources::Resources,
};
use allmende_proto::v1::{self, tenant_service_client::TenantServiceClient};
use allmende_store::{Freshness, Store, StoreConfig, StoreError, TransactError, Txn, keys};
use allmende_testkit::etcd::TestEtcd;
use anyhow::{Result, anyhow};

use crate::{
    Run,
    load::{Sample, closed_loop},
    report::{Report, Series},
    seed,
    world::World,
};

/// What etcd takes in one transaction, where it is told so.
const LARGE: usize = 1024;

#[derive(Debug, Default)]
struct Side {
    rate: Series,
    p50: Series,
    p99: Series,
    conflicts: usize,
}

impl Side {
    fn add(&mut self, sample: Sample) {
        self.rate.0.push(sample.rate);
        self.p50.0.push(sample.p50);
        self.p99.0.push(sample.p99);
    }
}

pub(crate) async fn measure(run: &Run, report: &mut Report) -> Result<()> {
    for accounts in [run.callers, 8] {
        in_the_store(run, report, accounts).await?;
    }
    through_the_api(run, report).await
}

async fn open(etcd: &TestEtcd, operations: usize) -> Result<Store> {
    let store = Store::connect(&StoreConfig::new(vec![etcd.endpoint()])).await?;
    if operations == 0 {
        return Ok(store);
    }
    let store = store.indexed();
    store.index_loaded().await;
    Ok(store.grouped(operations))
}

async fn in_the_store(run: &Run, report: &mut Report, accounts: usize) -> Result<()> {
    let etcd = TestEtcd::start_durable(&["--max-txn-ops=1024", "--quota-backend-bytes=8589934592"]).await;
    let sides = [
        ("one transaction per change, reads from etcd", open(&etcd, 0).await?),
        ("groups of at most 128 operations", open(&etcd, 128).await?),
        ("groups of at most 1,024 operations", open(&etcd, LARGE).await?),
    ];
    let members: Vec<MemberId> =
        seed::members(accounts)?.iter().map(|id| id.parse()).collect::<Result<_, _>>()?;
    for member in &members {
        let guaranteed = Resources { cpu_milli: 1_000_000_000, ..Resources::ZERO };
        let account = QuotaAccount { guaranteed, ..QuotaAccount::empty(member.clone(), "bench".parse()?) };
        sides[0].1.commit(Txn::new().put(&keys::account(member, &account.cluster), &account)).await?;
    }
    let members = Arc::new(members);
    report.title(
        &format!("Reserve and release in the store: {} callers, {accounts} accounts", run.callers),
        &[
            "side",
            "changes/s",
            "of one transaction's",
            "p50 ms",
            "p99 ms",
            "p99 of one transaction's",
            "given up for contention",
        ],
    );
    let mut found: Vec<Side> = sides.iter().map(|_| Side::default()).collect();
    for _ in 0..run.repeats {
        for ((_, store), side) in sides.iter().zip(&mut found) {
            let given_up = Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let (store, members, count) = (store.clone(), Arc::clone(&members), Arc::clone(&given_up));
            let sample = closed_loop(run.callers, run.seconds, move |caller, call| {
                let (store, members, count) = (store.clone(), Arc::clone(&members), Arc::clone(&count));
                async move {
                    let member = &members[caller % members.len()];
                    let holder = format!("tenants/t-{caller}");
                    while !change(&store, member, &holder, call % 2 == 0).await? {
                        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                    Ok(())
                }
            })
            .await?;
            side.add(sample);
            side.conflicts += given_up.load(std::sync::atomic::Ordering::Relaxed);
        }
    }
    rows(report, &sides.map(|(name, _)| name), &found);
    Ok(())
}

/// Reserves or releases once; false: too many conflicts.
async fn change(store: &Store, member: &MemberId, holder: &str, reserve: bool) -> Result<bool> {
    let key = keys::account(member, &"bench".parse()?);
    let id: RequestId = uuid::Uuid::now_v7().to_string().parse()?;
    let decide = |_| async {
        let found = store.find(&key).await?.ok_or_else(|| StoreError::Limit("no account".to_owned()))?;
        let asked = Resources { cpu_milli: 1_000, ..Resources::ZERO };
        let next = if reserve {
            let released = found.value.release(holder);
            released.admit(holder, asked).map_err(|error| StoreError::Limit(error.to_string()))?
        } else {
            found.value.release(holder)
        };
        Ok::<_, StoreError>((Txn::new().expect_unchanged(&found).put(&key, &next), 0))
    };
    let work = store.transact(holder, &id, "b", jiff::Timestamp::UNIX_EPOCH, decide);
    match store.reading(Freshness::Strong, work).await.0 {
        Ok(_) => Ok(true),
        Err(TransactError::Contention) => Ok(false),
        Err(error) => Err(anyhow!("{error:?}")),
    }
}

async fn through_the_api(run: &Run, report: &mut Report) -> Result<()> {
    let members = run.members.min(1_000).max(run.callers);
    let world = World::start(members, 1).await?;
    let sides = [
        (
            "one transaction per change, reads from etcd",
            world.api(&["--no-index", "--etcd-max-txn-ops=0"]).await?,
        ),
        ("index and groups of at most 128 operations", world.api(&[]).await?),
    ];
    report.title(
        &format!("Resizes of a workspace through the API: {} callers, as many accounts, mTLS", run.callers),
        &[
            "side",
            "changes/s",
            "of one transaction's",
            "p50 ms",
            "p99 ms",
            "p99 of one transaction's",
            "given up for contention",
        ],
    );
    let mut found: Vec<Side> = sides.iter().map(|_| Side::default()).collect();
    let mut lanes = Vec::new();
    for (_, server) in &sides {
        lanes.push(world.some(server, run.callers)?);
    }
    for _ in 0..run.repeats {
        for (lanes, side) in lanes.iter().zip(&mut found) {
            let lanes = lanes.clone();
            let sample = closed_loop(run.callers, run.seconds, move |caller, call| {
                let (member, channel) = lanes[caller % lanes.len()].clone();
                async move {
                    let tenant = v1::Tenant {
                        name: format!("members/{member}/tenants/prod"),
                        workspace_quota: Some(seed::amounts(1 + i64::from(call % 2 == 0))),
                        ..Default::default()
                    };
                    let request = v1::UpdateTenantRequest {
                        tenant: Some(tenant),
                        update_mask: Some(prost_types::FieldMask {
                            paths: vec!["workspace_quota".to_owned()],
                        }),
                        ..Default::default()
                    };
                    TenantServiceClient::new(channel).update_tenant(request).await?;
                    Ok(())
                }
            })
            .await?;
            side.add(sample);
        }
    }
    rows(report, &sides.map(|(name, _)| name), &found);
    Ok(())
}

fn rows(report: &mut Report, names: &[&str], found: &[Side]) {
    let Some(floor) = found.first() else { return };
    for (name, side) in names.iter().zip(found) {
        report.row(&[
            (*name).to_owned(),
            side.rate.shown(0),
            side.rate.over(&floor.rate).shown(2),
            side.p50.shown(1),
            side.p99.shown(1),
            side.p99.over(&floor.p99).shown(2),
            side.conflicts.to_string(),
        ]);
    }
}
