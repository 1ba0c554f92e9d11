//! Levels as a stream: what is reached now, then each crossing once, as the store's watch tells of it.

use std::{collections::HashMap, time::Duration};

use allmende_domain::{
    account::QuotaAccount,
    ids::MemberId,
    quota::level::{Crossing, Told, fills},
};
use allmende_proto::v1;
use allmende_store::{Range, Revision, Versioned, WatchEvent, keys};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Holdings;
use crate::{authz::Scope, context::Context, error::AppError};

/// Messages that wait for a slow reader.
const BUFFER: usize = 64;
/// How often the right to listen is looked at again.
const RIGHTS_EVERY: Duration = Duration::from_secs(4);
/// How long one stream lives at most: no longer than a token may.
const LIFE: Duration = Duration::from_secs(900);

type Message = Result<v1::WatchQuotaResponse, tonic::Status>;
/// What a listener receives.
pub type LevelStream = ReceiverStream<Message>;

/// Nobody listens any more.
struct Gone;

/// One listener.
struct Feed {
    sender: mpsc::Sender<Message>,
    told: HashMap<String, Told>,
}

impl Holdings {
    /// Begins to tell of levels: of one member's accounts, or of all for the cooperative.
    ///
    /// # Errors
    /// Refusal.
    pub async fn watch(
        &self,
        context: &Context,
        member: Option<&MemberId>,
        name: &str,
    ) -> Result<LevelStream, AppError> {
        self.may_watch(context, member, name).await?;
        let range = member.map_or_else(keys::accounts_all, keys::accounts);
        let (sender, receiver) = mpsc::channel(BUFFER);
        let (holdings, context, member, name) =
            (self.clone(), context.clone(), member.cloned(), name.to_owned());
        tokio::spawn(async move {
            let feed = Feed { sender: sender.clone(), told: HashMap::new() };
            tokio::select! {
                () = tokio::time::sleep(LIFE) => {}
                () = sender.closed() => {}
                refused = holdings.while_allowed(&context, member.as_ref(), &name) => {
                    let _ = sender.send(Err(refused.into())).await;
                }
                () = holdings.tell(&range, feed) => {}
            }
        });
        Ok(ReceiverStream::new(receiver))
    }

    async fn may_watch(
        &self,
        context: &Context,
        member: Option<&MemberId>,
        name: &str,
    ) -> Result<(), AppError> {
        self.core.authorizer.require(context, Scope::of(member, name)).await.map(|_| ())
    }

    /// Ends when the listener's rights do.
    async fn while_allowed(&self, context: &Context, member: Option<&MemberId>, name: &str) -> AppError {
        loop {
            tokio::time::sleep(RIGHTS_EVERY).await;
            let now = Context { now: self.core.clock.now(), ..context.clone() };
            if let Err(refused) = self.may_watch(&now, member, name).await {
                return refused;
            }
        }
    }

    async fn tell(&self, range: &Range<QuotaAccount>, mut feed: Feed) {
        let mut is_present = true;
        loop {
            let (accounts, revision): (Vec<Versioned<QuotaAccount>>, Revision) =
                match self.core.store.snapshot(range).await {
                    Ok(snapshot) => snapshot,
                    Err(error) => {
                        let _ = feed.sender.send(Err(AppError::from(error).into())).await;
                        return;
                    }
                };
            for account in &accounts {
                // After a compaction what was crossed meanwhile is told, and nothing twice.
                if feed.take(&account.value, is_present).await.is_err() {
                    return;
                }
            }
            if std::mem::take(&mut is_present) && feed.end_of_present().await.is_err() {
                return;
            }
            let mut events = self.core.store.watch(range, revision.next());
            loop {
                match events.next().await {
                    Some(WatchEvent::Put(account)) => {
                        if feed.take(&account.value, false).await.is_err() {
                            return;
                        }
                    }
                    Some(WatchEvent::Compacted) | None => break,
                    Some(WatchEvent::Unreadable(error)) => {
                        tracing::error!(%error, "an account cannot be read");
                    }
                    // Accounts are never removed.
                    Some(WatchEvent::Delete(..) | WatchEvent::Progress(_)) => {}
                }
            }
        }
    }
}

impl Feed {
    /// What is reached when the stream begins was told.
    async fn end_of_present(&self) -> Result<(), Gone> {
        let message = v1::WatchQuotaResponse { present: true, ..Default::default() };
        self.sender.send(Ok(message)).await.map_err(|_| Gone)
    }

    async fn take(&mut self, account: &QuotaAccount, present: bool) -> Result<(), Gone> {
        let name = format!("members/{}/entitlements/{}", account.member, account.cluster);
        let Ok(fills) = fills(account) else {
            tracing::error!(account = name, "an account's numbers are no amounts");
            return Ok(());
        };
        for crossing in self.told.entry(name.clone()).or_default().take(&fills) {
            self.sender.send(Ok(message(&name, &crossing, present))).await.map_err(|_| Gone)?;
        }
        Ok(())
    }
}

fn message(entitlement: &str, crossing: &Crossing, present: bool) -> v1::WatchQuotaResponse {
    v1::WatchQuotaResponse {
        entitlement: entitlement.to_owned(),
        resource: crossing.fill.resource.clone(),
        level: i32::from(crossing.level),
        reached: crossing.up,
        present,
        limit: crossing.fill.limit,
        reserved: crossing.fill.reserved,
    }
}
