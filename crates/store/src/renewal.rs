//! Certificates towards etcd that change while the program runs: new connections use the new ones, calls and watches under way go on.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use etcd_client::{BalancedChannelBuilder, Channel, Client};
use http::Uri;
use tokio::sync::mpsc::Sender;
use tonic::transport::{Endpoint, channel::Change};

use crate::{
    access::{EtcdAccess, StoreConfig},
    connection::Store,
    error::StoreError,
    keys,
};

/// How often a program looks at the files.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

type Endpoints = Sender<Change<Uri, Endpoint>>;

/// The channel below every client that is connected with it: whoever comes later puts its own endpoints, with its own certificates, in the
/// place of those of the same address.
#[derive(Clone, Default)]
pub(crate) struct SharedChannel(Arc<OnceLock<(Channel, Endpoints)>>);

impl BalancedChannelBuilder for SharedChannel {
    type Error = etcd_client::Error;

    fn balanced_channel(self, buffer_size: usize) -> Result<(Channel, Endpoints), Self::Error> {
        let made = self.0.get_or_init(|| {
            let (channel, endpoints) = tonic::transport::Channel::balance_channel(buffer_size);
            (Channel::Tonic(channel), endpoints)
        });
        Ok(made.clone())
    }
}

impl Store {
    /// Looks at the files of `access` for ever and takes over the certificates that they hold. What cannot be read, does not fit together or
    /// is refused by etcd is logged, and the present ones stay in use; the user and its password are read at the start alone.
    pub async fn follow_certificates(self, access: EtcdAccess, present: StoreConfig, every: Duration) {
        let mut present = present.tls;
        let mut told = String::new();
        loop {
            tokio::time::sleep(every).await;
            let outcome = match access.clone().load() {
                Ok(found) if found.tls == present => Ok(None),
                Ok(found) => self.take_over(&found).await.map(|()| Some(found.tls)),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(None) => told.clear(),
                Ok(Some(taken)) => {
                    present = taken;
                    told.clear();
                    tracing::info!("new connections to etcd use the certificates that were renewed");
                }
                Err(error) => {
                    let text = error.to_string();
                    if text != told {
                        tracing::error!(%error, "the renewed certificates towards etcd cannot be used; the former ones stay");
                        told = text;
                    }
                }
            }
        }
    }

    /// Uses these certificates for new connections of this store and its clones, if etcd takes them; else nothing changes.
    ///
    /// # Errors
    /// When etcd refuses them or does not answer.
    pub async fn take_over(&self, config: &StoreConfig) -> Result<(), StoreError> {
        // A connection of its own tries them first: what etcd refuses must not come below the clients that work.
        let trial =
            Client::connect(&config.endpoints, Some(config.options()?)).await.map_err(StoreError::read)?;
        trial.kv_client().get(keys::schema().raw(), None).await.map_err(StoreError::read)?;
        Client::connect_with_balanced_channel(
            &config.endpoints,
            Some(config.options()?),
            self.channel.clone(),
        )
        .await
        .map_err(StoreError::read)?;
        Ok(())
    }
}
