//! Certificates while the API serves: exchanged, revoked, watched. Over real mTLS and a real etcd.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in what sets it up")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use allmende_proto::v1::{
    self, billing_service_client::BillingServiceClient, cluster_service_client::ClusterServiceClient,
    follow_desired_state_response::Event,
};
use support::{Api, CLUSTER, OPERATOR, TREASURER};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{Code, Streaming, transport::Channel};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(20);

fn follow_request() -> v1::FollowDesiredStateRequest {
    v1::FollowDesiredStateRequest { name: "clusters/local-1".into(), ..Default::default() }
}

/// A stream whose snapshot is whole.
async fn followed(channel: Channel) -> Streaming<v1::FollowDesiredStateResponse> {
    let mut clusters = ClusterServiceClient::new(channel);
    let mut stream = clusters.follow_desired_state(follow_request()).await.unwrap().into_inner();
    loop {
        let message = tokio::time::timeout(LIMIT, stream.message()).await.unwrap().unwrap().unwrap();
        if matches!(message.event, Some(Event::SnapshotEnd(_))) {
            return stream;
        }
    }
}

async fn until_broken(mut stream: Streaming<v1::FollowDesiredStateResponse>) -> tonic::Status {
    let ended = async {
        loop {
            if let Err(status) = stream.message().await {
                return status;
            }
        }
    };
    tokio::time::timeout(LIMIT, ended).await.expect("the stream is cut in time")
}

#[tokio::test]
async fn a_revoked_cluster_loses_its_open_stream_and_gets_no_other_while_the_rest_is_served() {
    let api = Api::start().await;
    api.furnished().await;
    let stolen = api.leaf(CLUSTER);
    let channel = api.channel_as(Some(&stolen));
    let stream = followed(channel.clone()).await;
    let mut treasurer = BillingServiceClient::new(api.channel(TREASURER));
    treasurer.list_price_lists(v1::ListPriceListsRequest::default()).await.unwrap();

    let revoked = Instant::now();
    api.ca.revocation_list(&[&stolen], true);
    until_broken(stream).await;
    println!("revocation to cut: {} ms", revoked.elapsed().as_millis());
    let again = ClusterServiceClient::new(channel).follow_desired_state(follow_request()).await;
    assert!(matches!(again.unwrap_err().code(), Code::Unavailable | Code::Unknown));
    treasurer.list_price_lists(v1::ListPriceListsRequest::default()).await.unwrap();
    followed(api.channel(CLUSTER)).await;
}

#[tokio::test]
async fn a_hundred_exchanged_certificates_under_load_cost_no_call() {
    let api = Arc::new(Api::start().await);
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut load = tokio::task::JoinSet::new();
    let leaf = api.leaf(OPERATOR);
    for index in 0..4 {
        let (api, stop, calls, leaf) =
            (Arc::clone(&api), Arc::clone(&stop), Arc::clone(&calls), leaf.clone());
        load.spawn(async move {
            let kept = api.channel_as(Some(&leaf));
            while !stop.load(Ordering::Relaxed) {
                // Two keep their connection, two shake hands anew for each call.
                let channel = if index < 2 { kept.clone() } else { api.channel_as(Some(&leaf)) };
                let mut clusters = ClusterServiceClient::new(channel);
                clusters.list_clusters(v1::ListClustersRequest::default()).await?;
                calls.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), tonic::Status>(())
        });
    }
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let before = calls.load(Ordering::Relaxed);
        let server = api.ca.server("server");
        api.tls.reload().unwrap();
        seen.insert(server.serial);
        // Each certificate serves calls of old and new connections before the next one comes.
        let served = async {
            while calls.load(Ordering::Relaxed) < before + 4 && load.len() == 4 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LIMIT, served).await.expect("calls go on");
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        assert!(ended.unwrap().is_ok(), "no call may fail");
    }
    assert_eq!(seen.len(), 100);
    println!("{} calls over 100 rotations, none failed", calls.load(Ordering::Relaxed));
}

async fn metrics(api: &Api) -> String {
    let mut socket = tokio::net::TcpStream::connect(api.metrics).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn every_end_and_every_cut_is_a_metric() {
    let api = Api::start().await;
    let leaf = api.leaf(OPERATOR);
    let mut clusters = ClusterServiceClient::new(api.channel_as(Some(&leaf)));
    clusters.list_clusters(v1::ListClustersRequest::default()).await.unwrap();
    api.ca.revocation_list(&[&leaf], true);
    api.tls.reload().unwrap();
    let text = metrics(&api).await;
    for line in [
        r#"allmende_expiry_timestamp_seconds{kind="own-certificate","#,
        r#"allmende_expiry_timestamp_seconds{kind="etcd-certificate",name="CN=allmende"}"#,
        r#"allmende_expiry_timestamp_seconds{kind="authority",name="CN=test authority"}"#,
        r#"allmende_expiry_timestamp_seconds{kind="revocation-list",name="CN=test authority"}"#,
        r#"allmende_api_tls_handshakes_total{outcome="completed"} 1"#,
        r#"allmende_api_tls_connections_cut_total{why="revoked"} 1"#,
        "allmende_api_tls_reload_failing 0",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    // The alerts ask for metrics that there are; the operator's are its own.
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/alerts/certificates.yaml");
    let rules = std::fs::read_to_string(rules).unwrap();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let asked: std::collections::BTreeSet<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "))
        .flat_map(|expr| expr.split(|c| !is_part(c)))
        .filter(|word| word.starts_with("allmende_") && !word.starts_with("allmende_operator_"))
        .collect();
    assert!(asked.len() >= 4, "{asked:?}");
    for metric in asked {
        assert!(text.contains(metric), "an alert asks for {metric}, which is not exported");
    }
}
