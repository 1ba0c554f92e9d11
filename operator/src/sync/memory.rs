//! What this cluster remembers of the store it follows, over restarts: a ConfigMap in the operator's own namespace.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};

use super::fence::Known;

/// Its name; the guide for a restore names it too.
const NAME: &str = "allmende-sync";

/// The store last followed, and how far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// Which store and epoch.
    pub known: Known,
    /// Highest revision told by it; 0 before the first. A store of the same epoch that has not reached it is older than this cluster.
    pub revision: i64,
}

impl Memory {
    /// With a later word of the same store, or the first of another one.
    #[must_use]
    pub fn reached(&self, known: &Known, revision: i64) -> Self {
        let revision = if *known == self.known { self.revision.max(revision) } else { revision };
        Self { known: known.clone(), revision }
    }

    /// Reads it; nothing is known before the first snapshot.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn load(client: &Client, namespace: &str) -> Result<Self, kube::Error> {
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let data = api.get_opt(NAME).await?.and_then(|map| map.data).unwrap_or_default();
        let number = |key: &str| data.get(key).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        Ok(Self {
            known: Known {
                store_id: data.get("storeId").cloned().unwrap_or_default(),
                epoch: number("epoch"),
            },
            revision: i64::try_from(number("revision")).unwrap_or(i64::MAX),
        })
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub async fn save(&self, client: &Client, namespace: &str) -> Result<(), kube::Error> {
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let map = serde_json::json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": NAME },
            "data": {
                "storeId": self.known.store_id,
                "epoch": self.known.epoch.to_string(),
                "revision": self.revision.to_string(),
            },
        });
        let parameters = PatchParams::apply(allmende_crds::names::OPERATOR).force();
        api.patch(NAME, &parameters, &Patch::Apply(map)).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_only_grows_within_one_store_and_begins_anew_with_another() {
        let a = Known { store_id: "a".into(), epoch: 1 };
        let b = Known { store_id: "b".into(), epoch: 2 };
        let memory = Memory::default().reached(&a, 7).reached(&a, 5);
        assert_eq!(memory, Memory { known: a, revision: 7 });
        assert_eq!(memory.reached(&b, 5), Memory { known: b, revision: 5 });
    }
}
