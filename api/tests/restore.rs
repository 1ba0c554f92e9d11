//! The store's epoch: who raises it, what is refused until then, and that all streams begin anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use allmende_proto::v1::{
    self, cluster_service_client::ClusterServiceClient, follow_desired_state_response::Event,
};
use support::{Api, CLUSTER, OPERATOR, TREASURER, reason, wrong_fields};
use tonic::{Code, Status, Streaming};

type Messages = Streaming<v1::FollowDesiredStateResponse>;

async fn follow(api: &Api, known: (&str, u64, i64)) -> Result<Messages, Status> {
    let request = v1::FollowDesiredStateRequest {
        name: "clusters/local-1".into(),
        known_store_id: known.0.into(),
        known_epoch: known.1,
        known_revision: known.2,
        ..Default::default()
    };
    let mut client = ClusterServiceClient::new(api.channel(CLUSTER));
    client.follow_desired_state(request).await.map(tonic::Response::into_inner)
}

/// Store id, epoch and revision of an empty snapshot.
async fn snapshot(messages: &mut Messages) -> (String, u64, i64) {
    let message = messages.message().await.unwrap().unwrap();
    let Some(Event::SnapshotEnd(end)) = message.event else { panic!("nothing is ordered: {message:?}") };
    (message.store_id, message.epoch, end.revision)
}

async fn raise(
    api: &Api,
    identity: &str,
    request: v1::RaiseStoreEpochRequest,
) -> Result<v1::StoreState, Status> {
    let mut client = ClusterServiceClient::new(api.channel(identity));
    client.raise_store_epoch(request).await.map(tonic::Response::into_inner)
}

fn because(reason: &str) -> v1::RaiseStoreEpochRequest {
    v1::RaiseStoreEpochRequest { reason: reason.into(), ..Default::default() }
}

#[tokio::test]
async fn a_cluster_that_has_seen_more_is_refused_until_the_epoch_is_raised_above_what_it_applied() {
    let api = Api::start().await;
    api.furnished().await;
    let mut messages = follow(&api, ("", 0, 0)).await.unwrap();
    let (store, epoch, revision) = snapshot(&mut messages).await;
    assert_eq!(epoch, 1);

    for known in [(store.as_str(), 1, revision + 1000), (store.as_str(), 4, 1), ("another", 1, 1)] {
        let refused = follow(&api, known).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "STORE_BEHIND"));
        assert!(refused.message().contains("allmende store raise-epoch"), "{}", refused.message());
    }
    let mut messages = follow(&api, (&store, 1, revision)).await.unwrap();
    snapshot(&mut messages).await;

    let request = v1::RaiseStoreEpochRequest { above_epoch: 4, ..because("Sicherung 02:00 eingespielt") };
    let raised = raise(&api, OPERATOR, request).await.unwrap();
    assert!(raised.epoch == 5 && raised.store_id != store, "above all that was applied, and told apart");
    let ended = async { while messages.message().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the stream ends");
    let mut messages = follow(&api, (&store, 4, revision + 1000)).await.unwrap();
    let followed = snapshot(&mut messages).await;
    assert_eq!((followed.0, followed.1), (raised.store_id, 5));

    let report = v1::ReportObservationsRequest {
        name: "clusters/local-1".into(),
        store_id: store,
        epoch: 1,
        ..Default::default()
    };
    let refused =
        ClusterServiceClient::new(api.channel(CLUSTER)).report_observations(report).await.unwrap_err();
    assert_eq!(reason(&refused), "WRONG_STATE", "what was seen under the old epoch counts no more");
}

#[tokio::test]
async fn the_epoch_is_raised_by_the_operator_alone_with_a_reason_and_once_per_request() {
    let api = Api::start().await;
    let before = api.dump().await;
    for identity in [TREASURER, support::LEMGO, CLUSTER] {
        let refused = raise(&api, identity, because("x")).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{identity}");
    }
    let wrong = v1::RaiseStoreEpochRequest { above_epoch: 2000, ..because("  ") };
    let refused = raise(&api, OPERATOR, wrong).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), ["above_epoch", "reason"]);
    let preview = v1::RaiseStoreEpochRequest { validate_only: true, ..because("x") };
    assert_eq!(raise(&api, OPERATOR, preview).await.unwrap().epoch, 2);
    assert_eq!(api.dump().await, before, "refusals and previews change nothing");

    let request = v1::RaiseStoreEpochRequest {
        request_id: "0192f0c1-2345-7abc-8def-0123456789ab".into(),
        ..because("Sicherung eingespielt")
    };
    let first = raise(&api, OPERATOR, request.clone()).await.unwrap();
    assert_eq!(raise(&api, OPERATOR, request).await.unwrap(), first, "sent again it counts once");
    assert_eq!(first.epoch, 2);
    let client = etcd_client::Client::connect([api.etcd.endpoint()], None).await.unwrap();
    let options = etcd_client::GetOptions::new().with_prefix();
    let audit = client.kv_client().get("/allmende/v1/audit/", Some(options)).await.unwrap();
    let entry =
        audit.kvs().iter().map(|kv| kv.value_str().unwrap()).find(|text| text.contains("RaiseStoreEpoch"));
    assert!(entry.unwrap().contains("Sicherung eingespielt") && entry.unwrap().contains("Epoche 1 → 2"));
}

#[tokio::test]
async fn what_only_a_cluster_knows_is_shown_until_its_operator_begins_anew() {
    let api = Api::start().await;
    api.furnished().await;
    let (store_id, epoch, _) = snapshot(&mut follow(&api, ("", 0, 0)).await.unwrap()).await;
    let orphan = |name: &str| v1::Observation {
        name: name.into(),
        uid: "0192f0c1-2345-7abc-8def-0123456789ab".into(),
        phase: v1::observation::Phase::Orphan.into(),
        ..Default::default()
    };
    let known = "members/m-05766044/tenants/test";
    let report = v1::ReportObservationsRequest {
        name: "clusters/local-1".into(),
        store_id,
        epoch,
        observations: vec![orphan(known), orphan("no name of ours")],
        ..Default::default()
    };
    let mut operator = ClusterServiceClient::new(api.channel(CLUSTER));
    let refused = operator.report_observations(report).await.unwrap().into_inner().refused;
    assert_eq!(refused.iter().map(|refused| refused.name.as_str()).collect::<Vec<_>>(), ["no name of ours"]);
    let orphans = async || {
        let request = v1::GetClusterRequest { name: "clusters/local-1".into() };
        let mut clusters = ClusterServiceClient::new(api.channel(OPERATOR));
        clusters.get_cluster(request).await.unwrap().into_inner().orphans
    };
    assert_eq!(orphans().await.iter().map(|orphan| orphan.name.as_str()).collect::<Vec<_>>(), [known]);
    snapshot(&mut follow(&api, ("", 0, 0)).await.unwrap()).await;
    assert!(orphans().await.is_empty(), "they are told again where they are still there");
}
