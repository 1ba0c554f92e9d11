//! The real Helm against a real API server, as the release account: a first run, a later one, one that was killed, the end.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

use std::{path::Path, path::PathBuf, time::Duration};

use allmende_crds::names;
use allmende_operator::helm::{
    Class, ReleaseBackend, RevisionState, Target, Wanted, account::Server, child::Ends, cli::HelmCli,
    recovery,
};
use allmende_testkit::{etcd::tool, kubernetes::TestKubernetes};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, Pod, Secret, ServiceAccount},
    rbac::v1::{Role, RoleBinding},
};
use kube::{Api, Client, api::ListParams, api::PostParams};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const NAMESPACE: &str = "m-05766044-prod-svc";

struct World {
    _kubernetes: TestKubernetes,
    client: Client,
    helm: HelmCli,
    chart: tempfile::TempDir,
    _work: tempfile::TempDir,
    leader: watch::Sender<bool>,
}

fn object<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

impl World {
    async fn new() -> Self {
        allmende_identity::install_crypto_provider();
        let kubernetes = TestKubernetes::start_without_controllers().await;
        let config = kubernetes.admin().await;
        let client = Client::try_from(config.clone()).unwrap();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = object(json!({ "metadata": { "name": NAMESPACE } }));
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
        let account = object(json!({ "metadata": { "name": names::RELEASE_ACCOUNT } }));
        accounts.create(&PostParams::default(), &account).await.unwrap();
        let roles: Api<Role> = Api::namespaced(client.clone(), NAMESPACE);
        let everything = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
        let role = object(json!({ "metadata": { "name": "release" }, "rules": everything }));
        roles.create(&PostParams::default(), &role).await.unwrap();
        let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), NAMESPACE);
        let binding = object(json!({
            "metadata": { "name": "release" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "release" },
            "subjects": [{ "kind": "ServiceAccount", "name": names::RELEASE_ACCOUNT, "namespace": NAMESPACE }],
        }));
        bindings.create(&PostParams::default(), &binding).await.unwrap();
        let (work, chart) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write_chart(chart.path());
        let (leader, leads) = watch::channel(true);
        let helm = HelmCli {
            program: tool("helm"),
            client: client.clone(),
            server: Server::of(&config),
            work: work.path().to_owned(),
            plain_http_registries: Vec::new(),
            ends: Ends { leader: leads, shutdown: CancellationToken::new() },
        };
        Self { _kubernetes: kubernetes, client, helm, chart, _work: work, leader }
    }

    fn target(&self) -> Target {
        Target { namespace: NAMESPACE.into(), release: "db".into() }
    }

    fn wanted(&self, values: serde_json::Value) -> Wanted {
        let chart = self.chart.path().to_string_lossy().into_owned();
        Wanted { chart, values: values.to_string(), timeout: Duration::from_secs(30) }
    }

    async fn greeting(&self) -> Option<String> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        maps.get_opt("db-greeting").await.unwrap()?.data?.get("text").cloned()
    }

    /// As if the process had been killed in the middle of a run: Helm's record says "pending" and stays.
    async fn leave_pending(&self, state: &str) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        let all = secrets.list(&ListParams::default().labels("owner=helm")).await.unwrap().items;
        let newest = all.into_iter().max_by_key(|secret| secret.metadata.name.clone()).unwrap();
        let text = String::from_utf8(newest.data.unwrap()["release"].0.clone()).unwrap();
        let mut record = unpack(&text);
        record["info"]["status"] = json!(state);
        let mut labels = newest.metadata.labels.unwrap();
        labels.insert("status".into(), state.into());
        let patch = json!({ "metadata": { "labels": labels }, "stringData": { "release": pack(&record) } });
        let name = newest.metadata.name.unwrap();
        secrets.patch(&name, &Default::default(), &kube::api::Patch::Merge(patch)).await.unwrap();
    }
}

/// Helm keeps base64 of gzipped JSON; the machine's own gzip does the rest.
fn unpack(text: &str) -> serde_json::Value {
    serde_json::from_slice(&pipe("base64 -d | gunzip", text.as_bytes())).unwrap()
}

fn pack(record: &serde_json::Value) -> String {
    String::from_utf8(pipe("gzip -n | base64 -w0", record.to_string().as_bytes())).unwrap()
}

fn pipe(script: &str, input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("in");
    std::fs::File::create(&file).unwrap().write_all(input).unwrap();
    let output = std::process::Command::new("bash")
        .arg("-c")
        .arg(script)
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}");
    output.stdout
}

fn write_chart(folder: &Path) {
    std::fs::create_dir(folder.join("templates")).unwrap();
    std::fs::write(folder.join("Chart.yaml"), "apiVersion: v2\nname: greeting\nversion: 1.0.0\n").unwrap();
    std::fs::write(folder.join("values.yaml"), "text: none\n").unwrap();
    let schema = r#"{"type":"object","properties":{"text":{"type":"string"}}}"#;
    std::fs::write(folder.join("values.schema.json"), schema).unwrap();
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-greeting\ndata:\n  text: {{ .Values.text | quote }}\n";
    std::fs::write(folder.join("templates/map.yaml"), map).unwrap();
}

#[tokio::test]
async fn a_release_is_installed_upgraded_and_removed_as_the_release_account() {
    let world = World::new().await;
    let target = world.target();
    assert!(world.helm.history(&target).await.unwrap().is_empty());
    world.helm.install(&target, &world.wanted(json!({ "text": "one" }))).await.unwrap();
    assert_eq!(world.greeting().await.unwrap(), "one");
    world.helm.upgrade(&target, &world.wanted(json!({ "text": "two" }))).await.unwrap();
    assert_eq!(world.greeting().await.unwrap(), "two");
    let history = world.helm.history(&target).await.unwrap();
    assert_eq!(
        history.iter().map(|r| r.state).collect::<Vec<_>>(),
        [RevisionState::Superseded, RevisionState::Deployed]
    );
    let error = world.helm.upgrade(&target, &world.wanted(json!({ "text": 7 }))).await.unwrap_err();
    assert!(error.words.contains("Schema"), "{error:?}");
    assert_eq!(world.greeting().await.unwrap(), "two", "a refused run changes nothing");
    world.helm.uninstall(&target).await.unwrap();
    world.helm.uninstall(&target).await.unwrap();
    assert_eq!(world.greeting().await, None);
    let left = std::fs::read_dir(&world.helm.work).unwrap().count();
    assert_eq!(left, 0, "no values and no tokens are left behind");
}

#[tokio::test]
async fn a_run_that_was_killed_is_taken_up_again_and_ends_like_an_undisturbed_one() {
    let world = World::new().await;
    let target = world.target();
    world.helm.install(&target, &world.wanted(json!({ "text": "one" }))).await.unwrap();
    world.leave_pending("pending-install").await;
    assert_eq!(recovery::next(&world.helm.history(&target).await.unwrap()), recovery::Next::UninstallFirst);
    world.helm.uninstall(&target).await.unwrap();
    world.helm.install(&target, &world.wanted(json!({ "text": "one" }))).await.unwrap();
    world.helm.upgrade(&target, &world.wanted(json!({ "text": "two" }))).await.unwrap();
    world.leave_pending("pending-upgrade").await;
    let next = recovery::next(&world.helm.history(&target).await.unwrap());
    let recovery::Next::Rollback(revision) = next else { panic!("{next:?}") };
    world.helm.rollback(&target, revision).await.unwrap();
    world.helm.upgrade(&target, &world.wanted(json!({ "text": "three" }))).await.unwrap();
    assert_eq!(world.greeting().await.unwrap(), "three");
}

#[tokio::test]
async fn without_the_lease_helm_is_not_started() {
    let mut world = World::new().await;
    let noted = world.helm.work.join("started");
    world.helm.program = world.chart.path().join("helm");
    std::fs::write(&world.helm.program, format!("#!/bin/sh\ntouch {}\n", noted.display())).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&world.helm.program, executable).unwrap();
    world.leader.send_replace(false);
    let error = world.helm.uninstall(&world.target()).await.unwrap_err();
    assert!(error.class == Class::Interrupted && error.detail.contains("lease"), "{error:?}");
    assert!(!noted.exists());
    world.leader.send_replace(true);
    world.helm.uninstall(&world.target()).await.unwrap();
    assert!(noted.exists(), "with it, it is");
}

/// In the place of Helm: notes how it was started and with which files, says all it knows, and fails.
const NOSY: &str = r#"#!/bin/bash
printf '%s\n' "$@" >NOTED/arguments
env >NOTED/environment
while (($#)); do
  case $1 in --kubeconfig | --values) cp -p "$2" "NOTED/${1#--}" && cat "$2" >&2 ;; esac
  shift
done
exit 1
"#;

#[tokio::test]
async fn a_child_gets_its_token_and_values_by_private_files_alone_and_what_it_blurts_out_stays_here() {
    use std::os::unix::fs::PermissionsExt;
    let mut world = World::new().await;
    let noted = tempfile::tempdir().unwrap();
    world.helm.program = world.chart.path().join("helm");
    let script = NOSY.replace("NOTED", &noted.path().display().to_string());
    std::fs::write(&world.helm.program, script).unwrap();
    std::fs::set_permissions(&world.helm.program, PermissionsExt::from_mode(0o700)).unwrap();
    let value = "Kanarie-8d1f0c7e-2b";
    let error =
        world.helm.install(&world.target(), &world.wanted(json!({ "text": value }))).await.unwrap_err();
    assert_eq!(error.class, Class::Failed);

    let read = |file: &str| std::fs::read_to_string(noted.path().join(file)).unwrap();
    let config: serde_json::Value = serde_json::from_str(&read("kubeconfig")).unwrap();
    let token = config["users"][0]["user"]["token"].as_str().unwrap().to_owned();
    assert!(token.len() > 100 && read("values").contains(value), "it got both");
    for file in ["kubeconfig", "values"] {
        let mode = noted.path().join(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} is for this process alone");
    }
    let pieces: Vec<&str> = (0..token.len() - 12).map(|at| &token[at..at + 12]).collect();
    for (place, text) in [
        ("arguments", read("arguments")),
        ("environment", read("environment")),
        ("error", format!("{error:?}")),
    ] {
        assert!(!pieces.iter().any(|piece| text.contains(piece)), "the token is in the {place}: {text}");
        assert!(place == "error" || !text.contains(value), "the values are in the {place}: {text}");
    }
    let environment = read("environment");
    let mut names: Vec<&str> = environment.lines().filter_map(|line| line.split('=').next()).collect();
    names.retain(|name| !["PWD", "SHLVL", "_"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HOME", "PATH"]);
}

/// A chart whose pod never becomes ready: no kubelet runs here. An account of its own, since nobody makes the default one either.
fn let_it_wait(folder: &Path) {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}-pod\nspec:\n  serviceAccountName: {{ .Values.account }}\n  automountServiceAccountToken: false\n  containers: [{ name: a, image: a }]\n";
    std::fs::write(folder.join("templates/pod.yaml"), pod).unwrap();
}

#[tokio::test]
async fn helm_ends_with_the_lease_and_whoever_leads_next_takes_it_up() {
    let world = World::new().await;
    let target = world.target();
    let_it_wait(world.chart.path());
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), NAMESPACE);
    let wanted = Wanted {
        timeout: Duration::from_secs(300),
        ..world.wanted(json!({ "text": "one", "account": names::RELEASE_ACCOUNT }))
    };
    let cut = async {
        let there = async {
            while pods.get_opt("db-pod").await.unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), there).await.unwrap();
        world.leader.send_replace(false);
    };
    let (ended, ()) = tokio::join!(world.helm.install(&target, &wanted), cut);
    assert_eq!(ended.unwrap_err().class, Class::Interrupted);
    world.leader.send_replace(true);
    let next = recovery::next(&world.helm.history(&target).await.unwrap());
    assert_eq!(next, recovery::Next::UninstallFirst);
}
