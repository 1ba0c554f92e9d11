//! E34, E37–E39: paths, metadata that claims to be somebody, methods of others.

use allmende_api::authz::policy::{Allow, TABLE};
use http::{Method, Request, Uri};
use tonic::{Code, body::Body, transport::Channel};
use tower::{Service, ServiceExt};

use super::{A, B, Table, World, named};
use crate::support::{document::code_text, probe, raw};

pub async fn try_all(world: &World, table: &mut Table) {
    paths(world, table).await;
    requests(world, table).await;
    metadata(world, table).await;
    foreign_services(world, table).await;
    methods_of_others(world, table).await;
}

/// What A may have: only the path or the request's form is wrong.
fn own() -> Vec<u8> {
    named(&format!("members/{A}"))
}

async fn paths(world: &World, table: &mut Table) {
    for path in [
        "//allmende.v1.MemberService/GetMember",
        "/allmende.v1.MemberService//GetMember",
        "/allmende.v1.MemberService/GetMember/",
        "/allmende.v1.MemberService%2FGetMember",
        "/allmende.v1.memberservice/getmember",
        "/allmende.v1.MemberService/%47etMember",
        "/ALLMENDE.V1.MEMBERSERVICE/GETMEMBER",
        "/allmende.v1.MemberService/../MemberService/GetMember",
        "/MemberService/GetMember",
        "/allmende.v1.MemberService/GetMember?member=operator",
        "/",
    ] {
        table.denied("E34", format!("`:path` {path}"), &raw::call(world.channel_a(), path, own()).await);
    }
    let good = raw::call(world.channel_a(), "/allmende.v1.MemberService/GetMember", own()).await;
    assert_eq!(good.code(), Code::Ok, "the path without a twist");
}

/// One request as it is; gives the gRPC status, or the HTTP status where there is none.
async fn raw_request(mut channel: Channel, request: Request<Body>) -> String {
    let response = match channel.ready().await {
        Ok(ready) => ready.call(request).await,
        Err(error) => Err(error),
    };
    let Ok(response) = response else { return "the stream is ended".to_owned() };
    let code = response.headers().get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()));
    assert_ne!(code, Some(Code::Ok));
    match code {
        Some(code) => format!("`{}`", code_text(code)),
        None => {
            assert!(!response.status().is_success(), "{response:?}");
            format!("HTTP {}", response.status().as_u16())
        }
    }
}

async fn requests(world: &World, table: &mut Table) {
    let path = "/allmende.v1.MemberService/GetMember";
    let message = || {
        let body = own();
        let mut framed = vec![0];
        framed.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        framed.extend(body);
        Body::new(http_body_util::Full::new(prost::bytes::Bytes::from(framed)))
    };
    for (attempt, method, kind) in [
        ("content-type application/grpc-web", Method::POST, "application/grpc-web"),
        ("content-type application/json", Method::POST, "application/json"),
        ("content-type application/grpc-something", Method::POST, "application/grpc-something"),
        ("content-type application/x-www-form-urlencoded", Method::POST, "application/x-www-form-urlencoded"),
        ("method GET", Method::GET, "application/grpc"),
        ("method PUT", Method::PUT, "application/grpc"),
    ] {
        let uri: Uri = format!("http://localhost{path}").parse().unwrap();
        let request =
            Request::builder().method(method).uri(uri).header("content-type", kind).header("te", "trailers");
        let answer = raw_request(world.channel_a(), request.body(message()).unwrap()).await;
        table.row("E34", attempt, answer);
    }
}

async fn metadata(world: &World, table: &mut Table) {
    for (name, value) in [
        ("x-member", B),
        ("x-allmende-member", B),
        ("x-forwarded-client-cert", "By=api;URI=allmende://member/m-05766044"),
        ("x-client-cert", "allmende://member/m-05766044"),
        ("ssl-client-subject-dn", "CN=m-05766044"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("grpc-internal-caller", "allmende://cooperative/operator"),
        ("x-remote-user", "allmende://cooperative/operator"),
        ("impersonate-user", "allmende://member/m-05766044"),
        ("cookie", "session=allmende://member/m-05766044"),
    ] {
        let attempt = format!("A's certificate and `{name}: {value}`, for B");
        table.denied("E37", attempt, &world.get_member(world.channel_a(), B, &[(name, value)]).await);
        let status = world.get_member(world.api.channel(""), A, &[(name, value)]).await;
        assert_eq!(status.code(), Code::Unauthenticated, "{name} stands for nobody: {status}");
    }
}

async fn foreign_services(world: &World, table: &mut Table) {
    for path in [
        "/grpc.channelz.v1.Channelz/GetServers",
        "/grpc.health.v1.Health/Watch",
        "/grpc.health.v1.Health/Check",
        "/envoy.admin.v3.Admin/Config",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        table.denied(
            "E38",
            format!("A's certificate, `{path}`"),
            &raw::call(world.channel_a(), path, Vec::new()).await,
        );
    }
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    for (attempt, identity) in [("nobody", ""), ("a component", "allmende://component/portal")] {
        let status = raw::call(world.api.channel(identity), path, Vec::new()).await;
        table.denied("E38", format!("{attempt}, `{path}`"), &status);
    }
}

/// Methods that are for the cooperative or for clusters, by a member's admin.
async fn methods_of_others(world: &World, table: &mut Table) {
    let token = format!("Bearer {}", world.token_a());
    let known = probe::Known::default();
    let mut tried = 0;
    for rpc in probe::all() {
        let row = TABLE.iter().find(|row| row.rpc == rpc.name).unwrap();
        if !row.allow.iter().all(|allow| matches!(allow, Allow::Cooperative(_) | Allow::OwnCluster)) {
            continue;
        }
        let body = rpc.body(&rpc.resource(B, &known));
        let status = raw::call_with(world.channel_a(), &rpc.path(), body.clone(), &[]).await;
        table.denied("E39", rpc.name.trim_start_matches("allmende.v1.").to_owned(), &status);
        let beside = raw::call_with(world.channel_a(), &rpc.path(), body, &[("authorization", &token)]).await;
        assert!(matches!(beside.code(), Code::PermissionDenied | Code::NotFound), "{}: {beside}", rpc.name);
        tried += 1;
    }
    assert!(tried > 20, "{tried}");
}
