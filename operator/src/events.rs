//! Events on the objects, for people who look with `kubectl describe`. The recorder folds equal ones into a series.

use kube::{
    Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

/// Writes events as the operator. Events are a courtesy: one that cannot be written is logged and forgotten.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// Of this process.
    #[must_use]
    pub fn new(client: kube::Client, identity: &str) -> Self {
        let reporter = Reporter {
            controller: allmende_crds::names::OPERATOR.to_owned(),
            instance: Some(identity.to_owned()),
        };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Something went its way.
    pub async fn normal<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        reason: &str,
        action: &str,
        note: &str,
    ) {
        self.publish(object, EventType::Normal, reason, action, note).await;
    }

    /// Something needs somebody's eyes.
    pub async fn warning<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        reason: &str,
        action: &str,
        note: &str,
    ) {
        self.publish(object, EventType::Warning, reason, action, note).await;
    }

    async fn publish<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        type_: EventType,
        reason: &str,
        action: &str,
        note: &str,
    ) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note.chars().take(1000).collect()),
            action: action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::warn!(%error, reason, "event not written");
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Events")
    }
}
