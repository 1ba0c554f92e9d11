//! Signing in at a real OpenID provider: by the browser on this machine, by a code on another device, renewed, and out again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in what sets it up")]

use std::{
    convert::Infallible,
    future::Future,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    pin::Pin,
    process::{Output, Stdio},
    task::{Context, Poll},
    time::Duration,
};

use allmende_identity::{
    Acceptor, AcceptorLimits, ServerTls, ServerTlsPaths, install_crypto_provider,
    token::{IssuerSettings, SignatureAlgorithm, TokenVerifier, bearer},
};
use allmende_proto::v1::{Caller, GetCallerRequest};
use allmende_testkit::{
    ca::TestCa,
    oidc::{OidcProvider, claim},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};
use tonic::{
    Request, Response, Status,
    body::Body,
    server::{Grpc, NamedService, UnaryService},
    transport::Server,
};

/// `GetCaller` of the contract alone: says whom the token is for, after the same checks as the API's.
#[derive(Clone)]
struct Members(TokenVerifier);

impl NamedService for Members {
    const NAME: &'static str = "allmende.v1.MemberService";
}

impl tower::Service<http::Request<Body>> for Members {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let token = bearer(request.headers()).ok().flatten().map(str::to_owned);
        let answer = Answer(self.0.clone(), token);
        Box::pin(async move {
            let codec = tonic_prost::ProstCodec::<Caller, GetCallerRequest>::default();
            Ok(Grpc::new(codec).unary(answer, request).await)
        })
    }
}

struct Answer(TokenVerifier, Option<String>);

impl UnaryService<GetCallerRequest> for Answer {
    type Response = Caller;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Caller>, Status>> + Send>>;

    fn call(&mut self, _: Request<GetCallerRequest>) -> Self::Future {
        let (verifier, token) = (self.0.clone(), self.1.clone());
        Box::pin(async move {
            let token = token.ok_or_else(|| Status::unauthenticated("nobody"))?;
            // The test has no clock of its own: the moment at which the provider issued the token.
            let now = claim(&token, "iat").as_i64().unwrap();
            let found = verifier
                .verify(&token, now)
                .await
                .map_err(|error| Status::unauthenticated(error.to_string()))?;
            Ok(Response::new(Caller { principal: found.identity().to_string(), ..Caller::default() }))
        })
    }
}

struct World {
    provider: OidcProvider,
    folder: tempfile::TempDir,
    _ca: TestCa,
}

impl World {
    async fn start() -> Option<Self> {
        install_crypto_provider();
        let provider = OidcProvider::start().await?;
        let ca = TestCa::new();
        let leaf = ca.server("server");
        let paths = ServerTlsPaths { cert: leaf.cert, key: leaf.key, client_ca: ca.cert(), crl: None };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = Acceptor::spawn(listener, ServerTls::load(paths).unwrap(), AcceptorLimits::default());
        let settings = IssuerSettings {
            alias: "kreis".into(),
            issuer: provider.issuer().into(),
            audience: "allmende-api".into(),
            algorithms: vec![SignatureAlgorithm::RS256],
            token_kind: Default::default(),
            groups_claim: None,
            clients: vec!["allmende-cli".into()],
            require_nbf: true,
            longest_life_seconds: 3600,
            leeway_seconds: 10,
            ca: None,
            refresh_seconds: 300,
            unknown_key_seconds: 0,
            keys_usable_seconds: 3600,
            plain_loopback: true,
        };
        let members = Members(TokenVerifier::new(vec![settings]).unwrap());
        tokio::spawn(Server::builder().add_service(members).serve_with_incoming(acceptor));
        let world = Self { provider, folder: tempfile::tempdir().unwrap(), _ca: ca };
        let (endpoint, ca) = (format!("https://localhost:{port}"), world._ca.cert());
        let issuer = world.provider.issuer().to_owned();
        let words = ["context", "add", "amt/eins", "--endpoint", &endpoint, "--ca", ca.to_str().unwrap()];
        let words: Vec<&str> =
            words.into_iter().chain(["--issuer", &issuer, "--client-id", "allmende-cli"]).collect();
        assert!(world.run(&words).await.status.success());
        Some(world)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_allmende"));
        command
            .args(words)
            .env("ALLMENDE_CONFIG", self.folder.path().join("config.toml"))
            .env("ALLMENDE_LANG", "en")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, words: &[&str]) -> Output {
        let limit = Duration::from_secs(60);
        tokio::time::timeout(limit, self.command(words).output()).await.unwrap().unwrap()
    }

    fn tokens_file(&self) -> PathBuf {
        self.folder.path().join("tokens/amt%2Feins.json")
    }

    fn tokens(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.tokens_file()).unwrap()).unwrap()
    }

    /// Runs a login, lets the person follow the address that it tells, and gives what it said.
    async fn login(&self, words: &[&str]) -> String {
        let mut child = self.command(words).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut all = String::new();
        let address = loop {
            let line = tokio::time::timeout(Duration::from_secs(60), said.next_line())
                .await
                .unwrap()
                .unwrap()
                .unwrap();
            all.push_str(&line);
            if let Some(at) = line.find("http://") {
                break line[at..].to_owned();
            }
        };
        let (_, status) = self.provider.visit(&address).await;
        assert_eq!(status, 200, "the last page of {address}");
        while let Some(line) =
            tokio::time::timeout(Duration::from_secs(60), said.next_line()).await.unwrap().unwrap()
        {
            all.push_str(&line);
        }
        assert!(ended(child).await, "{all}");
        all
    }

    async fn who_am_i(&self) -> Option<String> {
        let output = self.run(&["whoami", "-o", "json"]).await;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(6), "{said}");
            return None;
        }
        let caller: Value = serde_json::from_slice(&output.stdout).unwrap();
        Some(caller["principal"].as_str().unwrap().to_owned())
    }
}

async fn ended(mut child: Child) -> bool {
    tokio::time::timeout(Duration::from_secs(60), child.wait()).await.unwrap().unwrap().success()
}

const CLERK: &str = "allmende://issuer/kreis/lemgo-kasse";

#[tokio::test]
async fn the_browser_comes_back_and_the_token_is_kept_for_its_owner_alone_renewed_and_forgotten() {
    let Some(world) = World::start().await else { return };
    assert_eq!(world.who_am_i().await, None);
    let said = world.login(&["login", "--no-browser"]).await;
    assert_eq!(world.who_am_i().await.as_deref(), Some(CLERK));
    let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.tokens_file()), 0o600);
    assert_eq!(mode(&world.tokens_file().parent().unwrap().to_owned()), 0o700);
    let first = world.tokens();
    let text = |tokens: &Value, name: &str| tokens[name].as_str().unwrap().to_owned();
    assert!(!said.contains(&text(&first, "access_token")) && !said.contains(&text(&first, "refresh_token")));
    // Its time is over: renewed by itself, also after the provider changed its keys.
    world.provider.rotate().await;
    let mut old = first.clone();
    old["expires_at"] = 0.into();
    std::fs::write(world.tokens_file(), old.to_string()).unwrap();
    assert_eq!(world.who_am_i().await.as_deref(), Some(CLERK));
    let second = world.tokens();
    assert_ne!(text(&second, "access_token"), text(&first, "access_token"));
    assert_eq!(mode(&world.tokens_file()), 0o600);
    // A file that others can read is not used.
    std::fs::set_permissions(world.tokens_file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(world.run(&["whoami"]).await.status.code(), Some(2));
    std::fs::set_permissions(world.tokens_file(), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(world.run(&["logout"]).await.status.success());
    assert!(!world.tokens_file().exists());
    assert_eq!(world.who_am_i().await, None);
    // The provider has forgotten it as well: the refresh token gives nothing any more.
    let mut gone = second.clone();
    gone["expires_at"] = 0.into();
    std::fs::write(world.tokens_file(), gone.to_string()).unwrap();
    std::fs::set_permissions(world.tokens_file(), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(world.who_am_i().await, None);
}

#[tokio::test]
async fn a_code_on_another_device_signs_in() {
    let Some(world) = World::start().await else { return };
    world.provider.person("lemgo-admin").await;
    let said = world.login(&["login", "--device"]).await;
    assert!(said.contains("The code is:"), "{said}");
    assert_eq!(world.who_am_i().await.as_deref(), Some("allmende://issuer/kreis/lemgo-admin"));
}

#[tokio::test]
async fn kubectl_gets_the_id_token_renewed_once_however_many_ask() {
    let Some(world) = World::start().await else { return };
    let asks = || async {
        let mut command = world.command(&["kubectl-credential"]);
        let asked = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential"}"#;
        command.env("KUBERNETES_EXEC_INFO", asked).output().await.unwrap()
    };
    let token_of = |output: Output| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let credential: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(credential["apiVersion"], "client.authentication.k8s.io/v1");
        let token = credential["status"]["token"].as_str().unwrap().to_owned();
        let told: jiff::Timestamp =
            credential["status"]["expirationTimestamp"].as_str().unwrap().parse().unwrap();
        assert!(told.as_second() < claim(&token, "exp").as_i64().unwrap(), "kubectl asks before its end");
        token
    };
    let nobody = asks().await;
    assert_eq!((nobody.status.code(), nobody.stdout.len()), (Some(6), 0));
    world.login(&["login", "--no-browser"]).await;
    let first = token_of(asks().await);
    // For the client alone: Allmende's API takes tokens for another audience.
    assert_eq!(claim(&first, "aud"), "allmende-cli");
    assert_eq!(claim(&first, "sub"), "lemgo-kasse");
    assert_eq!(token_of(asks().await), first);

    // Another key: what comes now differs from the first, also within its second.
    world.provider.rotate().await;
    let mut old = world.tokens();
    // {"exp":0}
    old["id_token"] = "e30.eyJleHAiOjB9.e30".into();
    std::fs::write(world.tokens_file(), old.to_string()).unwrap();
    // A provider that sees a refresh token twice ends all that came of it.
    let together = tokio::join!(asks(), asks(), asks(), asks());
    let fresh = token_of(together.0);
    assert_ne!(fresh, first);
    for other in [together.1, together.2, together.3] {
        assert_eq!(token_of(other), fresh);
    }
    assert_ne!(world.tokens()["refresh_token"], old["refresh_token"]);
    assert_eq!(world.who_am_i().await.as_deref(), Some(CLERK));

    let mut gone = world.tokens();
    gone["id_token"] = Value::Null;
    gone["refresh_token"] = Value::Null;
    std::fs::write(world.tokens_file(), gone.to_string()).unwrap();
    assert_eq!(asks().await.status.code(), Some(6));
}
