//! The namespace in which the probe's pods run, and its tidying up.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{Namespace, Pod},
        networking::v1::NetworkPolicy,
    },
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde::de::DeserializeOwned;
use thiserror::Error;
use uuid::Uuid;

use super::{
    Experiment,
    objects::{self, Attempt, Role, Sealed},
    until,
};
use crate::{clock::Clock, preflight::probe::UNEXPECTED};

/// Objects of other runs are left over when they are older than any run takes, seconds.
const LEFT_OVER: i64 = 1200;
/// What a client takes beyond the tries themselves: starting, ending, being seen.
const AROUND: Duration = Duration::from_secs(15);

/// Why the experiment came to no end.
#[derive(Debug, Error)]
pub(super) enum Unready {
    #[error("{0}: {1}")]
    Cluster(String, kube::Error),
    #[error("pod {0} did not run within {1} s ({2})")]
    NoPod(String, u64, String),
    #[error("pod {0} broke: {1}")]
    Broke(String, String),
    #[error("it took too long altogether")]
    Late,
    #[error("it was stopped")]
    Stopped,
    #[error("an object cannot be made: {0}")]
    Object(#[from] serde_json::Error),
}

/// How a client's pod ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    AsExpected,
    Otherwise,
}

pub(super) struct Room {
    client: Client,
    experiment: Experiment,
    run: String,
    clock: Arc<dyn Clock>,
    /// The namespace was not there before: it goes when we go.
    own: bool,
}

impl Room {
    pub(super) fn new(client: Client, experiment: &Experiment, clock: Arc<dyn Clock>) -> Self {
        let run = Uuid::new_v4().simple().to_string().chars().take(8).collect();
        Self { client, experiment: experiment.clone(), run, clock, own: false }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.experiment.namespace)
    }

    /// Makes the namespace when it is not there, and removes what a killed run left in it.
    pub(super) async fn open(&mut self) -> Result<(), Unready> {
        let name = self.experiment.namespace.clone();
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let failed = |error| Unready::Cluster(format!("namespace {name}"), error);
        if namespaces.get_opt(&name).await.map_err(failed)?.is_none() {
            namespaces.create(&PostParams::default(), &objects::namespace(&name)?).await.map_err(failed)?;
            self.own = true;
        }
        let now = self.clock.now();
        let old = |created: Option<jiff::Timestamp>| {
            created.is_some_and(|at| now.duration_since(at).as_secs() > LEFT_OVER)
        };
        self.remove::<Pod>(objects::SELECTOR, &old).await?;
        self.remove::<NetworkPolicy>(objects::SELECTOR, &old).await
    }

    /// A pod that listens; where it does.
    pub(super) async fn listener(&self, role: Role) -> Result<SocketAddr, Unready> {
        let Experiment { image, pull_secrets, .. } = &self.experiment;
        let pod = objects::listener(&self.run, role, image, pull_secrets)?;
        let name = pod.name_any();
        self.create_pod(&pod).await?;
        let address = until(self.experiment.pods_within, async || {
            let pod = self.pod(&name).await?;
            match pod.status.as_ref().and_then(|status| status.phase.as_deref()) {
                Some("Running") => Ok(address(&pod)),
                Some("Failed" | "Succeeded") => Err(Unready::Broke(name.clone(), why(&pod))),
                _ => Ok(None),
            }
        })
        .await?;
        match address {
            Some(address) => Ok(SocketAddr::new(address, objects::PORT)),
            None => Err(self.no_pod(&name).await),
        }
    }

    /// A pod that connects; how it ended.
    pub(super) async fn client(
        &self,
        role: Role,
        to: &[SocketAddr],
        attempt: Attempt,
    ) -> Result<Ended, Unready> {
        let Experiment { image, pull_secrets, .. } = &self.experiment;
        let pod = objects::client(&self.run, role, image, pull_secrets, to, attempt)?;
        let name = pod.name_any();
        self.create_pod(&pod).await?;
        let limit = self.experiment.pods_within + attempt.within + AROUND;
        let ended = until(limit, async || {
            let pod = self.pod(&name).await?;
            let Some(code) = exit_code(&pod) else { return Ok(None) };
            match code {
                0 => Ok(Some(Ended::AsExpected)),
                code if code == i32::from(UNEXPECTED) => Ok(Some(Ended::Otherwise)),
                code => Err(Unready::Broke(name.clone(), format!("exit code {code}, {}", why(&pod)))),
            }
        })
        .await?;
        match ended {
            Some(ended) => Ok(ended),
            None => Err(self.no_pod(&name).await),
        }
    }

    pub(super) async fn seal(&self, sealed: Sealed) -> Result<(), Unready> {
        let policy = objects::policy(&self.run, sealed)?;
        let made = self.api::<NetworkPolicy>().create(&PostParams::default(), &policy).await;
        made.map(|_| ()).map_err(|error| Unready::Cluster("network policy".to_owned(), error))
    }

    pub(super) async fn unseal(&self) -> Result<(), Unready> {
        self.remove::<NetworkPolicy>(&self.selector(), &|_| true).await
    }

    /// Removes what this run made.
    pub(super) async fn clear(&self) -> Result<(), Unready> {
        if self.own {
            let namespaces: Api<Namespace> = Api::all(self.client.clone());
            let gone = namespaces.delete(&self.experiment.namespace, &DeleteParams::default()).await;
            return match gone {
                Err(error) if !is_absent(&error) => Err(Unready::Cluster("namespace".to_owned(), error)),
                _ => Ok(()),
            };
        }
        self.remove::<NetworkPolicy>(&self.selector(), &|_| true).await?;
        self.remove::<Pod>(&self.selector(), &|_| true).await
    }

    fn selector(&self) -> String {
        format!("{},{}={}", objects::SELECTOR, objects::LABEL_RUN, self.run)
    }

    async fn remove<K>(
        &self,
        selector: &str,
        which: &(dyn Fn(Option<jiff::Timestamp>) -> bool + Sync),
    ) -> Result<(), Unready>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        let failed = |error| Unready::Cluster(format!("removing {}", K::plural(&())), error);
        let api: Api<K> = self.api();
        let found = api.list_metadata(&ListParams::default().labels(selector)).await;
        let found = match found {
            Ok(found) => found,
            // Nothing was made.
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        for object in found.items {
            if !which(object.metadata.creation_timestamp.as_ref().map(|time| time.0)) {
                continue;
            }
            match api.delete(&object.name_any(), &DeleteParams::default().grace_period(0)).await {
                Err(error) if !is_absent(&error) => return Err(failed(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// A new namespace has its default account only a moment later; without it pods are refused.
    async fn create_pod(&self, pod: &Pod) -> Result<(), Unready> {
        let name = pod.name_any();
        let made = until(self.experiment.pods_within, async || {
            match self.api::<Pod>().create(&PostParams::default(), pod).await {
                Ok(_) => Ok(Some(())),
                Err(kube::Error::Api(status))
                    if status.code == 403 && status.message.contains("serviceaccount") =>
                {
                    Ok(None)
                }
                Err(error) => Err(Unready::Cluster(format!("pod {name}"), error)),
            }
        })
        .await?;
        let seconds = self.experiment.pods_within.as_secs();
        made.ok_or_else(|| Unready::NoPod(name, seconds, "no account `default`".to_owned()))
    }

    async fn pod(&self, name: &str) -> Result<Pod, Unready> {
        let pod = self.api::<Pod>().get(name).await;
        pod.map_err(|error| Unready::Cluster(format!("pod {name}"), error))
    }

    async fn no_pod(&self, name: &str) -> Unready {
        let why = match self.pod(name).await {
            Ok(pod) => why(&pod),
            Err(error) => error.to_string(),
        };
        Unready::NoPod(name.to_owned(), self.experiment.pods_within.as_secs(), why)
    }
}

fn address(pod: &Pod) -> Option<IpAddr> {
    let status = pod.status.as_ref()?;
    let running = status
        .container_statuses
        .iter()
        .flatten()
        .any(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()));
    status.pod_ip.as_ref().filter(|_| running)?.parse().ok()
}

fn exit_code(pod: &Pod) -> Option<i32> {
    let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    Some(container.state.as_ref()?.terminated.as_ref()?.exit_code)
}

/// What the API server knows about a pod that does not do what it should.
fn why(pod: &Pod) -> String {
    let Some(status) = &pod.status else { return "no status".to_owned() };
    let containers = status.container_statuses.iter().flatten().filter_map(|container| {
        let state = container.state.as_ref()?;
        let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
        waiting.or_else(|| state.terminated.as_ref().and_then(|ended| ended.reason.clone()))
    });
    let conditions = status.conditions.iter().flatten().filter(|condition| condition.status == "False");
    let conditions = conditions.filter_map(|condition| condition.message.clone());
    let words: Vec<String> = status
        .phase
        .iter()
        .cloned()
        .chain(status.reason.clone())
        .chain(containers)
        .chain(conditions)
        .collect();
    words.join(", ")
}

fn is_absent(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
