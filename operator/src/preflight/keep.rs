//! The report as a ConfigMap of the operator's namespace: written by the Job, read by the operator.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{NAME, report::Report};

/// Key of the report within it.
pub const KEY: &str = "report.json";

/// Keeps the report.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn save(client: &Client, namespace: &str, report: &Report) -> Result<(), kube::Error> {
    let text = serde_json::to_string_pretty(report).map_err(kube::Error::SerdeError)?;
    let map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": NAME },
        "data": { KEY: text },
    });
    let parameters = PatchParams::apply(NAME).force();
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    api.patch(NAME, &parameters, &Patch::Apply(map)).await.map(|_| ())
}

/// The report in a ConfigMap; none when there is none, or none that this version reads.
#[must_use]
pub fn read(map: &ConfigMap) -> Option<Report> {
    serde_json::from_str(map.data.as_ref()?.get(KEY)?).ok()
}
