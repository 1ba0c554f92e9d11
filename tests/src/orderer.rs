//! A client of one member's account that does not give up, or sometimes does: what it was told is taken down.

use std::{sync::Mutex, time::Duration};

use allmende_proto::v1::{
    self, cluster_service_client::ClusterServiceClient, quota_service_client::QuotaServiceClient,
    tenant_service_client::TenantServiceClient,
};
use allmende_testkit::history::{Answer, Holders, Operation, Recorder};
use prost_types::FieldMask;
use tonic::{Code, Request, Response, Status, transport::Channel};

use crate::seed::Draw;

/// The cluster of all accounts.
pub const CLUSTER: &str = "local-1";
/// Tenants of one member.
const TENANTS: u64 = 5;
/// Longest time of one try.
const TRY: Duration = Duration::from_secs(4);
/// Tries before a client that does not give up does.
const TRIES: u32 = 200;

/// Amounts of which only the processors are more or less.
pub fn amounts(cpu_milli: i64) -> v1::Resources {
    v1::Resources { cpu_milli, ..Default::default() }
}

/// Acknowledged changes: caller and request id.
#[derive(Debug, Default)]
pub struct Acknowledged(pub Mutex<Vec<String>>);

/// See the module.
#[derive(Debug, Clone)]
pub struct Orderer {
    /// `members/…`.
    pub member: String,
    /// Its connections to the replicas.
    pub own: [Channel; 2],
    /// The cluster's.
    pub cluster: [Channel; 2],
    /// Id and epoch of the store, which a cluster names.
    pub store: (String, u64),
}

/// What a call ended with.
enum Told<T> {
    Done(T),
    Refused,
    Unknown,
}

impl<T> Told<T> {
    fn answer(&self) -> Answer {
        match self {
            Self::Done(_) => Answer::Done,
            Self::Refused => Answer::Refused,
            Self::Unknown => Answer::Unknown,
        }
    }
}

impl Orderer {
    /// Draws an operation and does it.
    pub async fn operate(&self, draw: &mut Draw, recorder: &Recorder, acknowledged: &Acknowledged) {
        let (kind, tenant) = (draw.from_one_to(20), format!("t{}", draw.from_one_to(TENANTS)));
        let cpu = i64::try_from(draw.from_one_to(16)).unwrap() * 250;
        match kind {
            1..=6 => self.read(draw, recorder).await,
            7..=13 => self.reserve(draw, &tenant, cpu, recorder, acknowledged).await,
            14..=17 => self.resize(draw, &tenant, cpu, recorder, acknowledged).await,
            _ => self.release(draw, &tenant, recorder, acknowledged).await,
        }
    }

    fn holder(&self, tenant: &str) -> String {
        format!("{}/tenants/{tenant}", self.member)
    }

    async fn read(&self, draw: &mut Draw, recorder: &Recorder) {
        let request = v1::ListReservationsRequest { parent: self.member.clone(), ..Default::default() };
        let call = recorder.call();
        let told = ask(draw, &self.own, 1, async |channel| {
            QuotaServiceClient::new(channel).list_reservations(bounded(request.clone())).await
        })
        .await;
        let Told::Done(list) = told else { return recorder.forget(call) };
        assert_eq!(list.next_page_token, "", "an account fits one page here");
        let held = |reservation: v1::Reservation| {
            (reservation.holder, reservation.resources.unwrap_or_default().cpu_milli)
        };
        let holders: Holders = list.reservations.into_iter().map(held).collect();
        recorder.answered(call, Operation::Read(holders));
    }

    async fn reserve(
        &self,
        draw: &mut Draw,
        tenant: &str,
        cpu: i64,
        recorder: &Recorder,
        acknowledged: &Acknowledged,
    ) {
        let request = v1::CreateTenantRequest {
            parent: self.member.clone(),
            tenant_id: tenant.to_owned(),
            tenant: Some(v1::Tenant {
                cluster: format!("clusters/{CLUSTER}"),
                workspace_quota: Some(amounts(cpu)),
                ..Default::default()
            }),
            request_id: fresh(),
            ..Default::default()
        };
        let call = recorder.call();
        let tries = patience(draw);
        let told = ask(draw, &self.own, tries, async |channel| {
            TenantServiceClient::new(channel).create_tenant(bounded(request.clone())).await
        })
        .await;
        acknowledged.note(&told, &request.request_id);
        recorder.answered(call, Operation::Reserve(self.holder(tenant), cpu, told.answer()));
    }

    async fn resize(
        &self,
        draw: &mut Draw,
        tenant: &str,
        cpu: i64,
        recorder: &Recorder,
        acknowledged: &Acknowledged,
    ) {
        let request = v1::UpdateTenantRequest {
            tenant: Some(v1::Tenant {
                name: self.holder(tenant),
                workspace_quota: Some(amounts(cpu)),
                ..Default::default()
            }),
            update_mask: Some(FieldMask { paths: vec!["workspace_quota".to_owned()] }),
            request_id: fresh(),
            ..Default::default()
        };
        let call = recorder.call();
        let tries = patience(draw);
        let told = ask(draw, &self.own, tries, async |channel| {
            TenantServiceClient::new(channel).update_tenant(bounded(request.clone())).await
        })
        .await;
        acknowledged.note(&told, &request.request_id);
        recorder.answered(call, Operation::Resize(self.holder(tenant), cpu, told.answer()));
    }

    /// Two steps: the member ends the tenant, and its cluster says that it is gone.
    async fn release(&self, draw: &mut Draw, tenant: &str, recorder: &Recorder, acknowledged: &Acknowledged) {
        let name = self.holder(tenant);
        let request =
            v1::DeleteTenantRequest { name: name.clone(), request_id: fresh(), ..Default::default() };
        let call = recorder.call();
        let told = ask(draw, &self.own, TRIES, async |channel| {
            TenantServiceClient::new(channel).delete_tenant(bounded(request.clone())).await
        })
        .await;
        acknowledged.note(&told, &request.request_id);
        recorder.answered(call, Operation::End(name.clone(), told.answer()));
        if told.answer() != Answer::Done {
            return;
        }
        // It stays as it is until its cluster has spoken, and nobody else does that for it.
        let found = ask(draw, &self.own, TRIES, async |channel| {
            let request = v1::GetTenantRequest { name: name.clone() };
            TenantServiceClient::new(channel).get_tenant(bounded(request)).await
        })
        .await;
        let Told::Done(tenant) = found else { panic!("{name} is being deleted and must be there") };
        let observation = v1::Observation {
            name: name.clone(),
            uid: tenant.uid,
            generation: tenant.generation,
            phase: v1::observation::Phase::Gone.into(),
            ..Default::default()
        };
        let report = v1::ReportObservationsRequest {
            name: format!("clusters/{CLUSTER}"),
            store_id: self.store.0.clone(),
            epoch: self.store.1,
            observations: vec![observation],
            ..Default::default()
        };
        let call = recorder.call();
        let told = ask(draw, &self.cluster, TRIES, async |channel| {
            ClusterServiceClient::new(channel).report_observations(bounded(report.clone())).await
        })
        .await;
        assert_eq!(told.answer(), Answer::Done, "a cluster repeats itself until it is heard");
        recorder.answered(call, Operation::Release(name, Answer::Done));
    }
}

impl Acknowledged {
    fn note<T>(&self, told: &Told<T>, request_id: &str) {
        if matches!(told, Told::Done(_)) {
            self.0.lock().unwrap().push(request_id.to_owned());
        }
    }
}

/// How often a client asks: one in thirty gives up at once, and never learns what became of it.
fn patience(draw: &mut Draw) -> u32 {
    if draw.from_one_to(30) == 1 { 1 } else { TRIES }
}

fn fresh() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn bounded<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(TRY);
    request
}

/// Asks one replica and then the other, with the same request, until one answers.
async fn ask<T>(
    draw: &mut Draw,
    replicas: &[Channel; 2],
    tries: u32,
    call: impl AsyncFn(Channel) -> Result<Response<T>, Status>,
) -> Told<T> {
    let mut at = usize::from(draw.either());
    for _ in 0..tries {
        match tokio::time::timeout(TRY + TRY, call(replicas[at].clone())).await {
            Ok(Ok(answer)) => return Told::Done(answer.into_inner()),
            Ok(Err(status)) if is_refusal(&status) => return Told::Refused,
            Ok(Err(_)) | Err(_) => {}
        }
        at = 1 - at;
        tokio::time::sleep(Duration::from_millis(20 + draw.from_one_to(150))).await;
    }
    Told::Unknown
}

/// An answer, as against a connection that broke, a store that was away or rivals that were faster.
fn is_refusal(status: &Status) -> bool {
    match status.code() {
        Code::AlreadyExists | Code::NotFound | Code::FailedPrecondition => true,
        Code::ResourceExhausted => status.message().contains("limit"),
        Code::InvalidArgument | Code::PermissionDenied | Code::Internal | Code::Unauthenticated => {
            panic!("nobody asked for that: {status}")
        }
        _ => false,
    }
}
