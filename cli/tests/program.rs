//! The program itself, against a server of the contract over real TLS.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in what sets it up")]

use std::{
    collections::HashMap,
    path::Path,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use allmende_identity::{
    Acceptor, AcceptorLimits, Caller, ServerTls, ServerTlsPaths, install_crypto_provider,
};
use allmende_proto::v1::{
    CreateTenantRequest, CreateTenantResponse, DeleteTenantRequest, GetOperationRequest, GetTenantRequest,
    ListOperationsRequest, ListOperationsResponse, ListTenantsRequest, ListTenantsResponse, Operation,
    OperationStep, Tenant, UpdateTenantRequest, UpdateTenantResponse,
    operation_service_server::{OperationService, OperationServiceServer},
    operation_step::State,
    tenant_service_server::{TenantService, TenantServiceServer},
};
use allmende_testkit::ca::TestCa;
use tokio::net::TcpListener;
use tonic::{Code, Request, Response, Status, transport::Server};
use tonic_types::{ErrorDetails, StatusExt};

const NAME: &str = "members/m-05766044/operations/op1";

/// An operation that is done at the third look; calls without the member's certificate are refused.
#[derive(Default)]
struct Operations {
    looks: AtomicUsize,
}

fn refusal(code: Code, reason: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, "allmende", HashMap::<String, String>::new());
    Status::with_error_details(code, "refused", details)
}

#[tonic::async_trait]
impl OperationService for Operations {
    async fn get_operation(
        &self,
        request: Request<GetOperationRequest>,
    ) -> Result<Response<Operation>, Status> {
        let caller = Caller::from_extensions(request.extensions()).and_then(|caller| caller.identity.clone());
        if caller.is_none_or(|identity| identity.to_string() != "allmende://member/m-05766044") {
            return Err(refusal(Code::Unauthenticated, "UNAUTHENTICATED"));
        }
        let look = self.looks.fetch_add(1, Ordering::SeqCst);
        let id = request.into_inner().name;
        if id != NAME && !id.ends_with("/failing") {
            return Err(refusal(Code::NotFound, "NOT_FOUND"));
        }
        let failed = id.ends_with("/failing");
        let done = look >= 2;
        let state = if !done {
            State::Running
        } else if failed {
            State::Failed
        } else {
            State::Done
        };
        let step = OperationStep {
            id: "namespace".into(),
            title: "Namensraum".into(),
            state: state as i32,
            ..Default::default()
        };
        let message = if failed { "no room".into() } else { String::new() };
        let succeeded = done && !failed;
        Ok(Response::new(Operation {
            name: id,
            done,
            succeeded,
            message,
            steps: vec![step],
            ..Default::default()
        }))
    }

    /// Two pages of one.
    async fn list_operations(
        &self,
        request: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        let first = request.into_inner().page_token.is_empty();
        let (name, next) =
            if first { ("members/m/operations/a", "2") } else { ("members/m/operations/b", "") };
        let operations = vec![Operation { name: name.into(), ..Default::default() }];
        Ok(Response::new(ListOperationsResponse { operations, next_page_token: next.into() }))
    }
}

/// Deletes: a real delete starts `op1`, a dry run shows an operation that nobody will ever find.
struct Tenants;

#[tonic::async_trait]
impl TenantService for Tenants {
    async fn delete_tenant(
        &self,
        request: Request<DeleteTenantRequest>,
    ) -> Result<Response<Operation>, Status> {
        let request = request.into_inner();
        let name = if request.validate_only { "members/m-05766044/operations/never" } else { NAME };
        Ok(Response::new(Operation { name: name.into(), target: request.name, ..Default::default() }))
    }

    async fn create_tenant(
        &self,
        _: Request<CreateTenantRequest>,
    ) -> Result<Response<CreateTenantResponse>, Status> {
        Err(refusal(Code::Unavailable, "UNAVAILABLE"))
    }

    async fn get_tenant(&self, _: Request<GetTenantRequest>) -> Result<Response<Tenant>, Status> {
        Err(refusal(Code::NotFound, "NOT_FOUND"))
    }

    async fn list_tenants(
        &self,
        _: Request<ListTenantsRequest>,
    ) -> Result<Response<ListTenantsResponse>, Status> {
        Err(refusal(Code::PermissionDenied, "PERMISSION_DENIED"))
    }

    async fn update_tenant(
        &self,
        _: Request<UpdateTenantRequest>,
    ) -> Result<Response<UpdateTenantResponse>, Status> {
        Err(refusal(Code::Aborted, "STALE_ETAG"))
    }
}

struct Scene {
    ca: TestCa,
    endpoint: String,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        install_crypto_provider();
        let ca = TestCa::new();
        let leaf = ca.server("server");
        let paths = ServerTlsPaths { cert: leaf.cert, key: leaf.key, client_ca: ca.cert(), crl: None };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let acceptor = Acceptor::spawn(listener, ServerTls::load(paths).unwrap(), AcceptorLimits::default());
        let service = OperationServiceServer::from_arc(Arc::new(Operations::default()));
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .add_service(TenantServiceServer::new(Tenants))
                .serve_with_incoming(acceptor),
        );
        ca.client("member", &["allmende://member/m-05766044"]);
        let scene = Self { ca, endpoint, folder: tempfile::tempdir().unwrap() };
        let (cert, key) = (scene.file("member.crt"), scene.file("member.key"));
        let ca_file = scene.file("ca.crt");
        let arguments = ["context", "add", "test", "--endpoint", &scene.endpoint, "--ca", &ca_file];
        let own = ["--cert", &cert, "--key", &key, "--member", "m-05766044"];
        let added = scene.run(&[&arguments[..], &own[..]].concat()).await;
        assert!(added.status.success(), "{}", errors(&added));
        scene
    }

    fn file(&self, name: &str) -> String {
        self.ca.folder().join(name).display().to_string()
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        run(&self.folder.path().join("config.toml"), arguments).await
    }
}

async fn run(config: &Path, arguments: &[&str]) -> Output {
    tokio::process::Command::new(env!("CARGO_BIN_EXE_allmende"))
        .args(arguments)
        .env_clear()
        .env("ALLMENDE_CONFIG", config)
        .env("LANG", "en_GB.UTF-8")
        .output()
        .await
        .unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", errors(output)))
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_shows_each_step_once_and_ends_with_the_operation() {
    let scene = Scene::new().await;
    let output = scene.run(&["operation", "wait", "op1", "-o", "json"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert_eq!(json(&output)["succeeded"], true);
    assert_eq!(json(&output)["steps"][0]["state"], "STATE_DONE");
    let told = errors(&output);
    assert_eq!(
        (told.matches("… Namensraum").count(), told.matches("✓ Namensraum").count()),
        (1, 1),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_fails_or_takes_too_long_has_its_own_exit_code() {
    let scene = Scene::new().await;
    let late = scene.run(&["operation", "wait", "op1", "--timeout", "1ms"]).await;
    assert_eq!(late.status.code(), Some(8), "{}", errors(&late));
    assert!(errors(&late).contains("allmende operation wait"), "{}", errors(&late));
    let failed = scene.run(&["operation", "wait", "failing"]).await;
    assert_eq!(failed.status.code(), Some(1), "{}", errors(&failed));
    assert!(errors(&failed).contains("no room"), "{}", errors(&failed));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_their_exit_code_reason_and_next_step() {
    let scene = Scene::new().await;
    let missing = scene.run(&["operation", "get", "other"]).await;
    assert_eq!(missing.status.code(), Some(5), "{}", errors(&missing));
    assert!(errors(&missing).contains("NOT_FOUND"), "{}", errors(&missing));
    let ca = scene.file("ca.crt");
    let added = scene.run(&["context", "add", "nobody", "--endpoint", &scene.endpoint, "--ca", &ca]).await;
    assert!(added.status.success(), "{}", errors(&added));
    let nobody =
        scene.run(&["operation", "get", "op1", "--context", "nobody", "--member", "m-05766044"]).await;
    assert_eq!(nobody.status.code(), Some(6), "{}", errors(&nobody));
    assert!(errors(&nobody).contains("allmende doctor"), "{}", errors(&nobody));
    let denied = scene.run(&["tenant", "list"]).await;
    assert_eq!(denied.status.code(), Some(6), "{}", errors(&denied));
    let unimplemented = scene.run(&["invoice", "list"]).await;
    assert_eq!(unimplemented.status.code(), Some(1), "{}", errors(&unimplemented));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_all_pages() {
    let scene = Scene::new().await;
    let output = scene.run(&["operation", "list", "-o", "json"]).await;
    let names: Vec<String> = json(&output)
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["members/m/operations/a", "members/m/operations/b"]);
    let table = scene.run(&["operation", "list"]).await;
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.starts_with("NAME") && table.lines().count() == 3, "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_authority_is_not_spoken_to() {
    let scene = Scene::new().await;
    let other = TestCa::new();
    let ca = other.cert().display().to_string();
    let added = scene.run(&["context", "add", "other", "--endpoint", &scene.endpoint, "--ca", &ca]).await;
    assert!(added.status.success(), "{}", errors(&added));
    let refused =
        scene.run(&["operation", "get", "op1", "--context", "other", "--member", "m-05766044"]).await;
    assert_eq!(refused.status.code(), Some(8), "{}", errors(&refused));
    assert!(errors(&refused).contains("certificate"), "{}", errors(&refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_change_tells_the_id_to_repeat_it_with_and_deleting_asks_first() {
    let scene = Scene::new().await;
    let unasked = scene.run(&["tenant", "delete", "prod"]).await;
    assert_eq!(unasked.status.code(), Some(2), "{}", errors(&unasked));
    assert!(errors(&unasked).contains("--yes"), "{}", errors(&unasked));
    let id = "2f0c8f0e-6f0b-4f0e-9a52-7a4a6f5b1c11";
    let create = ["tenant", "create", "prod", "--cluster", "a", "--cpu", "1", "--request-id", id];
    let refused = scene.run(&create).await;
    assert_eq!(refused.status.code(), Some(8), "{}", errors(&refused));
    assert!(errors(&refused).contains(id), "{}", errors(&refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_has_nothing_to_wait_for() {
    let scene = Scene::new().await;
    let checked = scene.run(&["tenant", "delete", "prod", "--dry-run", "--wait", "-o", "json"]).await;
    assert_eq!(checked.status.code(), Some(0), "{}", errors(&checked));
    assert!(errors(&checked).contains("nothing was changed"), "{}", errors(&checked));
    let deleted = scene.run(&["tenant", "delete", "prod", "--yes", "--wait", "-o", "json"]).await;
    assert_eq!(json(&deleted)["done"], true, "{}", errors(&deleted));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_context_the_program_says_how_to_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&folder.path().join("none.toml"), &["tenant", "list"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("allmende context add"), "{}", errors(&output));
}
