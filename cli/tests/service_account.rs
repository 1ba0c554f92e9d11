//! Keys of service accounts: made on this machine, used at once, renewed in place. Against a server of the contract that signs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in what sets it up")]

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
    sync::{Arc, Mutex},
};

use allmende_identity::{
    Acceptor, AcceptorLimits, Caller, CertificateRequest, Identity, PeerCertificate, ServerTls,
    ServerTlsPaths, install_crypto_provider,
    signer::{FileSigner, Signer, SigningOrder},
};
use allmende_proto::v1::{
    self,
    service_account_service_server::{ServiceAccountService, ServiceAccountServiceServer},
};
use allmende_testkit::ca::{Leaf, TestCa};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, transport::Server};

const CI: &str = "members/m-05766044/serviceAccounts/ci";
/// Who asked, and for how many seconds.
type Asked = Arc<Mutex<Vec<(String, i64)>>>;

struct Accounts {
    signer: FileSigner,
    asked: Asked,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ServiceAccountService for Accounts {
    async fn issue_service_account_credential(
        &self,
        request: Request<v1::IssueServiceAccountCredentialRequest>,
    ) -> Answer<v1::IssueServiceAccountCredentialResponse> {
        let caller = Caller::from_extensions(request.extensions()).and_then(|caller| caller.identity.clone());
        let request = request.into_inner();
        assert_eq!(request.parent, CI);
        let seconds = request.ttl.unwrap().seconds;
        self.asked.lock().unwrap().push((caller.unwrap().to_string(), seconds));
        let now = i64::try_from(rustls::pki_types::UnixTime::now().as_secs()).unwrap();
        let identity = Identity::ServiceAccount { member: "m-05766044".into(), account: "ci".into() };
        let order = SigningOrder {
            request: CertificateRequest::verified(&request.certificate_request).unwrap(),
            identity,
            not_before: now - 60,
            not_after: now + seconds,
        };
        let signed = self.signer.sign(&order).await.unwrap();
        let credential = v1::ServiceAccountCredential { serial: signed.serial, ..Default::default() };
        Ok(Response::new(v1::IssueServiceAccountCredentialResponse {
            credential: Some(credential),
            certificate_chain: if request.validate_only { String::new() } else { signed.chain },
            shortened: if seconds > 86_400 { "a day is the longest".into() } else { String::new() },
            ..Default::default()
        }))
    }

    async fn create_service_account(
        &self,
        request: Request<v1::CreateServiceAccountRequest>,
    ) -> Answer<v1::ServiceAccount> {
        Ok(Response::new(request.into_inner().service_account.unwrap_or_default()))
    }

    async fn get_service_account(
        &self,
        _: Request<v1::GetServiceAccountRequest>,
    ) -> Answer<v1::ServiceAccount> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn list_service_accounts(
        &self,
        _: Request<v1::ListServiceAccountsRequest>,
    ) -> Answer<v1::ListServiceAccountsResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn update_service_account(
        &self,
        request: Request<v1::UpdateServiceAccountRequest>,
    ) -> Answer<v1::ServiceAccount> {
        let request = request.into_inner();
        let paths = request.update_mask.unwrap_or_default().paths.join(",");
        Ok(Response::new(v1::ServiceAccount {
            display_name: paths,
            ..request.service_account.unwrap_or_default()
        }))
    }

    async fn delete_service_account(
        &self,
        _: Request<v1::DeleteServiceAccountRequest>,
    ) -> Answer<v1::ServiceAccount> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn list_service_account_credentials(
        &self,
        _: Request<v1::ListServiceAccountCredentialsRequest>,
    ) -> Answer<v1::ListServiceAccountCredentialsResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn revoke_service_account_credential(
        &self,
        _: Request<v1::RevokeServiceAccountCredentialRequest>,
    ) -> Answer<v1::ServiceAccount> {
        Err(Status::unimplemented("not asked for"))
    }
}

struct Scene {
    _ca: TestCa,
    asked: Asked,
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
        let (asked, own) = (Asked::default(), ca.own());
        let signer = FileSigner { cert: own.cert, key: own.key };
        let service = ServiceAccountServiceServer::new(Accounts { signer, asked: Arc::clone(&asked) });
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(acceptor));
        let member: Leaf = ca.client("member", &["allmende://member/m-05766044"]);
        let text = |path: &Path| path.display().to_string();
        let (authority, cert, key) = (text(&ca.cert()), text(&member.cert), text(&member.key));
        let scene = Self { _ca: ca, asked, folder: tempfile::tempdir().unwrap() };
        scene
            .good(&[
                "context",
                "add",
                "lemgo",
                "--endpoint",
                &endpoint,
                "--ca",
                &authority,
                "--cert",
                &cert,
                "--key",
                &key,
                "--member",
                "m-05766044",
            ])
            .await;
        scene
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        tokio::process::Command::new(env!("CARGO_BIN_EXE_allmende"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("ALLMENDE_CONFIG", self.file("config.toml"))
            .env("LANG", "en_GB.UTF-8")
            .output()
            .await
            .unwrap()
    }

    async fn good(&self, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_here_used_at_once_and_renewed_in_place() {
    let scene = Scene::new().await;
    let issue = ["service-account", "credential", "ci", "--out", "ci.pem", "--ttl", "48h", "-o", "json"];
    scene.good(&[&issue[..], &["--dry-run"]].concat()).await;
    assert!(!scene.file("ci.pem").exists(), "a preview writes nothing");
    // A file that was left behind must not lend its mode to a key.
    std::fs::write(scene.file("ci.new"), "").unwrap();
    let (out, told) = scene.good(&issue).await;
    assert!(told.contains("counts shorter than was asked for: a day is the longest"), "{told}");
    let file = scene.file("ci.pem");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let first = std::fs::read_to_string(&file).unwrap();
    assert!(first.contains("PRIVATE KEY") && first.contains("BEGIN CERTIFICATE"));
    assert!(!out.contains("PRIVATE KEY") && !told.contains("PRIVATE KEY"), "the key is shown nowhere");
    let config = std::fs::read_to_string(scene.file("config.toml")).unwrap();
    assert!(config.contains("m-05766044-ci") && !config.contains("PRIVATE KEY"), "{config}");

    let renew = ["service-account", "renew", "--context", "m-05766044-ci", "-o", "json"];
    let (_, told) = scene.good(&[&renew[..], &["--if-due"]].concat()).await;
    assert!(told.contains("not due yet"), "{told}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
    scene.good(&renew).await;
    let second = std::fs::read_to_string(&file).unwrap();
    let serial = |pem: &str| PeerCertificate::of_pem(pem).unwrap().serial;
    assert_ne!(serial(&second), serial(&first));
    assert_ne!(second.lines().nth(1), first.lines().nth(1), "another key");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // The renewed pair fits together.
    scene.good(&renew).await;
    let account = "allmende://member/m-05766044/serviceaccount/ci".to_owned();
    let member = "allmende://member/m-05766044".to_owned();
    let asked = scene.asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [(member.clone(), 172_800), (member, 172_800), (account.clone(), 3_600), (account, 3_600)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_accounts_own_context_renews() {
    let scene = Scene::new().await;
    let refused = scene.run(&["service-account", "renew"]).await;
    assert_eq!(refused.status.code(), Some(2));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("no service account's"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_names_what_it_changes_and_nothing_else() {
    let scene = Scene::new().await;
    let shown = async |arguments: &[&str]| {
        let all = [&["service-account"], arguments, &["-o", "json"]].concat();
        serde_json::from_str::<serde_json::Value>(&scene.good(&all).await.0).unwrap()
    };
    let created = shown(&["create", "ci", "--scope", "orderer@test:read", "--self-renew"]).await;
    assert_eq!(created["scopes"][0]["tenant"], "members/m-05766044/tenants/test");
    assert_eq!(created["scopes"][0]["readOnly"], true);
    assert_eq!(shown(&["disable", "ci"]).await["displayName"], "disabled");
    assert_eq!(shown(&["update", "ci", "--self-renew", "false"]).await["displayName"], "self_renew");
    let refused = scene.run(&["service-account", "update", "ci"]).await;
    assert_eq!(refused.status.code(), Some(2));
    let refused = scene.run(&["service-account", "delete", "ci"]).await;
    assert_eq!(refused.status.code(), Some(2), "asks first");
}
