//! What one decision asks of etcd, and how long it takes, with 100, 1,000 and all members.

use std::time::Instant;

use allmende_proto::v1::{self, tenant_service_client::TenantServiceClient};
use allmende_testkit::etcd::TestEtcd;
use anyhow::Result;

use crate::{
    Run,
    report::{Report, Series},
    seed,
    world::World,
};

/// Decisions of one measurement, one after another.
const DECISIONS: u32 = 200;

pub(crate) async fn measure(run: &Run, report: &mut Report) -> Result<()> {
    report.title(
        "What one decision costs, by the number of members (resize of a workspace, one after another)",
        &[
            "members",
            "values in the store",
            "requests to etcd per decision",
            "of them transactions",
            "bytes from etcd per decision",
            "ms",
            "ms, of that with the fewest members",
        ],
    );
    let mut first: Option<Series> = None;
    for members in [100, 1_000, run.members] {
        let members = members.min(run.members);
        let world = World::start(members, run.instances).await?;
        let api = world.api(&[]).await?;
        let lanes = world.some(&api, 1)?;
        let (mut took, mut asked, mut transactions, mut bytes) =
            (Series::default(), Series::default(), Series::default(), Series::default());
        for round in 0..=run.repeats {
            let before = counts(&world.etcd).await;
            let begun = Instant::now();
            for call in 0..DECISIONS {
                let (member, channel) = &lanes[0];
                let tenant = v1::Tenant {
                    name: format!("members/{member}/tenants/prod"),
                    workspace_quota: Some(seed::amounts(1 + i64::from(call % 2 == 0))),
                    ..Default::default()
                };
                let request = v1::UpdateTenantRequest {
                    tenant: Some(tenant),
                    update_mask: Some(prost_types::FieldMask { paths: vec!["workspace_quota".to_owned()] }),
                    ..Default::default()
                };
                TenantServiceClient::new(channel.clone()).update_tenant(request).await?;
            }
            let elapsed = begun.elapsed().as_secs_f64() * 1000.0;
            let after = counts(&world.etcd).await;
            // The first round is for warmth.
            if round > 0 {
                let each = f64::from(DECISIONS);
                took.0.push(elapsed / each);
                asked.0.push((after.0 + after.1 - before.0 - before.1) / each);
                transactions.0.push((after.1 - before.1) / each);
                bytes.0.push((after.2 - before.2) / each);
            }
        }
        let base = first.get_or_insert_with(|| took.clone());
        report.row(&[
            members.to_string(),
            world.records.to_string(),
            asked.shown(2),
            transactions.shown(2),
            bytes.shown(0),
            took.shown(2),
            took.over(base).shown(2),
        ]);
    }
    Ok(())
}

/// Ranges and transactions that etcd has answered, and bytes that it has sent.
async fn counts(etcd: &TestEtcd) -> (f64, f64, f64) {
    let text = etcd.metrics().await;
    let value = |begin: &str, part: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with(begin) && line.contains(part));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    (
        value("grpc_server_handled_total", "\"Range\""),
        value("grpc_server_handled_total", "\"Txn\""),
        value("etcd_network_client_grpc_sent_bytes_total", ""),
    )
}
