//! One linearizable read of the store's revision for everybody who waits for one.

use std::sync::{Arc, Mutex, PoisonError};

use etcd_client::{Client, GetOptions};
use tokio::sync::oneshot;

use crate::{error::StoreError, key::Revision, keys};

type Answer = Result<Revision, String>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    asking: bool,
    /// Came after the last question was sent: they need the next one.
    waiting: Vec<oneshot::Sender<Answer>>,
}

impl Fence {
    /// A revision that holds everything acknowledged before this was called.
    pub(crate) async fn revision(self: &Arc<Self>, client: &Arc<Client>) -> Result<Revision, StoreError> {
        let (sender, answer) = oneshot::channel();
        let first = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.waiting.push(sender);
            !std::mem::replace(&mut state.asking, true)
        };
        if first {
            // A task of its own: a caller that goes away must not leave the others without answer.
            tokio::spawn(Arc::clone(self).ask(Arc::clone(client)));
        }
        let gone = || StoreError::Unavailable("the revision was not read".to_owned());
        answer.await.map_err(|_| gone())?.map_err(StoreError::Unavailable)
    }

    async fn ask(self: Arc<Self>, client: Arc<Client>) {
        loop {
            let waiting = {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.waiting.is_empty() {
                    state.asking = false;
                    return;
                }
                std::mem::take(&mut state.waiting)
            };
            let options = GetOptions::new().with_keys_only();
            let answer = match client.kv_client().get(keys::schema().raw(), Some(options)).await {
                Ok(response) => {
                    let header = response.header().map_or(0, etcd_client::ResponseHeader::revision);
                    Ok(Revision(header))
                }
                Err(error) => Err(error.to_string()),
            };
            for one in waiting {
                let _ = one.send(answer.clone());
            }
        }
    }
}
