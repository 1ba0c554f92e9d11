//! The cluster's own certificate. Either somebody else keeps it in files (cert-manager, a person), or the operator does, in a secret of its
//! namespace: it joins with a token, renews at half of the life, and every new connection uses what is there.

pub mod keeper;
pub mod metrics;
pub mod step;

use std::path::PathBuf;

use allmende_identity::{
    TlsError,
    client::{self, ClientTls},
};
use kube::Api;
use tonic::transport::Channel;

use crate::{context::Context, settings::Settings};
use keeper::Keeper;
use metrics::RenewalMetrics;

/// Chain and key in one file, so that both change at once.
const FILE_NAME: &str = "identity.pem";

/// The file in memory in which the operator puts what its secret holds.
fn file(settings: &Settings) -> PathBuf {
    settings.work_dir.join(FILE_NAME)
}

/// The way to the API, under the certificate that is there whenever it connects.
///
/// # Errors
/// When the endpoint is malformed, or files that somebody else keeps cannot be used.
pub fn channel(settings: &Settings) -> Result<(Channel, ClientTls), TlsError> {
    let ca = settings.api_ca.clone();
    if settings.identity_secret.is_some() {
        let file = file(settings);
        let tls = ClientTls { ca, own: Some((file.clone(), file)) };
        return Ok((client::channel_for_later(&settings.api, tls.clone())?, tls));
    }
    let tls = ClientTls { ca, own: settings.tls_cert.clone().zip(settings.tls_key.clone()) };
    Ok((client::channel(&settings.api, tls.clone())?, tls))
}

/// Who keeps the certificate, when that is the operator.
pub fn keeper(
    settings: &Settings,
    context: &Context,
    tls: &ClientTls,
    metrics: RenewalMetrics,
) -> Option<Keeper> {
    let name = settings.identity_secret.clone()?;
    Some(Keeper {
        secrets: Api::namespaced(context.client(), &settings.namespace),
        name,
        file: file(settings),
        cluster: settings.cluster.clone(),
        endpoint: settings.api.clone(),
        tls: tls.clone(),
        leader: context.leader.clone(),
        clock: context.clock.clone(),
        metrics,
        every: keeper::LOOK_EVERY,
    })
}
