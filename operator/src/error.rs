//! What can go wrong with the cluster, in the classes that decide what happens next.

use allmende_crds::conditions::reason;
use thiserror::Error;

/// A reconcile that did not come to its end.
#[derive(Debug, Error)]
pub enum Error {
    /// The API server refused or did not answer.
    #[error("{action}: {source}")]
    Cluster {
        /// What was tried, in words.
        action: String,
        /// The answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// The object does not fit its type.
    #[error("the object cannot be read: {0}")]
    InvalidObject(String),
    /// The spec passes the schema but not our checks; all of them.
    #[error("the spec is not valid: {}", .0.join("; "))]
    InvalidSpec(Vec<String>),
    /// A namespace of that name is not ours.
    #[error("the namespace {0} exists and does not belong to this tenant: nothing was changed in it")]
    NamespaceTaken(String),
    /// The namespace is being deleted.
    #[error("the namespace {0} is being deleted; it is made again when it is gone")]
    NamespaceTerminating(String),
    /// What the admission policies must refuse was not refused by them.
    #[error(
        "no rights are given in {namespace}: what the policy of rights must refuse was {answer}. Are the admission policies of the \
         operator's chart installed?"
    )]
    WallsNotProven {
        /// Where it was tried.
        namespace: String,
        /// What the API server answered instead.
        answer: String,
    },
    /// The reconcile's own time limit.
    #[error("not done within {0} s; it is tried again")]
    TimedOut(u64),
    /// This process does not hold the lease.
    #[error("another process is the leader")]
    NotLeader,
}

/// Closed classes of errors: label of metrics, base of the retry policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Category {
    /// Only a change of the spec helps.
    Invalid,
    /// A name is taken by something of others.
    Taken,
    /// Somebody else changed it at the same time.
    Conflict,
    /// The API server refuses for good.
    Refused,
    /// The API server does not answer, is overloaded or something must end first.
    Transient,
    /// Our own time limit.
    TimedOut,
}

impl Error {
    /// Wraps an answer of the API server.
    pub fn cluster(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        move |source| Self::Cluster { action, source: Box::new(source) }
    }

    /// Its class.
    #[must_use]
    pub fn category(&self) -> Category {
        match self {
            Self::InvalidObject(_) | Self::InvalidSpec(_) => Category::Invalid,
            Self::NamespaceTaken(_) => Category::Taken,
            Self::NamespaceTerminating(_) | Self::NotLeader => Category::Transient,
            Self::TimedOut(_) => Category::TimedOut,
            Self::WallsNotProven { .. } => Category::Refused,
            Self::Cluster { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if status.code == 409 => Category::Conflict,
                // 429 is an overload, 404 a namespace that went meanwhile.
                kube::Error::Api(status)
                    if (400..500).contains(&status.code) && !matches!(status.code, 404 | 408 | 429) =>
                {
                    Category::Refused
                }
                _ => Category::Transient,
            },
        }
    }

    /// Whether the API server says that the object is not there.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Cluster { source, .. } if matches!(source.as_ref(), kube::Error::Api(status) if status.code == 404))
    }

    /// The reason that a condition shows.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NamespaceTaken(_) => reason::NAMESPACE_TAKEN,
            Self::NamespaceTerminating(_) => reason::NAMESPACE_TERMINATING,
            Self::WallsNotProven { .. } => reason::WALLS_NOT_PROVEN,
            _ => match self.category() {
                Category::Invalid => reason::INVALID_SPEC,
                Category::Taken => reason::NAMESPACE_TAKEN,
                Category::Refused => reason::REFUSED,
                Category::TimedOut => reason::TIMED_OUT,
                Category::Conflict | Category::Transient => reason::CLUSTER_UNAVAILABLE,
            },
        }
    }

    /// Text for people, within the limit of a status message.
    #[must_use]
    pub fn message(&self) -> String {
        let text = match self {
            Self::Cluster { action, source } => match source.as_ref() {
                kube::Error::Api(status) => format!("{action}: {}", status.message),
                _ => format!("{action}: the API server did not answer"),
            },
            other => other.to_string(),
        };
        text.chars().take(1000).collect()
    }
}
