//! The sync between an API that the test plays and a real API server: what is followed, what is refused, and that nothing is deleted
//! without a DELETING record.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use allmende_crds::{Tenant, names};
use allmende_operator::{clock::SystemClock, sync};
use allmende_proto::v1::{
    self,
    cluster_service_server::{ClusterService, ClusterServiceServer},
    follow_desired_state_response::Event,
    observation::Phase,
};
use allmende_testkit::kubernetes::TestKubernetes;
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, CustomResourceExt,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

type Message = Result<v1::FollowDesiredStateResponse, Status>;

/// An API that says what the test tells it to, once a stream, and notes what it is told.
#[derive(Clone, Default)]
struct Played {
    streams: Arc<Mutex<VecDeque<Vec<v1::FollowDesiredStateResponse>>>>,
    open: Arc<Mutex<Vec<mpsc::Sender<Message>>>>,
    told: Arc<Mutex<Vec<v1::Observation>>>,
}

#[tonic::async_trait]
impl ClusterService for Played {
    type FollowDesiredStateStream = ReceiverStream<Message>;

    async fn follow_desired_state(
        &self,
        _: Request<v1::FollowDesiredStateRequest>,
    ) -> Result<Response<Self::FollowDesiredStateStream>, Status> {
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
        self.told.lock().unwrap().extend(request.into_inner().observations);
        Ok(Response::new(v1::ReportObservationsResponse::default()))
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
}

fn tenant(id: &str, generation: u64, deleting: bool) -> v1::DesiredObject {
    let amounts = v1::Resources { cpu_milli: 1000, memory_bytes: 1 << 30, storage_bytes: 1 << 30, pods: 10 };
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

fn message(epoch: u64, event: Event) -> v1::FollowDesiredStateResponse {
    v1::FollowDesiredStateResponse { store_id: "store".into(), epoch, event: Some(event) }
}

/// A snapshot with its marker; `truncated` leaves an object out that the marker counts.
fn snapshot(
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

struct World {
    _kubernetes: TestKubernetes,
    client: Client,
    played: Played,
    _tasks: tokio::task::JoinSet<()>,
    _leader: watch::Sender<bool>,
}

impl World {
    async fn with(streams: Vec<Vec<v1::FollowDesiredStateResponse>>) -> Self {
        allmende_identity::install_crypto_provider();
        let kubernetes = TestKubernetes::start_without_controllers().await;
        let client = Client::try_from(kubernetes.admin().await).unwrap();
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        for crd in [Tenant::crd(), allmende_crds::ServiceInstance::crd()] {
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
                && Api::<allmende_crds::ServiceInstance>::all(client.clone())
                    .list(&Default::default())
                    .await
                    .is_ok()
        })
        .await;
        let played = Played { streams: Arc::new(Mutex::new(streams.into())), ..Played::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let server =
            tonic::transport::Server::builder().add_service(ClusterServiceServer::new(played.clone()));
        tokio::spawn(server.serve_with_incoming(incoming));
        let channel =
            tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
        let (leader, leads) = watch::channel(true);
        let tasks = sync::start(sync::Parts {
            client: client.clone(),
            channel,
            cluster: "local-1".into(),
            namespace: "allmende-system".into(),
            leader: leads,
            clock: Arc::new(SystemClock),
        });
        Self { _kubernetes: kubernetes, client, played, _tasks: tasks, _leader: leader }
    }

    fn tenants(&self) -> Api<Tenant> {
        Api::all(self.client.clone())
    }

    async fn names(&self) -> Vec<String> {
        let tenants = self.tenants().list(&Default::default()).await.unwrap().items;
        tenants.into_iter().filter_map(|tenant| tenant.metadata.name).collect()
    }

    fn was_told(&self, name: &str, phase: Phase) -> bool {
        let told = self.played.told.lock().unwrap();
        told.iter().any(|observation| observation.name.ends_with(name) && observation.phase() == phase)
    }
}

async fn until<F, Fut>(what: &str, condition: F)
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

#[tokio::test]
async fn a_truncated_snapshot_counts_as_nothing_and_a_whole_one_deletes_nothing() {
    let (prod, test) = (tenant("prod", 1, false), tenant("test1", 1, false));
    let streams = vec![
        snapshot(1, &[prod.clone(), test.clone()], false),
        // The stream breaks off; the next ones are truncated, then whole but without `test1`.
        snapshot(1, &[prod.clone(), test.clone()], true),
        snapshot(1, std::slice::from_ref(&prod), false),
    ];
    let world = World::with(streams).await;
    until("both objects are there", || async { world.names().await.len() == 2 }).await;
    world.played.open.lock().unwrap().clear();
    until("the orphan is told", || async { world.was_told("test1", Phase::Orphan) }).await;
    assert_eq!(world.names().await, ["m-05766044-prod", "m-05766044-test1"], "absence never means delete");
}

#[tokio::test]
async fn a_lower_epoch_and_a_lower_generation_change_nothing() {
    let mut old = tenant("prod", 1, true);
    old.deleting = true;
    let streams = vec![
        snapshot(2, &[tenant("prod", 5, false)], false),
        // A restored older store says DELETING: refused, the object stays.
        snapshot(1, &[old.clone()], false),
        // The right store with an older generation: the record is not followed.
        snapshot(2, &[old], false),
    ];
    let world = World::with(streams).await;
    until("the object is there", || async { world.names().await.len() == 1 }).await;
    world.played.open.lock().unwrap().clear();
    until("all streams were opened", || async { world.played.streams.lock().unwrap().is_empty() }).await;
    let present = world.tenants().get("m-05766044-prod").await.unwrap();
    assert_eq!((present.spec.desired.generation, present.spec.desired.epoch), (5, 2));
    assert!(!present.spec.desired.deleting && present.metadata.deletion_timestamp.is_none());
}

#[tokio::test]
async fn a_deleting_record_deletes_and_gone_is_told_only_when_nothing_is_left() {
    let world = World::with(vec![snapshot(1, &[tenant("prod", 1, false)], false)]).await;
    until("the object is there", || async { world.names().await.len() == 1 }).await;
    let change = message(1, Event::Change(tenant("prod", 2, true)));
    let sender = world.played.open.lock().unwrap()[0].clone();
    sender.send(Ok(change)).await.unwrap();
    until("the object is on its way out", || async {
        let present = world.tenants().get("m-05766044-prod").await.unwrap();
        present.spec.desired.deleting && present.metadata.deletion_timestamp.is_some()
    })
    .await;
    assert!(!world.was_told("prod", Phase::Gone), "the finalizer still holds it");
    let patch = serde_json::json!({ "metadata": { "finalizers": null } });
    assert_eq!(names::FINALIZER, "allmende.eu/desired-deleting");
    world.tenants().patch("m-05766044-prod", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    until("gone is told", || async { world.was_told("prod", Phase::Gone) }).await;
}
