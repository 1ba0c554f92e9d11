//! Reads and previews beside an empty handler: what is left of the server stack's speed when a call does what it is for.

use allmende_proto::v1::{
    self, quota_service_client::QuotaServiceClient, tenant_service_client::TenantServiceClient,
};
use anyhow::Result;
use tonic::{Request, transport::Channel};

use crate::{
    Run,
    load::closed_loop,
    process::{memory_mib, processor_seconds},
    report::{Report, Series},
    seed,
    world::{Server, World},
};

/// Connections, each of another member.
const CONNECTIONS: usize = 32;
/// Calls at once on each.
const STREAMS: usize = 8;

/// What is called.
#[derive(Debug, Clone, Copy)]
enum Call {
    /// `GetEntitlement`, as the header says.
    Read(&'static str),
    /// `CreateTenant` with `validate_only`.
    Preview(&'static str),
}

/// Rates of one side: by the clock, and by the server's processor time.
#[derive(Debug, Default)]
struct Side {
    rate: Series,
    per_second_of_cpu: Series,
    p50: Series,
    p99: Series,
}

pub(crate) async fn measure(run: &Run, report: &mut Report) -> Result<()> {
    let world = World::start(run.members, run.instances).await?;
    let (empty, api) = (world.empty().await?, world.api(&[]).await?);
    let plain = world.api(&["--no-index", "--etcd-max-txn-ops=0"]).await?;
    let memory = memory_mib(api.process.pid())?;
    report.title(
        "Reads and previews beside an empty handler",
        &[
            "call",
            "calls/s",
            "of the empty handler's",
            "per CPU second of the server, of the empty handler's",
            "p50 ms",
            "p99 ms",
        ],
    );
    let sides: [(&str, &Server, Call); 6] = [
        ("empty handler", &empty, Call::Read("")),
        ("GetEntitlement, strong", &api, Call::Read("")),
        ("GetEntitlement, session", &api, Call::Read("session")),
        ("GetEntitlement, every read from etcd", &plain, Call::Read("")),
        ("CreateTenant preview, strong", &api, Call::Preview("")),
        ("CreateTenant preview, session", &api, Call::Preview("session")),
    ];
    let mut found: Vec<Side> = sides.iter().map(|_| Side::default()).collect();
    let mut lanes = Vec::new();
    for (_, server, _) in &sides {
        lanes.push(world.some(server, CONNECTIONS.min(run.members))?);
    }
    for _ in 0..run.repeats {
        for (((_, server, call), side), lanes) in sides.iter().zip(&mut found).zip(&lanes) {
            one(run, server, *call, lanes.clone(), side).await?;
        }
    }
    let (floor, rest) = found.split_first().unwrap_or_else(|| unreachable!("six sides"));
    for ((name, ..), side) in sides.iter().zip(std::iter::once(floor).chain(rest)) {
        report.row(&[
            (*name).to_owned(),
            side.rate.shown(0),
            side.rate.over(&floor.rate).shown(2),
            side.per_second_of_cpu.over(&floor.per_second_of_cpu).shown(2),
            side.p50.shown(1),
            side.p99.shown(1),
        ]);
    }
    report.line(&format!(
        "\n{} callers on {} connections, n = {}. The API holds {:.0} MiB with {} values in the store.",
        CONNECTIONS * STREAMS,
        CONNECTIONS,
        run.repeats,
        memory,
        world.records
    ));
    Ok(())
}

async fn one(
    run: &Run,
    server: &Server,
    call: Call,
    lanes: Vec<(String, Channel)>,
    side: &mut Side,
) -> Result<()> {
    let before = processor_seconds(server.process.pid())?;
    let callers = lanes.len() * STREAMS;
    let sample = closed_loop(callers, run.seconds, move |caller, _| {
        let (member, channel) = lanes[caller % lanes.len()].clone();
        async move { make(call, &member, channel).await }
    })
    .await?;
    let used = processor_seconds(server.process.pid())? - before;
    side.rate.0.push(sample.rate);
    side.per_second_of_cpu.0.push(f64::from(u32::try_from(sample.calls)?) / used.max(0.01));
    side.p50.0.push(sample.p50);
    side.p99.0.push(sample.p99);
    Ok(())
}

async fn make(call: Call, member: &str, channel: Channel) -> Result<()> {
    match call {
        Call::Read(freshness) => {
            let request = v1::GetEntitlementRequest { name: format!("members/{member}/entitlements/bench") };
            QuotaServiceClient::new(channel).get_entitlement(asking(request, freshness)?).await?;
        }
        Call::Preview(freshness) => {
            let tenant = v1::Tenant {
                cluster: "clusters/bench".to_owned(),
                workspace_quota: Some(seed::amounts(1)),
                ..Default::default()
            };
            let request = v1::CreateTenantRequest {
                parent: format!("members/{member}"),
                tenant_id: "test".to_owned(),
                tenant: Some(tenant),
                validate_only: true,
                ..Default::default()
            };
            TenantServiceClient::new(channel).create_tenant(asking(request, freshness)?).await?;
        }
    }
    Ok(())
}

fn asking<T>(message: T, freshness: &str) -> Result<Request<T>> {
    let mut request = Request::new(message);
    if !freshness.is_empty() {
        request.metadata_mut().insert("allmende-read", freshness.parse()?);
    }
    Ok(request)
}
