//! How a cluster gets its certificate, keeps it and loses it: over real TLS, with a real signer, on a real etcd.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

mod support;

use std::time::Duration;

use allmende_identity::KeyAndRequest;
use allmende_proto::v1::{
    self, certificate_service_client::CertificateServiceClient, cluster_service_client::ClusterServiceClient,
};
use allmende_testkit::ca::Leaf;
use rustls_pki_types::UnixTime;
use support::{Api, CLUSTER, OPERATOR, TREASURER, reason};
use tonic::{Code, transport::Channel};

const LIMIT: Duration = Duration::from_secs(20);
const NAME: &str = "clusters/local-1";

fn certificates(channel: Channel) -> CertificateServiceClient<Channel> {
    CertificateServiceClient::new(channel)
}

/// A furnished installation whose time is that of the handshakes.
async fn furnished() -> Api {
    let api = Api::start().await;
    let now = jiff::Timestamp::from_second(i64::try_from(UnixTime::now().as_secs()).unwrap()).unwrap();
    api.set_clock(&now.to_string());
    api.furnished().await;
    api
}

async fn token(api: &Api) -> String {
    let request = v1::CreateJoinTokenRequest { parent: NAME.into(), ..Default::default() };
    certificates(api.channel(OPERATOR)).create_join_token(request).await.unwrap().into_inner().join_token
}

fn join(token: &str, request: &KeyAndRequest) -> v1::JoinClusterRequest {
    v1::JoinClusterRequest {
        name: NAME.into(),
        join_token: token.into(),
        certificate_request: request.request.clone(),
        request_id: uuid::Uuid::new_v4().to_string(),
    }
}

fn leaf(api: &Api, file: &str, given: &v1::ClusterCertificate, pair: &KeyAndRequest) -> Leaf {
    let path = |end: &str| api.ca.folder().join(format!("{file}.{end}"));
    std::fs::write(path("crt"), &given.certificate_chain).unwrap();
    std::fs::write(path("key"), &pair.key).unwrap();
    Leaf { cert: path("crt"), key: path("key"), serial: 0 }
}

async fn joined(api: &Api, file: &str) -> Leaf {
    let pair = KeyAndRequest::generate().unwrap();
    let request = join(&token(api).await, &pair);
    let given = certificates(api.channel("")).join_cluster(request).await.unwrap().into_inner();
    leaf(api, file, &given, &pair)
}

async fn renewed(api: &Api, own: &Leaf, file: &str) -> Result<Leaf, tonic::Status> {
    let pair = KeyAndRequest::generate().unwrap();
    let request = v1::RenewClusterCertificateRequest {
        name: NAME.into(),
        certificate_request: pair.request.clone(),
        ..Default::default()
    };
    let given =
        certificates(api.channel_as(Some(own))).renew_cluster_certificate(request).await?.into_inner();
    Ok(leaf(api, file, &given, &pair))
}

async fn follows(
    channel: Channel,
) -> Result<tonic::Streaming<v1::FollowDesiredStateResponse>, tonic::Status> {
    let request = v1::FollowDesiredStateRequest { name: NAME.into(), ..Default::default() };
    ClusterServiceClient::new(channel).follow_desired_state(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_cluster_joins_without_a_certificate_follows_and_renews() {
    let api = furnished().await;
    let pair = KeyAndRequest::generate().unwrap();
    let request = join(&token(&api).await, &pair);
    let given = certificates(api.channel("")).join_cluster(request.clone()).await.unwrap().into_inner();
    let (end, renew) = (given.expire_time.unwrap().seconds, given.renew_time.unwrap().seconds);
    let now = i64::try_from(UnixTime::now().as_secs()).unwrap();
    assert!((now + 86_000..=now + 86_400).contains(&end), "a day");
    assert!((now + 43_000..now + 43_300).contains(&renew), "half of it");
    let own = leaf(&api, "joined", &given, &pair);
    follows(api.channel_as(Some(&own))).await.unwrap();
    let next = renewed(&api, &own, "renewed").await.unwrap();
    follows(api.channel_as(Some(&next))).await.unwrap();
    // The answer of the first may have been lost: asked again, it is given again.
    let again = renewed(&api, &own, "again").await.unwrap();
    follows(api.channel_as(Some(&again))).await.unwrap();

    // The same request again has the same answer: the receipt, not a second use.
    let repeat = certificates(api.channel("")).join_cluster(request).await.unwrap().into_inner();
    assert_eq!(repeat, given);
    let audit: Vec<String> = api.audit().await.iter().map(ToString::to_string).collect();
    for what in ["CreateJoinToken", "JoinCluster", "RenewClusterCertificate"] {
        assert!(audit.iter().any(|entry| entry.contains(what)), "{what} is in the audit");
    }
    assert!(!audit.iter().any(|entry| entry.contains("allmende-join-")), "no token is");
    assert!(!format!("{:?}", api.dump().await).contains("allmende-join-"), "nor is it stored anywhere");
}

#[tokio::test]
async fn every_token_that_is_not_the_one_is_answered_alike_and_costs_nothing() {
    let api = furnished().await;
    let pair = KeyAndRequest::generate().unwrap();
    let first = token(&api).await;
    let good = token(&api).await;
    let before = api.dump().await;
    let mut anonymous = certificates(api.channel(""));
    let mut answers = std::collections::BTreeSet::new();
    let with = |name: &str, token: &str| v1::JoinClusterRequest { name: name.into(), ..join(token, &pair) };
    for request in [
        with(NAME, &first),
        with(NAME, ""),
        with(NAME, "allmende-join-AAAA"),
        with("clusters/local-2", &good),
        with("clusters/nowhere", &good),
        with("members/m-05766044", &good),
        with("", &good),
    ] {
        let status = anonymous.join_cluster(request).await.unwrap_err();
        assert_eq!(reason(&status), "UNAUTHENTICATED");
        answers.insert(format!("{status:?}").split("metadata").next().unwrap().to_owned());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    // Requests that prove nothing do not use the token up.
    let other_key = KeyAndRequest::generate().unwrap();
    let forged = forged(&pair.request, &other_key.request);
    for bad in ["", "no PEM", &forged, &api.request_on_p384()] {
        let request = v1::JoinClusterRequest { certificate_request: bad.into(), ..join(&good, &pair) };
        let status = anonymous.join_cluster(request).await.unwrap_err();
        assert_eq!(support::wrong_fields(&status), ["certificate_request"], "{status}");
    }
    assert_eq!(api.dump().await, before, "a refusal changes nothing");
    anonymous.join_cluster(join(&good, &pair)).await.unwrap();
    let status = anonymous.join_cluster(join(&good, &pair)).await.unwrap_err();
    assert_eq!(reason(&status), "UNAUTHENTICATED", "once");
    let old = token(&api).await;
    let later =
        jiff::Timestamp::from_second(i64::try_from(UnixTime::now().as_secs()).unwrap() + 3_700).unwrap();
    api.set_clock(&later.to_string());
    let status = anonymous.join_cluster(join(&old, &pair)).await.unwrap_err();
    assert_eq!(reason(&status), "UNAUTHENTICATED", "until its time");
}

/// The request of one key with the signature of another.
fn forged(request: &str, other: &str) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let bytes = |pem: &str| {
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        BASE64_STANDARD.decode(body).unwrap()
    };
    let (mut own, theirs) = (bytes(request), bytes(other));
    // The last bytes are the end of the signature; in both they are 32 bytes of a number.
    let at = own.len() - 20;
    own[at..].copy_from_slice(&theirs[theirs.len() - 20..]);
    let name = "CERTIFICATE REQUEST";
    format!("-----BEGIN {name}-----\n{}\n-----END {name}-----\n", BASE64_STANDARD.encode(own))
}

#[tokio::test]
async fn the_name_of_a_certificate_is_that_of_the_token_whatever_the_request_says() {
    let api = furnished().await;
    let pair = api.request_as("allmende://cooperative/operator");
    let request = join(&token(&api).await, &pair);
    let given = certificates(api.channel("")).join_cluster(request).await.unwrap().into_inner();
    let own = leaf(&api, "greedy", &given, &pair);
    follows(api.channel_as(Some(&own))).await.unwrap();
    let mut clusters = ClusterServiceClient::new(api.channel_as(Some(&own)));
    let status = clusters.list_clusters(v1::ListClustersRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().starts_with(CLUSTER), "{status}");
}

#[tokio::test]
async fn a_revoked_cluster_is_cut_off_everywhere_and_comes_back_by_a_new_token_alone() {
    let api = furnished().await;
    let own = joined(&api, "first").await;
    let foreign = api.leaf(CLUSTER);
    let mut stream = follows(api.channel_as(Some(&own))).await.unwrap();
    let waiting = token(&api).await;
    let request = v1::RevokeClusterCertificatesRequest { name: NAME.into(), ..Default::default() };
    let mut operator = certificates(api.channel(OPERATOR));
    let status = operator.revoke_cluster_certificates(request.clone()).await.unwrap_err();
    assert_eq!(support::wrong_fields(&status), ["reason"]);
    let status = certificates(api.channel(TREASURER)).revoke_cluster_certificates(request.clone()).await;
    assert_eq!(status.unwrap_err().code(), Code::PermissionDenied);

    let revoked = std::time::Instant::now();
    let request = v1::RevokeClusterCertificatesRequest { reason: "Diebstahl (Muster)".into(), ..request };
    operator.revoke_cluster_certificates(request).await.unwrap();
    let cut = async { while stream.message().await.is_ok_and(|message| message.is_some()) {} };
    tokio::time::timeout(LIMIT, cut).await.expect("the stream is cut");
    println!("revocation in the store to cut: {} ms", revoked.elapsed().as_millis());
    for shut in [&own, &foreign] {
        assert!(follows(api.channel_as(Some(shut))).await.is_err(), "also what others issued before");
        assert!(renewed(&api, shut, "no").await.is_err());
    }
    let pair = KeyAndRequest::generate().unwrap();
    let status = certificates(api.channel("")).join_cluster(join(&waiting, &pair)).await.unwrap_err();
    assert_eq!(reason(&status), "UNAUTHENTICATED", "a token that waited is void");

    let back = joined(&api, "back").await;
    let within = async {
        // A certificate that is issued within the second of the bar begins with the next one.
        while follows(api.channel_as(Some(&back))).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LIMIT, within).await.expect("the cluster is back");
}

#[tokio::test]
async fn a_copy_that_was_renewed_elsewhere_is_found_out() {
    let api = furnished().await;
    let own = joined(&api, "own").await;
    let thief = renewed(&api, &own, "thief").await.unwrap();
    let next = renewed(&api, &own, "next").await.unwrap();
    let status = renewed(&api, &thief, "more").await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    assert!(status.message().contains("Revoke"), "{status}");
    renewed(&api, &next, "further").await.unwrap();
}

#[tokio::test]
async fn a_token_is_shown_once_and_a_preview_shows_none() {
    let api = furnished().await;
    let mut operator = certificates(api.channel(OPERATOR));
    let id = uuid::Uuid::new_v4().to_string();
    let request = v1::CreateJoinTokenRequest { parent: NAME.into(), request_id: id, ..Default::default() };
    let preview = v1::CreateJoinTokenRequest { validate_only: true, ..request.clone() };
    let before = api.dump().await;
    assert_eq!(operator.create_join_token(preview).await.unwrap().into_inner().join_token, "");
    assert_eq!(api.dump().await, before);
    assert!(!operator.create_join_token(request.clone()).await.unwrap().into_inner().join_token.is_empty());
    let again = operator.create_join_token(request.clone()).await.unwrap().into_inner();
    assert_eq!(again.join_token, "", "a repeat is answered, and shows nothing");
    let long = prost_types::Duration { seconds: 90_000, nanos: 0 };
    let request = v1::CreateJoinTokenRequest { ttl: Some(long), request_id: String::new(), ..request };
    let status = operator.create_join_token(request).await.unwrap_err();
    assert_eq!(support::wrong_fields(&status), ["ttl"]);
    for other in [TREASURER, CLUSTER] {
        let request = v1::CreateJoinTokenRequest { parent: NAME.into(), ..Default::default() };
        let status = certificates(api.channel(other)).create_join_token(request).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
    }
}
