//! An API that the test plays, a real API server, and the operator's sync between them.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use allmende_crds::{ServiceInstance, Tenant};
use allmende_operator::{clock::SystemClock, metrics::Metrics, sync};
use allmende_proto::v1::{
    self,
    cluster_service_server::{ClusterService, ClusterServiceServer},
    follow_desired_state_response::Event,
    observation::Phase,
    refused_observation::ReasonCode,
    usage_service_server::{UsageService, UsageServiceServer},
};
use allmende_testkit::kubernetes::TestKubernetes;
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, CustomResourceExt,
    api::{ObjectMeta, PostParams},
};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

pub type Message = Result<v1::FollowDesiredStateResponse, Status>;

/// An API that says what the test tells it to, once a stream, and notes what it is told.
#[derive(Clone, Default)]
pub struct Played {
    pub streams: Arc<Mutex<VecDeque<Vec<v1::FollowDesiredStateResponse>>>>,
    pub open: Arc<Mutex<Vec<mpsc::Sender<Message>>>>,
    pub told: Arc<Mutex<Vec<v1::Observation>>>,
    /// Refuse every observation for this reason.
    pub refuses: Arc<Mutex<Option<ReasonCode>>>,
    /// What each stream was asked for with.
    pub asked: Arc<Mutex<Vec<v1::FollowDesiredStateRequest>>>,
    /// Facts taken, in their order, with the watermark that came after them.
    pub facts: Arc<Mutex<Vec<v1::ReportFactsRequest>>>,
    /// Reports of the preflight, in their order.
    pub preflights: Arc<Mutex<Vec<v1::PreflightReport>>>,
    /// Nothing is answered.
    pub away: Arc<AtomicBool>,
}

impl Played {
    fn present(&self) -> Result<(), Status> {
        if self.away.load(Ordering::SeqCst) { Err(Status::unavailable("away")) } else { Ok(()) }
    }
}

#[tonic::async_trait]
impl ClusterService for Played {
    type FollowDesiredStateStream = ReceiverStream<Message>;

    async fn follow_desired_state(
        &self,
        request: Request<v1::FollowDesiredStateRequest>,
    ) -> Result<Response<Self::FollowDesiredStateStream>, Status> {
        self.present()?;
        self.asked.lock().unwrap().push(request.into_inner());
        let messages =
            self.streams.lock().unwrap().pop_front().ok_or_else(|| Status::unavailable("no more"))?;
        let (sender, receiver) = mpsc::channel(64);
        for message in messages {
            sender.send(Ok(message)).await.unwrap();
        }
        self.open.lock().unwrap().push(sender);
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn report_observations(
        &self,
        request: Request<v1::ReportObservationsRequest>,
    ) -> Result<Response<v1::ReportObservationsResponse>, Status> {
        self.present()?;
        let request = request.into_inner();
        self.preflights.lock().unwrap().extend(request.preflight);
        let observations = request.observations;
        let reason = *self.refuses.lock().unwrap();
        let refused = observations
            .iter()
            .filter_map(|observation| {
                let name = observation.name.clone();
                reason.map(|reason| v1::RefusedObservation { name, reason: reason.into() })
            })
            .collect();
        self.told.lock().unwrap().extend(observations);
        Ok(Response::new(v1::ReportObservationsResponse { refused }))
    }

    async fn create_cluster(
        &self,
        _: Request<v1::CreateClusterRequest>,
    ) -> Result<Response<v1::Cluster>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_cluster(&self, _: Request<v1::GetClusterRequest>) -> Result<Response<v1::Cluster>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_clusters(
        &self,
        _: Request<v1::ListClustersRequest>,
    ) -> Result<Response<v1::ListClustersResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn update_cluster_capacity(
        &self,
        _: Request<v1::UpdateClusterCapacityRequest>,
    ) -> Result<Response<v1::Cluster>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn raise_store_epoch(
        &self,
        _: Request<v1::RaiseStoreEpochRequest>,
    ) -> Result<Response<v1::StoreState>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tonic::async_trait]
impl UsageService for Played {
    async fn report_facts(
        &self,
        request: Request<v1::ReportFactsRequest>,
    ) -> Result<Response<v1::ReportFactsResponse>, Status> {
        self.present()?;
        let request = request.into_inner();
        let acknowledged_ids = request.facts.iter().map(|fact| fact.id.clone()).collect();
        let watermark = request.watermark;
        self.facts.lock().unwrap().push(request);
        Ok(Response::new(v1::ReportFactsResponse { acknowledged_ids, watermark, ..Default::default() }))
    }

    async fn import_usage(
        &self,
        _: Request<Streaming<v1::ImportUsageRequest>>,
    ) -> Result<Response<v1::ImportUsageResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_usage(
        &self,
        _: Request<v1::ListUsageRequest>,
    ) -> Result<Response<v1::ListUsageResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_cost(&self, _: Request<v1::GetCostRequest>) -> Result<Response<v1::Cost>, Status> {
        Err(Status::unimplemented(""))
    }
}

pub fn tenant(id: &str, generation: u64, deleting: bool) -> v1::DesiredObject {
    let amounts = v1::Resources {
        cpu_milli: 1000,
        memory_bytes: 1 << 30,
        storage_bytes: 1 << 30,
        pods: 10,
        ..Default::default()
    };
    v1::DesiredObject {
        name: format!("members/m-05766044/tenants/{id}"),
        generation,
        deleting,
        uid: format!("0192f0c1-2345-7abc-8def-{:0>12}", id.len()),
        body: Some(v1::desired_object::Body::Tenant(v1::DesiredTenant {
            namespace: format!("m-05766044-{id}"),
            member: "m-05766044".into(),
            tenant: id.into(),
            workspace_quota: Some(amounts),
            ..Default::default()
        })),
        ..Default::default()
    }
}

pub fn message(epoch: u64, event: Event) -> v1::FollowDesiredStateResponse {
    v1::FollowDesiredStateResponse { store_id: "store".into(), epoch, event: Some(event) }
}

/// A snapshot with its marker; `truncated` leaves an object out that the marker counts.
pub fn snapshot(
    epoch: u64,
    objects: &[v1::DesiredObject],
    truncated: bool,
) -> Vec<v1::FollowDesiredStateResponse> {
    let mut lines: Vec<String> =
        objects.iter().map(|o| format!("{} {} {}\n", o.name, o.generation, u8::from(o.deleting))).collect();
    lines.sort();
    let end = v1::SnapshotEnd {
        revision: 1,
        count: objects.len() as u64,
        digest: hex::encode(Sha256::digest(lines.concat())),
    };
    let sent = objects.iter().skip(usize::from(truncated)).cloned();
    let mut all: Vec<_> = sent.map(|object| message(epoch, Event::SnapshotObject(object))).collect();
    all.push(message(epoch, Event::SnapshotEnd(end)));
    all
}

pub struct World {
    _kubernetes: TestKubernetes,
    pub client: Client,
    pub played: Played,
    pub metrics: Metrics,
    _tasks: tokio::task::JoinSet<()>,
    _leader: watch::Sender<bool>,
}

impl World {
    pub async fn with(streams: Vec<Vec<v1::FollowDesiredStateResponse>>) -> Self {
        allmende_identity::install_crypto_provider();
        let kubernetes = TestKubernetes::start_without_controllers().await;
        let client = Client::try_from(kubernetes.admin().await).unwrap();
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        for crd in [Tenant::crd(), ServiceInstance::crd()] {
            crds.create(&PostParams::default(), &crd).await.unwrap();
        }
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let own = ObjectMeta { name: Some("allmende-system".into()), ..Default::default() };
        namespaces
            .create(&PostParams::default(), &Namespace { metadata: own, ..Default::default() })
            .await
            .unwrap();
        until("the kinds are served", || async {
            Api::<Tenant>::all(client.clone()).list(&Default::default()).await.is_ok()
                && Api::<ServiceInstance>::all(client.clone()).list(&Default::default()).await.is_ok()
        })
        .await;
        let played = Played { streams: Arc::new(Mutex::new(streams.into())), ..Played::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let server = tonic::transport::Server::builder()
            .add_service(ClusterServiceServer::new(played.clone()))
            .add_service(UsageServiceServer::new(played.clone()));
        tokio::spawn(server.serve_with_incoming(incoming));
        let channel =
            tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
        let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
        let (leader, leads) = watch::channel(true);
        let tasks = sync::start(sync::Parts {
            client: client.clone(),
            channel,
            cluster: "local-1".into(),
            namespace: "allmende-system".into(),
            leader: leads,
            clock: Arc::new(SystemClock),
            metrics: metrics.clone(),
        });
        Self { _kubernetes: kubernetes, client, played, metrics, _tasks: tasks, _leader: leader }
    }

    pub fn tenants(&self) -> Api<Tenant> {
        Api::all(self.client.clone())
    }

    pub async fn names(&self) -> Vec<String> {
        let tenants = self.tenants().list(&Default::default()).await.unwrap().items;
        tenants.into_iter().filter_map(|tenant| tenant.metadata.name).collect()
    }

    pub fn was_told(&self, name: &str, phase: Phase) -> bool {
        let told = self.played.told.lock().unwrap();
        told.iter().any(|observation| observation.name.ends_with(name) && observation.phase() == phase)
    }
}

pub async fn until<F, Fut>(what: &str, condition: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let asked = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(40), asked).await.is_ok(), "not in time: {what}");
}
